"""Wide holes in a surface: how wide each is, whether one bent surface goes on around it, and points that close it.

The width of a hole is told by the largest ball in it that holds no point, less one spacing, since each point stands for
a square of that side. A hole is closed where the points on all sides of it lie on one square surface: beyond the border
of a roof there are none, and the ground below lies on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, radians, sqrt

import numpy as np
from scipy.spatial import cKDTree

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Indices
from deburr.core.progress import advance
from deburr.filters._bent import across, bell, normalized, square, terms
from deburr.filters._holes import COVERED, Holes, apart, joined
from deburr.filters._sheet import LAYER, LOOSE, Sheet

#: The neighbours of a point that show whether it is on a rim, and the angle that is empty there at least.
_SEEN, _RIM = 16, radians(100)
#: The least share of the variance along a line that there is across it, where points are no line.
_BROAD = 0.05
#: Points looked at at a time.
_BLOCK = 65_536
#: Steps from a rim to the middle of a hole, as shares of the way to the nearest point: the first and the last of them.
_STEPS, _FIRST, _LAST = 48, 0.5, 0.005
#: How far around its middle the surface around a hole is looked at, in radii, and the largest angle in which it may be
#: missing there: beside a long slit it is 47 degrees.
_AROUND, _OPEN = 2.5, radians(75)
#: Of the good points so many radii around, the share that has to lie on it.
_RING, _SHARE = 1.6, 0.75
#: And of the points that a ring as wide as the hole would have on it, the share that is there: along a slit, half.
_DENSE = 0.35
#: How much larger a ball may be in the plane of its rim than on the surface.
_BENT = 1.3
#: How often a square surface is fitted, each time to what is nearer to it.
_FITS = 7
#: The least cosine between the normals of the surface around a hole and of the one that closes it.
_LIKE = 0.7
#: The least share of the radius in which nothing is, where the middle is led to the surface.
_EMPTY = 0.8
#: Holes that remain beside those that were closed, as in corners, are closed behind them, so often at most.
_ROUNDS = 4
#: The step of a triangular lattice whose points own squares of side 1.
_STEP = sqrt(2 / sqrt(3))


def closed(sheet: Sheet, spacing: Floats, least: Floats, widest: float) -> tuple[Sheet, Holes]:
    """``sheet`` with points in its holes, wider than ``least`` (N,) around its points and no wider than ``widest``, and
    these points alone.

    spacing : (N,) what is asked for around each point of the sheet.

    As a ring of points is asked for around each, there is hardly more to close than there are points to close it.
    """
    made: list[Holes] = []
    for number in range(_ROUNDS):
        balls = _Balls.of(sheet, least, widest)
        around = (
            cKDTree(sheet.points).query_ball_point(balls.middles, _AROUND * balls.radii) if len(balls.radii) else ()
        )
        found = [_filled(sheet, spacing, balls, row, np.array(rows), widest) for row, rows in enumerate(around)]
        advance("closing gaps", number + 1, _ROUNDS)
        some = joined([Holes.none(), *(one for one in found if one is not None)])
        if not len(some.places):
            break
        away = sheet.tree.nearest(some.places, 1)[0][:, 0]
        rows = np.flatnonzero(away >= COVERED * some.spacing)
        rows = rows[apart(some.places[rows], (away / some.spacing)[rows], COVERED * some.spacing[rows])]
        if not len(rows):
            break
        some = some.part(rows)
        made.append(some)
        near = sheet.tree.nearest(some.places, 1)[1][:, 0]
        spacing, least = np.concatenate((spacing, some.spacing)), np.concatenate((least, least[near]))
        sheet = sheet.grown(some.places, some.normals, sheet.spacing[near])
    return sheet, joined(made) if made else Holes.none()


@dataclass(frozen=True, eq=False)
class _Balls:
    """M balls without points, as large as they can be: ``middles`` (M, 3), ``radii`` (M,); and ``rims`` (M,), the row
    of a point on the rim of each. ``broad`` (N,) bool: the points that tell a surface, other than those of wires."""

    middles: Floats
    radii: Floats
    rims: Indices
    broad: Bools

    @classmethod
    def of(cls, sheet: Sheet, least: Floats, widest: float) -> _Balls:
        """Those in the holes of ``sheet``; see `closed`."""
        broad, rims, ways = _rims(sheet)
        middles = sheet.points[rims] + 0.7 * sheet.spacing[rims, None] * ways
        # In the plane of a rim, the middle of a bent surface is further away than on it.
        limit = _BENT * (widest + sheet.spacing[rims]) / 2
        radii, shares = np.zeros(len(rims)), np.geomspace(_FIRST, _LAST, _STEPS)
        for share in (*shares, 0.0):
            if not len(rims):
                break
            away, near = sheet.tree.nearest(middles, 1)
            radii = away[:, 0]
            # Beyond that there is no way back: a ball grows until it is as large as it can be.
            small = radii <= limit
            rims, limit, middles, radii, near = rims[small], limit[small], middles[small], radii[small], near[small]
            step, normals = middles - sheet.points[near[:, 0]], sheet.normals[rims]
            step -= (step * normals).sum(1, keepdims=True) * normals
            middles = middles + share * radii[:, None] * normalized(step)
        wide = 2 * radii - sheet.spacing[rims] > least[rims]
        rims, middles, radii = rims[wide], middles[wide], radii[wide]
        kept = apart(middles, radii, radii / 2)
        return cls(middles[kept], radii[kept], rims[kept], broad)


def _rims(sheet: Sheet) -> tuple[Bools, Indices, Floats]:
    """(N,) bool, the good points of ``sheet`` among others that are no line; those of them beside which a wide angle is
    empty (R,), and unit vectors to its middle (R, 3)."""
    broad, rims, ways = sheet.good.copy(), [np.zeros(0, np.intp)], [np.zeros((0, 3))]
    good = np.flatnonzero(sheet.good)
    for start in range(0, len(good), _BLOCK):
        rows = good[start : start + _BLOCK]
        _, near = sheet.tree.nearest(sheet.points[rows], _SEEN + 1)
        offsets = sheet.points[near[:, 1:]] - sheet.points[rows, None]
        about = offsets - offsets.mean(1, keepdims=True)
        spread = np.linalg.eigvalsh(np.einsum("nki,nkj->nij", about, about))
        broad[rows] = spread[:, 1] > _BROAD * spread[:, 2]
        first, second = across(sheet.normals[rows])
        angle = np.arctan2(np.einsum("nki,ni->nk", offsets, second), np.einsum("nki,ni->nk", offsets, first))
        angle = np.sort(angle, axis=1)
        gaps = np.diff(angle, axis=1, append=angle[:, :1] + 2 * pi)
        every, at = np.arange(len(rows)), gaps.argmax(1)
        middle = (angle[every, at] + gaps[every, at] / 2)[:, None]
        rim = broad[rows] & (gaps[every, at] >= _RIM)
        rims.append(rows[rim])
        ways.append((np.cos(middle) * first + np.sin(middle) * second)[rim])
    return broad, np.concatenate(rims), np.concatenate(ways)


def _filled(sheet: Sheet, spacing: Floats, balls: _Balls, row: int, rows: Indices, widest: float) -> Holes | None:
    """Places in ball number ``row``, on the surface that goes on around it, which its points ``rows`` (K,) of ``sheet``
    tell; None where none does, or where the ball is wider than ``widest`` there."""
    middle, radius, rim = balls.middles[row], balls.radii[row], int(balls.rims[row])
    broad, normal = balls.broad[rows], sheet.normals[rim]
    # Where few points are, as on what is seen from aside, a surface is no evidence for one that is better known.
    own = min(float(sheet.spacing[rim]), float(np.median(sheet.spacing[rows[broad]])))
    axes = np.stack((*(axis[0] for axis in across(normal[None])), normal))
    u, v, height = (axes @ (sheet.points[rows] - middle).T) / radius
    found, scales = np.zeros(6), np.geomspace(max(0.5, LAYER * own / radius), LAYER * own / radius, _FITS)
    near = np.clip(1 - (u**2 + v**2 + height**2) / _AROUND**2, 1e-3, 1)
    for scale in scales:
        weight = near * bell((height - terms(u, v) @ found) / scale)
        found = square(u[None], v[None], height[None], weight[None])[0]
    off = np.abs(height - terms(u, v) @ found) * radius / own
    slopes = _normals(found, u, v) @ axes
    like = np.abs((sheet.normals[rows] * slopes).sum(1)) >= _LIKE
    on = broad & (off <= 2 * LOOSE) & like
    angle = np.sort(np.arctan2(v[on], u[on]))
    if len(angle) < 6 or np.diff(angle, append=angle[0] + 2 * pi).max() > _OPEN:
        return None
    rim_of = sheet.good[rows] & (u**2 + v**2 + height**2 <= _RING**2)
    beside = on & (u**2 + v**2 + height**2 <= 4)
    if on[rim_of].mean() < _SHARE or beside.sum() < _DENSE * 3 * pi * (radius / own) ** 2:
        return None
    asked = float(spacing[rim])
    u, v = _lattice(asked / radius)
    places = middle + radius * np.column_stack((u, v, terms(u, v) @ found)) @ axes
    # Whatever stands above or below the middle would be in the way; on a bent surface, it is nearer to the rim.
    empty = sheet.tree.nearest((middle + radius * found[0] * normal)[None], 1)[0][0, 0]
    if empty < _EMPTY * radius or 2 * empty - own > widest:
        return None
    count = len(places)
    return Holes(places, _normals(found, u, v) @ axes, np.full(count, asked), np.full(count, radius))


def _normals(found: Floats, u: Floats, v: Floats) -> Floats:
    """(M, 3) unit vectors across the square surface ``found`` (6,) at places (M,)."""
    along, aside = found[1] + 2 * found[3] * u + found[4] * v, found[2] + found[4] * u + 2 * found[5] * v
    return normalized(np.column_stack((-along, -aside, np.ones_like(u))))


def _lattice(step: float) -> tuple[Floats, Floats]:
    """Places (M,) in a circle of radius 1, of a triangular lattice whose points own squares of this ``step``."""
    step *= _STEP
    many = int(2 / step) + 1
    row, column = (part.ravel() for part in np.mgrid[-many : many + 1, -many : many + 1])
    u, v = step * (column + row / 2), step * row * sqrt(3) / 2
    inside = u**2 + v**2 <= 1
    return u[inside], v[inside]
