"""Overlapping kNN patches that cover a cloud; each point is owned by the patch to whose seed it lies nearest."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Indices, Neighbors
from deburr.core.progress import advance

#: Seeds are chosen block by block in larger clouds, or the search would grow with the square of the points.
BLOCK = 65536
#: Seeds whose patches are searched at once: 256 x 1000 distances and rows are 4 MB.
SEARCH = 256


@dataclass(frozen=True)
class Cover:
    """Patches (P, size) as rows of the points, nearest to the seed first.

    ``owner`` (N,): each point's patch; ``rank`` (N,): its place in that patch.
    """

    rows: Indices
    owner: Indices
    rank: Indices


def blocks(points: Floats, size: int) -> list[Indices]:
    """Rows of ``points`` (N, 3) in blocks of at most ``size``, halved along the longest side at the median."""
    done: list[Indices] = []
    waiting = [np.arange(len(points), dtype=np.intp)]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= size:
            done.append(rows)
            continue
        extent = np.ptp(points[rows], axis=0)
        # Stable, so that equal coordinates keep their lexicographic order.
        order = rows[np.argsort(points[rows, int(extent.argmax())], kind="stable")]
        half = len(order) // 2
        waiting += [np.sort(order[half:]), np.sort(order[:half])]
    return done


def farthest(points: Floats, count: int) -> Indices:
    """Rows of ``count`` points of ``points`` (N, 3), each the farthest from those before it.

    The first is the farthest from the centre of the bounding box; of equally far points the first row wins.
    """
    start = (points.min(axis=0) + points.max(axis=0)) / 2
    chosen = np.empty(count, dtype=np.intp)
    nearest = ((points - start) ** 2).sum(axis=1)
    for i in range(count):
        chosen[i] = nearest.argmax()
        distance = ((points - points[chosen[i]]) ** 2).sum(axis=1)
        nearest = np.minimum(nearest, distance) if i else distance
    return chosen


def choose_seeds(points: Floats, size: int, overlap: float) -> Indices:
    """``overlap * N / size`` rows of ``points`` (N, 3), spread by farthest point sampling (block by block)."""
    if len(points) <= size:
        return farthest(points, 1)
    seeds = []
    done = 0
    for rows in blocks(points, BLOCK):
        seeds.append(rows[farthest(points[rows], min(len(rows), ceil(overlap * len(rows) / size)))])
        done += len(rows)
        advance("choosing patches", done, len(points))
    return np.concatenate(seeds)


def cover(points: Floats, size: int, overlap: float) -> Cover:
    """Patches of ``size`` points that cover ``points`` (N, 3), N >= 1, all different; see `canonical`.

    Each patch is a seed and its nearest neighbours. Where the seeds leave points uncovered, seeds are added among
    these until none is left.
    """
    tree = Neighbors(points)
    best = np.full(len(points), np.inf)
    owner = np.zeros(len(points), dtype=np.intp)
    rank = np.zeros(len(points), dtype=np.intp)
    patches: list[Indices] = []
    count = 0
    seeds = choose_seeds(points, size, overlap)
    while len(seeds):
        for start in range(0, len(seeds), SEARCH):
            distances, rows = tree.nearest(points[seeds[start : start + SEARCH]], size)
            _claim(distances, rows, count, best, owner, rank)
            patches.append(rows.astype(np.int32))
            count += len(rows)
            advance("finding patches", min(start + SEARCH, len(seeds)), len(seeds))
        (missing,) = np.nonzero(np.isinf(best))
        seeds = missing[choose_seeds(points[missing], size, overlap)] if len(missing) else missing
    return Cover(np.concatenate(patches), owner, rank)


def _claim(distances: Floats, rows: Indices, first: int, best: Floats, owner: Indices, rank: Indices) -> None:
    """Give each point to the nearest seed so far; ``distances``, ``rows`` (P, size) are patches ``first`` onwards."""
    closer: Bools = distances < best[rows]
    patch, place = np.nonzero(closer)
    point, distance = rows[closer], distances[closer]
    # Farthest first, so that of several claims on one point the nearest is written last; ties go to the first patch.
    order = np.lexsort((-patch, -distance))
    point, distance, patch, place = point[order], distance[order], patch[order], place[order]
    best[point], owner[point], rank[point] = distance, patch + first, place
