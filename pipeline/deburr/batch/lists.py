"""Lists of point clouds: virtual point clouds (.vpc) and STAC's item collections, items, catalogues and collections.

They lie here or at an address, and so may what they name. A list at an address names nothing on this machine.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import numpy as np

from deburr.core import web
from deburr.core.addresses import Address, Named, is_address, spelt
from deburr.core.cut import Box
from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.core.registry import by_extension

#: Bytes: a hundred thousand files take about this much; more is no list of files.
_LARGEST = 500_000_000
#: Letters of a path at most; more is none on any system. Those of one that a message repeats.
_LONGEST, _SHOWN = 4096, 80
#: Files of one catalogue, at most: more are no plan but a whole archive.
_MOST = 100_000
#: What leads from a catalogue to what is in it, and from a page of items to the next.
_INTO = ("item", "items", "child", "next")
_TYPES = ("FeatureCollection", "Feature", "Catalog", "Collection")


def read(path: str | Named, bounds: Box | None = None) -> list[Named]:
    """The files that a list names, in its order, each as often as it is named; without those that lie far from
    ``bounds``, where the list says so (``proj:bbox``).

    Raises `ReadError` for what is no such list, and for files of this machine that are missing.
    """
    start = Path(path) if isinstance(path, str) else path
    found = [(_resolve(where, number, href), box) for where, number, href, box in _items(start)]
    if bounds is not None:
        found = _near(found, bounds)
        if not found:
            raise ReadError(f"{path}: lists no file near the bounds; correct them, they are in the units of its files")
    missing = [file for file, _ in found if isinstance(file, Path) and not os.path.isfile(file)]
    if missing:
        more = f" and {len(missing) - 1:,} others" if len(missing) > 1 else ""
        raise ReadError(
            f"{path}: names {missing[0]}{more}, which cannot be found; put the files there, or build it anew"
        )
    return [file for file, _ in found]


def _near(found: Sequence[tuple[Named, Box | None]], bounds: Box) -> list[tuple[Named, Box | None]]:
    """Those that may lie within the width of one file around ``bounds``: further no tile looks."""
    width = max((float((high - low).max()) for _, box in found if box is not None for low, high in [box]), default=0.0)
    low, high = bounds[0] - width, bounds[1] + width
    return [one for one in found if one[1] is None or ((one[1][0] <= high).all() and (one[1][1] >= low).all())]


def _items(start: Named) -> Iterator[tuple[Named, int, str, Box | None]]:
    """Of every item: the list that it is in, its number there, its file and where that lies."""
    waiting, known = [start], {str(start)}
    while waiting:
        path = waiting.pop(0)
        found = _checked(path, _parsed(path))
        if found["type"] == "FeatureCollection" and not (isinstance(found.get("features"), list) and found["features"]):
            raise ReadError(f"{path}: names no files; build it anew, or give the files themselves")
        features = found["features"] if found["type"] == "FeatureCollection" else [found]
        for number, item in enumerate(features, 1) if found["type"] in ("FeatureCollection", "Feature") else ():
            yield (path, number, *_asset(path, number, item))
        links = [] if path.suffix.lower() == ".vpc" else [_resolve(path, 0, href) for href in _links(found)]
        new = [link for link in dict.fromkeys(links) if str(link) not in known]
        known.update(map(str, new))
        waiting = [*new, *waiting]
        if len(known) > _MOST:
            raise ReadError(f"{start}: leads to more than {_MOST:,} files; give a part of the catalogue")
        if not waiting and known == {str(start)} and found["type"] in ("Catalog", "Collection"):
            raise ReadError(f"{path}: has no links to items; give its items, or a collection of them")


def _links(found: dict[str, Any]) -> Iterator[str]:
    links = found.get("links")
    for link in links if isinstance(links, list) and found["type"] != "Feature" else ():
        if isinstance(link, dict) and link.get("rel") in _INTO and isinstance(link.get("href"), str):
            yield link["href"]


def _what(path: Named) -> str:
    return "virtual point cloud" if path.suffix.lower() == ".vpc" else "catalogue"


def _parsed(path: Named) -> Any:
    content = _content(path)
    if content.startswith(b"PK\x03\x04"):
        raise ReadError(f"{path}: is a compressed virtual point cloud; unzip it and give the .vpc file inside")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path}: is no {_what(path)}, for it is not JSON ({error}); build it anew") from error


def _content(path: Named) -> bytes:
    try:
        with web.opened(spelt(path)) if isinstance(path, Address) else open(path, "rb") as file:
            size = size_of(file)
            if size > _LARGEST:
                raise ReadError(f"{path}: is too large for a {_what(path)} ({size:,} bytes); give the files themselves")
            file.seek(0)
            return bytes(file.read())
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _checked(path: Named, found: Any) -> dict[str, Any]:
    kind = found.get("type") if isinstance(found, dict) else None
    if isinstance(kind, str) and kind in (_TYPES[:1] if path.suffix.lower() == ".vpc" else _TYPES):
        return dict(found)
    known = "FeatureCollection" if path.suffix.lower() == ".vpc" else f"none of {', '.join(_TYPES)} (STAC)"
    raise ReadError(
        f"{path}: is no {_what(path)}, for its type is {'not ' if known == _TYPES[0] else ''}{known}; build it anew"
    )


def _asset(path: Named, number: int, item: Any) -> tuple[str, Box | None]:
    """The file of an item's points, not that of an overview or a picture, and where it lies."""
    assets = item.get("assets") if isinstance(item, dict) else None
    known = [(name, one) for name, one in assets.items() if _is_data(one)] if isinstance(assets, dict) else []
    if not known:
        raise ReadError(f"{path}: item {number} has no file (assets.data.href); build the {_what(path)} anew")
    _, asset = min(known, key=lambda one: _rank(one[0], one[1]["href"]))
    properties = item.get("properties")
    for told in (asset, properties if isinstance(properties, dict) else {}):
        if (box := _box(told.get("proj:bbox"))) is not None:
            return asset["href"], box
    return asset["href"], None


def _rank(name: str, href: str) -> int:
    """Of several assets, the least is that of the points."""
    plain = (str(Address(href)) if is_address(href) else href).partition("?")[0]
    if name == "data" or plain.lower().endswith(".copc.laz"):
        return 0 if name == "data" else 1
    return 2 if plain.lower().endswith((".laz", ".las")) else 3 if by_extension("readers", plain[-_LONGEST:]) else 4


def _is_data(asset: Any) -> bool:
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str) or not asset["href"]:
        return False
    roles = asset.get("roles")
    return not isinstance(roles, list) or not roles or "data" in roles


def _box(told: Any) -> Box | None:
    """In x and y; ``told`` are four numbers, or six with heights."""
    if not isinstance(told, list) or len(told) not in (4, 6) or not all(isinstance(one, int | float) for one in told):
        return None
    try:
        ends = np.array(told, np.float64).reshape(2, -1)[:, :2]
    except OverflowError:
        return None
    return (ends[0], ends[1]) if np.isfinite(ends).all() and (ends[0] <= ends[1]).all() else None


def _resolve(path: Named, number: int, href: str) -> Named:
    """Where a list's ``href`` leads to."""
    shown = str(Address(href)) if is_address(href) else href
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    item = f"item {number}" if number else "a link"
    wrong = ReadError(f"{path}: {item} names {shown!r}, which is no path; build the {_what(path)} anew")
    if "\0" in href or len(href) > _LONGEST:
        raise wrong
    try:
        os.fsencode(href)
        return _place(path, href, wrong)
    except (ValueError, OSError) as error:
        raise wrong from error


def _place(path: Named, href: str, wrong: ReadError) -> Named:
    # Two letters at least: C:\ is a drive, no scheme.
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", href)
    local = scheme is not None and scheme.group(1).lower() == "file"
    if isinstance(path, Address):
        if local:
            raise ReadError(f"{path}: names a file of the machine that it was made on; build it anew, with addresses")
        found = path.join(href)
    elif local:
        return Path(url2pathname(urlsplit(href).path))
    elif scheme:
        found = Address(href)
    else:
        folder = Path(os.path.abspath(path)).parent
        plain = Path(os.path.normpath(folder / href))
        # QGIS and pdal_wrench write plain paths; STAC proper has links, in which a space is %20.
        linked = Path(os.path.normpath(folder / unquote(href)))
        return linked if not os.path.exists(plain) and os.path.exists(linked) else plain
    if not is_address(found.full) or not str(found).isprintable():
        raise wrong
    return found
