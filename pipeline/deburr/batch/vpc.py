"""Virtual point clouds: a JSON file that names many point clouds, which QGIS opens as one layer.

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
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.crs import lonlat
from deburr.core.crs.same import one_system
from deburr.core.errors import ReadError, WriteError
from deburr.core.files import replacing

SUFFIX = ".vpc"
#: Bytes: a hundred thousand files take about this much; more is no list of files.
_LARGEST = 500_000_000
#: Letters of a path at most; more is none on any system. Those of one that a message repeats.
_LONGEST, _SHOWN = 4096, 80
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


# -- reading --------------------------------------------------------------------------------------------------------


def read(path: str | Path) -> list[Path]:
    """The files that a virtual point cloud names, in its order, each as often as it is named.

    Raises `ReadError` for what is no virtual point cloud, and for files that are missing or not on this machine.
    """
    features = _features(Path(path), _parsed(Path(path)))
    folder = Path(os.path.abspath(path)).parent
    found = [_resolve(path, folder, number, _href(path, number, item)) for number, item in enumerate(features, 1)]
    missing = [file for file in found if not os.path.isfile(file)]
    if missing:
        more = f" and {len(missing) - 1:,} others" if len(missing) > 1 else ""
        raise ReadError(
            f"{path}: names {missing[0]}{more}, which cannot be found; put the files there, or build it anew"
        )
    return found


def _parsed(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ReadError(
                f"{path}: is too large for a virtual point cloud ({size:,} bytes); give the files themselves"
            )
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if content.startswith(b"PK\x03\x04"):
        raise ReadError(f"{path}: is a compressed virtual point cloud; unzip it and give the .vpc file inside")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path}: is no virtual point cloud, for it is not JSON ({error}); build it anew") from error


def _features(path: Path, found: Any) -> list[Any]:
    if not isinstance(found, dict) or found.get("type") != "FeatureCollection":
        raise ReadError(f"{path}: is no virtual point cloud, for its type is not FeatureCollection; build it anew")
    features = found.get("features")
    if not isinstance(features, list) or not features:
        raise ReadError(f"{path}: names no files; build it anew, or give the files themselves")
    return features


def _href(path: str | Path, number: int, item: Any) -> str:
    """The path of an item's points: not that of an overview or a picture."""
    assets = item.get("assets") if isinstance(item, dict) else None
    known = [asset for asset in assets.values() if _is_data(asset)] if isinstance(assets, dict) else []
    if isinstance(assets, dict) and assets.get("data") in known:
        known.insert(0, assets["data"])
    if not known:
        raise ReadError(f"{path}: item {number} has no file (assets.data.href); build the virtual point cloud anew")
    return str(known[0]["href"])


def _is_data(asset: Any) -> bool:
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str) or not asset["href"]:
        return False
    roles = asset.get("roles")
    return not isinstance(roles, list) or not roles or "data" in roles


def _resolve(path: str | Path, folder: Path, number: int, href: str) -> Path:
    shown = href if len(href) <= _SHOWN else f"{href[:_SHOWN]}..."
    if "\0" in href or len(href) > _LONGEST:
        raise ReadError(f"{path}: item {number} names {shown!r}, which is no path; build the virtual point cloud anew")
    try:
        os.fsencode(href)
        return _place(path, folder, href, shown)
    except (ValueError, OSError) as error:
        raise ReadError(
            f"{path}: item {number} names {shown!r}, which is no path; build the virtual point cloud anew"
        ) from error


def _place(path: str | Path, folder: Path, href: str, shown: str) -> Path:
    # Two letters at least: C:\ is a drive, no scheme.
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", href)
    if scheme and scheme.group(1).lower() == "file":
        return Path(url2pathname(urlsplit(href).path))
    if scheme:
        raise ReadError(f"{path}: names {shown}, which is not on this machine; download it and build it anew")
    plain = Path(os.path.normpath(folder / href))
    # QGIS and pdal_wrench write plain paths; STAC proper has links, in which a space is %20.
    linked = Path(os.path.normpath(folder / unquote(href)))
    return linked if not os.path.exists(plain) and os.path.exists(linked) else plain


# -- writing --------------------------------------------------------------------------------------------------------


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
