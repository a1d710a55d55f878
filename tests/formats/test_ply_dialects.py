"""Names that programs give to the properties of a PLY: which dimensions they are, and by which they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.core.cloud import PointCloud
from deburr.formats.ply.dialects import cloudcompare_name, dimension, dimensions, pdal_name, programs
from deburr.pipeline import run
from deburr.readers.ply import Ply as Reader
from deburr.writers.ply import Ply as Writer

#: Headers as programs write them, and the dimensions that they hold.
HEADERS = {
    "CloudCompare 2.11": (
        ["float scalar_Classification", "float scalar_Return_Number", "float scalar_[Classif]_Withheld_flag",
         "float scalar_Scalar_field", "uchar red"],
        ["Classification", "ReturnNumber", "Withheld", "scalar_Scalar_field", "Red"],
    ),
    "CloudCompare 2.13": (
        ["float scalar_Point_Source_ID", "float scalar_Keypoint_Flag", "double scalar_Gps_Time",
         "float scalar_Number_Of_Returns", "float scalar_Near_Infrared"],
        ["PointSourceId", "KeyPoint", "GpsTime", "NumberOfReturns", "Infrared"],
    ),
    "Metashape": (
        ["float nx", "uchar red", "uchar class", "uchar confidence"],
        ["NormalX", "Red", "Classification", "confidence"],
    ),
    "MeshLab": (["uchar alpha", "int flags", "float quality", "float radius"], ["Alpha", "flags", "quality", "radius"]),
    "laspy's names": (["uchar number_of_returns", "double gps_time"], ["NumberOfReturns", "GpsTime"]),
    "splats": (
        ["float nx", "float f_dc_0", "float f_rest_44", "float opacity", "float scale_0", "float rot_3"],
        ["NormalX", "f_dc_0", "f_rest_44", "opacity", "scale_0", "rot_3"],
    ),
    "both": (["float scalar_Intensity", "ushort intensity"], ["scalar_Intensity", "Intensity"]),
}  # fmt: skip


def made(path: Path, properties: list[str], rows: str, count: int) -> str:
    names = "".join(f"property {name}\n" for name in ("double x", "double y", "double z", *properties))
    path.write_text(f"ply\nformat ascii 1.0\nelement vertex {count}\n{names}end_header\n{rows}")
    return str(path)


@pytest.mark.parametrize("program", HEADERS)
def test_headers_of_programs(tmp_path: Path, program: str) -> None:
    properties, dims = HEADERS[program]
    row = " ".join(str(i) for i in range(3 + len(properties))) + "\n"
    source = made(tmp_path / "in.ply", properties, row, 1)
    cloud = Reader(filename=source).read()
    assert list(cloud.dims) == dims
    assert [column.tolist() for column in cloud.dims.values()] == [[3 + i] for i in range(len(dims))]
    Writer(filename=str(tmp_path / "out.ply")).write(cloud)
    assert (tmp_path / "out.ply").read_text() == (tmp_path / "in.ply").read_text()


def test_every_row_is_of_use() -> None:
    for program, name, dim in programs():
        assert program
        assert dimension(name) == dimension(f"scalar_{name}") == dim
        assert dimension(pdal_name(dim)) == dimension(cloudcompare_name(dim)) == dim


@given(
    st.lists(
        st.sampled_from(["red", "Red", "RED", "diffuse_red", "scalar_Red", "scalar_red", "r_e_d", "class", "own", "_"])
        | st.text(max_size=6),
        unique=True,
    )
)
def test_each_property_is_one_dimension(names: list[str]) -> None:
    found = dimensions(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(dim in (name, dimension(name)) for name, dim in found.items())


@pytest.mark.parametrize(("name", "value"), [("float scalar_Classification", 7), ("float scalar_Classification", 18),
                                             ("float scalar_Withheld_Flag", 1), ("uchar class", 7)])  # fmt: skip
def test_noise_and_withheld_points_of_other_programs_are_not_moved(tmp_path: Path, name: str, value: int) -> None:
    random = np.random.default_rng(2)
    xyz = np.column_stack([random.uniform(0, 5, (800, 2)), random.normal(0, 0.05, 800)])
    rows = "".join(f"{x} {y} {z} {value if i < 20 else 0}\n" for i, (x, y, z) in enumerate(xyz.tolist()))
    source = made(tmp_path / "in.ply", [name], rows, 800)
    run([source, {"type": "filters.spd", "noise": 0.05}, str(tmp_path / "out.ply")])
    before, after = ((tmp_path / f"{one}.ply").read_text().splitlines() for one in ("in", "out"))
    assert before[:28] == after[:28]
    assert sum(a != b for a, b in zip(before[28:], after[28:], strict=True)) > 700


def lidar() -> PointCloud:
    dims = {
        "Classification": np.array([2, 7, 18], np.uint8),
        "GpsTime": np.array([1e9 + 0.25, 0.0, 1.0]),
        "NormalX": np.zeros(3, np.float32),
        "Red": np.array([0, 256, 65535], np.uint16),
        "Green": np.array([0, 1, 255], np.uint16),
        "my own": np.array([1, 2, 3], np.int64),
    }
    return PointCloud(np.array([[500_000.25, 5_400_000.5, 1.0], [1, 2, 3], [4, 5, 6]]), dims)


def header_of(path: Path) -> list[str]:
    lines = path.read_bytes().split(b"end_header")[0].decode().splitlines()
    return [line.split(" ", 1)[1] for line in lines if line.startswith("property")]


def test_cloudcompares_names_for_a_cloud_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "out.ply"
    written = Writer(filename=str(path), dialect="cloudcompare").write(lidar())
    assert header_of(path) == [
        "double x", "double y", "double z", "uchar scalar_Classification", "double scalar_GpsTime", "float nx",
        "uchar red", "uchar green", "int scalar_my_own",
    ]  # fmt: skip
    (warning,) = written.history[-1].warnings
    assert "'red'" in warning
    assert "8 bits" in warning
    again = Reader(filename=str(path)).read()
    assert again.dims["Red"].tolist() == [0, 1, 255]
    assert again.dims["Green"].tolist() == [0, 1, 255]
    assert again.dims["GpsTime"].tolist() == [1e9 + 0.25, 0.0, 1.0]
    assert again.xyz.tolist() == lidar().xyz.tolist()


def test_names_are_translated_between_dialects(tmp_path: Path) -> None:
    properties = [
        "float scalar_Classification",
        "float scalar_Return_Number",
        "float scalar_Mine",
        "list uchar int seen",
    ]
    source = made(tmp_path / "in.ply", properties, "0 0 0 2 1 5 1 9\n", 1)
    first, second = tmp_path / "pdal.ply", tmp_path / "cc.ply"
    Writer(filename=str(first), dialect="pdal").write(Reader(filename=source).read())
    named = ["float classification", "float returnnumber", "float scalar_Mine", "list uchar int seen"]
    assert header_of(first)[3:] == named
    Writer(filename=str(second), dialect="cloudcompare").write(Reader(filename=str(first)).read())
    named = ["float scalar_Classification", "float scalar_ReturnNumber", "float scalar_Mine", "list uchar int seen"]
    assert header_of(second)[3:] == named


def test_what_is_added_to_a_cloud_of_cloudcompares_is_seen_there(tmp_path: Path) -> None:
    source = made(tmp_path / "in.ply", ["float scalar_Mine"], "0 0 0 2\n", 1)
    cloud = Reader(filename=source).read().with_dims({"NoiseLevel": np.zeros(1, np.float32)})
    Writer(filename=str(tmp_path / "out.ply")).write(cloud)
    assert header_of(tmp_path / "out.ply")[3:] == ["float scalar_Mine", "float scalar_NoiseLevel"]
    Writer(filename=str(tmp_path / "out.ply"), dialect="pdal").write(cloud)
    assert header_of(tmp_path / "out.ply")[3:] == ["float scalar_Mine", "float NoiseLevel"]


def test_names_that_become_equal_stay_apart(tmp_path: Path) -> None:
    source = made(tmp_path / "in.ply", ["float scalar_Intensity", "ushort intensity"], "0 0 0 2.5 7\n", 1)
    Writer(filename=str(tmp_path / "out.ply"), dialect="cloudcompare").write(Reader(filename=source).read())
    assert header_of(tmp_path / "out.ply")[3:] == ["float scalar_Intensity", "ushort scalar_Intensity_"]
