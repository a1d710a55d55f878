"""What of a cloud goes over to PDAL: its columns, a number for each point, its CRS, and that there are no points."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.cloud import PointCloud
from deburr.plugins.pdal.columns import to_columns

Table = npt.NDArray[np.void]

#: The dimension that tells which of our points one of PDAL's is: its number from 1; 0: none of ours.
NUMBER = "DeburrNumber"
#: What PDAL takes for the name of a dimension.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def sendable(cloud: PointCloud) -> dict[str, Any]:
    """The columns that PDAL has a place for."""
    if not len(cloud):
        # PDAL takes no array without points; see `announced`.
        dims = {name: np.zeros((1, *column.shape[1:]), column.dtype) for name, column in cloud.dims.items()}
        cloud = PointCloud(np.zeros((1, 3)), dims)
    columns: dict[str, Any] = {}
    for name, column in to_columns(cloud).items():
        # To PDAL, names that differ in their letters' case alone are one.
        if _NAME.fullmatch(name) and name.casefold() not in {other.casefold() for other in columns}:
            columns[name] = column
    return columns


def numbers(cloud: PointCloud) -> dict[str, Any]:
    """The column of numbers, one for each row of `sendable`."""
    count = max(len(cloud), 1)
    return {NUMBER: np.arange(1, count + 1, dtype=np.uint32 if count < 2**32 - 1 else np.uint64)}


def announced(cloud: PointCloud | None) -> list[dict[str, Any]]:
    """What tells PDAL that there are no points, and the CRS of points from memory: a transformation that changes
    nothing but says where they lie."""
    if cloud is None:
        return []
    found: list[dict[str, Any]] = [] if len(cloud) else [{"type": "filters.head", "count": 0}]
    if cloud.crs:
        found.append({"type": "filters.projpipeline", "coord_op": "+proj=noop", "out_srs": cloud.crs})
        found.append({"type": "filters.info"})
    return found


def views_of(cloud: PointCloud, tables: list[Table] | None) -> list[dict[str, Any]]:
    """The columns of each part that PDAL has cut ``cloud`` into; those without points are left out, if any has some."""
    whole = [{name: table[name] for name in table.dtype.names or () if name != NUMBER} for table in tables or ()]
    filled = [columns for columns in whole if len(columns["X"])]
    return filled or [sendable(cloud)]
