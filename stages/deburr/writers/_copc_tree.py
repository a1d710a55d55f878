"""Which points stand at which node of COPC's octree: from level to level twice as dense, each level evenly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats, Ints

#: Cells along a side of a voxel: a node has one point a cell, so that this many times its spacing is its side.
CELLS = 1 << 7
#: Points that become one node together, however close to each other they lie: fewer would make chunks of no size.
FEW = 1 << 14
#: The last level, of which three numbers of a cell fit into 63 bits; all that is left stands there.
_DEEPEST = 14
_BITS = 7 + _DEEPEST


@dataclass(frozen=True)
class Tree:
    """Points sorted by node, parents before their children.

    centre, half : the cube, (3,) and half of its side, cloud units; no point lies on its upper faces.
    order : (N,) the points in the file's order, those of a node in their own.
    keys : (M, 4) level, x, y, z of the nodes in the file's order.
    ends : (M,) where the points of each end.
    """

    centre: Floats
    half: float
    order: Ints
    keys: Ints
    ends: Ints

    @property
    def spacing(self) -> float:
        """Of the points at the root, cloud units."""
        return 2 * self.half / CELLS


def grow(xyz: Floats, step: float) -> Tree:
    """The octree of the points ``xyz`` (N, 3); ``step``: the smallest length that counts, cloud units.

    Equal clouds have equal trees; of points in one cell, the one nearest to its middle stands higher.
    """
    low, high = (xyz.min(axis=0), xyz.max(axis=0)) if len(xyz) else (np.zeros(3), np.zeros(3))
    centre = (low + high) / 2
    half = float((high - low).max()) / 2 * (1 + 1e-9) + step
    fine = np.floor((xyz - (centre - half)) * (2.0**_BITS / (2 * half))).astype(np.int64)
    np.clip(fine, 0, (1 << _BITS) - 1, out=fine)
    level = _levels(fine)
    corners = fine >> (_BITS - level)[:, None] << (_BITS - level)[:, None]
    places = _interleaved(corners)
    order = np.lexsort((level, places))  # stable: the points of a node stay in their order
    places, level = places[order], level[order]
    last = np.flatnonzero((np.diff(places) != 0) | (np.diff(level) != 0)) if len(order) else np.empty(0, np.int64)
    ends = np.append(last, len(order) - 1) + 1 if len(order) else last
    nodes = order[ends - 1]
    own = level[ends - 1]
    return Tree(centre, half, order, np.column_stack([own, fine[nodes] >> (_BITS - own)[:, None]]), ends)


def _levels(fine: Ints) -> Ints:
    """(N,) the level of each point, by the finest cells ``fine`` (N, 3)."""
    level = np.full(len(fine), _DEEPEST, dtype=np.int64)
    left = np.arange(len(fine))
    for depth in range(_DEEPEST):
        own = fine[left]
        _, voxel, counts = np.unique(_code(own >> (_BITS - depth)), return_inverse=True, return_counts=True)
        taken = (counts <= FEW)[voxel]
        rest = np.flatnonzero(~taken)
        taken[rest[_one_a_cell(own[rest], _DEEPEST - depth)]] = True
        level[left[taken]] = depth
        left = left[~taken]
        if not len(left):
            break
    return level


def _one_a_cell(fine: Ints, bits: int) -> Ints:
    """The places of one point for each cell of 2**``bits`` finest ones: the nearest to the middle, or the first."""
    cells = _code(fine >> bits)
    aside = (fine & ((1 << bits) - 1)) - (1 << bits >> 1)
    order = np.lexsort(((aside * aside).sum(axis=1), cells))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = np.diff(cells[order]) != 0
    return np.asarray(order[first])


def _code(cells: Ints) -> Ints:
    """(N,) one number for each of ``cells`` (N, 3)."""
    return np.asarray(cells[:, 0] | cells[:, 1] << _BITS | cells[:, 2] << 2 * _BITS)


def _interleaved(cells: Ints) -> npt.NDArray[np.int64]:
    """(N,) the bits of x, y and z of ``cells`` (N, 3) by turns: neighbours in space lie near each other in it."""
    found = np.zeros(len(cells), dtype=np.int64)
    for bit in range(_BITS):
        for axis in range(3):
            found |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return found
