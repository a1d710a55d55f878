"""New points where a surface is thinly covered: in the middle of the largest empty balls between its points.

Such a ball touches three points, or, along a border, two. Filling the largest first leaves points that lie evenly: no
place is much further from a point than others, and no new point is nearer to one than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import cKDTree

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.neighbors import Indices, Neighbors
from deburr.core.progress import advance
from deburr.filters._sheet import LOOSE, Sheet, enclosed

#: As dense as points that own squares of side 1 are those with no place further away than this.
COVERED = 0.86
#: The neighbours of a point that may touch a ball with it, and those that show whether it is empty.
_CORNERS, _SEEN = 10, 16
#: Balls down to this share of those before are filled next.
_FINER = 0.8
#: How often new points make room for others as large, at most.
_AGAIN = 6
#: Sides of a triangle whose angle has a smaller sine, squared, say nothing of a ball.
_FLAT = 0.01
_BLOCK = 4_096
_PAIRS = np.array([(a, b) for a in range(_CORNERS) for b in range(a, _CORNERS)]).T


@dataclass(frozen=True, eq=False)
class Holes:
    """M empty balls: where the surface is in their middle, ``places`` and ``normals`` (M, 3), the ``spacing`` (M,) that
    is asked for there, and the radius of the ``widest`` (M,) that may be filled."""

    places: Floats
    normals: Floats
    spacing: Floats
    widest: Floats

    @classmethod
    def none(cls) -> Holes:
        """No holes at all."""
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))

    def part(self, rows: Bools | Ints) -> Holes:
        """Some of them."""
        return Holes(*(getattr(self, one.name)[rows] for one in fields(self)))


def joined(holes: Sequence[Holes]) -> Holes:
    """All of ``holes``, one after the other."""
    return Holes(*(np.concatenate([getattr(some, one.name) for some in holes]) for one in fields(Holes)))


def fill(sheet: Sheet, spacing: Floats, widest: Floats) -> Holes:
    """The holes in ``sheet`` that are filled, those of the first size first.

    spacing : (N,) what is asked for around each point of the sheet.
    widest : (N,) the radius of the largest empty ball that is filled there.
    """
    count = len(sheet.points)
    every = Holes(sheet.points, sheet.normals, spacing, widest)
    good = sheet.good
    waiting = _found(sheet, every, good, 0)
    sizes = [COVERED]
    while sizes[0] < (widest / spacing).max(initial=0.0):
        sizes.insert(0, sizes[0] / _FINER)
    for number, size in enumerate(sizes):
        for _ in range(_AGAIN):
            waiting, chosen = _chosen(waiting, every.places, size)
            if not len(chosen.places):
                break
            start = len(every.places)
            every = joined((every, chosen))
            good = np.concatenate((good, np.ones(len(chosen.places), np.bool_)))
            # What is empty now and was not before touches a new point.
            waiting = joined((waiting, _found(sheet, every, good, start)))
        advance("filling", number + 1, len(sizes))
    return every.part(np.arange(count, len(every.places)))


def _chosen(waiting: Holes, points: Floats, size: float) -> tuple[Holes, Holes]:
    """Of the holes that are ``waiting``, those that still do, and those to be filled now: further from ``points``
    (N, 3) and from each other than ``size`` spacings."""
    if not len(waiting.places):
        return waiting, waiting
    away, near = Neighbors(points).nearest(waiting.places, _SEEN)
    ratio = away[:, 0] / waiting.spacing
    there = ratio >= COVERED * (1 - 1e-9)
    # A hole is lifted from the middle of its ball, and so a bit off its size.
    now = ratio >= size * (1 - 1e-9)
    rows = np.flatnonzero(now)
    rows = rows[enclosed(waiting.places[rows], waiting.normals[rows], points, away[rows], near[rows])]
    rows = rows[apart(waiting.places[rows], ratio[rows], size * waiting.spacing[rows])]
    there[rows] = False
    return waiting.part(there), waiting.part(rows)


def apart(places: Floats, ratio: Floats, radius: Floats) -> Ints:
    """Which of ``places`` (M, 3) stay, by falling ``ratio`` (M,), where none may lie nearer than ``radius`` (M,) to one
    that stays."""
    left, kept = np.ones(len(places), np.bool_), []
    close = cKDTree(places).query_ball_point(places, radius * (1 - 1e-9)) if len(places) else ()
    # Equal ones, but for rounding, are taken in their order.
    for row in np.argsort(-np.round(ratio, 9), kind="stable").tolist():
        if left[row]:
            kept.append(row)
            left[close[row]] = False
    return np.array(kept, np.int64)


def _found(sheet: Sheet, every: Holes, good: Bools, start: int) -> Holes:
    """The holes that touch a point of ``every`` from number ``start`` on."""
    tree, corners = Neighbors(every.places), [np.zeros((0, 3), np.intp)]
    for begin in range(start, len(every.places), _BLOCK):
        rows = np.arange(begin, min(begin + _BLOCK, len(every.places)))
        corners.append(_balls(every, tree, rows[good[rows]], good))
    # A ball is met from each of the points that it touches.
    a, b, c = np.unique(np.concatenate(corners), axis=0).T
    if not len(a):
        return every.part(a)
    one, two = every.places[b] - every.places[a], every.places[c] - every.places[a]
    by_one, by_two = _shares((one**2).sum(1), (two**2).sum(1), (one * two).sum(1), b == c)[:2]
    places, normals, off = sheet.lift(every.places[a] + by_one[:, None] * one + by_two[:, None] * two)
    spacing = (every.spacing[a] + every.spacing[b] + every.spacing[c]) / 3
    widest = np.minimum(every.widest[a], np.minimum(every.widest[b], every.widest[c]))
    return Holes(places, normals, spacing, widest).part(off <= LOOSE)


def _balls(every: Holes, tree: Neighbors, rows: Indices, good: Bools) -> Ints:
    """(M, 3), ascending, the points that empty balls touch, among them one of ``rows``; one that touches two names the
    second twice."""
    if not len(rows):
        return np.zeros((0, 3), np.intp)
    near = tree.nearest(every.places[rows], _SEEN + 1)[1][:, 1:]
    offsets = every.places[near] - every.places[rows, None]
    a, b = _PAIRS
    first, second = near[:, a], near[:, b]
    spacing = (every.spacing[rows, None] + every.spacing[first] + every.spacing[second]) / 3
    widest = np.minimum(every.widest[rows, None], np.minimum(every.widest[first], every.widest[second]))
    dots = np.einsum("nki,nli->nkl", offsets[:, :_CORNERS], offsets[:, :_CORNERS])
    by_a, by_b, squared = _shares(dots[:, a, a], dots[:, b, b], dots[:, a, b], np.broadcast_to(a == b, first.shape))
    wide = (squared >= (COVERED * spacing) ** 2 * (1 - 1e-9)) & (squared <= widest**2)
    at, pair = np.nonzero(wide & good[first] & good[second])
    middle = by_a[at, pair, None] * offsets[at, a[pair]] + by_b[at, pair, None] * offsets[at, b[pair]]
    empty = (((offsets[at] - middle[:, None]) ** 2).sum(2) >= (squared[at, pair] * (1 - 1e-9))[:, None]).all(1)
    at, pair = at[empty], pair[empty]
    corners = np.sort(np.column_stack((rows[at], first[at, pair], second[at, pair])), axis=1)
    # Of two points, which are sorted now, the last is the one that stands there twice.
    two = a[pair] == b[pair]
    corners[two, 0], corners[two, 1] = corners[two].min(1), corners[two].max(1)
    return corners


def _shares(aa: Floats, bb: Floats, ab: Floats, two: Bools) -> tuple[Floats, Floats, Floats]:
    """The middle of the circle through a point and two others at vectors a and b from it, as shares of these, from
    their products with themselves and each other; and its radius, squared, infinite where there is hardly a circle.
    Of a point and one other (``two``) the circle about the middle between both."""
    area = aa * bb - ab**2
    none = (area <= _FLAT * aa * bb) & ~two
    area = np.where(two | none, 1, 2 * area)
    by_a, by_b = np.where(two, 0.5, bb * (aa - ab) / area), np.where(two, 0.0, aa * (bb - ab) / area)
    return by_a, by_b, np.where(none, np.inf, by_a**2 * aa + by_b**2 * bb + 2 * by_a * by_b * ab)
