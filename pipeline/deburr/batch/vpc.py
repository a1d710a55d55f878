"""Writes virtual point clouds: a JSON file that names many point clouds, which QGIS opens as one layer.

The format is a STAC ItemCollection, of items with STAC's pointcloud and projection extensions. What its readers need:

==============================  =======================================================================================
QGIS (3.32 and later)           ``type`` FeatureCollection and ``features``; in each ``type`` Feature, ``stac_version``
                                1.0.0, objects ``assets``, ``properties`` and ``geometry``, the last a Polygon or
                                MultiPolygon. An ``href`` is a plain path, relative only if it begins with ``./``.
                                ``proj:bbox`` (six numbers) is the extent of a file; the extent of the *layer* and the
                                outlines are made of ``geometry``, which QGIS takes for WGS 84 and transforms into the
                                CRS of ``proj:epsg``, else ``proj:wkt2``. An item that cannot be transformed is left
                                out; without a CRS nothing is transformed. Points are drawn of COPC files; of others
                                the outlines.
pdal_wrench                     the same but ``geometry``, and always ``pc:count``, ``proj:wkt2`` (text, may be empty),
                                ``proj:geometry``, ``proj:bbox`` of six numbers; ``pc:schemas`` with name, type, size;
                                ``pc:statistics`` with all eight figures, or not at all.
lasR                            ``pc:count``, and ``proj:bbox`` of four or six numbers in all items alike.
STAC 1.0.0                      ``id``, ``bbox``, ``links``, ``properties.datetime``; ``pc:type``, ``pc:encoding``, and
                                ``pc:schemas`` of at least one entry.
==============================  =======================================================================================

So an outline in WGS 84 is needed where a CRS is given. Where `lonlat` cannot tell it, the CRS is left out and the
outline is in the cloud's own coordinates: the layer lies where it should as soon as its CRS is chosen in QGIS.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.crs import lonlat
from deburr.core.crs.same import one_system
from deburr.core.errors import WriteError
from deburr.core.files import replacing

SUFFIX = ".vpc"
_EXTENSIONS = (
    "https://stac-extensions.github.io/pointcloud/v1.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
)
_TYPES = {"f": "floating", "u": "unsigned", "i": "signed", "b": "unsigned"}
_ENCODINGS = {".laz": "LASzip", ".las": "LAS"}


@dataclass(frozen=True)
class VpcEntry:
    """One file of a virtual point cloud.

    low, high : (3,) bounds of its points, cloud units, in ``crs`` (WKT or ``EPSG:n``; None if unknown).
    dims : the dimensions besides X, Y and Z, PDAL's names, and their dtypes, such as ``uint16`` or ``<f8``.
    """

    path: Path
    count: int
    low: Sequence[float]
    high: Sequence[float]
    crs: str | None
    dims: Mapping[str, str]


def write(path: str | Path, entries: Sequence[VpcEntry]) -> list[str]:
    """Write a virtual point cloud of ``entries``; returns what a user should be warned of, a sentence each.

    Files are named relative to ``path``. Those without points are left out, for they are nowhere. Raises `WriteError`.
    """
    target = Path(path)
    if target.suffix.lower() != SUFFIX:
        raise WriteError(f"{path}: a virtual point cloud must end in {SUFFIX}; choose another name")
    shown = [entry for entry in entries if entry.count and np.isfinite([*entry.low, *entry.high]).all()]
    places = _outlines(shown)
    folder = Path(os.path.realpath(target)).parent
    names = _names([entry.path for entry in shown], folder)
    items = [_item(*each, folder) for each in zip(shown, names, places, strict=True)]
    with (
        replacing(target) as temporary,
        open(
            # What is no UTF-8 in a file's name is written as JSON writes it.
            temporary,
            "w",
            encoding="utf-8",
            errors="backslashreplace",
        ) as file,
    ):
        # One item a line: people look into these files, and so do text tools.
        file.write('{"type": "FeatureCollection", "features": [\n')
        file.write(",\n".join(json.dumps(item, ensure_ascii=False, allow_nan=False) for item in items))
        file.write("\n]}\n")
    return list(_warnings(target, entries, shown, places))


def _outlines(entries: Sequence[VpcEntry]) -> list[Floats | None]:
    """Corners (4, 2) in longitude and latitude, from the south-west counterclockwise; None where they are not known."""
    found = []
    for entry in entries:
        (x0, y0), (x1, y1) = entry.low[:2], entry.high[:2]
        found.append(lonlat.of(entry.crs, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)))
    # QGIS takes the layer's CRS from the first item that has one, and reads all outlines by it.
    return found if all(place is not None for place in found) else [None] * len(found)


def _names(paths: Sequence[Path], folder: Path) -> list[str]:
    """A name for each file, none twice: its own, or its way from ``folder`` if others have the same."""
    stems = [path.name.split(".")[0] or path.name for path in paths]
    seen = Counter(stems)
    return [stem if seen[stem] == 1 else _relative(path, folder) for stem, path in zip(stems, paths, strict=True)]


def _relative(path: Path, folder: Path) -> str:
    # Of the folder, not of the file: a link keeps its name.
    whole = Path(os.path.realpath(path.parent)) / path.name
    try:
        return Path(os.path.relpath(whole, folder)).as_posix()
    except ValueError:  # another drive
        return whole.as_posix()


def _item(entry: VpcEntry, name: str, place: Floats | None, folder: Path) -> dict[str, Any]:
    low, high = [float(value) for value in entry.low], [float(value) for value in entry.high]
    own = [low[:2], [high[0], low[1]], high[:2], [low[0], high[1]]]
    # 1e-9 degrees are a tenth of a millimetre.
    corners = own if place is None else np.round(place, 9).tolist()
    href = _relative(entry.path, folder)
    properties = {
        "datetime": _written(entry.path),
        "pc:count": int(entry.count),
        "pc:type": "lidar",
        "pc:encoding": _ENCODINGS.get(entry.path.suffix.lower(), entry.path.suffix[1:].upper() or "?"),
        "pc:schemas": [_schema(dim, dtype) for dim, dtype in {**dict.fromkeys("XYZ", "<f8"), **entry.dims}.items()],
        **_crs(entry.crs if place is not None else None),
        "proj:bbox": [*low, *high],
        "proj:geometry": _polygon(own),
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": name,
        "geometry": _polygon(corners),
        # Without heights: those of WGS 84 are above its ellipsoid, and nobody knows them here.
        "bbox": [*np.min(corners, axis=0).tolist(), *np.max(corners, axis=0).tolist()],
        "properties": properties,
        "links": [],
        "assets": {"data": {"href": href if os.path.isabs(href) else f"./{href}", "roles": ["data"]}},
    }


def _polygon(corners: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def _schema(name: str, dtype: str) -> dict[str, Any]:
    kind = np.dtype(dtype)
    return {"name": name, "size": kind.itemsize, "type": _TYPES.get(kind.kind, "unsigned")}


def _crs(crs: str | None) -> dict[str, Any]:
    code = re.fullmatch(r"EPSG:(\d+)", (crs or "").strip(), re.IGNORECASE)
    # pdal_wrench stops at an item without proj:wkt2.
    return {"proj:epsg": int(code.group(1)), "proj:wkt2": ""} if code else {"proj:wkt2": crs or ""}


def _written(path: Path) -> str:
    """When the file was made: STAC wants a time, and that of the survey is not known here."""
    try:
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be listed in a virtual point cloud ({error.strerror}); write it first"
        ) from error
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def _warnings(
    path: Path, entries: Sequence[VpcEntry], shown: Sequence[VpcEntry], places: Sequence[Floats | None]
) -> Iterator[str]:
    if len(shown) < len(entries):
        yield f"{path}: {len(entries) - len(shown):,} of {len(entries):,} files have no points and are not listed"
    if any(entry.crs for entry in shown) and any(place is None for place in places):
        yield f"{path}: tells no CRS, since its longitudes are not known here; set the layer's CRS in QGIS"
    if len({entry.crs is None for entry in shown}) > 1 or not one_system(entry.crs for entry in shown if entry.crs):
        yield f"{path}: its files have different CRS; QGIS shows them all in that of the first"
    if any(not entry.path.name.lower().endswith(".copc.laz") for entry in shown):
        yield f"{path}: QGIS draws points of COPC files, and of other files their outlines"
