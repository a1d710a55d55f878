"""The surface between points: bent planes through those around a place, how well these agree, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, radians

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import SPACING_K, Indices, Neighbors, point_spacing
from deburr.filters._bent import HELD, across, bell, dots, least, normalized, same, square, terms, window_of

#: The points around a place that say where the surface is.
AROUND = 12
#: The least cosine between normals of one bent surface, from neighbour to neighbour.
_LIKE = 0.7
#: Heights over a plane at which points belong to another sheet, and no more to the plane; spacings.
LAYER, FLAT = 0.35, 0.1
#: A surface is where the points around are off a bent plane by less than this share of the spacing; firm, where that is
#: so of the best square surface through all of `SPACING_K` points, be they on several sheets: in leaves it never is.
#: Beside an edge it is not either, but one of the points around, on the same side, is firm.
LOOSE, FIRM = 0.15, 0.1
#: How often normals are made alike on each side of an edge, and a place is led to the surface.
_ALIKE, _LED = 3, 3
#: The largest angle between the directions in which points lie, and the next, where they enclose a place: at a border
#: half a circle is empty, along a wire two halves are.
_OPEN = radians(182), radians(135)
#: Points further than this many times the nearest, or higher than half as far as away, enclose nothing.
_FAR = 3.0
#: Places looked at at a time.
_BLOCK = 8_192


@dataclass(frozen=True, eq=False)
class Sheet:
    """N points of which most lie on surfaces.

    points : (N, 3) float64, all different; ``tree`` holds them.
    normals : (N, 3) float64, unit vectors across the surface, whose sign means nothing.
    spacing : (N,) float64, around each.
    good : (N,) bool, those that a surface is around.
    """

    points: Floats
    tree: Neighbors
    normals: Floats
    spacing: Floats
    good: Bools

    @classmethod
    def of(cls, points: Floats) -> Sheet:
        """Look at ``points`` (N, 3), all different, more than `SPACING_K`."""
        tree = Neighbors(points)
        parts = [_looked(points, tree, slice(start, start + _BLOCK)) for start in range(0, len(points), _BLOCK)]
        near, window, normals, own, firm = (np.concatenate(part) for part in zip(*parts, strict=True))
        # Of the lower half: beside a border and a hole, points look far for neighbours.
        spacing = np.sort(own[near], axis=1)[:, : AROUND // 2 + 1].mean(1)
        for step in range(_ALIKE + 2):
            before, made = normals, []
            for start in range(0, len(points), _BLOCK):
                rows = slice(start, start + _BLOCK)
                offsets = (points[near[rows]] - points[rows, None]) / spacing[rows, None, None]
                around = _Around(offsets, window[rows], before[rows], before[near[rows]])
                made.append(around.best() if step == 0 else around.alike() if step <= _ALIKE else around.bent())
            normals = np.concatenate(made)
        sheet = cls(points, tree, normals, spacing, firm)
        return cls(points, tree, normals, spacing, (sheet.lift(points)[2] <= LOOSE) & sheet._beside_firm(near))

    def _beside_firm(self, near: Indices) -> Bools:
        """(N,) bool: the points on one bent plane with any ``good`` one of those ``near`` (N, K), themselves among
        them."""
        found = np.zeros(len(near), np.bool_)
        for start in range(0, len(near), _BLOCK):
            rows = slice(start, start + _BLOCK)
            offsets, own, theirs = (
                self.points[near[rows]] - self.points[rows, None],
                self.normals[rows, None],
                self.normals[near[rows]],
            )
            cosine = dots(own, theirs)
            height = dots(offsets, own + theirs * np.where(cosine < 0, -1, 1)[..., None]) / (1 + np.abs(cosine))
            level = np.abs(height) <= LOOSE * self.spacing[rows, None]
            found[rows] = (self.good[near[rows]] & level & (np.abs(cosine) >= _LIKE)).any(1)
        return found

    def grown(self, places: Floats, normals: Floats, spacing: Floats) -> Sheet:
        """The same with more points ``places`` (M, 3), which a surface is around, their normals and spacing (M,)."""
        points = np.concatenate((self.points, places))
        good = np.concatenate((self.good, np.ones(len(places), np.bool_)))
        normals, spacing = np.concatenate((self.normals, normals)), np.concatenate((self.spacing, spacing))
        return Sheet(points, Neighbors(points), normals, spacing, good)

    def lift(self, places: Floats) -> tuple[Floats, Floats, Floats]:
        """Where the surface is at ``places`` (M, 3), M > 0: (M, 3), its normals there (M, 3), and how far the points
        around are off it, in spacings (M,)."""
        parts = [self._lift(places[start : start + _BLOCK]) for start in range(0, len(places), _BLOCK)]
        now, normals, off = (np.concatenate(part) for part in zip(*parts, strict=True))
        return now, normals, off

    def _lift(self, places: Floats) -> tuple[Floats, Floats, Floats]:
        away, near = self.tree.nearest(places, AROUND + 1)
        points, normals, unit = self.points[near], self.normals[near], self.spacing[near[:, 0]]
        window = window_of(away)
        # Of several sheets and sides of an edge, the one that the most of the points, and the nearest, are on.
        height = dots(places[:, None] - points, normals) / unit[:, None]
        weight = window * bell(height / LAYER)
        chosen = np.einsum("mkl,ml->mk", same(np.einsum("mki,mli->mkl", normals, normals)), weight).argmax(1)
        normal = normals[np.arange(len(near)), chosen]
        now = places
        for _ in range(_LED):
            cosine = dots(normals, normal[:, None])
            signed = normals * np.where(cosine < 0, -1, 1)[..., None]
            # The chord between two places of an evenly bent surface is across the mean of their normals.
            half = signed + normal[:, None]
            height = dots(half, now[:, None] - points) / dots(half, normal[:, None]) / unit[:, None]
            weight = window * same(cosine) * bell(height / LAYER)
            share = weight.sum(1) / window.sum(1)
            weight = (weight + 1e-12) / (weight + 1e-12).sum(1, keepdims=True)
            up = (weight * height).sum(1)
            off = np.sqrt((weight * (height - up[:, None]) ** 2).sum(1))
            now = now - (unit * up)[:, None] * normal
            normal = normalized(np.einsum("mk,mki->mi", weight, signed))
        # What is told by few of the points around is told badly.
        return now, normal, off / np.sqrt(np.maximum(share, 1e-6))


@dataclass(frozen=True, eq=False)
class _Around:
    """Of M points the ``offsets`` (M, K, 3) of those around, in spacings, their weights (M, K), and the normals as they
    are so far: the points' ``own`` (M, 3), ``theirs`` (M, K, 3)."""

    offsets: Floats
    window: Floats
    own: Floats
    theirs: Floats

    def best(self) -> Floats:
        """(M, 3) the neighbour's normal whose plane through the point most of the others are on: beside an edge, that
        of a point further from it."""
        on = bell(np.einsum("nki,nli->nlk", self.offsets, self.theirs) / FLAT)
        best = np.einsum("nk,nlk->nl", self.window, on).argmax(1)
        return np.asarray(self.theirs[np.arange(len(best)), best])

    def alike(self) -> Floats:
        """(M, 3) the mean of the normals that are of the same side."""
        cosine = dots(self.theirs, self.own[:, None])
        return normalized(
            np.einsum("nk,nki->ni", self.window * same(cosine) * np.where(cosine < 0, -1, 1), self.theirs)
        )

    def bent(self) -> Floats:
        """(M, 3) the normals of square surfaces through the points of the same side."""
        first, second = across(self.own)
        u, v, height = (dots(self.offsets, axis[:, None]) for axis in (first, second, self.own))
        weight = self.window * same(dots(self.theirs, self.own[:, None])) * bell(height / LAYER)
        found = square(u, v, height, weight)
        return normalized(self.own - found[:, 1, None] * first - found[:, 2, None] * second)


def _looked(points: Floats, tree: Neighbors, rows: slice) -> tuple[Indices, Floats, Floats, Floats, Bools]:
    """Of some points: those around (M, AROUND + 1), themselves first, their weights, the normals (M, 3) of planes
    through them, the spacing (M,), and which are firm (M,)."""
    away, near = tree.nearest(points[rows], SPACING_K + 1)
    own = point_spacing(away[:, -1], SPACING_K)
    offsets = (points[near] - points[rows, None]) / own[:, None, None]
    every = np.ones(near.shape)
    flat = least(offsets, every)
    first, second = across(flat)
    u, v, height = (dots(offsets, axis[:, None]) for axis in (first, second, flat))
    found = square(u, v, height, every)
    left = height - np.einsum("nki,ni->nk", terms(u, v), found)
    firm = np.sqrt((left**2).sum(1) / (near.shape[1] - len(HELD))) <= FIRM
    near, window = near[:, : AROUND + 1], window_of(away[:, : AROUND + 1])
    return near, window, least(offsets[:, : AROUND + 1], window), own, firm


def enclosed(places: Floats, normals: Floats, points: Floats, away: Floats, near: Indices) -> Bools:
    """(M,) bool: whether ``points`` lie on all sides of ``places`` (M, 3) on a surface with ``normals`` (M, 3) there,
    by the nearest k of them: ``away`` (M, k), rows ``near`` (M, k)."""
    offsets = points[near] - places[:, None]
    counts = (away <= _FAR * away[:, :1]) & (np.abs(dots(offsets, normals[:, None])) <= 0.5 * away)
    first, second = across(normals)
    angle = np.arctan2(dots(offsets, second[:, None]), dots(offsets, first[:, None]))
    # One turn further for each of the others, which end behind all.
    angle = np.sort(np.where(counts, angle, angle + 4 * pi), axis=1)
    gaps = np.diff(angle, axis=1)
    number = counts.sum(1)
    gaps[np.arange(gaps.shape[1])[None] >= number[:, None] - 1] = 0
    last = np.take_along_axis(angle, np.maximum(number - 1, 0)[:, None], 1)[:, 0]
    gaps = np.sort(np.column_stack((gaps, 2 * pi - (last - angle[:, 0]))), axis=1)
    return np.asarray((gaps[:, -1] <= _OPEN[0]) & (gaps[:, -2] <= _OPEN[1]) & (number >= 3))
