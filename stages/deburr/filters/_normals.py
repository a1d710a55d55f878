"""Normals that points carry, which no longer lie across the surface once points have moved."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Bools, Dims, Floats
from deburr.core.cloud import PointCloud

#: The dimensions of a point's normal.
NORMALS = ("NormalX", "NormalY", "NormalZ")

STALE = (
    "points were moved and keep the normals that they had, which lie across the surface as it was; "
    '"normals": "recompute" (filters.spd) makes them anew'
)
NONE = "the cloud has no normals (NormalX, NormalY, NormalZ) that could be computed anew"


def carried(cloud: PointCloud) -> Bools:
    """(N,) bool: the points of ``cloud`` that have a normal; one that is 0 or no number is none."""
    if not all(name in cloud.dims and cloud.dims[name].dtype.kind == "f" for name in NORMALS):
        return np.zeros(len(cloud), np.bool_)
    squared = sum(np.square(cloud.dims[name], dtype=np.float64) for name in NORMALS)
    return np.isfinite(squared) & (np.asarray(squared) > 0)


def recomputed(cloud: PointCloud, normals: Floats, rows: Bools) -> Dims:
    """The columns of the normals of ``cloud`` (N points), those of ``rows`` (N,) made anew.

    ``normals`` (M, 3): unit vectors at the M ``rows``, with either sign. They get that of the normal that was there;
    where there was none, or the new one is no number, the old one stays.
    """
    old = np.stack([np.asarray(cloud.dims[name], dtype=np.float64) for name in NORMALS], axis=1)[rows]
    along = (old * normals).sum(axis=1)
    new = np.where(along[:, None] < 0, -normals, normals)
    keep = ~(np.isfinite(along) & carried(cloud)[rows])
    columns = {}
    for axis, name in enumerate(NORMALS):
        columns[name] = cloud.dims[name].copy()
        columns[name][rows] = np.where(keep, cloud.dims[name][rows], new[:, axis])
    return columns
