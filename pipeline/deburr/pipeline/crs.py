"""A coordinate reference system in words: its name and its length unit, as far as the text itself tells."""

from __future__ import annotations

import re

from deburr.core.cloud import PointCloud

_NAME = re.compile(r'\s*(\w+)\s*\[\s*"([^"]*)"')
_UNIT = re.compile(r'\b(?:LENGTH)?UNIT\s*\[\s*"([^"]*)"', re.IGNORECASE)
_ANGLES = ("degree", "radian", "grad")
_SHORT = {
    "metre": "m",
    "meter": "m",
    "us survey foot": "US ft",
    "us survey feet": "US ft",
    "foot": "ft",
    "feet": "ft",
    "degree": "degrees",
}


def name(crs: str | None) -> str:
    """``EPSG:7415``, the name that a WKT begins with, or ``none``."""
    if not crs:
        return "none"
    wkt = _NAME.match(crs)
    return wkt.group(2) if wkt else crs.strip()[:80]


def unit(crs: str | None) -> str:
    """``m``, ``ft``, ... , the unit of horizontal lengths; ``units`` where nothing tells."""
    horizontal = re.split(r"\bVERT(?:_CS|CRS|ICALCRS)\b", crs or "")[0]
    # The last: in WKT 2 the ellipsoid has a unit of its own, before that of the projection.
    found: list[str] = _UNIT.findall(horizontal)
    lengths = [text for text in found if not any(angle in text.lower() for angle in _ANGLES)]
    if not lengths:
        return "degrees" if found else "units"
    return short(lengths[-1])


def short(word: str) -> str:
    """``metre`` -> ``m``; a word without a symbol stays as it is."""
    return _SHORT.get(word.lower().replace("_", " ").replace("u.s.", "us").strip(), word)


def length_unit(cloud: PointCloud) -> str:
    """The unit of the cloud's lengths: what its reader found, else what the CRS tells."""
    told = cloud.history[0].figures.get("units") if cloud.history else None
    return short(told) if isinstance(told, str) and told != "cloud units" else unit(cloud.crs)
