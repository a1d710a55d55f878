"""The coordinate reference system in a LAS file's records: WKT, or the codes of its GeoTIFF keys. No library needed."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deburr.readers._las_header import Vlr

_PROJECTION = "LASF_Projection"
#: All records that say what the coordinates mean: they are replaced together, or not at all.
CRS_RECORDS = frozenset({*((_PROJECTION, n) for n in (2111, 2112, 34735, 34736, 34737)), ("liblas", 2112)})

_MODEL, _GEOGRAPHIC, _PROJECTED, _LINEAR_UNIT, _VERTICAL = 1024, 2048, 3072, 3076, 4096
_USER_DEFINED = 32767
_UNIT_CODES = {9001: "metre", 9002: "foot", 9003: "US survey foot"}
_UNIT_FACTORS = {1.0: "metre", 0.3048: "foot", round(1200 / 3937, 9): "US survey foot"}


def read_crs(records: Iterable[Vlr]) -> tuple[str | None, str | None]:
    """The CRS (WKT, or ``EPSG:n``) and the horizontal unit that ``records`` tell; None for what they do not."""
    by_id = {record.id: record.data for record in records}
    keys = _geo_keys(by_id.get((_PROJECTION, 34735), b""))
    for identity in ((_PROJECTION, 2112), ("liblas", 2112)):
        wkt = by_id.get(identity, b"").split(b"\0")[0].decode("utf-8", "replace").strip()
        if wkt:
            return wkt, wkt_unit(wkt) or _key_unit(keys)
    # Geocentric files (model 3) name the geographic CRS they belong to, which is not theirs.
    code = None if keys.get(_MODEL) == 3 else keys.get(_PROJECTED) or keys.get(_GEOGRAPHIC)
    known = code is not None and 0 < code < _USER_DEFINED
    return f"EPSG:{code}" if known else None, _key_unit(keys)


def _geo_keys(data: bytes) -> dict[int, int]:
    """The GeoTIFF keys whose values stand in the directory itself."""
    numbers = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
    entries = zip(*(numbers[4 + i :: 4] for i in range(4)), strict=False)
    return {key: value for key, location, _, value in entries if location == 0}


def _key_unit(keys: dict[int, int]) -> str | None:
    if keys.get(_MODEL) == 2:
        return "degree"
    return _UNIT_CODES.get(keys.get(_LINEAR_UNIT, 0))


def wkt_unit(wkt: str) -> str | None:
    """The unit of the horizontal axes: metre, foot, US survey foot, degree, or as the WKT names it; None if unsaid."""
    projected = _node(wkt, r"PROJCS|PROJCRS|PROJECTEDCRS")
    if projected is None:
        geographic = _node(wkt, r"GEOGCS|GEOGCRS|GEOGRAPHICCRS|GEODCRS")
        if geographic is not None:
            return "degree"
        projected = _node(wkt, r"GEOCCS|ENGCRS|ENGINEERINGCRS|LOCAL_CS")
    for inner in (r"BASEGEOGCRS|BASEGEODCRS|GEOGCS", r"CONVERSION"):
        part = _node(projected or "", inner)
        projected = projected.replace(part, "") if projected and part else projected
    units = re.findall(r'\b(?:LENGTH)?UNIT\s*\[\s*"([^"]*)"\s*,\s*([0-9.eE+-]+)', projected or "")
    if not units:
        return None
    name, factor = str(units[-1][0]), units[-1][1]
    try:
        return _UNIT_FACTORS.get(round(float(factor), 9), name)
    except ValueError:
        return name


def _node(wkt: str, keywords: str) -> str | None:
    """The first ``KEYWORD[...]`` with all that is inside its brackets."""
    begin = re.search(rf"\b(?:{keywords})\s*\[", wkt)
    if begin is None:
        return None
    depth = 0
    for mark in re.finditer(r'"[^"]*"|[\[\]]', wkt[begin.start() :]):
        depth += {"[": 1, "]": -1}.get(mark.group(), 0)
        if depth == 0 and mark.group() == "]":
            return wkt[begin.start() : begin.start() + mark.end()]
    return None


_CODES = re.compile(r"EPSG:(\d{1,5})(?:\+(\d{1,5}))?", re.IGNORECASE)


def is_epsg(crs: str) -> bool:
    """Whether ``crs`` is a code, ``EPSG:n``, or those of a compound, ``EPSG:n+m``; anything else is taken for WKT."""
    return _CODES.fullmatch(crs) is not None


def given_crs(crs: str) -> str:
    """The ``crs`` that an option gives, as `read_crs` would tell it. Raises `ValueError`, with a reason."""
    from deburr.readers._proj import is_proj, proj_crs

    if is_proj(crs):
        return proj_crs(crs)
    codes = _CODES.fullmatch(crs)
    if codes is not None and any(int(code) >= _USER_DEFINED for code in codes.groups() if code):
        raise ValueError("a LAS file has no place for EPSG codes from 32,767 on")
    if codes is not None or "[" in crs:
        return crs
    raise ValueError("it is none of them")


def is_utf8(text: str) -> bool:
    """Whether ``text`` can be written: JSON and file names may bring halves of characters, which have no UTF-8."""
    return text.encode("utf-8", "replace").decode() == text


def unfit_crs(option: str, crs: str | None) -> list[str]:
    """What is wrong with the ``crs`` that an option gives, one sentence; nothing with None."""
    if crs is None:
        return []
    try:
        if not is_utf8(crs):
            raise ValueError("it has halves of characters")
        given_crs(crs)
    except ValueError as reason:
        shown = crs[:60].encode("utf-8", "replace").decode()
        return [
            f"option '{option}' must be EPSG:n or WKT, EPSG:n+m (m: of the heights) or a PROJ string, not "
            f"'{shown}' ({reason}); give the code or the WKT"
        ]
    return []


def crs_records(crs: str, in_degrees: bool) -> list[Vlr]:
    """The records that say ``crs``; ``in_degrees``: the coordinates lie within the range of degrees."""
    from deburr.readers._las_header import Vlr

    user = _PROJECTION.encode()
    if not is_epsg(crs):
        return [Vlr(user, 2112, crs.encode() + b"\0", b"OGC WKT")]
    codes = _CODES.fullmatch(crs)
    assert codes is not None
    code = int(codes[1])
    geographic = in_degrees and (4000 <= code < 5000 or code in _LATER_GEOGRAPHIC)
    keys = [(_MODEL, 2 if geographic else 1), (_GEOGRAPHIC if geographic else _PROJECTED, code)]
    keys += [(_VERTICAL, int(codes[2]))] if codes[2] else []
    numbers = [1, 1, 0, len(keys), *(n for key, value in keys for n in (key, 0, 1, value))]
    return [Vlr(user, 34735, struct.pack(f"<{len(numbers)}H", *numbers), b"GeoTIFF GeoKeyDirectoryTag")]


#: Geographic codes in wide use outside EPSG's classical block 4000-4999 (which also holds some projected ones).
_LATER_GEOGRAPHIC = frozenset({5527, 6318, 6322, 6325, 6364, 6668, 6706, 6783, 7844, 9000, 9057, 9755, 9777, 10299})
