"""readers.las in parts, and what it tells without reading points."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.formats.las.header import LasSource
from deburr.readers.las import LasReader

SMALL = ("laspy_fullwave.laz", "laspy_simple1_4.las", "pdal_4_6_crop.las", "pdal_extrabytes.las", "laspy_plane.laz")


def las(path: Path, count: int = 10, **header: Any) -> str:
    """A LAS or LAZ file of ``count`` points on a diagonal; ``header``: what laspy's header is to say."""
    form = {"version": header.pop("version", "1.4"), "point_format": header.pop("point_format", 6)}
    head = laspy.LasHeader(**form)
    head.add_extra_dims(header.pop("extra", []))
    time_type = header.pop("time_type", 0)
    head.scales, head.offsets = header.pop("scales", [0.01] * 3), header.pop("offsets", [0.0] * 3)
    head.global_encoding.gps_time_type = laspy.header.GpsTimeType(time_type)
    data = laspy.LasData(head)
    data.X = data.Y = data.Z = data.intensity = np.arange(count)
    assert not header
    data.write(path)
    return str(path)


def source_of(cloud: PointCloud) -> LasSource:
    assert isinstance(cloud.source, LasSource)
    return cloud.source


def check_parts(reader: LasReader, size: int) -> None:
    """Parts put together are the file: every column, every record, every warning; and their extent the header's."""
    whole, outline, begin = reader.read(), reader.outline(), 0
    warnings: list[str] = []
    for part in reader.parts(size):
        rows = slice(begin, begin + len(part))
        assert len(part) == min(size, len(whole) - begin)
        assert part.xyz.tobytes() == whole.xyz[rows].tobytes()
        assert part.rows.tolist() == whole.rows[rows].tolist()
        assert list(part.dims) == list(whole.dims)
        for name, column in whole.dims.items():
            assert part.dims[name].dtype == column.dtype
            assert part.dims[name].tobytes() == column[rows].tobytes(), name
        source, own = source_of(whole), source_of(part)
        assert own.records.tobytes() == source.records[rows].tobytes()
        assert own.start == source.start + begin
        assert (own.vlrs, own.evlrs, part.crs) == (source.vlrs, source.evlrs, whole.crs)
        assert part.extent.count == outline.extent.count == len(whole)
        assert part.extent.low.tolist() == outline.extent.low.tolist()
        warnings += part.history[0].warnings
        assert part.history[0].figures == {**whole.history[0].figures, "points": len(part)}
        begin += len(part)
    assert begin == len(whole)
    assert tuple(warnings) == whole.history[0].warnings
    if reader.start == 0 and reader.count is None:
        # Some writers round bounds; none of these files has points that lie beyond them by more than that.
        assert (outline.extent.low <= whole.extent.low + 1e-6).all()
        assert (outline.extent.high >= whole.extent.high - 1e-6).all()
        assert np.abs(outline.extent.low - whole.extent.low).max() < 0.01
    assert (outline.crs, outline.units) == (whole.crs, whole.history[0].figures["units"])


@pytest.mark.parametrize("name", SMALL)
def test_parts_of_small_real_files(data_dir: Path, name: str) -> None:
    path = str(data_dir / "data/lidar" / name)
    for size in (499, 10**9):
        check_parts(LasReader(filename=path), size)
    check_parts(LasReader(filename=path, start=321, count=500), 123)


@pytest.mark.alldata
@pytest.mark.parametrize("threads", ["1", "2"])
def test_parts_of_all_real_files(data_dir: Path, monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("DEBURR_THREADS", threads)
    files = sorted((data_dir / "data/lidar").glob("*.la[sz]"))
    assert len(files) >= 13
    for number, path in enumerate(files):
        check_parts(LasReader(filename=str(path)), int(np.random.default_rng(number).integers(30_000, 200_000)))


def test_parts_of_start_and_count_and_of_nothing(tmp_path: Path) -> None:
    path = las(tmp_path / "a.laz", 100)
    reader = LasReader(filename=path, start=20, count=50)
    assert [part.rows.tolist() for part in reader.parts(30)] == [list(range(20, 50)), list(range(50, 70))]
    assert reader.outline().extent.count == 50
    assert LasReader(filename=path, start=80, count=50).outline().extent.count == 20
    for nothing in (LasReader(filename=path, start=100), LasReader(filename=las(tmp_path / "b.laz", 0))):
        (part,) = nothing.parts(30)
        extent = nothing.outline().extent
        assert len(part) == extent.count == part.extent.count == 0
        assert (extent.low == np.inf).all()
        assert (extent.high == -np.inf).all()
        assert list(part.dims) == list(LasReader(filename=path).read().dims)
    with pytest.raises(ValueError, match="at least 1"):
        LasReader(filename=path).parts(0)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_file_cut_off_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, threads: str
) -> None:
    monkeypatch.setenv("DEBURR_THREADS", threads)
    path = str(tmp_path / f"a{suffix}")
    data = laspy.LasData(laspy.LasHeader(point_format=6, version="1.4"))
    data.X, data.Y = np.random.default_rng(0).integers(-(2**31), 2**31, (2, 400_000))  # does not compress
    data.write(path)
    parts = LasReader(filename=path).parts(100_000)
    assert len(next(parts)) == 100_000
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(ReadError, match=r"cut off|shrank"):
        list(parts)


def test_a_file_cut_off_before(tmp_path: Path, data_dir: Path) -> None:
    whole = (data_dir / "data/lidar/3dfier_ahn3_cropped_2.laz").read_bytes()
    path = tmp_path / "a.laz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match="cut off"):
        next(LasReader(filename=str(path)).parts(50_000))
    # The points of the last chunks are gone, the table of chunks is there.
    (begin,) = struct.unpack_from("<I", whole, 96)
    (table,) = struct.unpack_from("<q", whole, begin)
    middle = (begin + table) // 2
    path.write_bytes(whole[:begin] + struct.pack("<q", middle) + whole[begin + 8 : middle] + whole[table:])
    with pytest.raises(ReadError, match="cut off"):
        next(LasReader(filename=str(path)).parts(50_000))


def test_parts_hold_the_file_open_no_longer_than_they_are_used(tmp_path: Path) -> None:
    parts = LasReader(filename=las(tmp_path / "a.las", 100)).parts(10)
    before = len(os.listdir("/proc/self/fd"))
    next(parts)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    parts.close()  # type: ignore[attr-defined]  # a generator
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_outline_reads_no_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("points were read")

    path = las(tmp_path / "a.laz", 10, offsets=[5.0, -5.0, 0.0])
    monkeypatch.setattr("deburr.formats.las.outline.read_points", refuse)
    extent = LasReader(filename=path).outline().extent
    assert extent.count == 10
    np.testing.assert_allclose(extent.low, [5, -5, 0])
    np.testing.assert_allclose(extent.high, [5.09, -4.91, 0.09])


@pytest.mark.parametrize("bounds", [[0.0] * 6, [np.nan] * 6, [1.0, 2.0] * 3, [np.inf, -np.inf] * 3])
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_bounds_that_cannot_be_true_are_found(tmp_path: Path, suffix: str, bounds: list[float]) -> None:
    path = las(tmp_path / f"a{suffix}", 10, offsets=[5.0, -5.0, 0.0])
    with open(path, "rb+") as file:
        file.seek(179)
        file.write(struct.pack("<6d", *bounds))
    reader = LasReader(filename=path)
    truth = reader.read().extent
    for extent in (reader.outline().extent, next(reader.parts(3)).extent):
        assert extent.low.tolist() == truth.low.tolist()
        assert extent.high.tolist() == truth.high.tolist()
    check_parts(reader, 3)
    assert LasReader(filename=path, start=4, count=2).outline().extent.low[0] == pytest.approx(5.04)


def test_crs_and_units_of_an_outline_obey_the_options(data_dir: Path) -> None:
    path = str(data_dir / "data/lidar/pdal_4_6_crop.las")
    for options, crs, units in (
        ({}, "EPSG:2903", "US survey foot"),
        ({"nosrs": True}, None, None),
        ({"override_srs": "EPSG:1"}, "EPSG:1", None),
    ):
        outline = LasReader(filename=path, **options).outline()  # type: ignore[arg-type]  # of several options
        assert (outline.crs, outline.units) == (crs, units)


DEPTH = laspy.ExtraBytesParams("Depth", "i2", scales=np.array([0.5]), offsets=np.array([1.0]))


def test_layouts_are_the_same_where_points_can_stand_in_one_file(tmp_path: Path) -> None:
    def layout(number: int, **header: Any) -> str:
        return LasReader(filename=las(tmp_path / f"{number}.las", 3, **header)).outline().layout

    plain = layout(0)
    assert plain == "point format 6; scale 0.01 0.01 0.01; GPS time of the week"
    # Other offsets by whole steps, another version, more points, compression: all the same to the points.
    assert plain == layout(1, offsets=[123.45, -7e6, 0.01])
    assert layout(2, point_format=3) == layout(3, point_format=3, version="1.2")
    assert plain == LasReader(filename=las(tmp_path / "4.laz", 50)).outline().layout
    others = [
        layout(5, point_format=7),
        layout(6, scales=[0.01, 0.01, 0.001]),
        layout(7, offsets=[0.005, 0.0, 0.0]),
        layout(8, extra=[DEPTH]),
        layout(9, extra=[replace_scale(DEPTH)]),
        layout(10, extra=[laspy.ExtraBytesParams("Depth", "u2")]),
        layout(11, extra=[laspy.ExtraBytesParams("Height", "u2")]),
        layout(12, time_type=1),
        layout(13, point_format=9),
        layout(14, point_format=9),  # each with waveforms of its own
    ]
    assert len({plain, *others}) == len(others) + 1
    assert layout(15, extra=[DEPTH]) == others[3]


def replace_scale(params: Any) -> Any:
    return laspy.ExtraBytesParams(params.name, params.type, scales=np.array([0.25]), offsets=params.offsets)


def test_a_source_without_points_tells_the_same_layout(tmp_path: Path) -> None:
    from deburr.formats.las.outline import layout_of

    reader = LasReader(filename=las(tmp_path / "a.las", 5))
    source = source_of(reader.read())
    assert layout_of(replace(source, records=source.records[:0])) == reader.outline().layout
