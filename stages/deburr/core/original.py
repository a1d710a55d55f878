"""The dimensions that make a denoising undoable: where each point was before filters.spd first moved it."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError

#: x, y and z before the first movement, float64, in the cloud's units.
ORIGINAL = ("OriginalX", "OriginalY", "OriginalZ")


def keep_original(cloud: PointCloud) -> PointCloud:
    """``cloud`` with its coordinates kept in `ORIGINAL`. Those that are there already stay: the first are the original.

    Raises `RunError` where such dimensions are there but hold no coordinates.
    """
    if any(name in cloud.dims for name in ORIGINAL):
        kept_original(cloud)
        return cloud
    return cloud.with_dims({name: cloud.xyz[:, axis].copy() for axis, name in enumerate(ORIGINAL)})


def kept_original(cloud: PointCloud) -> Floats:
    """(N, 3) float64, the coordinates kept in ``cloud``. Raises `RunError` where they are missing or damaged."""
    missing = [name for name in ORIGINAL if name not in cloud.dims]
    if missing:
        raise RunError(
            f'the cloud has no dimension {" or ".join(missing)}; only a denoising with "keep_original": true '
            "(filters.spd) can be undone, and only where those dimensions were written"
        )
    columns = [np.asarray(cloud.dims[name]) for name in ORIGINAL]
    for name, column in zip(ORIGINAL, columns, strict=True):
        if (
            column.dtype.kind != "f"
            or column.dtype.itemsize != 8
            or column.ndim != 1
            or not np.isfinite(column[cloud.located]).all()
        ):
            raise RunError(
                f"dimension '{name}' ({column.dtype}) does not hold the coordinates that filters.spd kept; "
                "rename or remove it"
            )
    return np.stack(columns, axis=1)
