"""The coordinate reference system in a LAS file's records: WKT, or the codes of its GeoTIFF keys. No library needed."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from deburr.core.crs import wkt
from deburr.core.text import printable
from deburr.formats.las.records import Vlr

_PROJECTION = "LASF_Projection"
#: All records that say what the coordinates mean: they are replaced together, or not at all.
CRS_RECORDS = frozenset({*((_PROJECTION, n) for n in (2111, 2112, 34735, 34736, 34737)), ("liblas", 2112)})

_MODEL, _GEOGRAPHIC, _PROJECTED, _LINEAR_UNIT = 1024, 2048, 3072, 3076
_GEOCENTRIC_UNIT, _VERTICAL, _VERTICAL_UNIT = 2052, 4096, 4099
_PROJECTED_MODEL, _GEOGRAPHIC_MODEL, _GEOCENTRIC_MODEL = 1, 2, 3
#: Codes from here on are no EPSG's: "user-defined".
_USER_DEFINED = 32767
_UNITS = {9001: wkt.length("metre"), 9002: wkt.length("foot"), 9003: wkt.length("US survey foot")}
#: Height systems in feet; what another tells of its unit is not known here.
_VERTICAL_UNITS = {5702: 9003, 6360: 9003, 8228: 9002, 5703: 9001}


def read_crs(records: Iterable[Vlr]) -> tuple[str | None, wkt.Units]:
    """The CRS (WKT, or ``EPSG:n``) and the units that ``records`` tell; None for what they do not."""
    by_id = {record.id: record.data for record in records}
    keys = _geo_keys(by_id.get((_PROJECTION, 34735), b""))
    for identity in ((_PROJECTION, 2112), ("liblas", 2112)):
        text = by_id.get(identity, b"").split(b"\0")[0].decode("utf-8", "replace").strip()
        if text:
            return text, wkt.units(text).or_else(_key_units(keys))
    # Geocentric files name the geographic CRS they belong to, which is not theirs.
    code = None if keys.get(_MODEL) == _GEOCENTRIC_MODEL else keys.get(_PROJECTED) or keys.get(_GEOGRAPHIC)
    known = code is not None and 0 < code < _USER_DEFINED
    return f"EPSG:{code}" if known else None, _key_units(keys)


def _geo_keys(data: bytes) -> dict[int, int]:
    """The GeoTIFF keys whose values stand in the directory itself."""
    numbers = struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2])
    entries = zip(*(numbers[4 + i :: 4] for i in range(4)), strict=False)
    return {key: value for key, location, _, value in entries if location == 0}


def _key_units(keys: dict[int, int]) -> wkt.Units:
    height = _UNITS.get(keys.get(_VERTICAL_UNIT, 0)) or _UNITS.get(_VERTICAL_UNITS.get(keys.get(_VERTICAL, 0), 0))
    if keys.get(_MODEL) == _GEOGRAPHIC_MODEL:
        return wkt.Units(wkt.DEGREE, height)
    if keys.get(_MODEL) == _GEOCENTRIC_MODEL:
        unit = _UNITS.get(keys.get(_GEOCENTRIC_UNIT, 0)) or _UNITS.get(keys.get(_LINEAR_UNIT, 0)) or wkt.METRE
        return wkt.Units(unit, unit)
    return wkt.Units(_UNITS.get(keys.get(_LINEAR_UNIT, 0)), height)


def wkt_unit(text: str) -> str | None:
    """The unit of the horizontal axes: metre, foot, US survey foot, degree, or as the WKT names it; None if unsaid."""
    plan = wkt.units(text).plan
    return None if plan is None else plan.name


_CODES = re.compile(r"EPSG:([0-9]{1,5})(?:\+([0-9]{1,5}))?", re.IGNORECASE)


def is_epsg(crs: str) -> bool:
    """Whether ``crs`` is a code, ``EPSG:n``, or those of a compound, ``EPSG:n+m``; anything else is taken for WKT."""
    codes = _CODES.fullmatch(crs)
    return codes is not None and all(0 < int(code) < _USER_DEFINED for code in codes.groups() if code)


def given_crs(crs: str) -> str:
    """The ``crs`` that an option gives, as `read_crs` would tell it. Raises `ValueError`, with a reason."""
    from deburr.formats.las.proj import is_proj, proj_crs

    if not is_utf8(crs):
        raise ValueError("it holds letters that no text may hold")
    if is_proj(crs):
        return proj_crs(crs)
    if is_epsg(crs):
        return crs
    if _CODES.fullmatch(crs):
        raise ValueError("a LAS file has a place for EPSG codes from 1 to 32,766")
    if "[" in crs and wkt.parse(crs) is None:
        raise ValueError(
            f"it is no well-formed WKT of at most {wkt.MOST_LETTERS:,} letters and {wkt.MOST_LEVELS} levels"
        )
    if "[" in crs:
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
        given_crs(crs)
    except ValueError as reason:
        return [
            f"option '{option}' must be EPSG:n or WKT, EPSG:n+m (m: of the heights) or a PROJ string, not "
            f"'{printable(crs, 60)}' ({reason}); correct it, or give EPSG:n"
        ]
    return []


def crs_records(crs: str, in_degrees: bool) -> list[Vlr]:
    """The records that say ``crs``; ``in_degrees``: the coordinates lie within the range of degrees."""
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
