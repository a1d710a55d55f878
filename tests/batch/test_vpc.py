"""Virtual point clouds: written and read again, what QGIS, pdal_wrench and STAC ask of them, and damaged ones."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deburr.batch import lists, vpc
from deburr.batch.vpc import VpcEntry
from deburr.core.errors import ReadError, WriteError

DIMS = {"Intensity": "uint16", "ScanAngleRank": "<f4", "GpsTime": "float64", "Deviation": "int16", "Withheld": "bool"}


def _entry(path: Path, crs: str | None = "EPSG:32633", **other: Any) -> VpcEntry:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"points")
    os.utime(path, (86400, 86400))
    told = {"count": 7, "low": (500000.0, 0.0, -1.5), "high": (500100.0, 200.0, 30.0), "dims": DIMS}
    return VpcEntry(path=path, crs=crs, **{**told, **other})


def _items(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["type"] == "FeatureCollection"
    return list(found["features"])


def _text(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def _naming(*hrefs: str) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": [{"assets": {"data": {"href": href}}} for href in hrefs]}


def test_written_and_read_again_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["out/b 1.copc.laz", "out/Überflug 100%.laz", "other/日本.las", "b%201.laz", "out/b 1.las"]
    entries = [_entry(tmp_path / name) for name in names]
    target = tmp_path / "out" / "alle.vpc"
    vpc.write(target, entries)
    hrefs = [item["assets"]["data"]["href"] for item in _items(target)]
    assert hrefs == [
        "./b 1.copc.laz",
        "./Überflug 100%.laz",
        "./../other/日本.las",
        "./../b%201.laz",
        "./b 1.las",
    ]
    monkeypatch.chdir("/")
    assert lists.read(target) == [tmp_path / name for name in names]
    monkeypatch.chdir(tmp_path / "other")
    assert lists.read("../out/alle.vpc") == [tmp_path / name for name in names]
    # A folder moved as a whole stays readable.
    os.rename(tmp_path, tmp_path.with_name("moved"))
    moved = tmp_path.with_name("moved")
    assert lists.read(moved / "out" / "alle.vpc") == [moved / name for name in names]


def test_relative_inputs_and_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _entry(tmp_path / "in" / "a.laz")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    vpc.write("deep/er/a.vpc", [_entry(Path("in/a.laz"))])
    assert _items(Path("deep/er/a.vpc"))[0]["assets"]["data"]["href"] == "./../../in/a.laz"
    assert lists.read("deep/er/a.vpc") == [tmp_path / "in" / "a.laz"]


def test_an_item_holds_what_its_readers_need(tmp_path: Path) -> None:
    warnings = vpc.write(tmp_path / "a.vpc", [_entry(tmp_path / "a.copc.laz")])
    assert warnings == []
    (item,) = _items(tmp_path / "a.vpc")
    properties = item["properties"]
    # STAC 1.0.0, item and both extensions.
    assert item.keys() >= {"stac_version", "stac_extensions", "type", "id", "geometry", "bbox", "links", "assets"}
    assert (item["type"], item["stac_version"], item["id"], item["links"]) == ("Feature", "1.0.0", "a", [])
    assert properties["datetime"] == "1970-01-02T00:00:00Z"
    assert (properties["pc:count"], properties["pc:type"], properties["pc:encoding"]) == (7, "lidar", "LASzip")
    assert item["assets"]["data"]["roles"] == ["data"]
    # The projection extension; QGIS and pdal_wrench take the places of minima and maxima for granted.
    assert properties["proj:bbox"] == [500000.0, 0.0, -1.5, 500100.0, 200.0, 30.0]
    assert (properties["proj:epsg"], properties["proj:wkt2"]) == (32633, "")
    ring = properties["proj:geometry"]["coordinates"][0]
    assert ring == [[500000, 0], [500100, 0], [500100, 200], [500000, 200], [500000, 0]]
    # pdal_wrench stops at statistics that lack a figure; without them it goes on.
    assert "pc:statistics" not in properties
    # 100 m of easting and 200 m of northing at 15 degrees east on the equator, where the scale is 0.9996:
    # a degree is 111319.49 m of longitude and 110574.28 m of latitude.
    west, south, east, north = item["bbox"]
    assert (west, south) == (15.0, 0.0)
    assert east == pytest.approx(15 + 100 / 0.9996 / 111319.4908, abs=1e-8)
    assert north == pytest.approx(200 / 0.9996 / 110574.2758, abs=1e-8)
    outline = item["geometry"]["coordinates"][0]
    assert item["geometry"]["type"] == "Polygon"
    assert (len(outline), outline[0], outline[-1]) == (5, [west, south], [west, south])
    area = sum(a[0] * b[1] - a[1] * b[0] for a, b in pairwise(outline)) / 2
    assert area > 0, "GeoJSON wants its rings counterclockwise"


def test_schemas_name_every_dimension(tmp_path: Path) -> None:
    vpc.write(tmp_path / "a.vpc", [_entry(tmp_path / "a.copc.laz")])
    told = {
        each["name"]: (each["type"], each["size"]) for each in _items(tmp_path / "a.vpc")[0]["properties"]["pc:schemas"]
    }
    assert told == {
        **dict.fromkeys("XYZ", ("floating", 8)),
        "Intensity": ("unsigned", 2),
        "ScanAngleRank": ("floating", 4),
        "GpsTime": ("floating", 8),
        "Deviation": ("signed", 2),
        "Withheld": ("unsigned", 1),
    }


@pytest.mark.parametrize(
    ("crs", "warned"),
    [(None, False), ("EPSG:28992", True), ('PROJCS["RD",GEOGCS["Amersfoort",DATUM["x"]]]', True)],
)
def test_without_longitudes_the_outline_is_in_own_coordinates_and_no_crs_is_told(
    tmp_path: Path, crs: str | None, warned: bool
) -> None:
    warnings = vpc.write(tmp_path / "a.vpc", [_entry(tmp_path / "a.copc.laz", crs)])
    (item,) = _items(tmp_path / "a.vpc")
    assert item["geometry"] == item["properties"]["proj:geometry"]
    assert item["bbox"] == [500000.0, 0.0, 500100.0, 200.0]
    # With a CRS, QGIS would transform the outline as if it were degrees, and leave the file out.
    assert item["properties"]["proj:wkt2"] == ""
    assert "proj:epsg" not in item["properties"]
    assert [("set the layer's CRS in QGIS" in warning) for warning in warnings] == [True] * warned


def test_wkt_is_told_as_it_is(tmp_path: Path) -> None:
    wkt = (
        'PROJCS["WGS 84 / UTM zone 33N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
        'PARAMETER["central_meridian",15],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
        'UNIT["metre",1]]'
    )
    vpc.write(tmp_path / "a.vpc", [_entry(tmp_path / "a.copc.laz", wkt)])
    (item,) = _items(tmp_path / "a.vpc")
    assert item["properties"]["proj:wkt2"] == wkt
    assert item["bbox"][0] == pytest.approx(15.0)


def test_warnings_for_empty_files_mixed_crs_and_files_qgis_does_not_draw(tmp_path: Path) -> None:
    inf = float("inf")
    entries = [
        _entry(tmp_path / "a.laz"),
        _entry(tmp_path / "b.laz", "EPSG:32632"),
        _entry(tmp_path / "c.laz", count=0, low=(inf,) * 3, high=(-inf,) * 3),
    ]
    warnings = vpc.write(tmp_path / "a.vpc", entries)
    assert [warning.split(": ", 1)[1] for warning in warnings] == [
        "1 of 3 files have no points and are not listed",
        "its files have different CRS; QGIS shows them all in that of the first",
        "QGIS draws points of COPC files, and of other files their outlines",
    ]
    assert lists.read(tmp_path / "a.vpc") == [tmp_path / "a.laz", tmp_path / "b.laz"]


def test_ids_are_unique(tmp_path: Path) -> None:
    entries = [_entry(tmp_path / name) for name in ("x/a.laz", "y/a.laz", "b.laz")]
    vpc.write(tmp_path / "a.vpc", entries)
    assert [item["id"] for item in _items(tmp_path / "a.vpc")] == ["x/a.laz", "y/a.laz", "b"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.vpc").write_text("before")
    entry = _entry(tmp_path / "a.laz")
    entry.path.unlink()
    with pytest.raises(WriteError, match=r"a\.laz: cannot be listed .* write it first"):
        vpc.write(tmp_path / "a.vpc", [entry])
    assert os.listdir(tmp_path) == ["a.vpc"]
    assert (tmp_path / "a.vpc").read_text() == "before"
    with pytest.raises(WriteError, match=r"must end in \.vpc"):
        vpc.write(tmp_path / "a.json", [])


def test_links_as_others_write_them(tmp_path: Path) -> None:
    files = [tmp_path / "a b.laz", tmp_path / "c.laz", tmp_path / "ä.laz"]
    for file in files:
        file.write_bytes(b"")
    hrefs = ["a%20b.laz", str(files[1]), files[2].as_uri(), "./c.laz"]
    assert lists.read(_text(tmp_path / "a.vpc", _naming(*hrefs))) == [*files, files[1]]


def test_the_asset_of_the_points_is_taken(tmp_path: Path) -> None:
    for name in ("points.laz", "thin.laz"):
        (tmp_path / name).write_bytes(b"")
    overview = {"href": "./thin.laz", "roles": ["overview"]}
    points = {"href": "./points.laz", "roles": ["data"]}
    features = [
        {"assets": {"overview": overview, "laz": points}},
        {"assets": {"other": overview | {"roles": []}, "data": points}},
    ]
    told = _text(tmp_path / "a.vpc", {"type": "FeatureCollection", "features": features})
    assert lists.read(told) == [tmp_path / "points.laz"] * 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("PK\x03\x04more", "unzip it"),
        ([], "type is not FeatureCollection"),
        ({"type": "Feature"}, "type is not FeatureCollection"),
        ({"type": "FeatureCollection"}, "names no files"),
        ({"type": "FeatureCollection", "features": {}}, "names no files"),
        ({"type": "FeatureCollection", "features": []}, "names no files"),
        ({"type": "FeatureCollection", "features": [1]}, "item 1 has no file"),
        ({"type": "FeatureCollection", "features": [{"assets": {"a": {"href": 1}}}]}, "item 1 has no file"),
        (_naming("https://example.org/a\n.copc.laz"), "which is no path"),
        (_naming("a\0.laz"), "which is no path"),
        (_naming("file://[x"), "item 1 names 'file://.x', which is no path"),
        (_naming("x" * 5000), "item 1 names 'x{80}[.]{3}', which is no path"),
        (_naming("x" * 300), "which cannot be found"),
        (_naming("\ud800.laz"), "which is no path"),
        (_naming("./gone.laz"), r"gone\.laz, which cannot be found"),
        (_naming("./gone.laz", "2", "3"), r"gone\.laz and 2 others, which cannot be found"),
    ],
)
def test_damaged_ones_are_refused_in_a_sentence(tmp_path: Path, content: Any, sentence: str) -> None:
    path = _text(tmp_path / "a.vpc", content)
    with pytest.raises(ReadError, match=sentence) as caught:
        lists.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_unreadable_and_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReadError, match=r"none\.vpc: cannot be read \(No such file"):
        lists.read(tmp_path / "none.vpc")
    with pytest.raises(ReadError, match="cannot be read"):
        lists.read(tmp_path)
    monkeypatch.setattr(lists, "_LARGEST", 10)
    with pytest.raises(ReadError, match="too large for a virtual point cloud"):
        lists.read(_text(tmp_path / "a.vpc", _naming("a.laz")))
