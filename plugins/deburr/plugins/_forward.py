"""What PDAL's writers.las forwards, for points that PDAL has not read itself: the option ``forward`` looks into the
metadata of a reader, and points from memory have none."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from deburr.core.cloud import PointCloud
from deburr.readers._las_crs import CRS_RECORDS
from deburr.readers._las_header import EXTRA_BYTES, LASZIP, LasSource
from deburr.writers._las_options import FORWARD

_MOST_MINOR = 4


def forwarded(options: Mapping[str, Any], cloud: PointCloud) -> dict[str, Any]:
    """``options`` of writers.las with what its ``forward`` stands for said outright, if ``cloud`` was read from LAS.

    Options that are given stay as they are, and so does all where nothing is to be forwarded.
    """
    source, words = cloud.source, options.get("forward")
    if not isinstance(source, LasSource) or not words:
        return dict(options)
    names = [word.strip() for word in (words if isinstance(words, list) else str(words).split(","))]
    wanted = frozenset().union(*(FORWARD.get(name, frozenset()) for name in names))
    told = {name: value for name, value in _told(source, cloud.reprojected).items() if name in wanted}
    if "vlr" in wanted:
        told["vlrs"] = [*_records(source), *options.get("vlrs", ())]
    return {**told, **options} | ({"vlrs": told["vlrs"]} if "vlrs" in told else {})


def _told(source: LasSource, reprojected: bool) -> dict[str, Any]:
    """Every option that a header can fill."""
    header = source.header
    found: dict[str, Any] = {
        "dataformat_id": source.layout.format,
        "minor_version": min(max(header.minor, 1), _MOST_MINOR),
        "filesource_id": header.file_source_id,
        "global_encoding": int(header.global_encoding.value),
        "project_id": str(header.uuid),
        "system_id": _text(header.system_bytes),
        "software_id": _text(header.software_bytes),
        "creation_doy": header.creation_doy,
        "creation_year": header.creation_year,
    }
    if not reprojected:
        for axis, scale, offset in zip("xyz", header.scales.tolist(), header.offsets.tolist(), strict=True):
            found |= {f"scale_{axis}": scale, f"offset_{axis}": offset}
    return found


def _records(source: LasSource) -> list[dict[str, Any]]:
    """The records that are not PDAL's own business."""
    return [
        {
            "user_id": record.id[0],
            "record_id": record.record,
            "description": _text(record.description),
            "data": base64.b64encode(record.data).decode("ascii"),
        }
        for record in source.vlrs
        if record.id not in CRS_RECORDS | {LASZIP, EXTRA_BYTES} and record.id[0] != "copc"
    ]


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace")
