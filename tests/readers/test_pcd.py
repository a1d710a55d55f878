"""readers.pcd: all encodings and fields, and what is said of files that make no sense."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from pcds import Columns, pcd, pcds

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.formats.pcd.file import load
from deburr.pipeline import info
from deburr.readers.pcd import Pcd

XYZ = [(name, np.arange(4, dtype="<f4") + i) for i, name in enumerate("xyz")]
KINDS = ["ascii", "binary", "binary_compressed"]


def read(folder: Path, data: bytes, **options: object) -> PointCloud:
    path = folder / "in.pcd"
    path.write_bytes(data)
    return Pcd.model_validate({"filename": str(path), **options}).read()


@given(pcds())
def test_every_value_is_found(made: tuple[bytes, Columns]) -> None:
    data, columns = made
    xyz, source, left = load(data, "x.pcd")
    assert left == 0
    assert np.array_equal(xyz, np.column_stack([columns[name] for name in "xyz"]).astype(float), equal_nan=True)
    for name, column in columns.items():
        if name.startswith("own"):
            assert source.columns[name].dtype == column.dtype
            assert source.columns[name].tobytes() == column.tobytes()
    if "rgb" in columns:
        packed = np.ascontiguousarray(columns["rgb"]).view("<u4")
        for name, shift in (("Red", 16), ("Green", 8), ("Blue", 0)):
            assert source.columns[name].tolist() == (packed >> shift & 255).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_pdal(kind: str, tmp_path: Path) -> None:
    names = ["intensity", "normal_x", "height", "label", "rgba"]
    more = [(name, np.arange(4, dtype="<u4" if name == "rgba" else "<f4")) for name in names]
    cloud = read(tmp_path, pcd([*XYZ, *more], kind))
    assert list(cloud.dims) == ["Intensity", "NormalX", "height", "label", "Blue", "Green", "Red", "Alpha"]
    assert cloud.xyz.tolist() == [[i, i + 1, i + 2] for i in range(4)]
    assert cloud.crs is None
    assert cloud.history[0].figures["viewpoint"] == "1 2 3 1 0 0 0"


def test_text_keeps_more_digits_than_its_type_holds(tmp_path: Path) -> None:
    data = pcd(XYZ, "ascii").replace(b"\n0.0 1.0 2.0\n", b"\n500000.123 5400000.456 0.1\n")
    assert read(tmp_path, data).xyz[0].tolist() == [500000.123, 5400000.456, float(np.float32(0.1))]


def test_line_ends_of_windows_and_a_shorter_header(tmp_path: Path) -> None:
    assert len(read(tmp_path, pcd(XYZ, "ascii", ends="\r\n"))) == 4
    data = pcd(XYZ, "binary")
    for line in (b"VERSION .7\n", b"COUNT 1 1 1\n", b"VIEWPOINT 1 2 3 1 0 0 0\n", b"POINTS 4\n"):
        data = data.replace(line, b"")
    assert read(tmp_path, data).xyz[3].tolist() == [3, 4, 5]


def test_pixels_without_depth(tmp_path: Path) -> None:
    columns = [(name, column.copy()) for name, column in XYZ]
    columns[2][1][1:3] = np.nan
    for kind in KINDS:
        cloud = read(tmp_path, pcd(columns, kind, (2, 2)))
        assert cloud.located.tolist() == [True, False, False, True]
        assert "2 of 4 points have no coordinates" in cloud.history[0].warnings[0]
        assert len(read(tmp_path, pcd(columns, kind, (2, 2)), missing="drop")) == 2


def test_bytes_after_the_end_are_mentioned(tmp_path: Path) -> None:
    assert "4 bytes after the last point" in read(tmp_path, pcd(XYZ, "binary") + b"tail").history[0].warnings[0]


_ASCII, _BINARY, _PACKED = (pcd(XYZ, kind) for kind in KINDS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"# .PCD\nFIELDS x y z\n", "no line 'DATA ...'"),
        (_ASCII.replace(b"DATA ascii", b"DATA zip"), "DATA is 'zip'"),
        (_ASCII.replace(b"FIELDS x y z", b"FIELDS x y"), "2 FIELDS, 3 SIZE"),
        (_ASCII.replace(b"FIELDS x y z", b"FIELDS x y q"), "no field z"),
        (_ASCII.replace(b"TYPE F F F", b"TYPE F F Q"), "field 'z' type Q"),
        (_ASCII.replace(b"SIZE 4 4 4", b"SIZE 4 4 3"), "3 bytes"),
        (_ASCII.replace(b"COUNT 1 1 1", b"COUNT 1 1 0"), "0 times"),
        (_BINARY.replace(b"COUNT 1 1 1", b"COUNT 1 1 99999999"), "more than 1,048,576 bytes"),
        (_ASCII.replace(b"WIDTH 4", b"WIDTH -4"), "'-4', which is no whole number"),
        (_ASCII.replace(b"WIDTH 4", b"WIDTH 4 4"), "no line WIDTH with one number"),
        (_ASCII.replace(b"WIDTH 4", b"WIDTH 5"), "4 POINTS, and WIDTH 5 times HEIGHT 1"),
        (_ASCII.replace(b"WIDTH 4", b"WIDTH 4\nWIDTH 4"), "two lines 'WIDTH'"),
        (_ASCII.replace(b"1.0 2.0 3.0\n", b"1.0 2.0\n"), "line 13 has 2 values instead of 3"),
        (_ASCII.replace(b"1.0 2.0 3.0\n", b"1.0 two 3.0\n"), "line 13 has 'two' in field 'y'"),
        (_ASCII.replace(b"1.0 2.0 3.0\n", b""), "announces 4 points, but the file holds 3"),
        (_ASCII + b"1 2 3\n", "line 16 is one row more than the 4 points"),
        (_BINARY[:-1], "announces 4 points, but the file holds 3"),
        (
            _BINARY.replace(b"WIDTH 4", b"WIDTH 1000000000").replace(b"POINTS 4", b"POINTS 1000000000"),
            "announces 1,000,000,000",
        ),
        (_PACKED[:-1], "breaks off in its compressed points"),
        (_PACKED[:-3] + b"\xff\xff\xff", "cannot be unpacked"),
        (_PACKED.replace(b"POINTS 4", b"POINTS 5").replace(b"WIDTH 4", b"WIDTH 5"), "5 points take 60"),
        (
            pcd([*XYZ, ("a", np.zeros(4, "<u1"))], "ascii").replace(b"2.0 0\n", b"2.0 256\n", 1),
            "line 12 has '256' in field 'a' of type uint8",
        ),
    ],
)  # fmt: skip
def test_damaged_files(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ReadError) as told:
        read(tmp_path, data)
    assert said in str(told.value)
    assert str(told.value).startswith(str(tmp_path / "in.pcd"))


def test_a_bomb_is_seen_before_it_goes_off(tmp_path: Path) -> None:
    count = 350_000_000
    head = _PACKED[: _PACKED.index(b"_compressed\n") + 12]
    head = head.replace(b"WIDTH 4", b"WIDTH %d" % count).replace(b"POINTS 4", b"POINTS %d" % count)
    with pytest.raises(ReadError, match="cannot hold"):
        read(tmp_path, head + struct.pack("<II", 100, count * 12) + bytes(100))


@pytest.mark.parametrize(
    ("name", "points", "grid", "dims"),
    [
        ("pcl_region_growing", 108_104, (108_104, 1), {"Red", "Green", "Blue"}),
        ("pcl_room_scan", 112_586, (112_586, 1), set()),
        ("pcl_kinect_table", 307_200, (640, 480), {"label", "Red", "Green", "Blue", "Alpha"}),
        ("pcl_kinect_kitchen", 307_200, (640, 480), {"Red", "Green", "Blue", "Alpha"}),
    ],
)
def test_real_files(name: str, points: int, grid: tuple[int, int], dims: set[str], data_dir: Path) -> None:
    cloud = Pcd(filename=str(data_dir / "data" / "real" / f"{name}.pcd")).read()
    figures = cloud.history[0].figures
    assert len(cloud) == points
    assert (figures["width"], figures["height"]) == grid
    assert cloud.dims.keys() == dims
    assert cloud.located.mean() > 0.5


def test_info_tells_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "in.pcd").write_bytes(pcd(XYZ, "binary", (2, 2)))
    told = dict(info.table(info.info(str(tmp_path / "in.pcd"))))
    assert told["PCD"] == "binary, a grid of 2 x 2"
    assert told["fields"] == "x float32, y float32, z float32"
    assert told["viewpoint"] == "1 2 3 1 0 0 0"
