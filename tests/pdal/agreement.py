"""What the tests of agreement share: stages run by real PDAL, and a cloud of ours as PDAL would show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.readers._las_header import LasSource

Array = np.ndarray[Any, np.dtype[Any]]


def run_stages(stages: Sequence[Mapping[str, Any]], arrays: Sequence[Array] = ()) -> tuple[Array, dict[str, Any]]:
    """The points that PDAL's ``stages`` give, in one structured array, and their metadata by stage type.

    Numbers with fractions go as texts: PDAL 2.2 cuts those of its JSON to six digits, later versions to fifteen.
    """
    import pdal

    texts = [{k: repr(v) if isinstance(v, float) else v for k, v in stage.items()} for stage in stages]
    pipeline = pdal.Pipeline(json.dumps(texts), list(arrays))
    pipeline.execute()
    told = pipeline.metadata
    stages_told = (told if isinstance(told, dict) else json.loads(told))["metadata"]
    metadata = {kind: found[0] if isinstance(found, list) else found for kind, found in stages_told.items()}
    (points,) = pipeline.arrays
    return points, metadata


def read(kind: str, path: Path, **options: Any) -> tuple[Array, dict[str, Any]]:
    """What PDAL's reader ``kind`` finds in ``path``: the points and its metadata."""
    points, metadata = run_stages([{"type": kind, "filename": str(path), **options}])
    return points, metadata[kind]


def places(points: Array) -> Array:
    """The coordinates (N, 3) float64 of PDAL's ``points``."""
    return np.column_stack([points[axis] for axis in "XYZ"])


def structured(xyz: Array, columns: Mapping[str, Array] | None = None) -> Array:
    """Points as PDAL takes them: ``xyz`` (N, 3) float64 and ``columns`` in one structured array."""
    named = {**dict(zip("XYZ", xyz.T, strict=True)), **(columns or {})}
    points = np.zeros(len(xyz), dtype=[(name, column.dtype) for name, column in named.items()])
    for name, column in named.items():
        points[name] = column
    return points


def as_pdal(cloud: PointCloud, shown: Sequence[str]) -> dict[str, Array]:
    """The columns of ``cloud``, as read from LAS, under the names and in the types that PDAL has for them.

    ``shown`` are the dimensions that PDAL shows: 2.2 keeps four flags in ClassFlags (point formats 6-10) or in the
    upper bits of Classification (0-5), later versions each by itself, as we do.
    """
    columns = dict(cloud.dims)
    assert isinstance(cloud.source, LasSource)
    flags = ("Synthetic", "KeyPoint", "Withheld", "Overlap")
    if "Synthetic" not in shown:
        bits = sum(columns.pop(flag).astype(np.uint8) << k for k, flag in enumerate(flags) if flag in columns)
        if cloud.source.layout.format < 6:
            columns["Classification"] = columns["Classification"] | (bits << 5).astype(np.uint8)
        else:
            columns["ClassFlags"] = np.asarray(bits, np.uint8)
    # Whole degrees in formats 0-5, which PDAL shows as the floats that they are in formats 6-10.
    columns["ScanAngleRank"] = columns["ScanAngleRank"].astype(np.float32)
    for name in [name for name, column in columns.items() if column.ndim == 2]:
        # Two or three numbers under one name: PDAL has a dimension for each.
        columns |= {f"{name}{k}": part for k, part in enumerate(columns.pop(name).T)}
    if "Time" in columns:
        # PDAL knows this name as another one of its own dimension OffsetTime.
        columns["OffsetTime"] = columns.pop("Time")
    return columns
