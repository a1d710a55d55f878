"""A PROJ string (``+proj=utm +zone=32 ...``) as the WKT that GDAL makes of it, and so PDAL. No library needed."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Name of the datum, name of its ellipsoid, semi-major axis in metres, inverse flattening.
_DATUMS = {
    "WGS84": ("WGS_1984", "WGS84"),
    "NAD83": ("North_American_Datum_1983", "GRS80"),
    "NAD27": ("North_American_Datum_1927", "clrk66"),
}
_ELLIPSOIDS = {
    "WGS84": ("WGS 84", 6378137.0, 298.257223563),
    "GRS80": ("GRS 1980", 6378137.0, 298.257222101),
    "bessel": ("Bessel 1841", 6377397.155, 299.1528128),
    "intl": ("International 1924", 6378388.0, 297.0),
    "krass": ("Krassowsky 1940", 6378245.0, 298.3),
    "airy": ("Airy 1830", 6377563.396, 299.3249646),
    "clrk66": ("Clarke 1866", 6378206.4, 294.978698213898),
    "clrk80ign": ("Clarke 1880 (IGN)", 6378249.2, 293.466021293627),
}
_UNITS = {"m": ("metre", 1.0), "ft": ("foot", 0.3048), "us-ft": ("US survey foot", 1200 / 3937)}

#: Each projection: its name in WKT, and which of its parameters there is which one here, with PROJ's default.
_ORIGIN = (("latitude_of_origin", "lat_0", 0.0), ("central_meridian", "lon_0", 0.0))
_CENTER = (("latitude_of_center", "lat_0", 0.0), ("longitude_of_center", "lon_0", 0.0))
_PARALLELS = (("standard_parallel_1", "lat_1", 0.0), ("standard_parallel_2", "lat_2", 0.0))
_SCALE = (("scale_factor", "k_0", 1.0),)
_FALSE = (("false_easting", "x_0", 0.0), ("false_northing", "y_0", 0.0))
_PROJECTIONS = {
    "tmerc": ("Transverse_Mercator", (*_ORIGIN, *_SCALE)),
    "lcc": ("Lambert_Conformal_Conic_2SP", (*_PARALLELS, *_ORIGIN)),
    "lcc 1": ("Lambert_Conformal_Conic_1SP", (*_ORIGIN, *_SCALE)),
    "aea": ("Albers_Conic_Equal_Area", (*_PARALLELS, *_CENTER)),
    "laea": ("Lambert_Azimuthal_Equal_Area", _CENTER),
    "sterea": ("Oblique_Stereographic", (*_ORIGIN, *_SCALE)),
    "merc": ("Mercator_1SP", (_ORIGIN[1], *_SCALE)),
}
#: What says nothing of where points are.
_SILENT = frozenset({"no_defs", "type", "wktext", "over"})


def is_proj(text: str) -> bool:
    """Whether ``text`` is a PROJ string."""
    return re.match(r"\s*\+(proj|init)=", text) is not None


def proj_crs(text: str) -> str:
    """The coordinate reference system that a PROJ string tells, as ``EPSG:n`` where it names one, else as WKT 1.

    Raises `ValueError`, with a reason, for what is not known here: there is no way to check it.
    """
    words = dict(word.partition("=")[::2] for word in re.findall(r"\+(\S+)", text))
    given = {name: value for name, value in words.items() if name not in _SILENT}
    if "init" in given:
        code = re.fullmatch(r"epsg:(\d{1,5})", given["init"], re.IGNORECASE)
        if code is None or len(given) > 1:
            raise ValueError("'+init' names no EPSG code, or has parameters beside it")
        return f"EPSG:{code[1]}"
    kind = given.pop("proj")
    if kind == "utm":
        zone = int(_number(given, "zone", -1))
        if not 1 <= zone <= 60:
            raise ValueError("'+zone' must be from 1 to 60")
        south = given.pop("south", None) is not None
        if given == {"zone": str(zone), "datum": "WGS84"} | ({"units": "m"} if "units" in given else {}):
            return f"EPSG:{32700 + zone if south else 32600 + zone}"
        del given["zone"]
        given |= {"lat_0": "0", "lon_0": str(6 * zone - 183), "k_0": "0.9996", "x_0": "500000"}
        given["y_0"] = "10000000" if south else "0"
        kind = "tmerc"
    if kind in ("longlat", "latlong"):
        given.pop("units", None)
        wkt = _geographic(given)
    else:
        wkt = _projected(kind, given)
    if given:
        raise ValueError(f"'+{next(iter(given))}' is not known here")
    return wkt


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(given.get(name, default))
    except ValueError:
        raise ValueError(f"'+{name}' must be a number in decimal notation") from None


def _taken(given: dict[str, str], name: str, default: float) -> float:
    value = _number(given, name, default)
    given.pop(name, None)
    return value


def _projected(kind: str, given: dict[str, str]) -> str:
    if "k" in given:
        given["k_0"] = given.pop("k")
    if kind == "lcc" and given.get("lat_2", given.get("lat_1")) == given.get("lat_1"):
        # With one parallel, the origin lies on it.
        given.pop("lat_2", None)
        origin = given.pop("lat_1", "0")
        if given.setdefault("lat_0", origin) != origin:
            raise ValueError("'+lat_0' and '+lat_1' differ where there is one parallel only")
        kind = "lcc 1"
    if kind not in _PROJECTIONS:
        raise ValueError(f"the projection '{kind}' is not known here")
    name, parameters = _PROJECTIONS[kind]
    values = [(wkt, _taken(given, proj, default)) for wkt, proj, default in (*parameters, *_FALSE)]
    told = ",".join(f'PARAMETER["{wkt}",{_text(value)}]' for wkt, value in values)
    if "to_meter" in given:
        unit, factor = "unknown", _taken(given, "to_meter", 1.0)
    elif (units := given.pop("units", "m")) in _UNITS:
        unit, factor = _UNITS[units]
    else:
        raise ValueError(f"'+units={units}' is not known here")
    axes = 'AXIS["Easting",EAST],AXIS["Northing",NORTH]'
    return f'PROJCS["unknown",{_geographic(given)},PROJECTION["{name}"],{told},UNIT["{unit}",{_text(factor)}],{axes}]'


def _geographic(given: dict[str, str]) -> str:
    datum = given.pop("datum", None)
    if datum is not None and datum not in _DATUMS:
        raise ValueError(f"'+datum={datum}' is not known here")
    name, ellipsoid = _DATUMS.get(datum or "", ("", given.pop("ellps", "" if "a" in given else "GRS80")))
    if ellipsoid:
        if ellipsoid not in _ELLIPSOIDS:
            raise ValueError(f"'+ellps={ellipsoid}' is not known here")
        label, axis, flattening = _ELLIPSOIDS[ellipsoid]
    else:
        label, axis = "unknown", _taken(given, "a", 0.0)
        if "b" in given:
            short = _taken(given, "b", axis)
            flattening = 0.0 if short == axis else axis / (axis - short)
        else:
            flattening = _taken(given, "rf", 0.0)
    name = name or f"Unknown based on {label} ellipsoid"
    shift = given.pop("towgs84", None)
    if shift is not None:
        parts = shift.split(",")
        if len(parts) not in (3, 7):
            raise ValueError("'+towgs84' must have 3 or 7 numbers")
        numbers = [_number({"towgs84": part}, "towgs84", 0.0) for part in parts] + [0.0] * (7 - len(parts))
        shift = f",TOWGS84[{','.join(map(_text, numbers))}]"
    spheroid = f'SPHEROID["{label}",{_text(axis)},{_text(flattening)}]'
    unit = 'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]'
    return f'GEOGCS["unknown",DATUM["{name}",{spheroid}{shift or ""}],{unit}]'


def _text(value: float) -> str:
    return f"{value:.15g}"
