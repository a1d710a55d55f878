"""Units of coordinate reference systems: which axis has which, where nothing is told, and what is no system at all."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from deburr.batch import vpc
from deburr.cli.main import cli
from deburr.core.cloud import Extent
from deburr.core.crs import lonlat, wkt
from deburr.core.crs import words as crs
from deburr.core.crs.same import one_system
from deburr.core.errors import SpecError
from deburr.core.stage import Outline
from deburr.formats.las.crs import is_epsg, read_crs, unfit_crs
from deburr.formats.las.records import Vlr
from deburr.pipeline import info, run
from deburr.pipeline.compatible import check_alike

WGS = 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],' \
      'UNIT["degree",0.0174532925199433]]'  # fmt: skip
UTM = f'PROJCS["WGS 84 / UTM zone 32N",{WGS},PROJECTION["Transverse_Mercator"],PARAMETER["central_meridian",9],' \
      'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],UNIT["metre",1],' \
      'AUTHORITY["EPSG","32632"]]'  # fmt: skip
UTM2 = 'PROJCRS["WGS 84 / UTM zone 32N",BASEGEOGCRS["WGS 84",DATUM["World Geodetic System 1984",' \
       'ELLIPSOID["WGS 84",6378137,298.257223563,LENGTHUNIT["metre",1]]]],CONVERSION["UTM zone 32N",' \
       'METHOD["Transverse Mercator"]],CS[Cartesian,2],AXIS["(E)",east,LENGTHUNIT["metre",1]],' \
       'AXIS["(N)",north,LENGTHUNIT["metre",1]],ID["EPSG",32632]]'  # fmt: skip
FEET_UP = 'VERT_CS["NAVD88 height (ftUS)",VERT_DATUM["NAVD88",2005],UNIT["US survey foot",0.304800609601219]]'
MIXED = f'COMPD_CS["mixed",{UTM},{FEET_UP}]'
EARTH = 'DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,298.257223563,LENGTHUNIT["metre",1]]],' \
        'PRIMEM["Greenwich",0,ANGLEUNIT["degree",0.0174532925199433]]'  # fmt: skip
GEOCENTRIC = f'GEODCRS["WGS 84",{EARTH},CS[Cartesian,3],AXIS["(X)",geocentricX,LENGTHUNIT["metre",1]],' \
             'AXIS["(Y)",geocentricY,LENGTHUNIT["metre",1]],AXIS["(Z)",geocentricZ,LENGTHUNIT["metre",1]]]'  # fmt: skip
GEOCCS = 'GEOCCS["WGS 84",DATUM["d",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["metre",1]]'
DEGREES3 = f'GEODCRS["WGS 84",{EARTH},CS[ellipsoidal,3],AXIS["latitude",north,' \
           'ANGLEUNIT["degree",0.0174532925199433]],' \
           'AXIS["longitude",east,ANGLEUNIT["degree",0.0174532925199433]],' \
           'AXIS["ellipsoidal height (h)",up,LENGTHUNIT["metre",1]]]'  # fmt: skip


@pytest.mark.parametrize(
    ("text", "plan", "height"),
    [
        (UTM, "metre", None),
        (UTM2, "metre", None),
        (MIXED, "metre", "US survey foot"),
        (GEOCENTRIC, "metre", "metre"),
        (GEOCCS, "metre", "metre"),
        (WGS, "degree", None),
        (DEGREES3, "degree", "metre"),
        ('PROJCS["x",UNIT["Foot_US",0.3048006096]]', "US survey foot", None),
        ('PROJCS["x",UNIT["feet",0.3048]]', "foot", None),
        ('PROJCS["x",UNIT["a stride",0.75]]', "a stride", None),
        ('PROJCS["x",UNIT["$\\frac{1}{2}$\x1b[2J",0.75]]', "0.75 m", None),
        ('PROJCS["x",UNIT["$x$",1e999]]', None, None),
        ('PROJCS["x",UNIT["x",-1]]', None, None),
        ("EPSG:7415", None, None),
        ("", None, None),
    ],
)
def test_each_axis_has_its_unit(text: str, plan: str | None, height: str | None) -> None:
    told = wkt.units(text)
    assert (told.plan and told.plan.name, told.height and told.height.name) == (plan, height)


def test_a_difference_is_said_with_its_factor() -> None:
    assert "multiply the heights by 0.30480061 first" in wkt.apart(wkt.units(MIXED))
    feet = f'COMPD_CS["x",PROJCS["y",UNIT["foot",0.3048]],{FEET_UP}]'
    assert "multiply the heights by 1.000002 first" in wkt.apart(wkt.units(feet))
    assert [wkt.apart(wkt.units(text)) for text in (UTM, GEOCENTRIC, DEGREES3, "")] == [""] * 4


def geo_keys(*pairs: tuple[int, int]) -> Vlr:
    numbers = [1, 1, 0, len(pairs), *(n for key, value in pairs for n in (key, 0, 1, value))]
    return Vlr(b"LASF_Projection", 34735, struct.pack(f"<{len(numbers)}H", *numbers))


@pytest.mark.parametrize(
    ("keys", "system", "plan", "height"),
    [
        ([(1024, 1), (3072, 26910), (3076, 9001), (4096, 5703), (4099, 9003)], "EPSG:26910", "metre", "US survey foot"),
        ([(1024, 1), (3072, 32632), (3076, 9001), (4099, 9001)], "EPSG:32632", "metre", "metre"),
        ([(1024, 1), (3072, 2903), (3076, 9003), (4096, 6360)], "EPSG:2903", "US survey foot", "US survey foot"),
        ([(1024, 2), (2048, 4326), (4099, 9001)], "EPSG:4326", "degree", "metre"),
        ([(1024, 3), (2048, 4978)], None, "metre", "metre"),
        ([(1024, 3), (2048, 4978), (2052, 9002)], None, "foot", "foot"),
    ],
)
def test_geotiff_keys_tell_both_units(keys: list[tuple[int, int]], system: str | None, plan: str, height: str) -> None:
    found, told = read_crs([geo_keys(*keys)])
    assert (found, told.plan and told.plan.name, told.height and told.height.name) == (system, plan, height)


def test_what_a_wkt_leaves_unsaid_the_keys_tell() -> None:
    text = Vlr(b"LASF_Projection", 2112, UTM.encode() + b"\0")
    _, told = read_crs([geo_keys((1024, 1), (3076, 9002), (4099, 9003)), text])
    assert (told.plan and told.plan.name, told.height and told.height.name) == ("metre", "US survey foot")


def outline(left: float, **told: str) -> Outline:
    extent = Extent(9, np.array([left, 0.0, 0.0]), np.array([left + 1, 1.0, 1.0]))
    return Outline(extent, told.pop("crs", "EPSG:32632"), told.pop("units", "metre"), "", **told)  # type: ignore[arg-type]


def test_heights_of_another_unit_are_refused_by_name() -> None:
    with pytest.raises(SpecError) as error:
        check_alike([("m", outline(0, height_units="metre")), ("ft", outline(5, height_units="US survey foot"))])
    assert str(error.value).startswith("ft: its heights are in US ft, and those of m in m; ")
    # What one file leaves unsaid is no contradiction.
    assert check_alike([("m", outline(0, height_units="metre")), ("other", outline(5))]) == []


def test_one_system_told_in_several_ways_is_one(tmp_path: Path) -> None:
    compound = f'COMPD_CS["x",{UTM},VERT_CS["NN height",VERT_DATUM["NN",2005],UNIT["metre",1]]]'
    ways = ["EPSG:32632", UTM, UTM2, compound]
    assert one_system(ways)
    assert one_system([])
    assert not one_system([*ways, UTM.replace("32632", "32633")])
    files = []
    for number, way in enumerate(ways):
        path = tmp_path / f"{number}.las"
        path.touch()
        low = (500000 + 10 * number, 5600000, 0)
        files.append(vpc.VpcEntry(path, 9, low, (low[0] + 9, 5600009, 1), way, {}))
    told = vpc.write(tmp_path / "all.vpc", files)
    assert [line for line in told if "CRS" in line.replace("set the layer's CRS", "")] == []
    other = vpc.VpcEntry(files[1].path, 9, (0, 0, 0), (9, 9, 9), "EPSG:25833", {})
    assert any("different CRS" in line for line in vpc.write(tmp_path / "all.vpc", [files[0], other]))


def test_systems_without_a_name_are_the_same_only_if_all_is() -> None:
    one, other = (f'PROJCS["unknown",{WGS},PARAMETER["central_meridian",{lon}],UNIT["metre",1]]' for lon in (9, 12))
    assert one_system([one, one.replace(",", ", ")])
    assert not one_system([one, other])


@pytest.mark.parametrize("text", [GEOCENTRIC, GEOCCS])
def test_geocentric_metres_are_lengths_everywhere(text: str, tmp_path: Path) -> None:
    plan = np.array([[4.0e6, 6.0e5], [4.00003e6, 6.0003e5]])
    assert lonlat.of(text, plan) is None
    assert lonlat.of(text, np.array([[4.0, 5.0]])) is None
    points = np.random.default_rng(0).uniform(0, 9, (300, 3)) + np.array([4e6, 6e5, 4.9e6])
    path = str(tmp_path / "x.las")
    run([{"type": "writers.las", "filename": path, "a_srs": text}], points=points)
    found = info.info(path)
    assert (found["unit"], found["height_unit"]) == ("m", "m")
    assert not any("degree" in warning for warning in found["warnings"])


def test_a_file_of_two_units_is_told_of(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 9, (300, 3))
    path = str(tmp_path / "x.las")
    run([{"type": "writers.las", "filename": path, "a_srs": MIXED}], points=points)
    found = info.info(path)
    assert (found["crs"], found["unit"], found["height_unit"]) == ("mixed", "m", "US ft")
    assert [w for w in found["warnings"] if "multiply the heights by 0.30480061 first" in w] == [found["warnings"][0]]
    assert dict(info.table(found))["z"].endswith(" US ft)")
    read = run([path, "filters.normalize"])
    assert any("heights in US survey foot" in w for w in read.report["stages"][0]["warnings"])
    # In a batch the head and the reader both know it; it is said once.
    done = CliRunner().invoke(cli, ["batch", '["filters.outlier"]', path, "--out", str(tmp_path / "out"), "--quiet"])
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("multiply the heights by 0.30480061 first") == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert sum("multiply the heights" in warning for warning in report["warnings"]) == 1


@pytest.mark.parametrize(
    ("text", "unit", "name"),
    [
        (None, "units", "none"),
        ("", "units", "none"),
        (None, "m", "unnamed"),
        ('PROJCS["unknown",UNIT["metre",1]]', "m", "unnamed"),
        ('LOCAL_CS["Unnamed",UNIT["metre",1]]', "m", "unnamed"),
        ('PROJCS["a\x1b[31m\nb",UNIT["metre",1]]', "m", "a\\x1b[31m\\nb"),
    ],
)
def test_a_system_without_a_name_and_no_system_are_told_apart(text: str | None, unit: str, name: str) -> None:
    assert crs.name(text, unit) == name


@pytest.mark.parametrize(
    "text",
    [
        "PROJCS[" * 1200 + "]" * 1200,
        "(" * 100_000,
        'PROJCS["x",' * 100 + "]" * 100,
        '"' * 99_999,
        "A[" + "B[],C[]," * 20_000 + "]",
        'PROJCS["x"',
        'PROJCS["x"]]',
        "]",
        "\0",
        f'PROJCS["{"x" * 200_000}"]',
    ],
)
def test_what_is_no_system_is_none(text: str) -> None:
    assert wkt.parse(text) is None
    assert (wkt.units(text), lonlat.parse(text), lonlat.of(text, np.zeros((1, 2)))) == (wkt.Units(), None, None)
    assert not one_system([text, UTM])
    assert len(unfit_crs("a_srs", text)) == 1
    assert len(unfit_crs("a_srs", text)[0]) < 300


@pytest.mark.parametrize("value", ["1e999", "-1e999", "nan", "1e308", "-1", "0", "1" * 400, "x", "", "1e-320"])
@pytest.mark.parametrize(
    "number",
    ['"scale_factor",0.9996', '"WGS 84",6378137', "6378137,298.257223563", '"metre",1', '"central_meridian",9'],
)
def test_absurd_parameters_give_no_place(value: str, number: str) -> None:
    text = UTM.replace(number, f"{number.partition(',')[0]},{value}")
    assert text != UTM
    found = lonlat.of(text, np.array([[5e5, 5.6e6]]))
    assert found is None or (np.isfinite(found).all() and (abs(found) <= (180, 90)).all())


def test_codes_are_those_that_a_file_can_hold() -> None:
    assert [is_epsg(f"EPSG:{code}") for code in ("1", "32766", "0", "32767", "99999", "٣٢", "-1")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
    (problem,) = unfit_crs("a_srs", "PROJCS[\ud800]")
    assert "letters that no text may hold" in problem
    assert math.isclose(wkt.length("US survey foot").metres or 0, 0.3048006096012192)  # type: ignore[union-attr]
