"""Longitude and latitude of projected coordinates, for the outlines that GeoJSON wants; no projection library needed.

Covers what LiDAR is mostly delivered in: transverse Mercator (UTM, Gauss-Krüger), Lambert's conformal conic, web
Mercator and plain degrees, on datums that lie within some two metres of WGS 84 (those with the axis 6378137 m: WGS 84,
ETRS89, NAD83, GDA, ...). For all else `of` gives None: a datum shift that is left out moves an outline by up to
hundreds of metres.

Sources: Krüger's series to the fourth order of the third flattening (Karney 2011, Transverse Mercator with an accuracy
of a few nanometers); Snyder 1987, Map Projections: a Working Manual, chapter 15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import asinh, atan, cos, exp, log, pi, radians, sin, sqrt, tan

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.crs import wkt
from deburr.core.crs.wkt import Node

#: The equatorial radius, metres, of the ellipsoids of all datums that lie close to WGS 84.
_AXIS = 6378137.0
_GRS80 = 298.257222101


@dataclass(frozen=True)
class Projection:
    """A projection's parameters: angles in degrees, lengths in metres; ``unit``: metres in one unit of coordinates."""

    kind: str
    lat: float = 0.0
    lon: float = 0.0
    scale: float = 1.0
    east: float = 0.0
    north: float = 0.0
    parallels: tuple[float, float] = (0.0, 0.0)
    axis: float = _AXIS
    flattening: float = _GRS80
    unit: float = 1.0

    @property
    def eccentricity(self) -> float:
        f = 1 / self.flattening if self.flattening else 0.0
        return sqrt(f * (2 - f))

    def inverse(self, plan: Floats) -> Floats:
        """(N, 2) longitude and latitude in degrees of ``plan`` (N, 2), x and y in units of the CRS."""
        if self.kind == "degrees":
            return plan.copy()
        places = plan * self.unit - (self.east, self.north)
        return np.asarray(np.degrees(_KINDS[self.kind](self, places)) + np.array((self.lon, 0.0)))


def of(crs: str | None, plan: Floats) -> Floats | None:
    """(N, 2) longitude and latitude of ``plan`` (N, 2), in the CRS (WKT or ``EPSG:n``); None where it is not known."""
    projection = parse(crs) if crs else None
    if projection is None or projection.axis != _AXIS:
        return None
    try:
        with np.errstate(all="ignore"):
            found = projection.inverse(np.asarray(plan, dtype=np.float64))
    except (ValueError, ArithmeticError, TypeError):  # parameters that no projection has, some of them complex results
        return None
    # Coordinates that are none of this CRS: better no place than a wrong one.
    fits = np.isfinite(found).all() and (np.abs(found) <= (180.0, 90.0)).all()
    return found if fits else None


def parse(crs: str) -> Projection | None:
    """What a CRS says of its projection; None if this module does not know it."""
    code = re.fullmatch(r"EPSG:([0-9]{1,9})", crs.strip(), re.IGNORECASE)
    try:
        return _of_code(int(code.group(1))) if code else _of_wkt(crs)
    except (ValueError, IndexError, ArithmeticError):
        return None


# -- formulas -------------------------------------------------------------------------------------------------------


def _transverse(p: Projection, places: Floats) -> Floats:
    n = 1 / (2 * p.flattening - 1)
    radius = p.axis / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    xi = (places[:, 1] / p.scale + _meridian(p, n, radius)) / radius
    eta = places[:, 0] / p.scale / radius
    back = (
        n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96 - n**4 / 360,
        n**2 / 48 + n**3 / 15 - 437 * n**4 / 1440,
        17 * n**3 / 480 - 37 * n**4 / 840,
        4397 * n**4 / 161280,
    )
    ball, side = xi.copy(), eta.copy()
    for j, b in enumerate(back, 1):
        ball -= b * np.sin(2 * j * xi) * np.cosh(2 * j * eta)
        side -= b * np.cos(2 * j * xi) * np.sinh(2 * j * eta)
    conformal = np.arcsin(np.sin(ball) / np.cosh(side))
    return np.stack((np.arctan2(np.sinh(side), np.cos(ball)), _latitude(p, conformal)), axis=1)


def _meridian(p: Projection, n: float, radius: float) -> float:
    """Metres along the meridian from the equator to the projection's origin."""
    e, lat = p.eccentricity, radians(p.lat)
    ball = _conformal(e, lat)
    forth = (
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440,
        61 * n**3 / 240 - 103 * n**4 / 140,
        49561 * n**4 / 161280,
    )
    return radius * (ball + sum(a * sin(2 * j * ball) for j, a in enumerate(forth, 1)))


def _conic(p: Projection, places: Floats) -> Floats:
    e = p.eccentricity
    first, second = (radians(lat) for lat in p.parallels)
    m = [cos(lat) / sqrt(1 - (e * sin(lat)) ** 2) for lat in (first, second)]
    t = [_isometric(e, lat) for lat in (first, second, radians(p.lat))]
    n = sin(first) if abs(first - second) < 1e-10 else log(m[0] / m[1]) / log(t[0] / t[1])
    f = p.axis * p.scale * m[0] / (n * t[0] ** n)
    x, y = places[:, 0], f * t[2] ** n - places[:, 1]
    side = 1.0 if n > 0 else -1.0
    conformal = pi / 2 - 2 * np.arctan((np.hypot(x, y) / abs(f)) ** (1 / n))
    return np.stack((np.arctan2(side * x, side * y) / n, _latitude(p, conformal)), axis=1)


def _web(p: Projection, places: Floats) -> Floats:
    return np.stack((places[:, 0] / p.axis, np.arctan(np.sinh(places[:, 1] / p.axis))), axis=1)


_KINDS = {"transverse": _transverse, "conic": _conic, "web": _web}


def _isometric(e: float, lat: float) -> float:
    return exp(-asinh(tan(_conformal(e, lat)))) if abs(lat) < pi / 2 else 0.0


def _conformal(e: float, lat: float) -> float:
    spread = ((1 - e * sin(lat)) / (1 + e * sin(lat))) ** (e / 2)
    return 2 * atan(tan(pi / 4 + lat / 2) * spread) - pi / 2


def _latitude(p: Projection, conformal: Floats) -> Floats:
    """(N,) geodetic latitude from conformal, radians: each round is nearer by the eccentricity's square."""
    e, lat = p.eccentricity, conformal
    for _ in range(10):
        spread = ((1 + e * np.sin(lat)) / (1 - e * np.sin(lat))) ** (e / 2)
        lat = 2 * np.arctan(np.tan(pi / 4 + conformal / 2) * spread) - pi / 2
    return lat


# -- codes ----------------------------------------------------------------------------------------------------------

#: Degrees on datums close to WGS 84.
_DEGREES = frozenset({4326, 4979, 4258, 4937, 4269, 6318, 6319, 4171, 4283, 7844, 4674, 4167, 6668, 4490})
#: First and last code, what to take away for the zone, whether south of the equator.
_UTM = (
    (32601, 32660, 32600, False),
    (32701, 32760, 32700, True),
    (25828, 25838, 25800, False),
    (26901, 26923, 26900, False),
    (6332, 6348, 6329, False),
    (28348, 28358, 28300, True),
    (7846, 7859, 7800, True),
    (31978, 31985, 31960, True),
)
_SINGLE = {
    3857: Projection("web"),
    2154: Projection("conic", 46.5, 3, 1, 700000, 6600000, (49, 44)),
    3006: Projection("transverse", 0, 15, 0.9996, 500000),
    3067: Projection("transverse", 0, 27, 0.9996, 500000),
    2180: Projection("transverse", 0, 19, 0.9993, 500000, -5300000),
    2157: Projection("transverse", 53.5, -8, 0.99982, 600000, 750000),
    2193: Projection("transverse", 0, 173, 0.9996, 1600000, 10000000),
}


def _of_code(code: int) -> Projection | None:
    if code in _DEGREES:
        return Projection("degrees")
    for first, last, less, south in _UTM:
        if first <= code <= last:
            return Projection("transverse", 0, 6 * (code - less) - 183, 0.9996, 500000, 1e7 if south else 0)
    return _SINGLE.get(code)


# -- well-known text ------------------------------------------------------------------------------------------------


def _number(node: Node, place: int = 1) -> float:
    value = node.number(place)
    if value is None:
        raise ValueError(f"{node.name} has no number")
    return value


def _of_wkt(text: str) -> Projection | None:
    root = wkt.parse(text)
    system = None if root is None else wkt.main(root)
    if root is None or system is None or wkt.geocentric(system):
        return None
    projected = next(root.all("PROJCS", "PROJCRS", "PROJECTEDCRS"), None)
    base = next(root.all("GEOGCS", "BASEGEOGCRS", "BASEGEODCRS", "GEOGCRS", "GEODCRS", "GEOGRAPHICCRS"), None)
    body = next(base.all("SPHEROID", "ELLIPSOID"), None) if base else None
    if base is None or body is None or any(_number(zero) for zero in base.all("PRIMEM")):
        return None
    axis, flattening = _number(body), _number(body, 2)
    if projected is None:
        return Projection("degrees", axis=axis, flattening=flattening)
    unit = _factor(projected.child("UNIT", "LENGTHUNIT"), 0) or _factor(next(_axis_units(projected), None), 1)
    # The factor of WKT 1's angles stands in the geographic part, that of WKT 2's in each parameter.
    angle = _factor(base.child("UNIT"), radians(1))
    numbers = dict(_parameter(node, unit, angle) for node in projected.all("PARAMETER"))
    method = next(projected.all("PROJECTION", "METHOD"), None)
    return _projection(method.values[0] if method else "", numbers, axis, flattening, unit)


def _parameter(node: Node, unit: float, angle: float) -> tuple[str, float]:
    """Name and value, in metres or degrees."""
    name, value = _plain(node.values[0]), _number(node)
    own = node.child("ANGLEUNIT", "LENGTHUNIT", "SCALEUNIT", "UNIT")
    if "scale" in name:
        return name, value
    if "easting" in name or "northing" in name:
        return name, value * _factor(own, unit)
    return name, value * round(_factor(own, angle) / radians(1), 9)


def _plain(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _axis_units(projected: Node) -> Iterator[Node]:
    for axis in projected.all("AXIS"):
        yield from axis.all("LENGTHUNIT", "UNIT")


def _factor(unit: Node | None, default: float) -> float:
    return _number(unit) if unit is not None else default


def _projection(
    method: str, numbers: dict[str, float], axis: float, flattening: float, unit: float
) -> Projection | None:
    def get(*names: str, default: float = 0.0) -> float:
        return next((numbers[name] for name in names if name in numbers), default)

    name = _plain(method)
    lat = get("latitude_of_origin", "latitude_of_natural_origin", "latitude_of_false_origin", "latitude_of_center")
    lon = get("central_meridian", "longitude_of_natural_origin", "longitude_of_false_origin", "longitude_of_center")
    scale = get("scale_factor", "scale_factor_at_natural_origin", default=1.0)
    east, north = get("false_easting", "easting_at_false_origin"), get("false_northing", "northing_at_false_origin")
    if name in ("transverse_mercator", "gauss_kruger"):
        kind, parallels = "transverse", (0.0, 0.0)
    elif name.startswith(("lambert_conformal_conic", "lambert_conic_conformal")) and "belgium" not in name:
        first = get("standard_parallel_1", "latitude_of_1st_standard_parallel", default=lat)
        kind = "conic"
        parallels = (first, get("standard_parallel_2", "latitude_of_2nd_standard_parallel", default=first))
    elif name in ("popular_visualisation_pseudo_mercator", "mercator_auxiliary_sphere"):
        kind, parallels = "web", (0.0, 0.0)
    else:
        return None
    return Projection(kind, lat, lon, scale, east, north, parallels, axis, flattening, unit)
