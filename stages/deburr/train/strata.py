"""What lies around each clean point of a scene: a smooth surface, an edge of one, a thin part, or points alone."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.train.scene import CleanScene

PLANE, EDGE, THIN, LEAF = range(4)
#: A point is on an edge if one of its neighbours on surfaces faces elsewhere by more than 30 degrees, or lies off its
#: tangent plane by more than a quarter of the spacing there.
_TURN, _OFF = np.cos(np.radians(30)), 0.25
#: Points on no surface are thin where the middle one of the variances of so many of them is this share of the largest.
_FEW, _SLIM = 9, 0.04
#: How deep below a point, in spacings, the other side of a thin part is looked for, and the cosine between the normals.
_DEPTHS, _OTHER = (0.25, 0.5, 0.75, 1.0), -0.5


def strata(truth: CleanScene) -> Ints:
    """(N,): `PLANE` or `EDGE` for points on surfaces, `LEAF` for others; `THIN` for those of either on what is no wider
    than the spacing: fences, poles, wires."""
    found, on = np.full(len(truth.points), LEAF), np.flatnonzero(~truth.solitary)
    if len(on):
        tree = Neighbors(truth.surface.points)
        normals = truth.surface.normals[tree.nearest(truth.points[on], 1)[1][:, 0]]
        away = Neighbors(truth.points).nearest(truth.points[on], SPACING_K + 1)[0][:, -1]
        spacing = point_spacing(away, SPACING_K)
        found[on] = np.where(_edges(truth.points[on], normals, spacing), EDGE, PLANE)
        found[on[_narrow(truth, tree, truth.points[on], normals, spacing)]] = THIN
    off = np.flatnonzero(truth.solitary)
    if len(off):
        near = truth.points[Neighbors(truth.points).nearest(truth.points[off], _FEW)[1]]
        around = near - near.mean(1, keepdims=True)
        variances = np.linalg.eigvalsh(np.swapaxes(around, 1, 2) @ around)
        found[off[variances[:, 1] < _SLIM * variances[:, 2]]] = THIN
    return found


def _edges(points: Floats, normals: Floats, spacing: Floats) -> Bools:
    """Which of the ``points`` (N, 3) on surfaces are on edges; ``spacing`` (N,) there."""
    near = Neighbors(points).nearest(points, SPACING_K + 1)[1][:, 1:]
    faces = np.abs((normals[near] @ normals[:, :, None])[..., 0])
    height = np.abs(((points[near] - points[:, None]) @ normals[:, :, None])[..., 0])
    return np.asarray(((faces < _TURN) | (height > _OFF * spacing[:, None])).any(1))


def _narrow(truth: CleanScene, tree: Neighbors, points: Floats, normals: Floats, spacing: Floats) -> Bools:
    """Below which of the ``points`` (N, 3) on surfaces, within a ``spacing`` (N,), the other side is."""
    found = np.zeros(len(points), np.bool_)
    for depth in _DEPTHS:
        rows = tree.nearest(points - (depth * spacing)[:, None] * normals, 1)[1][:, 0]
        below = -((truth.surface.points[rows] - points) * normals).sum(1)
        found |= ((truth.surface.normals[rows] * normals).sum(1) < _OTHER) & (below > 0) & (below <= spacing)
    return found
