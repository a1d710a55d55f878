"""A coordinate reference system in words: its name and its length unit, as far as the text itself tells."""

from __future__ import annotations

import re

_NAME = re.compile(r'\s*(\w+)\s*\[\s*"([^"]*)"')
_UNIT = re.compile(r'\b(?:LENGTH)?UNIT\s*\[\s*"([^"]*)"', re.IGNORECASE)
_ANGLES = ("degree", "radian", "grad")
_SHORT = {"metre": "m", "meter": "m", "us survey foot": "US ft", "us survey feet": "US ft", "foot": "ft", "feet": "ft"}


def name(crs: str | None) -> str:
    """``EPSG:7415``, the name that a WKT begins with, or ``none``."""
    if not crs:
        return "none"
    wkt = _NAME.match(crs)
    return wkt.group(2) if wkt else crs.strip()[:80]


def unit(crs: str | None) -> str:
    """``m``, ``ft``, ... , the unit of horizontal lengths; ``units`` where nothing tells."""
    found: list[str] = _UNIT.findall(crs or "")
    lengths = [text for text in found if not any(angle in text.lower() for angle in _ANGLES)]
    if not lengths:
        return "degrees" if found else "units"
    word = lengths[0].lower().replace("_", " ").replace("u.s.", "us").strip()
    return _SHORT.get(word, lengths[0])
