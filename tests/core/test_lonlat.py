"""Longitudes and latitudes: against the worked examples of IOGP's Guidance Note 7-2, and identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.core.crs.lonlat import Projection, of, parse

_FOOT = 0.304800609601219
_AIRY: dict[str, Any] = {"axis": 6377563.396, "flattening": 299.3249646}
_CLARKE: dict[str, Any] = {"axis": 6378206.4, "flattening": 294.97869821}
_BRITAIN = Projection("transverse", 49, -2, 0.9996012717, 400000, -100000, **_AIRY)
_TEXAS = Projection("conic", 27 + 50 / 60, -99, 1, 2e6 * _FOOT, 0, (28 + 23 / 60, 30 + 17 / 60), unit=_FOOT, **_CLARKE)
_JAMAICA = Projection("conic", 18, -77, 1, 250000, 150000, (18, 18), **_CLARKE)
_WEB = Projection("web")

UTM_WKT1 = (
    'PROJCS["WGS 84 / UTM zone 33N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",15],PARAMETER["scale_factor",0.9996],'
    'PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]'
)
LAMBERT_WKT2 = (
    'PROJCRS["RGF93 / Lambert-93",BASEGEOGCRS["RGF93",DATUM["RGF",ELLIPSOID["GRS 1980",6378137,298.257222101,'
    'LENGTHUNIT["metre",1]]]],CONVERSION["Lambert-93",METHOD["Lambert Conic Conformal (2SP)"],'
    'PARAMETER["Latitude of false origin",46.5,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["Longitude of false origin",3,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["Latitude of 1st standard parallel",49,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["Latitude of 2nd standard parallel",44,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["Easting at false origin",700000,LENGTHUNIT["metre",1]],'
    'PARAMETER["Northing at false origin",6600000,LENGTHUNIT["metre",1]]],CS[Cartesian,2],'
    'AXIS["Easting (X)",east],AXIS["Northing (Y)",north],LENGTHUNIT["metre",1],ID["EPSG",2154]]'
)


@pytest.mark.parametrize(
    ("projection", "place", "answer"),
    [
        (_BRITAIN, (577274.99, 69740.50), (0.5, 50.5)),
        (_TEXAS, (2963503.91, 254759.80), (-96.0, 28.5)),
        (_JAMAICA, (255966.58, 142493.51), (-(76 + 56 / 60 + 37.26 / 3600), 17 + 55 / 60 + 55.8 / 3600)),
        (_WEB, (-11169055.58, 2800000.00), (-(100 + 20 / 60), 24 + 22 / 60 + 54.433 / 3600)),
    ],
)
def test_worked_examples(projection: Projection, place: tuple[float, float], answer: tuple[float, float]) -> None:
    # The examples are rounded to a centimetre: 1e-7 degrees.
    np.testing.assert_allclose(projection.inverse(np.array([place])), [answer], atol=2e-7)


def test_a_metre_along_the_central_meridian_is_a_metre_of_latitude() -> None:
    north = np.arange(0.0, 9e6, 1e6)
    found = of("EPSG:32633", np.stack((np.full(9, 5e5), north), axis=1))
    assert found is not None
    np.testing.assert_allclose(found[:, 0], 15, atol=1e-12)
    # The meridian's radius of curvature, integrated numerically.
    f, a = 1 / 298.257222101, 6378137.0
    e2, lat = f * (2 - f), np.linspace(0, np.pi / 2, 200_001)
    radius = a * (1 - e2) / (1 - e2 * np.sin(lat) ** 2) ** 1.5
    arc = np.concatenate(([0], np.cumsum((radius[1:] + radius[:-1]) / 2) * (lat[1] - lat[0])))
    np.testing.assert_allclose(found[:, 1], np.degrees(np.interp(north / 0.9996, arc, lat)), atol=1e-8)


def there(crs: str, plan: Floats) -> Floats:
    """Longitudes and latitudes of a system that is known."""
    found = of(crs, plan)
    assert found is not None
    return found


def test_text_and_code_agree() -> None:
    plan = np.array([[300000.0, 5.2e6], [700000.0, 5.9e6]])
    np.testing.assert_allclose(there(UTM_WKT1, plan), there("EPSG:32633", plan), atol=1e-8)
    plan = np.array([[652000.0, 6.862e6], [900000.0, 6.2e6]])
    np.testing.assert_allclose(there(LAMBERT_WKT2, plan), there("epsg:2154", plan), atol=1e-8)


def test_south_of_the_equator_mirrors_the_north() -> None:
    north, south = of("EPSG:32623", np.array([[2e5, 1e6]])), of("EPSG:32723", np.array([[2e5, 9e6]]))
    assert north is not None
    assert south is not None
    np.testing.assert_allclose(south, north * (1, -1), atol=1e-9)


def test_a_cone_of_the_south_mirrors_one_of_the_north() -> None:
    one, two = (Projection("conic", s * 30, 10, 1, 0, 0, (s * 20, s * 40)) for s in (1, -1))
    plan = np.array([[1e5, 2e5], [-3e5, -1e5]])
    np.testing.assert_allclose(two.inverse(plan * (1, -1)), one.inverse(plan) * (1, -1), atol=1e-9)


def test_feet_and_degrees() -> None:
    feet = UTM_WKT1.replace('UNIT["metre",1]', 'UNIT["US survey foot",0.304800609601219]')
    feet = feet.replace("500000", repr(500000 / _FOOT))
    plan = np.array([[3e5, 5.2e6]])
    np.testing.assert_allclose(there(feet, plan / _FOOT), there(UTM_WKT1, plan), atol=1e-9)
    np.testing.assert_array_equal(of("EPSG:4326", np.array([[-5.0, 51.5]])), [[-5.0, 51.5]])


@pytest.mark.parametrize(
    ("crs", "place"),
    [
        (None, (0, 0)),
        ("EPSG:28992", (85000, 447400)),
        ("EPSG:4326", (85000, 447400)),
        ("EPSG:32633", (5e5, 5e12)),
        (UTM_WKT1.replace("6378137", "6377397.155"), (5e5, 5e6)),
        (UTM_WKT1.replace("Greenwich", "Paris").replace('Paris",0', 'Paris",2.3'), (5e5, 5e6)),
        (UTM_WKT1.replace("Transverse_Mercator", "Krovak"), (5e5, 5e6)),
        (UTM_WKT1[:150], (5e5, 5e6)),
        ("]]]]", (0, 0)),
        ('PROJCS["a",GEOGCS["b",DATUM["c",SPHEROID["d"]]]]', (0, 0)),
        ("nonsense", (0, 0)),
    ],
)
def test_what_is_not_known_is_none(crs: str | None, place: tuple[float, float]) -> None:
    assert of(crs, np.array([place], dtype=np.float64)) is None


def test_parse_reads_the_parameters() -> None:
    found = parse(UTM_WKT1)
    assert found is not None
    assert (found.kind, found.lon, found.scale, found.east) == ("transverse", 15.0, 0.9996, 500000.0)


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "1e999", "1" * 400, "90", "-90"])
@pytest.mark.parametrize("name", ["latitude_of_origin", "central_meridian", "scale_factor", "false_easting"])
def test_parameters_beyond_all_measure_give_no_place_or_a_finite_one(name: str, number: str) -> None:
    start = UTM_WKT1.index(f'"{name}",') + len(name) + 3
    text = UTM_WKT1[:start] + number + UTM_WKT1[UTM_WKT1.index("]", start) :]
    found = of(text, np.array([[500_000.0, 5_000_000.0]]))
    assert found is None or np.isfinite(found).all()
    conic = LAMBERT_WKT2.replace('standard parallel",49', f'standard parallel",{number}')
    found = of(conic, np.array([[700_000.0, 6_600_000.0]]))
    assert found is None or np.isfinite(found).all()


@pytest.mark.parametrize("depth", [39, 41, 1200, 20_000])
def test_a_text_of_any_depth_is_read_or_given_up(depth: int) -> None:
    deep = "A[" * depth + '"x"' + "]" * depth
    assert parse(deep) is None
    assert of(f"{UTM_WKT1[:-1]},{deep}]", np.zeros((1, 2))) is None or depth < 40
