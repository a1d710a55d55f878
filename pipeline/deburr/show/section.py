"""Where a run is best looked at: a thin vertical section through what moved, met edge-on, with corners in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import cos, pi, sin

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing

#: A section shows an object, not a patch: this many point spacings, or movements, are wide enough for that.
_SPACINGS_WIDE, _MOVEMENTS_WIDE, _SPACINGS_AT_MOST = 100.0, 100.0, 300.0
_SPACINGS_THICK = 6.0
_HEIGHT_SHARE = 0.66
#: The detail's width and height, as shares of the section's width.
DETAIL = (0.24, 0.1)
#: Directions tried: a section through a wall must meet it nearly at a right angle to show it as a line.
_TURNS = 12
#: How surfaces lie is told by planes of so many points, at so many places at most.
_PLANE_K, _PLANES = 24, 1000


@dataclass(frozen=True)
class Section:
    """A vertical slab: ``center`` (3,) world, ``along`` (3,) horizontal unit vector; lengths in the cloud's units."""

    center: Floats
    along: Floats
    width: float
    height: float
    thickness: float

    def flat(self, points: Floats) -> Floats:
        """(M, 2) for ``points`` (M, 3) world: along the section from its middle, and height."""
        return np.stack([(points - self.center) @ self.along, points[:, 2]], axis=1)

    def holds(self, points: Floats) -> Bools:
        """(M,) bool for ``points`` (M, 3) world."""
        offset = points - self.center
        across = np.array([-self.along[1], self.along[0], 0.0])
        inside = np.abs(offset @ across) <= self.thickness / 2
        inside &= np.abs(offset @ self.along) <= self.width / 2
        return np.asarray(inside & (np.abs(offset[:, 2]) <= self.height / 2))


def choose(before: Floats, after: Floats) -> Section:
    """The section that shows the most movement, of surfaces that it meets edge-on and in more than one direction.

    ``before`` and ``after`` are (N, 3) float64, row by row the same point, N >= 1.
    """
    spacing = _sampled_spacing(before)
    shift = after - before
    length = np.linalg.norm(shift, axis=1)
    extent = float(np.ptp(before[:, :2], axis=0).max()) or spacing or 1.0
    reach = float(np.quantile(length[length > 0], 0.95)) if (length > 0).any() else 0.0
    width = max(_SPACINGS_WIDE * spacing, min(_MOVEMENTS_WIDE * reach, _SPACINGS_AT_MOST * spacing))
    width = min(width, extent) or extent
    thickness = min(_SPACINGS_THICK * spacing, width / 3) or width
    # A few wild points must not draw the picture to where there is nothing to see.
    weight = np.minimum(length, np.quantile(length, 0.99)) + 1e-3 * (spacing or 1.0)
    arrows = shift * (weight / np.maximum(length, weight))[:, None]
    best, most = None, -1.0
    for center in _busy(before, weight, width):
        near = np.hypot(*(before - center)[:, :2].T) < width
        points, local = before[near], weight[near]
        places, normals = _surfaces(after[near])
        for section in _turned(center, width, thickness):
            section = _level(section, points, local)
            inside = section.holds(points)
            seen = np.hypot(arrows[near][inside] @ section.along, arrows[near][inside, 2]).sum() + 1e-9 * inside.sum()
            seen *= shape_seen(section.flat(after[near][inside])) + 1e-3
            seen *= edge_on(section, places, normals)
            if seen > most:
                best, most = section, float(seen)
    assert best is not None, "there is always one busy place"
    return best


def detail(before: Floats, after: Floats, sides: tuple[float, float]) -> tuple[float, float]:
    """The middle of the rectangle that shows best how points become lines.

    ``before``, ``after`` (M, 2): one section, row by row the same point; ``sides``: width and height.
    """
    moved = np.hypot(*(after - before).T)
    step = np.array([max(side, 1e-12) for side in sides]) / 3
    best, most = np.median(after, axis=0), -1.0
    for middle in np.unique(np.round(after / step), axis=0) * step:
        inside = (np.abs(after - middle) <= np.array(sides) / 2).all(axis=1)
        seen = float(moved[inside].sum()) * shape_seen(after[inside])
        if seen > most:
            best, most = middle, seen
    return float(best[0]), float(best[1])


def shape_seen(flat: Floats) -> float:
    """How much of a section (M, 2) lies on lines, 0 to 1, and less where all of them run in one direction.

    A wall seen from the front lies on none and shows nothing; a mere stretch of ground shows little.
    """
    if len(flat) < 9:
        return 0.0
    _, rows = Neighbors(flat).nearest(flat, 9)
    near = flat[rows] - flat[rows].mean(axis=1, keepdims=True)
    xx, yy = (near**2).sum(axis=1).T
    xy = near.prod(axis=2).sum(axis=1)
    # Of a 2 x 2 covariance: half the eigenvalues' difference, and twice the angle of the longer axis.
    half, doubled = np.hypot((xx - yy) / 2, xy), np.arctan2(2 * xy, xx - yy)
    lines = (xx + yy) / 2 - half < 0.1 * (xx + yy)
    # Equal points (a scanner's missing returns, all at its origin) are a spot, whatever rounding makes of them.
    lines &= xx + yy > (1e-9 * np.abs(flat).max()) ** 2
    if not lines.any():
        return 0.0
    # Lines have no sign, so their doubled angles are averaged: 1 where all agree, 0 where they are even.
    alike = float(np.hypot(np.cos(doubled[lines]).mean(), np.sin(doubled[lines]).mean()))
    return float(lines.mean()) ** 2 * (1.2 - alike)


def edge_on(section: Section, places: Floats, normals: Floats) -> float:
    """0 where surfaces at ``places`` (M, 3) with ``normals`` (M, 3) are met from the front, 1 where edge-on.

    Seen from the front, scan lines look like surfaces that were cut.
    """
    inside = section.holds(places)
    if not inside.any():
        return 1.0
    within = (normals[inside] @ section.along) ** 2 + normals[inside, 2] ** 2
    return float(within.mean())


def _surfaces(points: Floats) -> tuple[Floats, Floats]:
    """Some of ``points`` (N, 3), and the normals (M, 3) of the planes through them and their neighbours."""
    some = points[:: max(1, len(points) // _PLANES)]
    k = min(_PLANE_K, len(points))
    near = points[Neighbors(points).nearest(some, k)[1]]
    near -= near.mean(axis=1, keepdims=True)
    return some, np.linalg.eigh(near.transpose(0, 2, 1) @ near)[1][:, :, 0]


def _turned(center: Floats, width: float, thickness: float) -> Iterator[Section]:
    for turn in range(_TURNS):
        along = np.array([cos(turn * pi / _TURNS), sin(turn * pi / _TURNS), 0.0])
        yield Section(center, along, width, _HEIGHT_SHARE * width, thickness)


def _level(section: Section, points: Floats, weight: Floats) -> Section:
    """The same section at the height at which it holds the most ``weight`` (M,), all of it if it can."""
    inside = replace(section, height=np.inf).holds(points)
    if not inside.any():
        return section
    order = np.argsort(points[inside, 2])
    z = points[inside, 2][order]
    total = np.concatenate([[0.0], np.cumsum(weight[inside][order])])
    last = np.searchsorted(z, z + section.height, side="right")
    first = int(np.argmax(total[last] - total[:-1]))
    middle = (z[first] + z[last[first] - 1]) / 2
    return replace(section, center=np.array([*section.center[:2], middle]))


def _sampled_spacing(points: Floats) -> float:
    """The spacing, from at most 2,000 points: a picture needs no more."""
    if len(points) < 2:
        return 0.0
    k = min(SPACING_K, len(points) - 1)
    sample = points[:: max(1, len(points) // 2000)]
    distances, _ = Neighbors(points).nearest(sample, k + 1)
    return float(np.median(point_spacing(distances[:, -1], k)))


def _busy(points: Floats, weight: Floats, width: float) -> list[Floats]:
    """The middles of the (at most 12) cells in which the most happens, of half the window's size."""
    plan = np.floor((points[:, :2] - points[:, :2].min(axis=0)) / (width / 2))
    cells, which = np.unique(plan, axis=0, return_inverse=True)
    which = which.reshape(-1)  # numpy 2.0 gives a column
    total = np.bincount(which, weight, len(cells))
    middle = np.stack([np.bincount(which, weight * points[:, i], len(cells)) for i in range(3)], axis=1)
    return [middle[cell] / total[cell] for cell in np.argsort(-total)[:12]]
