"""PROJ strings become the WKT that GDAL makes of them."""

from __future__ import annotations

import pytest

from deburr.formats.las.crs import given_crs, wkt_unit
from deburr.formats.las.proj import is_proj, proj_crs

GREENWICH = 'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]'
GRS80 = f'DATUM["Unknown based on GRS 1980 ellipsoid",SPHEROID["GRS 1980",6378137,298.257222101]],{GREENWICH}'


def test_a_zone_of_utm() -> None:
    # As `gdalsrsinfo -o wkt1` of GDAL 3 has it, on one line.
    assert proj_crs("+proj=utm +zone=32 +ellps=GRS80 +units=m +no_defs") == (
        f'PROJCS["unknown",GEOGCS["unknown",{GRS80}],PROJECTION["Transverse_Mercator"],'
        'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",9],PARAMETER["scale_factor",0.9996],'
        'PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1],'
        'AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    )


@pytest.mark.parametrize(
    ("text", "crs"),
    [
        ("+init=epsg:25832", "EPSG:25832"),
        ("+proj=utm +zone=33 +datum=WGS84 +units=m +no_defs", "EPSG:32633"),
        ("+proj=utm +zone=33 +south +datum=WGS84", "EPSG:32733"),
    ],
)
def test_what_has_a_code_is_that_code(text: str, crs: str) -> None:
    assert proj_crs(text) == crs == given_crs(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "+proj=lcc +lat_1=49 +lat_2=44 +lat_0=46.5 +lon_0=3 +x_0=700000 +y_0=6600000 +ellps=GRS80 "
            "+towgs84=0,0,0,0,0,0,0 +units=m +no_defs +type=crs",
            (
                'PROJECTION["Lambert_Conformal_Conic_2SP"],PARAMETER["standard_parallel_1",49],'
                'PARAMETER["standard_parallel_2",44],PARAMETER["latitude_of_origin",46.5],'
                'PARAMETER["central_meridian",3],PARAMETER["false_easting",700000],PARAMETER["false_northing",6600000]',
                ",TOWGS84[0,0,0,0,0,0,0]]",
            ),
        ),
        (
            "+proj=lcc +lat_1=46.8 +lat_0=46.8 +lon_0=0 +k_0=0.99987742 +x_0=600000 +y_0=2200000 +ellps=clrk80ign",
            ('PROJECTION["Lambert_Conformal_Conic_1SP"],PARAMETER["latitude_of_origin",46.8]', "0.99987742]"),
        ),
        (
            "+proj=tmerc +lat_0=0 +lon_0=9 +k=1 +x_0=3500000 +y_0=0 +ellps=bessel +units=us-ft",
            ('PARAMETER["scale_factor",1]', 'SPHEROID["Bessel 1841",6377397.155', 'UNIT["US survey foot",0.30480060'),
        ),
    ],
)
def test_projections(text: str, parts: tuple[str, ...]) -> None:
    wkt = proj_crs(text)
    assert all(part in wkt for part in parts), wkt
    assert wkt.count("[") == wkt.count("]")
    assert wkt_unit(wkt) == ("US survey foot" if "us-ft" in text else "metre")


def test_degrees() -> None:
    assert proj_crs("+proj=longlat +datum=WGS84 +no_defs") == (
        f'GEOGCS["unknown",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],{GREENWICH}]'
    )
    assert wkt_unit(proj_crs("+proj=longlat +a=6378000 +b=6378000")) == "degree"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("+proj=robin", "the projection 'robin' is not known"),
        ("+proj=utm", "'\\+zone' must be from 1 to 60"),
        ("+proj=utm +zone=32 +nadgrids=@null", "'\\+nadgrids' is not known"),
        ("+proj=tmerc +lon_0=9d30'E", "'\\+lon_0' must be a number"),
        ("+proj=tmerc +units=link", "'\\+units=link' is not known"),
        ("+proj=tmerc +ellps=moon", "'\\+ellps=moon' is not known"),
        ("+init=esri:102100", "names no EPSG code"),
        ("EPSG:99999", "a place for EPSG codes"),
        ("EPSG:25832+99999", "a place for EPSG codes"),
        ("UTM 32", "none of them"),
    ],
)
def test_what_cannot_be_said_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        given_crs(text)
    assert is_proj(text) == text.startswith("+")
