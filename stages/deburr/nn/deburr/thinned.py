"""What thinned copies of a cloud show: neighbourhoods that no scan line fills.

The nearest neighbours of a point often lie on its own scan line, and lines are flat however noisy a surface is. Of
every eighth point, and of every sixty-fourth, no line is left. Which points a copy keeps is drawn from the distances
to their neighbours alone: as good as by lot, but the same in any order, at any place, turned or in a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt

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
    spacing = graph.spacing.double().numpy()[rows] * graph.unit
    radii, shapes, normals, profiles, pools = np.zeros(len(rows)), [], [], [], []
    place = np.full(len(points), -1)
    place[rows] = np.arange(len(rows))
    for share, copy in zip(SHARES, kept, strict=True):
        found = _Copy.of(points, copy, rows, blocks)
        radii = np.maximum(radii, found.radii)
        seen, normal, heights = found.shapes(points[rows], spacing, share, blocks)
        shapes.append(seen)
        normals.append(normal)
        profiles.append(heights)
        pools.append(found.pool(place[copy]))
    agree = [np.abs((a * b).sum(1, keepdims=True)) for a, b in pairwise(normals)]
    (pool, window), (wide, reach) = pools[0], pools[-1]
    judges = torch.from_numpy(rows.astype(np.int64))
    return Thinned(
        judges,
        torch.from_numpy(
            np.concatenate((*shapes, *agree, *profiles, around(graph, judges, blocks).numpy()), 1).astype(np.float32)
        ),
        torch.from_numpy(pool),
        torch.from_numpy(window),
        torch.from_numpy(wide),
        torch.from_numpy(reach),
        torch.from_numpy(keeps),
        radii,
    )


@dataclass(frozen=True, eq=False)
class _Copy:
    """The neighbours of M judges in a copy of C points: their ``distances`` (M, k), and ``near`` (M, k), which of the
    copy they are; ``radii`` (M,) as in `Thinned`. k is 0 where the copy is too small."""

    points: Floats
    distances: Floats
    near: Indices
    radii: Floats

    @classmethod
    def of(cls, points: Floats, copy: Indices, rows: Rows, blocks: Blocks) -> _Copy:
        if len(copy) < LEAST:
            none = np.empty((len(rows), 0))
            return cls(points[copy], none, none.astype(np.intp), np.full(len(rows), np.inf))
        distances, near = others(grown(points[copy], blocks), copy, points[rows], rows, max(NEAR))
        return cls(points[copy], distances, near, distances[:, -1])

    def pool(self, place: Rows) -> tuple[Rows, Weights]:
        """Each judge and those of the copy nearest to it, as numbers of judges, (M, 1 + POOL) or (M, 1) int64, of which
        ``place`` (C,) has the copy's; and their weights, which fall to 0 at the last, float32."""
        own, one = np.arange(len(self.near), dtype=np.int64)[:, None], np.ones((len(self.near), 1), np.float32)
        if not self.near.size:
            return own, one
        away = self.distances[:, :POOL]
        weights = (1 - (away / away[:, -1:]) ** 2).astype(np.float32)
        return np.concatenate((own, place[self.near[:, :POOL]]), 1), np.concatenate((one, weights), 1)

    def shapes(self, judges: Floats, spacing: Floats, share: float, blocks: Blocks) -> tuple[Floats, Floats, Floats]:
        """(M, len(NEAR) * 6 + 2): of each neighbourhood thickness, two ratios, height, width and reach, against the
        judges' spacings (M,) in the whole cloud; how the normals agree; that there was something. The widest
        neighbourhood's normals (M, 3). And the profiles of both, (M, len(NEAR) * PROFILE)."""
        count, sizes = len(judges), len(NEAR)
        told = np.zeros((count, sizes * _SHAPE + 2))
        found, normals, profiles = (np.zeros((count, sizes, width)) for width in (_SHAPE, 3, PROFILE))
        if not self.near.size:
            return told, normals[:, -1], profiles.reshape(count, sizes * PROFILE)
        expected = np.array([sqrt(k / (pi * share)) for k in NEAR])
        if fast := kernels.loaded(blocks.compiled):
            where = judges, spacing, self.points, self.near, self.distances
            fast.shapes(*where, np.array(NEAR), expected, found, normals, profiles, blocks)
        else:
            for start in range(0, count, _CHUNK):
                part = slice(start, start + _CHUNK)
                unit = spacing[part, None]
                offsets = torch.from_numpy((self.points[self.near[part]] - judges[part, None]) / unit[..., None])
                squared = torch.from_numpy((self.distances[part] / unit) ** 2)
                seen = _shapes(offsets, squared, torch.from_numpy(expected))
                found[part], normals[part], profiles[part] = (columns.numpy() for columns in seen)
        told[:, :-2] = found.reshape(count, sizes * _SHAPE)
        told[:, -2] = np.abs((normals[:, 0] * normals[:, 1]).sum(1))
        told[:, -1] = 1.0
        return told, normals[:, -1], profiles.reshape(count, sizes * PROFILE)


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
