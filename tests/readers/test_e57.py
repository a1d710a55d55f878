"""readers.e57: points of all scans in the world, and what their fields become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e57_files import integer, made

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.formats.e57.records import Field
from deburr.pipeline import info
from deburr.readers.e57 import E57

DOUBLES = [Field(f"cartesian{axis}", "double") for axis in "XYZ"]
#: A quarter turn about z.
TURN = (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))


def places(*points: tuple[float, float, float]) -> dict[Field, Any]:
    return dict(zip(DOUBLES, np.array(points, float).T, strict=True))


def read(folder: Path, *args: Any, missing: Any = "keep", **options: Any) -> PointCloud:
    path = folder / "in.e57"
    path.write_bytes(made(*args, **options))
    return E57(filename=str(path), missing=missing).read()


def test_scans_stand_where_their_poses_say(tmp_path: Path) -> None:
    scans = [places((1, 2, 3), (0, 0, 0)), places((4, 5, 6))]
    cloud = read(tmp_path, scans, [(*TURN, 500_000.0, 5_400_000.0, 100.0), None])
    assert np.abs(cloud.xyz - [[499_998, 5_400_001, 103], [500_000, 5_400_000, 100], [4, 5, 6]]).max() < 1e-9
    assert cloud.xyz[2].tolist() == [4, 5, 6]
    assert cloud.dims["PointSourceId"].tolist() == [1, 1, 2]
    assert cloud.dims["PointSourceId"].dtype == np.uint16
    assert cloud.history[0].figures == {
        "points": 3, "units": "metre", "scans": 2, "poses": 1, "precision": "double", "images": 0,
    }  # fmt: skip


def test_steps_and_what_they_mean(tmp_path: Path) -> None:
    scan = {integer(f"cartesian{axis}", -10, 10, 0.5, 100.0): [-10, 3] for axis in "XYZ"}
    cloud = read(tmp_path, [scan])
    assert cloud.xyz.tolist() == [[95.0] * 3, [101.5] * 3]
    assert cloud.history[0].figures["precision"] == "whole steps of 0.5 m"


def test_ranges_and_angles(tmp_path: Path) -> None:
    fields = [Field(f"spherical{name}", "double") for name in ("Range", "Azimuth", "Elevation")]
    scan = dict(zip(fields, ([2.0, 3.0], [np.pi / 2, np.pi], [np.pi / 6, 0.0]), strict=True))
    cloud = read(tmp_path, [scan])
    assert cloud.xyz == pytest.approx(np.array([[0, np.sqrt(3), 1], [-3, 0, 0]]), abs=1e-12)


def test_fields_become_dimensions(tmp_path: Path) -> None:
    scan = {
        **places((0, 0, 1), (0, 0, 2), (0, 0, 3)),
        integer("intensity", 0, 4095): [0, 5, 4095],
        integer("colorRed", 0, 255): [1, 2, 255],
        integer("rowIndex", 0, 70_000): [0, 1, 70_000],
        integer("returnIndex", 0, 4): [0, 1, 4],
        integer("returnCount", 1, 5): [1, 2, 5],
        integer("cartesianInvalidState", 0, 2): [0, 1, 2],
        Field("timeStamp", "double"): [0.5, 1.5, 2.5],
        Field("x:mine", "single"): [0.25, 1, 2],
        integer("x:tenths", -5, 5, 0.1): [-5, 0, 5],
        integer("deburr:Classification", 0, 255): [2, 7, 18],
    }
    cloud = read(tmp_path, [scan])
    found = {name: (column.dtype.str[1:], column.tolist()) for name, column in cloud.dims.items()}
    assert found == {
        "Intensity": ("u2", [0, 5, 4095]),
        "Red": ("u1", [1, 2, 255]),
        "rowIndex": ("u4", [0, 1, 70_000]),
        "ReturnNumber": ("u1", [1, 2, 5]),
        "NumberOfReturns": ("u1", [1, 2, 5]),
        "Withheld": ("u1", [0, 1, 1]),
        "GpsTime": ("f8", [0.5, 1.5, 2.5]),
        "x:mine": ("f4", [0.25, 1, 2]),
        "x:tenths": ("f8", [-0.5, 0, 0.5]),
        "Classification": ("u1", [2, 7, 18]),
        "PointSourceId": ("u2", [1, 1, 1]),
    }
    (warning,) = cloud.history[0].warnings
    assert "2 of 3 points are invalid" in warning
    assert cloud.active.tolist() == [True, False, False]


def test_invalid_points_may_go(tmp_path: Path) -> None:
    scan = {**places((0, 0, 1), (9, 9, 9), (0, 0, 3)), integer("cartesianInvalidState", 0, 2): [0, 2, 0]}
    cloud = read(tmp_path, [scan], missing="drop")
    assert cloud.rows.tolist() == [0, 2]
    assert cloud.extent.high.tolist() == [0, 0, 3]


def test_intensities_of_all_scans_are_spread_alike(tmp_path: Path) -> None:
    intensity = Field("intensity", "single")
    limits = (
        '<intensityLimits type="Structure"><intensityMinimum type="Float">-1</intensityMinimum>'
        '<intensityMaximum type="ScaledInteger" scale="0.5">{}</intensityMaximum></intensityLimits>'
    )
    scans = [{**places((0, 0, 0), (1, 0, 0)), intensity: [-1.0, 2.0]}, {**places((0, 0, 0)), intensity: [0.5]}]
    told = read(tmp_path, scans, more=limits.format(4))
    # From -1 to 2: half way is 0.5.
    assert told.dims["Intensity"].tolist() == [0, 65535, 32768]
    assert read(tmp_path, scans).dims["Intensity"].tolist() == [0, 65535, 32768]


def test_normals_turn_with_their_scan(tmp_path: Path) -> None:
    normals = {Field(f"nor:normal{axis}", "single"): [float(axis == "X")] for axis in "XYZ"}
    cloud = read(tmp_path, [{**places((1, 0, 0)), **normals}], [(*TURN, 0, 0, 0)])
    turned = [cloud.dims[f"Normal{axis}"][0] for axis in "XYZ"]
    assert turned == pytest.approx([0, 1, 0], abs=1e-12)


def test_scans_with_different_fields(tmp_path: Path) -> None:
    scans = [{**places((0, 0, 0)), integer("colorRed", 0, 255): [9]}, places((1, 1, 1)), places((2, 2, 2))]
    assert read(tmp_path, scans).dims["Red"].tolist() == [9, 0, 0]


@pytest.mark.parametrize(
    ("text", "crs"), [("EPSG:25832", "EPSG:25832"), ('PROJCS["a"]', 'PROJCS["a"]'), ("Bonn", None), ("", None)]
)
def test_systems_of_coordinates(tmp_path: Path, text: str, crs: str | None) -> None:
    assert read(tmp_path, [places((0, 0, 0))], crs=text.replace('"', "&quot;")).crs == crs


def test_no_scan_and_no_point_are_clouds(tmp_path: Path) -> None:
    assert len(read(tmp_path, [])) == 0
    assert len(read(tmp_path, [{field: [] for field in DOUBLES}])) == 0


@pytest.mark.parametrize("pose", [(0.0, 0, 0, 0, 1, 2, 3), ("x", 0, 0, 0, 1, 2, 3), (1, 0, 0, 0, "nan", 2, 3)])
def test_poses_that_are_none(tmp_path: Path, pose: tuple[Any, ...]) -> None:
    with pytest.raises(ReadError, match="pose"):
        read(tmp_path, [places((0, 0, 0))], [pose])


def test_info_says_what_is_in_it(tmp_path: Path) -> None:
    read(tmp_path, [places((0, 0, 0)), places((1, 1, 1))], [(*TURN, 1, 2, 3)], image=b"jpeg")
    rows = dict(info.table(info.info(str(tmp_path / "in.e57"))))
    assert rows["scans"] == "2, 1 of them with a pose"
    assert rows["coordinates"] == "double"
    assert rows["images"] == "1"
    assert info.outlined(str(tmp_path / "in.e57"))["unit"] == "m"
    assert rows["x"].endswith("m)")


def test_a_file_of_libe57s_own(tmp_path: Path) -> None:
    """Written by the library that most programs use: scaled steps, doubles, bits across packets."""
    pye57 = pytest.importorskip("pye57")
    path, count = tmp_path / "in.e57", 30_001
    random = np.random.default_rng(0)
    data = {f"cartesian{axis}": random.uniform(-9, 9, count) for axis in "XYZ"}
    data |= {"intensity": random.uniform(0, 1, count).astype(np.float32)}
    data |= {f"color{name}": random.integers(0, 256, count).astype(np.uint8) for name in ("Red", "Green", "Blue")}
    data |= {"rowIndex": random.integers(0, 1000, count).astype(np.uint16)}
    data |= {"columnIndex": random.integers(0, 3, count).astype(np.uint16)}
    data |= {"cartesianInvalidState": random.integers(0, 2, count).astype(np.int8)}
    rotation = np.array([0.5, 0.5, 0.5, 0.5])
    with pye57.E57(str(path), mode="w") as file:
        for number in range(2):
            file.write_scan_raw(data, rotation=rotation, translation=np.array([number, 2.0, 3.0]))
    cloud = E57(filename=str(path)).read()
    assert len(cloud) == 2 * count
    with pye57.E57(str(path)) as file:
        for number in range(2):
            raw = file.read_scan_raw(number)
            header = file.get_header(number)
            local = np.stack([raw[f"cartesian{axis}"] for axis in "XYZ"], axis=1)
            world = local @ header.rotation_matrix.T + header.translation
            rows = slice(number * count, (number + 1) * count)
            assert np.abs(cloud.xyz[rows] - world).max() < 1e-12
            for name, dim in (("colorRed", "Red"), ("rowIndex", "rowIndex"), ("columnIndex", "columnIndex")):
                assert (cloud.dims[dim][rows] == raw[name]).all(), name
            assert (cloud.dims["Withheld"][rows] == raw["cartesianInvalidState"]).all()
            source = cloud.source.scans[number]  # type: ignore[attr-defined]
            assert source.raw["intensity"].tobytes() == raw["intensity"].tobytes()
