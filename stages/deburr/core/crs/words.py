"""A coordinate reference system in words: its name and its length units, as far as the text itself tells."""

from __future__ import annotations

import re

from deburr.core.cloud import PointCloud
from deburr.core.crs import wkt
from deburr.core.text import printable

_NAME = re.compile(r'\s*(\w+)\s*[\[(]\s*"([^"]*)"')
_SHORT = {"metre": "m", "us survey foot": "US ft", "foot": "ft", "degree": "degrees", "cloud units": "units"}
#: What programs call a system that has no name.
_UNNAMED = ("", "unknown", "unnamed")
#: The words for what nobody tells: a system, its name, a unit of length.
NONE, UNNAMED, UNITS = "none", "unnamed", "units"


def name(crs: str | None, unit: str = UNITS) -> str:
    """``EPSG:7415``, or the name that a WKT begins with; ``unnamed`` where it has none, or where no more than the
    ``unit`` is told; ``none`` where nothing is."""
    if not crs or not crs.strip():
        return NONE if unit == UNITS else UNNAMED
    found = _NAME.match(crs)
    told = (found.group(2) if found else crs).strip()
    return UNNAMED if told.lower() in _UNNAMED else printable(told, 80)


def unit(crs: str | None) -> str:
    """``m``, ``ft``, ... , the unit of horizontal lengths; ``units`` where nothing tells."""
    plan = wkt.units(crs).plan
    return UNITS if plan is None else short(plan.name)


def short(word: str) -> str:
    """``metre`` -> ``m``; a word without a symbol stays as it is."""
    known = wkt.length(word)
    name = word if known is None else known.name
    return _SHORT.get(name.lower(), name)


def length_unit(cloud: PointCloud) -> str:
    """The unit of the cloud's lengths: what its reader found, else what the CRS tells."""
    return short(cloud.units) if cloud.units else unit(cloud.crs)


def height_unit(cloud: PointCloud) -> str:
    """The unit of the cloud's heights: as told, else that of its lengths, but ``units`` where these are angles."""
    if cloud.height_units:
        return short(cloud.height_units)
    found = wkt.units(cloud.crs).height
    plan = length_unit(cloud)
    return short(found.name) if found is not None else UNITS if plan == short("degree") else plan
