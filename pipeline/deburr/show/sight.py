"""Which points a picture can hold: one at 10^308 would leave room for no other, and its squares are no numbers."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud

#: What lies further from the middle of the points than they do by half, so many times, is left out of pictures; and so
#: are larger coordinates than these, of which not even cells of a grid can be counted.
_FARTHEST, _MOST = 1e9, 1e100


def within(points: Floats) -> Bools:
    """(N,) bool: those of ``points`` (N, 3), all finite, that can be drawn together."""
    if not len(points):
        return np.zeros(0, np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(points - np.median(points, axis=0)).max(axis=1)
    small = np.abs(points).max(axis=1) < _MOST
    some = away[small & (away > 0)]
    return np.asarray(small & (away <= (_FARTHEST * np.median(some) if len(some) else 0.0)))


def drawable(cloud: PointCloud) -> Bools:
    """(N,) bool: the points that can be drawn together, where they were and where they are."""
    there = cloud.located & np.isfinite(cloud.original).all(axis=1)
    there[there] = within(cloud.original[there]) & within(cloud.xyz[there])
    return np.asarray(there)
