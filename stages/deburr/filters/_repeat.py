"""How well points are repeated by others that saw the same surface: an error without a truth, and an offset apart.

A reference with noise of its own makes every distance to it too large. Two independent references have independent
noise: in the mean of the products of a point's signed distances to both, theirs cancels, and the square of the point's
own error is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.neighbors import Neighbors

#: Points of each of two references that span a plane.
NEAREST = 12
#: Flat is where the points have less than this share of their variance across the plane.
FLAT = 0.01
#: A plane, and no line, is where the lesser of the two directions along it has at least this share.
SPREAD = 0.1
#: A place is among the points of its plane if along it their middle is no further than this share of their RMS radius,
#: and across it no further than that radius.
AMONG = 0.5
#: A place further from its plane than this many times the median is of something else.
OTHER = 10.0
#: Cells in which fewer places are seen have no offset.
CELL_LEAST = 10
#: Places treated at a time.
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of two references at M places.

    places : (M, 3) float64, cloud units.
    normals : (M, 3), common to both, the largest component positive.
    levels : (M, 2), how far along the normal each plane lies from the place.
    bent : (M, 2), the same of surfaces that may be bent evenly.
    seen : (M,) bool, where there is a plane, and the place lies on it.
    """

    places: Floats
    normals: Floats
    levels: Floats
    bent: Floats
    seen: Bools

    def heights(self, xyz: Floats, bent: bool = True) -> Floats:
        """(S, 2) signed distances of what became of the S places seen, among ``xyz`` (M, 3), to both surfaces.

        Points of a bent surface lie on one side of its middle, and so does their plane: distances to planes call that
        an error, and call it less the more a surface was flattened. ``bent`` ones follow it, but are less sure.
        """
        moves = np.einsum("mi,mi->m", xyz - self.places, self.normals)
        return np.asarray(moves[:, None] - (self.bent if bent else self.levels))[self.seen]

    def only(self, of: Bools) -> Planes:
        """The same planes, seen at no other places than ``of`` (M,)."""
        return replace(self, seen=self.seen & of)

    def moved(self, places: Floats, first: Floats, second: Floats) -> Planes:
        """The planes of what became of all points, (M, 3) and (N, 3) each, seen from the same places."""
        now = planes_at(places, first, second)
        turned = np.where(np.einsum("mi,mi->m", now.normals, self.normals) < 0, -1.0, 1.0)[:, None]
        return Planes(places, turned * now.normals, turned * now.levels, turned * now.bent, self.seen)


def planes_at(places: Floats, first: Floats, second: Floats) -> Planes:
    """The planes of the points ``first`` and ``second``, (N, 3) each, at ``places`` (M, 3), `NEAREST` points each.

    The normal is that of least squares to both, each about its own mean: to first order it does not depend on how
    high either lies. Choose places on what was read, the same ones for all that is compared.
    """
    count = len(places)
    flat = np.zeros(count, dtype=np.bool_)
    normals, levels, bent = np.zeros((count, 3)), np.zeros((count, 2)), np.zeros((count, 2))
    if min(len(first), len(second)) >= NEAREST:
        trees = [Neighbors(first), Neighbors(second)]
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            around = _around(places[part], trees, NEAREST)
            normals[part], flat[part] = _fit(around)
            levels[part], bent[part] = _levels(around, normals[part])
    if flat.any():
        off = levels.mean(1) - np.median(levels[flat].mean(1))
        flat &= np.abs(off) <= OTHER * np.median(np.abs(off[flat]))
    return Planes(places, normals, levels, bent, flat)


def flat_at(places: Floats, points: Floats) -> Bools:
    """(M,) bool: where ``points`` (N, 3) are flat, as two references together have to be."""
    if len(points) < 2 * NEAREST or not len(places):
        return np.zeros(len(places), dtype=np.bool_)
    trees = [Neighbors(points)]
    parts = [places[start : start + _CHUNK] for start in range(0, len(places), _CHUNK)]
    return np.concatenate([_fit(_around(part, trees, 2 * NEAREST))[1] for part in parts])


def common(heights: Floats) -> float:
    """The RMS error that both columns of ``heights`` (M, 2) have in common; NaN of none."""
    return float(np.sqrt(max(float((heights[:, 0] * heights[:, 1]).mean()), 0.0))) if len(heights) else float("nan")


@dataclass(frozen=True, eq=False)
class Apart:
    """An error in two parts. offsets : (C,), one for each cell, signed. random : the RMS error beside; NaN of none."""

    offsets: Floats
    random: float


def apart(heights: Floats, cells: Ints) -> Apart:
    """``heights`` (M, 2) as the local medians of ``cells`` (M,), numbers, and the RMS of what else both agree on."""
    order = np.argsort(cells, kind="stable")
    starts = np.flatnonzero(np.diff(cells[order])) + 1
    groups = [rows for rows in np.split(order, starts) if len(rows) >= CELL_LEAST]
    medians = [np.median(heights[rows], axis=0) for rows in groups]
    rest = [heights[rows] - middle for rows, middle in zip(groups, medians, strict=True)]
    return Apart(np.array([middle.mean() for middle in medians]), common(np.concatenate([heights[:0], *rest])))


def cells_of(planes: Planes, side: float) -> Ints:
    """(S,) the cell of each place seen: squares of ``side`` in plan, ground and walls in cells of their own."""
    squares = np.floor(planes.places[planes.seen, :2] / side).astype(np.int64)
    facing = np.abs(planes.normals[planes.seen]).argmax(1)
    keys = np.column_stack((squares, facing))
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _around(places: Floats, trees: Sequence[Neighbors], k: int) -> Floats:
    """(M, T, k, 3): the nearest points of each tree, relative to the places (M, 3)."""
    return np.stack([tree.points[tree.nearest(places, k)[1]] for tree in trees], axis=1) - places[:, None, None]


def _fit(around: Floats) -> tuple[Floats, Bools]:
    """Normals (M, 3) of neighbourhoods (M, T, k, 3), and (M,) whether they are flat and the place is among them."""
    middles = around.mean(2)
    spread = around - middles[:, :, None]
    values, axes = np.linalg.eigh(np.einsum("mtki,mtkj->mij", spread, spread) / (around.shape[1] * around.shape[2]))
    total = values.sum(1)
    flat = (values[:, 0] < FLAT * total) & (values[:, 1] > SPREAD * total)
    normals, middle = axes[:, :, 0], middles.mean(1)
    across = np.einsum("mi,mi->m", middle, normals) ** 2
    among = ((middle**2).sum(1) - across < AMONG**2 * total) & (across < total)
    largest = np.take_along_axis(normals, np.abs(normals).argmax(1)[:, None], axis=1)
    return normals * np.where(largest < 0, -1.0, 1.0), flat & among


def _levels(around: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """(M, T) mean heights of neighbours, and what they would be at no distance if they are linear in its square."""
    up = np.einsum("mtki,mi->mtk", around, normals)
    away = (around**2).sum(3) - up**2
    level, middle = up.mean(2), away.mean(2)
    off = away - middle[:, :, None]
    spread = (off**2).sum(2)
    slope = (off * up).sum(2) / np.where(spread > 0, spread, 1.0)
    return level, level - slope * middle
