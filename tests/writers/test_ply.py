"""writers.ply: what was read comes back; what cannot is said."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import WriteError
from deburr.readers.ply import Ply as Reader
from deburr.readers.text import Text
from deburr.writers.ply import Ply as Writer

MESH = """ply
format ascii 1.0
comment made by hand
obj_info a tetrahedron
element material 1
property list uchar uint8 name
element vertex 4
property float x
property float y
property float z
property uchar red
property float64 quality
property list uchar int16 seen
element face 3
property list uchar int vertex_indices
property float area
element edge 1
property int vertex1
property int vertex2
end_header
3 65 66 67
0 0 0.1 255 0.30000000000000004 0
1 0 0 0 -1e-300 2 -5 6
0 1.5 0 7 nan 1 300
0 0 1 9 3 0
3 0 1 2 0.5
4 0 1 2 3 0.25
3 3 2 1 0.1
0 3
"""


def round_trip(tmp_path: Path, content: str, **options: object) -> str:
    source, target = tmp_path / "in.ply", tmp_path / "out.ply"
    source.write_text(content)
    Writer.model_validate({"filename": str(target), **options}).write(Reader(filename=str(source)).read())
    return target.read_text(errors="surrogateescape")


def test_text_comes_back_byte_for_byte(tmp_path: Path) -> None:
    assert round_trip(tmp_path, MESH) == MESH


@pytest.mark.parametrize("mode", ["little endian", "big endian"])
def test_text_survives_a_trip_through_binary(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "in.ply"
    source.write_text(MESH)
    binary, text = str(tmp_path / "binary.ply"), tmp_path / "text.ply"
    Writer(filename=binary, storage_mode=mode).write(Reader(filename=str(source)).read())  # type: ignore[arg-type]
    first = Path(binary).read_bytes()
    Writer(filename=str(tmp_path / "again.ply")).write(Reader(filename=binary).read())
    assert (tmp_path / "again.ply").read_bytes() == first
    Writer(filename=str(text), storage_mode="ascii").write(Reader(filename=binary).read())
    assert text.read_text() == MESH


def test_binary_bytes_are_what_the_format_says(tmp_path: Path) -> None:
    cloud = PointCloud(np.array([[1.0, 2.0, 3.0]]), {"Red": np.array([513], np.uint16)})
    Writer(filename=str(tmp_path / "o.ply"), storage_mode="big endian").write(cloud)
    head, body = (tmp_path / "o.ply").read_bytes().split(b"end_header\n")
    assert b"property double x\nproperty double y\nproperty double z\nproperty ushort red\n" in head
    assert body == struct.pack(">3dH", 1, 2, 3, 513)


def test_the_real_file_comes_back_byte_for_byte(tmp_path: Path, data_dir: Path) -> None:
    path = data_dir / "data" / "lidar" / "small_gicp_source.ply"
    Writer(filename=str(tmp_path / "o.ply")).write(Reader(filename=str(path)).read())
    assert (tmp_path / "o.ply").read_bytes() == path.read_bytes()


def test_moved_float_coordinates_are_rounded_and_the_others_untouched(tmp_path: Path) -> None:
    (tmp_path / "in.ply").write_text(MESH)
    cloud = Reader(filename=str(tmp_path / "in.ply")).read()
    xyz = cloud.xyz.copy()
    xyz[1] = [0.1, 0.2, 1e-9]
    result = Writer(filename=str(tmp_path / "o.ply"), storage_mode="big endian").write(cloud.with_xyz(xyz))
    again = Reader(filename=str(tmp_path / "o.ply")).read()
    assert again.xyz[[0, 2, 3]].tobytes() == cloud.xyz[[0, 2, 3]].tobytes()
    assert again.xyz[1].tolist() == [float(np.float32(v)) for v in (0.1, 0.2, 1e-9)]
    assert 0 < result.history[-1].figures["coordinate_rounding_max"] < 1e-8


def test_faces_go_when_points_go(tmp_path: Path) -> None:
    (tmp_path / "in.ply").write_text(MESH)
    cloud = Reader(filename=str(tmp_path / "in.ply")).read().select(np.array([False, True, True, False]))
    result = Writer(filename=str(tmp_path / "o.ply")).write(cloud)
    text = (tmp_path / "o.ply").read_text()
    assert "element face" not in text
    assert "element edge" not in text
    assert "element material 1" in text
    assert text.endswith("end_header\n3 65 66 67\n1 0 0 0 -1e-300 2 -5 6\n0 1.5 0 7 nan 1 300\n")
    (warning,) = result.history[-1].warnings
    assert "3 rows of element 'face'" in warning


def test_digits_beyond_float32_stay_in_text_and_become_double_in_binary(tmp_path: Path) -> None:
    content = (
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
        "500000.123 5400000.456 1.5\n"
    )
    assert round_trip(tmp_path, content) == content
    cloud = Reader(filename=str(tmp_path / "in.ply")).read()
    result = Writer(filename=str(tmp_path / "o.ply"), storage_mode="little endian").write(cloud)
    assert Reader(filename=str(tmp_path / "o.ply")).read().xyz.tolist() == [[500000.123, 5400000.456, 1.5]]
    assert [w.split("'")[1] for w in result.history[-1].warnings] == ["x", "y"]


def test_values_that_outgrow_their_type_change_it_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "in.ply").write_text(MESH)
    cloud = Reader(filename=str(tmp_path / "in.ply")).read().with_dims({"Red": np.array([1, 2, 3, 400], np.uint16)})
    result = Writer(filename=str(tmp_path / "o.ply")).write(cloud)
    assert "property uint16 red\n" in (tmp_path / "o.ply").read_text()
    assert "do not fit uchar" in result.history[-1].warnings[0]


def test_new_columns_are_appended_and_dropped_ones_stay_away(tmp_path: Path) -> None:
    (tmp_path / "in.ply").write_text(MESH)
    cloud = Reader(filename=str(tmp_path / "in.ply")).read()
    dims = {name: column for name, column in cloud.dims.items() if name != "Red"}
    dims["Classification"] = np.full(4, 7, np.uint8)
    dims["Extra bytes"] = np.arange(8, dtype=np.uint8).reshape(4, 2)
    dims["Big"] = np.array([0, 1, 2, 2**40], np.int64)
    dims["Flag"] = np.array([True, False, True, False])
    Writer(filename=str(tmp_path / "o.ply"), storage_mode="little endian").write(
        PointCloud(cloud.xyz, dims, source=cloud.source)
    )
    again = Reader(filename=str(tmp_path / "o.ply")).read()
    assert list(again.dims) == ["quality", "Classification", "Extra_bytes_0", "Extra_bytes_1", "Big", "Flag"]
    assert again.dims["Extra_bytes_1"].tolist() == [1, 3, 5, 7]
    assert again.dims["Big"].tolist() == [0, 1, 2, 2**40]
    assert again.dims["Flag"].dtype == np.uint8


def test_a_cloud_with_a_crs_is_told_that_ply_has_none(tmp_path: Path) -> None:
    result = Writer(filename=str(tmp_path / "o.ply")).write(PointCloud(np.zeros((1, 3)), crs="EPSG:28992"))
    assert "coordinate system" in result.history[-1].warnings[0]


def test_precision_and_sized_types(tmp_path: Path) -> None:
    text = round_trip(tmp_path, MESH, storage_mode="ascii", precision=2, sized_types=True)
    assert "property list uint8 int32 vertex_indices" in text
    assert "property float32 x" in text
    assert "0.00 0.00 0.10 255 0.30 0\n" in text
    assert Writer(filename="o.ply", precision=2).check(()) != []
    assert Writer(filename="o.ply", precision=2, storage_mode="ascii").check(()) == []


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "o.ply"
    path.write_text("precious")
    cloud = PointCloud(np.zeros((1, 3)), {"Name": np.array(["a"])})
    with pytest.raises(WriteError, match="'Name'"):
        Writer(filename=str(path)).write(cloud)
    with pytest.raises(WriteError, match="does not exist"):
        Writer(filename=str(tmp_path / "no" / "o.ply")).write(PointCloud(np.zeros((1, 3))))
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["o.ply"]


@settings(max_examples=40, deadline=None)
@given(
    xyz=arrays.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(3)), elements=st.floats(-1e12, 1e12)),
    mode=st.sampled_from(["ascii", "little endian", "big endian"]),
    data=st.data(),
)
def test_any_cloud_comes_back(tmp_path_factory: pytest.TempPathFactory, xyz, mode, data) -> None:  # type: ignore[no-untyped-def]
    path = str(tmp_path_factory.mktemp("ply") / "o.ply")
    dims = {
        f"d{kind}": data.draw(arrays.arrays(np.dtype(kind), len(xyz)))
        for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
    }
    Writer(filename=path, storage_mode=mode).write(PointCloud(xyz, dims))
    again = Reader(filename=path).read()
    assert again.xyz.tobytes() == xyz.tobytes()
    for name, column in dims.items():
        assert again.dims[name].dtype == column.dtype
        np.testing.assert_array_equal(again.dims[name], column)


def test_coordinates_beyond_float32_become_double_and_infinite_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.ply"
    path.write_bytes(
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
        b"end_header\n1 2 3\n"
    )
    cloud = Reader(filename=str(path)).read()
    far = Writer(filename=str(tmp_path / "far.ply")).write(cloud.with_xyz(np.array([[1e39, 2, 3]])))
    assert Reader(filename=str(tmp_path / "far.ply")).read().xyz.tolist() == [[1e39, 2, 3]]
    assert "'x' is written as double" in far.history[-1].warnings[0]
    with pytest.raises(WriteError, match="not finite"):
        Writer(filename=str(tmp_path / "inf.ply")).write(cloud.with_xyz(np.array([[np.inf, 2, 3]])))
    assert not (tmp_path / "inf.ply").exists()


@pytest.mark.parametrize("mode", ["default", "big endian"])
def test_parts_of_one_file_are_written_as_the_whole(tmp_path: Path, mode: str) -> None:
    source, target = tmp_path / "in.ply", tmp_path / "out.ply"
    source.write_text(MESH)
    cloud = Reader(filename=str(source)).read()
    cloud = cloud.with_xyz(cloud.xyz + 1).with_dims({"n": np.arange(4)})
    writer = Writer.model_validate({"filename": str(target), "storage_mode": mode})
    for some in (np.arange(4), np.array([0, 1, 3])):  # with the faces, and without
        whole = cloud.select(some)
        record = writer.write(whole).history[-1]
        before = target.read_bytes()
        parts = (whole.select(np.arange(*ends)) for ends in ((0, 0), (0, 1), (1, len(some))))
        result = writer.write_parts(parts, whole.extent if len(some) == 4 else Extent(3, *np.zeros((2, 3))))
        assert target.read_bytes() == before
        assert (len(result), result.history) == (0, (record,))


def test_parts_of_several_files(tmp_path: Path) -> None:
    target, names = tmp_path / "out.ply", [str(tmp_path / name) for name in ("a.ply", "b.ply")]
    cloud = PointCloud(np.random.default_rng(0).random((10, 3)), {"Red": np.arange(10, dtype=np.uint8)})
    for name in names:
        Writer(filename=name).write(cloud)
    a, b = (Reader(filename=name).read() for name in names)
    Writer(filename=str(target)).write_parts([a, b.select(np.array([3])), a], Extent(21, *np.zeros((2, 3))))
    again = Reader(filename=str(target)).read()
    assert again.dims["Red"].tolist() == [*range(10), 3, *range(10)]
    assert again.xyz.tolist() == [*cloud.xyz.tolist(), cloud.xyz[3].tolist(), *cloud.xyz.tolist()]


def test_parts_from_another_format_tell_what_ply_cannot_hold(tmp_path: Path) -> None:
    rows = "".join(f"{i} 0.5 1 0.5\n" for i in range(1, 5))
    (tmp_path / "in.ptx").write_text("4\n1\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n5 6 7 1\n" + rows)
    cloud = Text(filename=str(tmp_path / "in.ptx")).read()
    writer = Writer(filename=str(tmp_path / "out.ply"))
    whole = writer.write(cloud).history[-1]
    assert any("the grids of 1 scans and their poses" in said for said in whole.warnings)
    parts = [cloud.select(np.arange(3)), cloud.select(np.array([3]))]
    assert writer.write_parts(parts, cloud.extent).history[-1].warnings == whole.warnings


def test_parts_that_cannot_be_put_together(tmp_path: Path) -> None:
    source, target = tmp_path / "in.ply", tmp_path / "out.ply"
    source.write_text(MESH)
    one, other = (Reader(filename=str(source)).read() for _ in range(2))
    writer = Writer(filename=str(target))
    for parts, says in (
        ([one, other], "cannot be put together"),
        ([one], "hold 4 points, not the 8"),
        ([one, one, one], "hold more than the 8"),
        ([one, one.with_dims({"n": np.arange(4)})], "differ in n"),
    ):
        with pytest.raises(WriteError, match=says):
            writer.write_parts(parts, Extent(8, *np.zeros((2, 3))))
    assert os.listdir(tmp_path) == ["in.ply"]


def test_what_ply_has_no_place_for_is_told(tmp_path: Path, data_dir: Path) -> None:
    from deburr.readers.las import LasReader

    cloud = LasReader(filename=str(data_dir / "data/lidar/laspy_fullwave.laz"), count=9).read()
    warnings = Writer(filename=str(tmp_path / "a.ply")).write(cloud).history[-1].warnings
    assert any("no place for the waveforms" in w or "records" in w for w in warnings), warnings
