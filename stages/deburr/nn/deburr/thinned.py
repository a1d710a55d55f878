"""What thinned copies of a cloud show: neighbourhoods that no scan line fills.

The nearest neighbours of a point often lie on its own scan line, and lines are flat however noisy a surface is. Of
every eighth point, and of every sixty-fourth, no line is left. Which points a copy keeps is drawn from the distances
to their neighbours alone: as good as by lot, but the same in any order, at any place, turned or in a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Indices, Neighbors
from deburr.core.phases import phase
from deburr.nn.deburr import kernels
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.heights import HOPS, PROFILE, around, profile
from deburr.nn.deburr.planes import SHARES, Graph, grown, products, smallest_axis

#: The neighbours in a copy that a plane is fitted to.
NEAR = (16, 48)
#: Fewest points of a copy that is looked at: else a neighbourhood would be most of it, whatever lies there.
LEAST = 2 * max(NEAR)
#: The judges nearest to each whose guesses are pooled with its own; and as many of the last copy, far around.
POOL = 24
#: Where a cloud has no more points than this, all of them judge the noise; else those of the first copy.
ALL_JUDGE = 4096
#: Judges whose neighbours are looked at at once.
_CHUNK = 8192
_SHAPE = 6
#: Broader neighbourhoods, against what a plane would have, are told as this: of a judge beside its own double all are.
BROADEST = 10.0
#: Columns of `Thinned.shapes`.
SHAPES = len(SHARES) * (len(NEAR) * (_SHAPE + PROFILE) + 2) + len(SHARES) - 1 + len(HOPS) * PROFILE

Rows = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Thinned:
    """M judges, those of the N points at which the copies are looked at, and what is seen there.

    rows : (M,) int64, ascending, the judges among the points.
    shapes : (M, SHAPES) float32, thickness, flatness and reach of the neighbourhoods in each copy, and how heights are
        spread there (see `heights`), 0 where it is empty; and how they are nearby in the cloud.
    pool : (M, P) int64, judges near each judge, itself first; window : (M, P) float32, their weights.
    wide : (M, Q) int64, judges far around each judge, itself first; reach : (M, Q) float32, their weights.
    copies : (N, len(SHARES)) bool, which points each copy keeps.
    radii : (M,) float64, within which all points must be known for that, in the units handed over; infinite where a
        copy has too few points.
    """

    rows: Tensor
    shapes: Tensor
    pool: Tensor
    window: Tensor
    wide: Tensor
    reach: Tensor
    copies: Tensor
    radii: Floats


def lots(graph: Graph, blocks: Blocks | None = None) -> Floats:
    """(N,) float64 in 0..1, as good as random: fractions of large sums of the distances' ratios."""
    k = graph.window.shape[1]
    # Roots of whole numbers have no common measure, so that no two neighbours can stand in for each other.
    factors = 1e2 * torch.arange(2, k + 2, dtype=torch.float64).sqrt()
    drawn = torch.empty(len(graph.window), dtype=torch.float64)

    def draw(rows: slice) -> None:
        drawn[rows] = graph.window[rows].double() @ factors

    (blocks.silent(len(drawn)) if blocks else Blocks(len(drawn))).each(draw)
    found: Floats = drawn.numpy() % 1.0
    return found


def copies(graph: Graph, blocks: Blocks | None = None) -> Bools:
    """(N, len(SHARES)) bool: which points each copy keeps."""
    lot = lots(graph, blocks)
    return np.stack([lot < share for share in SHARES], 1)


def others(tree: Neighbors, members: Indices, points: Floats, rows: Rows, count: int) -> tuple[Floats, Indices]:
    """Distances (n, count) and places in ``members`` (C,), whose points ``tree`` holds, (n, count) of those nearest to
    ``points`` (n, 3), number ``rows`` (n,) of the cloud. Nobody's neighbour is oneself."""
    distances, near = tree.nearest(points, count + 1)
    mine = np.flatnonzero(members[near[:, 0]] == rows)
    distances[mine, :-1], near[mine, :-1] = distances[mine, 1:], near[mine, 1:]
    return np.ascontiguousarray(distances[:, :-1]), np.ascontiguousarray(near[:, :-1])


@phase("looking at thinned copies")
def look(graph: Graph, points: Floats, total: int, blocks: Blocks | None = None) -> Thinned:
    """The judges of ``points`` (N, 3) float64, in the units handed over, whose graph is ``graph``.

    ``total``: how many points the whole cloud has, of which these may be a tile.
    """
    blocks = blocks or Blocks(len(points), compiled=False)
    keeps = copies(graph, blocks)
    kept = [np.flatnonzero(copy) for copy in keeps.T]
    rows = np.arange(len(points)) if total <= ALL_JUDGE else kept[0]
    place = np.full(len(points), -1)
    place[rows] = np.arange(len(rows))
    spacing = graph.spacing.double().numpy()[rows] * graph.unit
    judges = _Judges(points, rows, place, spacing, np.zeros((len(rows), SHAPES), np.float32), np.zeros(len(rows)))
    # Of each copy what is told of planes, then, all together, how these agree, and how heights are spread.
    planes, heights = len(NEAR) * _SHAPE + 2, len(NEAR) * PROFILE
    agree = len(SHARES) * planes
    spread = [agree + len(SHARES) - 1 + number * heights for number in range(len(SHARES) + 1)]
    normals, pools = [], []
    for number, (share, copy) in enumerate(zip(SHARES, kept, strict=True)):
        told = slice(number * planes, (number + 1) * planes), slice(spread[number], spread[number + 1])
        normal, heard = judges.look(copy, share, told, blocks)
        normals.append(normal)
        pools.append(heard)
    for number, (one, other) in enumerate(pairwise(normals)):
        judges.shapes[:, agree + number] = np.abs((one * other).sum(1))
    chosen = torch.from_numpy(rows.astype(np.int64))
    judges.shapes[:, spread[-1] :] = around(graph, chosen, blocks).numpy()
    (pool, window), (wide, reach) = ((torch.from_numpy(who), torch.from_numpy(weight)) for who, weight in pools)
    shapes = torch.from_numpy(judges.shapes)
    return Thinned(chosen, shapes, pool, window, wide, reach, torch.from_numpy(keeps), judges.radii)


@dataclass(frozen=True, eq=False)
class _Judges:
    """The M judges among ``points`` (N, 3): their ``rows`` (M,), and ``place`` (N,), the number of each that is one;
    their ``spacing`` (M,) in the whole cloud. ``shapes`` (M, SHAPES) and ``radii`` (M,) as in `Thinned` fill up."""

    points: Floats
    rows: Rows
    place: Rows
    spacing: Floats
    shapes: Weights
    radii: Floats

    def look(
        self, copy: Indices, share: float, told: tuple[slice, slice], blocks: Blocks
    ) -> tuple[Floats, tuple[Rows, Weights]]:
        """What is seen in a ``copy`` (C,) that keeps such a ``share`` of the points goes into the columns ``told`` of
        the shapes, and to the radii. Returns (M, 3) normals of the widest neighbourhood; and each judge and those of
        the copy nearest to it, as numbers of judges, (M, 1 + POOL) int64, and their weights, which fall to 0 at the
        last, float32; itself alone, (M, 1), where the copy is too small."""
        count, normals = len(self.rows), np.zeros((len(self.rows), 3))
        width = 1 + POOL * (len(copy) >= LEAST)
        pool, window = np.empty((count, width), np.int64), np.ones((count, width), np.float32)
        pool[:, 0] = np.arange(count)
        if width == 1:
            self.radii[:] = np.inf
            return normals, (pool, window)
        members, numbers = self.points[copy], self.place[copy]
        tree, fast = grown(members, blocks), kernels.loaded(blocks.compiled)

        def work(part: slice) -> None:
            rows = self.rows[part]
            distances, near = others(tree, copy, self.points[rows], rows, max(NEAR))
            self.radii[part] = np.maximum(self.radii[part], distances[:, -1])
            away = distances[:, :POOL]
            pool[part, 1:], window[part, 1:] = numbers[near[:, :POOL]], 1 - (away / away[:, -1:]) ** 2
            planes, heights = self.shapes[part, told[0]], self.shapes[part, told[1]]
            where = self.points[rows], self.spacing[part], members, near, distances
            normals[part] = _told(where, share, planes, heights, fast)

        # SciPy's tree has threads of its own.
        (blocks.silent(count) if fast else Blocks(count, _CHUNK)).each(work)
        return normals, (pool, window)


def _told(where: tuple[Any, ...], share: float, planes: Weights, heights: Weights, fast: Any) -> Floats:
    """Put into ``planes`` (m, len(NEAR) * 6 + 2) of each neighbourhood thickness, two ratios, height, width and reach,
    against the spacings (m,) in the whole cloud; how the normals agree; that there was something. Into ``heights``
    (m, len(NEAR) * PROFILE) the profiles. Returns the widest neighbourhood's normals (m, 3).

    where : the judges (m, 3), their spacings, the points (C, 3) of the copy, which of them are near (m, k), how far.
    """
    judges, spacing, members, near, distances = where
    count, sizes = len(judges), len(NEAR)
    expected = np.array([sqrt(k / (pi * share)) for k in NEAR])
    if fast:
        found, normals, profiles = (np.zeros((count, sizes, width)) for width in (_SHAPE, 3, PROFILE))
        fast.shapes(*where, np.array(NEAR), expected, found, normals, profiles)
    else:
        unit = spacing[:, None]
        offsets = torch.from_numpy((members[near] - judges[:, None]) / unit[..., None])
        squared = torch.from_numpy((distances / unit) ** 2)
        found, normals, profiles = (part.numpy() for part in _shapes(offsets, squared, torch.from_numpy(expected)))
    planes[:, :-2], heights[:] = found.reshape(count, sizes * _SHAPE), profiles.reshape(count, sizes * PROFILE)
    planes[:, -2] = np.abs((normals[:, 0] * normals[:, 1]).sum(1))
    planes[:, -1] = 1.0
    return np.asarray(normals[:, -1])


def _shapes(offsets: Tensor, squared: Tensor, expected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(m, S, 6), the normals (m, S, 3) and the profiles (m, S, PROFILE) of the first `NEAR` neighbours, S numbers, of
    those at ``offsets`` (m, k, 3), ``squared`` (m, k) away, in spacings; ``expected`` (S,): how far the last would be
    on a plane."""
    far = torch.stack([squared[:, k - 1] for k in NEAR], 1).clamp_min(1e-30)
    weight = (1 - squared[:, None] / far[..., None]).clamp_min(0)
    for number, k in enumerate(NEAR):
        weight[:, number, :k] += 1e-6
    weight /= weight.sum(2, keepdim=True)
    moments = torch.bmm(weight, torch.cat((offsets, products(offsets)), 2))
    mean = moments[..., :3]
    values, normal = smallest_axis((moments[..., 3:] - products(mean)).flatten(0, 1))
    low, middle, high = values.view(*far.shape, 3).unbind(2)
    normal = normal.reshape(*far.shape, 3)
    height = (mean * normal).sum(2).abs()
    found = (
        (low.sqrt() + 1e-3).log(),
        low / (middle + 1e-12),
        middle / (high + 1e-12),
        (height + 1e-3).log(),
        (high.sqrt() / expected).clamp_max(BROADEST),
        (far.sqrt() / expected + 1e-3).log(),
    )
    heights = torch.bmm(normal, offsets.transpose(1, 2))
    return torch.stack(found, 2), normal, profile(heights, weight)
