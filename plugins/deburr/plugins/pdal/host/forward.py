"""What PDAL's writers.las is told of points that PDAL has not read itself: the option ``forward`` looks into the
metadata of a reader, and points from memory have none; and flags go where it looks for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.formats.las.crs import CRS_RECORDS
from deburr.formats.las.header import LasSource
from deburr.formats.las.options import FORWARD
from deburr.formats.las.records import EXTRA_BYTES, LASZIP
from deburr.plugins.pdal.columns import FIRST_BIT, FLAGS, MOST_CLASS, PACKED, Columns, with_bits

_MOST_MINOR = 4
#: The first PDAL with a dimension for each flag; the format that older ones write unless they are told another.
_SPLIT_SINCE, _USUAL_FORMAT = (2, 6), 3


def forwarded(options: Mapping[str, Any], cloud: PointCloud) -> dict[str, Any]:
    """``options`` of writers.las with what its ``forward`` stands for said outright, if ``cloud`` was read from LAS.

    Options that are given stay as they are, and so does all where nothing is to be forwarded.
    """
    source, words = cloud.source, options.get("forward")
    if not isinstance(source, LasSource) or not words:
        return dict(options)
    names = [word.strip() for word in (words if isinstance(words, list) else str(words).split(","))]
    wanted = frozenset().union(*(FORWARD.get(name, frozenset()) for name in names))
    # PDAL refuses empty texts.
    told = {n: value for n, value in _told(source, cloud.reprojected).items() if n in wanted and value != ""}
    if "vlr" in wanted:
        told["vlrs"] = [*_records(source), *options.get("vlrs", ())]
    return {**told, **options} | ({"vlrs": told["vlrs"]} if "vlrs" in told else {})


def written_by(columns: Columns, specs: Sequence[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """``columns`` as the writers ``specs`` of a PDAL of that ``version`` find them.

    If writers.las is among them and PDAL has no dimensions for flags, they go into the columns of which it writes them:
    ``ClassFlags`` for point formats 6-10, the upper bits of ``Classification`` for others, which have no ``Overlap``.
    Raises `RunError` for classes above those bits.
    """
    flags = [name for name in FLAGS if name in columns]
    las = [spec for spec in specs if spec["type"] == "writers.las"]
    since = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if not flags or not las or since >= _SPLIT_SINCE:
        return dict(columns)
    found: dict[str, Any] = {name: column for name, column in columns.items() if name not in flags}
    none = np.zeros(len(columns["X"]), np.uint8)
    said = {name: columns[name] != 0 for name in flags}
    if max(int(spec.get("dataformat_id", _USUAL_FORMAT)) for spec in las) > 5:
        found[PACKED] = with_bits(none, 0, said)
    else:
        classes = np.asarray(columns.get("Classification", none))
        if len(classes) and classes.max() > MOST_CLASS:
            raise RunError(
                f"class {int(classes.max())} does not exist in point formats 0-5, where classes end at {MOST_CLASS}; "
                "give writers.las a 'dataformat_id' from 6 on"
            )
        found["Classification"] = with_bits(classes.astype(np.uint8), FIRST_BIT, said)
    return found


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
