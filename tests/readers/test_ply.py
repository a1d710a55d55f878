"""readers.ply: what it finds in a file, and what it says of files that make no sense."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.readers.ply import Ply

XYZ = "property double x\nproperty double y\nproperty double z\n"


def read(tmp_path: Path, content: bytes | str) -> PointCloud:
    path = tmp_path / "in.ply"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Ply(filename=str(path)).read()


def header(body: str, kind: str = "ascii") -> str:
    return f"ply\nformat {kind} 1.0\n{body}end_header\n"


def refusal(tmp_path: Path, content: bytes | str) -> str:
    with pytest.raises(ReadError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "in.ply"))
    assert "\n" not in message
    return message


def test_text_with_colours_and_normals_gets_pdal_names(tmp_path: Path) -> None:
    body = f"element vertex 2\n{XYZ}property uchar red\nproperty float nx\nproperty short own_name\n"
    cloud = read(tmp_path, header(body) + "500000.123 5400000.5 1e-3 255 0.1 -7\n1 2 3 0 -1 300\n")
    assert cloud.xyz.tolist() == [[500000.123, 5400000.5, 1e-3], [1, 2, 3]]
    assert {name: column.dtype.str[1:] for name, column in cloud.dims.items()} == {
        "Red": "u1",
        "NormalX": "f4",
        "own_name": "i2",
    }
    assert cloud.dims["Red"].tolist() == [255, 0]
    assert cloud.dims["NormalX"].tolist() == [np.float32(0.1), -1]
    assert cloud.dims["own_name"].tolist() == [-7, 300]
    assert cloud.crs is None


@pytest.mark.parametrize(("kind", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
@pytest.mark.parametrize("sized", [False, True])
def test_binary_of_every_type(tmp_path: Path, kind: str, order: str, sized: bool) -> None:
    plain = ["char", "uchar", "short", "ushort", "int", "uint", "float", "double"]
    names = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"] if sized else plain
    body = f"element vertex 2\n{XYZ}" + "".join(f"property {name} p{i}\n" for i, name in enumerate(names))
    rows = [(1.5, 2.5, 3.5, -128, 255, -32768, 65535, -(2**31), 2**32 - 1, 0.5, 1e300), (0,) * 11]
    packed = b"".join(struct.pack(order + "3dbBhHiIfd", *row) for row in rows)
    cloud = read(tmp_path, header(body, kind).encode() + packed)
    assert cloud.xyz.tolist() == [[1.5, 2.5, 3.5], [0, 0, 0]]
    assert [cloud.dims[f"p{i}"][0] for i in range(8)] == list(rows[0][3:])
    assert [cloud.dims[f"p{i}"].dtype.str[1:] for i in range(8)] == ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
    assert all(column.dtype.isnative for column in cloud.dims.values())


def test_vertices_behind_faces_and_lists(tmp_path: Path) -> None:
    body = (
        f"element face 2\nproperty list uchar int vertex_indices\nelement vertex 2\n{XYZ}property list uchar int seen\n"
    )
    faces = struct.pack("<B3iB2i", 3, 0, 1, 1, 2, 1, 0)
    vertices = struct.pack("<3dB", 1, 2, 3, 0) + struct.pack("<3dB2i", 4, 5, 6, 2, 8, 9)
    cloud = read(tmp_path, header(body, "binary_little_endian").encode() + faces + vertices)
    assert cloud.xyz.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert not cloud.dims


def test_windows_and_old_mac_line_ends(tmp_path: Path) -> None:
    text = header("element vertex 1\n" + XYZ) + "1 2 3\n"
    for ending in ("\r\n", "\r"):
        assert read(tmp_path, text.replace("\n", ending)).xyz.tolist() == [[1, 2, 3]]


def test_float_text_with_more_digits_than_a_float32_keeps_them(tmp_path: Path) -> None:
    body = "element vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
    cloud = read(tmp_path, header(body) + "500000.123 5400000.456 0.1\n")
    assert cloud.xyz.tolist() == [[500000.123, 5400000.456, float(np.float32(0.1))]]


@pytest.mark.parametrize("spelling", [".9f", ".7f", ".4f", ".9g", ".6g", "r"])
def test_floats_that_programs_print_stay_floats(tmp_path: Path, spelling: str) -> None:
    values = np.array([-14.586, 0.1, 1234567936.0, 1e-5, 637000.375, -0.0], np.float32)
    lines = [f"0 0 0 {repr(value) if spelling == 'r' else format(value, spelling)}\n" for value in values.tolist()]
    cloud = read(tmp_path, header(f"element vertex 6\n{XYZ}property float a\n") + "".join(lines))
    assert cloud.dims["a"].dtype == np.float32
    assert cloud.dims["a"].tolist() == [np.float32(line.split()[3]) for line in lines]


def test_dimensions_of_pdal_get_its_names(tmp_path: Path) -> None:
    names = {"heightaboveground": "HeightAboveGround", "NNDISTANCE": "NNDistance", "classflags": "ClassFlags"}
    names |= {"diffuse_red": "Red", "nearinfrared": "Infrared", "eigenvalue1": "Eigenvalue1", "mine": "mine"}
    body = f"element vertex 1\n{XYZ}" + "".join(f"property uchar {name}\n" for name in names)
    assert list(read(tmp_path, header(body) + "0 0 0 1 2 3 4 5 6 7\n").dims) == list(names.values())


def test_a_colour_by_two_names_stays_two_dimensions(tmp_path: Path) -> None:
    for first, second, names in (("red", "diffuse_red", ["Red", "diffuse_red"]), ("r_ed", "red", ["r_ed", "Red"])):
        body = f"element vertex 1\n{XYZ}property uchar {first}\nproperty uchar {second}\n"
        dims = read(tmp_path, header(body) + "0 0 0 1 2\n").dims
        assert {name: column.tolist() for name, column in dims.items()} == dict(zip(names, ([1], [2]), strict=True))


def test_no_points_is_a_cloud(tmp_path: Path) -> None:
    assert len(read(tmp_path, header("element vertex 0\n" + XYZ))) == 0


def test_the_real_file(data_dir: Path) -> None:
    cloud = Ply(filename=str(data_dir / "data" / "lidar" / "small_gicp_source.ply")).read()
    assert len(cloud) == 69_792
    assert list(cloud.dims) == ["Intensity"]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="does not exist"):
        Ply(filename=str(tmp_path / "none.ply")).read()
    with pytest.raises(ReadError, match="is a folder"):
        Ply(filename=str(tmp_path)).read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty (0 bytes)"),
        ("LASF\x01\x02", "is not a PLY file"),
        (b"\x00\xff" * 100, "is not a PLY file"),
        ("ply\nformat ascii 1.0\n", "end_header"),
        ("ply\nelement vertex 1\nend_header\n", "'format'"),
        ("ply\nformat ascii 2.0\nend_header\n", "'format ascii 2.0'"),
        (header("element vertex -1\n" + XYZ), "'element vertex -1'"),
        (header("element vertex 1e9\n" + XYZ), "'element vertex 1e9'"),
        (header("element vertex 1\nproperty quad x\n"), "'property quad x'"),
        (header("element vertex 1\nproperty list float int x\n"), "'property list float int x'"),
        (header("element vertex 1\n" + XYZ + "property int x\n"), "twice"),
        (header("element vertex 0\nelement vertex 0\n" + XYZ), "twice"),
        (header("element face 1\nproperty int x\n"), "no element 'vertex'"),
        (header("element vertex 1\nproperty double x\nproperty double y\n") + "1 2\n", "no property z"),
        (header("element vertex 3\n" + XYZ) + "1 2 3\n1 2 3\n", "announces 3 rows"),
        (
            header("element vertex 2\n" + XYZ) + "1.5 2.5 3.5\n1.5 2.5\n",
            "row 1 of element 'vertex' has 2 values instead of 3",
        ),
        (header("element vertex 2\n" + XYZ) + "1 2 3\n1 2 three\n", "row 1 of element 'vertex' is not made of numbers"),
        (header("element vertex 1\n" + XYZ + "property uchar red\n") + "1 2 3 256\n", "declared uchar but holds 256"),
        (header("element vertex 1\n" + XYZ + "property int i\n") + "1 2 3 1.5\n", "declared int but holds 1.5"),
        (header(f"element vertex {10**18}\n" + XYZ) + "1 2 3\n", "announces 1000000000000000000 rows"),
        (header(f"element vertex {10**18}\n" + XYZ, "binary_big_endian") + "1 2 3\n", "announces"),
        (header("element vertex 1\n" + XYZ, "binary_little_endian").encode() + b"\0" * 23, "announces 1 rows"),
        (
            header("element vertex 1\n" + XYZ + "property list uchar int l\n") + "1 2 3 4 5\n",
            "has 5 values instead of 8",
        ),
        (header("element vertex 1\n" + XYZ + "property list uchar int l\n") + "1 2 3 nan 5\n", "no valid length"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes | str, said: str) -> None:
    assert said in refusal(tmp_path, content)


def test_a_list_longer_than_the_file(tmp_path: Path) -> None:
    head = header(f"element vertex 1\n{XYZ}property list uint double l\n", "binary_little_endian").encode()
    assert "claims 4294967295 values" in refusal(tmp_path, head + struct.pack("<3dI", 1, 2, 3, 2**32 - 1))
    head = head.replace(b"uint", b"int")
    assert "claims -1 values" in refusal(tmp_path, head + struct.pack("<3di", 1, 2, 3, -1))


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_coordinates_that_are_no_numbers_are_counted(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "some.ply"
    path.write_text(header("element vertex 4\n" + XYZ) + f"0 0 0\n1 {bad} 1\n2 2 2\n3 3 {bad}\n")
    cloud = Ply(filename=str(path)).read()
    assert cloud.xyz[[1, 3], [1, 2]].tolist() == pytest.approx([float(bad)] * 2, nan_ok=True)
    (warning,) = cloud.history[0].warnings
    assert "2 of 4 points have no coordinates" in warning
    assert "row 1 " in warning


def test_a_nan_that_signals_is_one_like_others(tmp_path: Path) -> None:
    """Without a word of numpy's, which warns where it is made a double."""
    body = struct.pack("<2f", 1.0, 2.0) + bytes.fromhex("0100807f") + struct.pack("<3f", 4.0, 5.0, 6.0)
    words = header("element vertex 2\nproperty float x\nproperty float y\nproperty float z\n", "binary_little_endian")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cloud = read(tmp_path, words.encode() + body)
    assert np.isnan(cloud.xyz[0, 2])
    assert cloud.xyz[1].tolist() == [4, 5, 6]


def test_bytes_after_the_end_are_mentioned(tmp_path: Path) -> None:
    head = header("element vertex 1\n" + XYZ, "binary_little_endian").encode()
    cloud = read(tmp_path, head + struct.pack("<3d", 1, 2, 3) + b"tail!")
    assert "5 bytes after the last element were ignored" in cloud.history[0].warnings[0]
    assert read(tmp_path, head + struct.pack("<3d", 1, 2, 3)).history[0].warnings == ()


def test_a_header_of_very_many_properties_is_read(tmp_path: Path) -> None:
    count = 48_000
    names = "".join(f"property uchar p{i}\n" for i in range(count))
    head = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
    )
    row = np.zeros(12 + count, np.uint8)
    row[-1] = 7
    (tmp_path / "wide.ply").write_bytes((head + names + "end_header\n").encode() + row.tobytes() * 2)
    cloud = Ply(filename=str(tmp_path / "wide.ply")).read()
    assert list(cloud.dims) == [f"p{i}" for i in range(count)]
    assert cloud.dims[f"p{count - 1}"].tolist() == [7, 7]
    twice = (head + names + "property uchar p5\nend_header\n").encode()
    (tmp_path / "twice.ply").write_bytes(twice + row.tobytes() * 2)
    with pytest.raises(ReadError, match="names a property twice"):
        Ply(filename=str(tmp_path / "twice.ply")).read()
