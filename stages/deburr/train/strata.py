"""What lies around each clean point of a scene: a smooth surface, an edge of one, a line of points, or points alone."""

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


def strata(truth: CleanScene) -> Ints:
    """(N,): `PLANE` or `EDGE` for points on surfaces, `THIN` or `LEAF` for others."""
    found, on = np.full(len(truth.points), LEAF), np.flatnonzero(~truth.solitary)
    if len(on):
        nearest = Neighbors(truth.surface.points).nearest(truth.points[on], 1)[1][:, 0]
        found[on] = np.where(_edges(truth.points, on, truth.surface.normals[nearest]), EDGE, PLANE)
    off = np.flatnonzero(truth.solitary)
    if len(off):
        near = truth.points[Neighbors(truth.points).nearest(truth.points[off], _FEW)[1]]
        around = near - near.mean(1, keepdims=True)
        variances = np.linalg.eigvalsh(around.mT @ around)
        found[off[variances[:, 1] < _SLIM * variances[:, 2]]] = THIN
    return found


def _edges(points: Floats, on: Ints, normals: Floats) -> Bools:
    """Which of the points ``on`` surfaces, whose ``normals`` are theirs, are on edges."""
    own = Neighbors(points).nearest(points[on], SPACING_K + 1)[0][:, -1]
    near = Neighbors(points[on]).nearest(points[on], SPACING_K + 1)[1][:, 1:]
    faces = np.abs((normals[near] @ normals[:, :, None])[..., 0])
    away = points[on][near] - points[on][:, None]
    height = np.abs((away @ normals[:, :, None])[..., 0])
    return np.asarray(((faces < _TURN) | (height > _OFF * point_spacing(own, SPACING_K)[:, None])).any(1))
