"""What the tests of agreement share: stages run by real PDAL, and a cloud of ours as PDAL would show it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.formats.las.header import LasSource
from deburr.formats.las.records import COPC_PAGES, EXTRA_BYTES

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

    ``shown`` are the dimensions that PDAL shows.
    """
    source = cloud.source
    assert isinstance(source, LasSource)
    columns = dict(cloud.dims)
    flags = ("Synthetic", "KeyPoint", "Withheld", "Overlap")
    if "Synthetic" not in shown:
        # PDAL 2.2 keeps the flags together: in ClassFlags, or in the upper bits of Classification as the file has them.
        bits = np.zeros(len(columns["Classification"]), np.uint8)
        for k, flag in enumerate(flags):
            if flag in columns:
                bits |= columns.pop(flag).astype(np.uint8) << k
        if source.layout.format < 6:
            columns["Classification"] = columns["Classification"] | (bits << 5).astype(np.uint8)
        else:
            columns["ClassFlags"] = np.asarray(bits, np.uint8)
    # Whole degrees in formats 0-5, which PDAL shows as the floats that they are in formats 6-10.
    columns["ScanAngleRank"] = columns["ScanAngleRank"].astype(np.float32)
    descriptions = [v.data for v in (*source.vlrs, *source.evlrs) if v.id == EXTRA_BYTES]
    for extra in source.layout.extras:
        if extra.descriptor[2] == 0:
            continue  # bytes without a type, which neither shows
        if extra.name is None:
            # A name that has a standard place too: PDAL lets the extra dimension's values and type win.
            columns[extra.descriptor[4:36].rstrip(b"\0").decode()] = source.records[extra.key]
        elif extra.descriptor not in descriptions[0]:
            # PDAL reads the first record of extra bytes alone.
            del columns[extra.name]
    for name in [name for name, column in columns.items() if column.ndim == 2]:
        # Two or three numbers under one name: PDAL has a dimension for each.
        columns |= {f"{name}{k}": part for k, part in enumerate(columns.pop(name).T)}
    if "Time" in columns:
        # PDAL knows this name as another one of its own dimension OffsetTime.
        columns["OffsetTime"] = columns.pop("Time")
    return columns


def assert_same_points(cloud: PointCloud, points: Array) -> None:
    """PDAL's ``points`` are those of ``cloud``, as read from LAS: names, types, and every bit."""
    np.testing.assert_array_equal(places(points), cloud.xyz)
    columns = as_pdal(cloud, points.dtype.names or ())
    assert {name: points.dtype[name] for name in (points.dtype.names or ())[3:]} == {
        name: column.dtype for name, column in columns.items()
    }
    for name, column in columns.items():
        assert points[name].tobytes() == column.tobytes(), name


def header_of(cloud: PointCloud) -> dict[str, Any]:
    """What the header of ``cloud``, as read from LAS, holds, under PDAL's names."""
    source = cloud.source
    assert isinstance(source, LasSource)
    header = source.header
    told = {
        "count": header.point_count,
        "major_version": 1,
        "minor_version": header.minor,
        "dataformat_id": source.layout.format,
        "point_length": source.layout.dtype.itemsize,
        "dataoffset": header.offset_to_point_data,
        "compressed": header.are_points_compressed,
        "global_encoding": header.global_encoding.value,
        "filesource_id": header.file_source_id,
        # PDAL shows the sixteen bytes in their order, laspy the first three numbers of them as little-endian.
        "project_id": str(UUID(bytes=header.uuid.bytes_le)).upper(),
        "system_id": header.system_bytes.split(b"\0")[0].decode(),
        "software_id": header.software_bytes.split(b"\0")[0].decode(),
        "creation_doy": header.creation_doy,
        "creation_year": header.creation_year,
    }
    for k, axis in enumerate("xyz"):
        told |= {f"scale_{axis}": header.scales[k], f"offset_{axis}": header.offsets[k]}
        told |= {f"min{axis}": header.mins[k], f"max{axis}": header.maxs[k]}
    return told


def assert_same_metadata(cloud: PointCloud, metadata: Mapping[str, Any]) -> None:
    """The header and the records that PDAL tells of are those of ``cloud``, as read from LAS."""
    for name, ours in header_of(cloud).items():
        if name not in metadata:
            assert name == "global_encoding", name  # of LAS 1.2 and later only
            continue
        theirs = metadata[name]
        # PDAL 2.2 prints 15 digits of scales and offsets, 10 of bounds.
        rounded = {float(f"{ours:.15g}"), float(f"{ours:.10g}")} if isinstance(ours, float) else set()
        assert theirs == ours or theirs in rounded, name
    source = cloud.source
    assert isinstance(source, LasSource)
    told = [metadata[f"vlr_{k}"] for k in range(sum(name.startswith("vlr_") for name in metadata))]
    # The pages of COPC's hierarchy are read where a window is, and not kept.
    told = [{**one, "data": ""} if (one["user_id"], int(one["record_id"])) == COPC_PAGES else one for one in told]
    assert [(v["user_id"], int(v["record_id"]), v["description"], b64decode(v["data"])) for v in told] == [
        (*v.id, v.description.split(b"\0")[0].decode(), v.data) for v in (*source.vlrs, *source.evlrs)
    ]
