"""writers.las in parts: the same bytes as at once, from one file or several, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import ReadError, WriteError
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

SMALL = ("laspy_fullwave.laz", "laspy_simple1_4.las", "laspy_vegetation_1_3.las", "pdal_4_6_crop.las",
         "pdal_extrabytes.las", "laspy_plane.laz")  # fmt: skip


def changed(cloud: PointCloud) -> PointCloud:
    """Every third point moved, every fifth of another class, one new dimension: by the points' rows alone."""
    xyz = cloud.xyz + (cloud.rows % 3 == 0)[:, None] * np.sin(cloud.rows)[:, None] * [0.03, 0.02, 0.5]
    classes = np.where(cloud.rows % 5 == 0, 9, cloud.dims["Classification"]).astype(np.uint8)
    return cloud.with_xyz(xyz).with_dims({"Classification": classes, "Moved": (cloud.rows % 7).astype(np.float32)})


def same(cloud: PointCloud) -> PointCloud:
    return cloud


def extent_of(cloud: PointCloud) -> Extent:
    return Extent(len(cloud), cloud.xyz.min(axis=0, initial=np.inf), cloud.xyz.max(axis=0, initial=-np.inf))


def split(cloud: PointCloud, random: np.random.Generator, cuts: int = 4) -> Iterator[PointCloud]:
    """``cloud`` in parts of any length, none included."""
    places = [0, *sorted(random.integers(0, len(cloud) + 1, cuts).tolist()), len(cloud)]
    for begin, end in pairwise(places):
        yield cloud.select(np.arange(begin, end))


def check_same_bytes(reader: LasReader, out: Path, change: Callable[[PointCloud], PointCloud], seed: int) -> None:
    """Any split gives the bytes, figures and warnings of the whole cloud."""
    random = np.random.default_rng(seed)
    cloud = change(reader.read())
    record = LasWriter(filename=str(out)).write(cloud).history[-1]
    before = out.read_bytes()
    size = int(random.integers(len(cloud) // 7 + 1, len(cloud) + 1))
    parts = (piece for part in reader.parts(size) for piece in split(change(part), random))
    result = LasWriter(filename=str(out)).write_parts(parts, extent_of(cloud))
    assert out.read_bytes() == before
    assert len(result) == 0
    assert len(result.history) == 1
    assert result.history[0].figures == record.figures
    assert set(result.history[0].warnings) == set(record.warnings)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("change", [same, changed])
def test_small_real_files(
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    suffix: str,
    change: Callable[[PointCloud], PointCloud],
) -> None:
    monkeypatch.setattr("deburr.writers._las_body._CHUNK", 3001)
    path = str(data_dir / "data/lidar" / name)
    for seed in (0, 1):
        check_same_bytes(LasReader(filename=path), tmp_path / f"out{suffix}", change, seed)


@pytest.mark.alldata
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_all_real_files(tmp_path: Path, data_dir: Path, suffix: str) -> None:
    files = sorted((data_dir / "data/lidar").glob("*.la[sz]"))
    assert len(files) >= 13
    for seed, path in enumerate(files):
        for start, change in ((0, same), (777, changed)):
            # Two chunks of LAZ and a bit, also where the first part does not begin with one.
            reader = LasReader(filename=str(path), start=start, count=120_000)
            check_same_bytes(reader, tmp_path / f"out{suffix}", change, seed)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_cloud_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("DEBURR_THREADS", threads)
    random = np.random.default_rng(0)
    dims: dict[str, Any] = {"Red": random.integers(0, 9, 130_000).astype(np.uint16), "quality": random.random(130_000)}
    cloud = PointCloud(random.random((130_000, 3)) * [900, 900, 50] + [5e5, 5.4e6, 0], dims)
    writer = LasWriter(filename=str(tmp_path / "out.laz"), a_srs="EPSG:25832")
    writer.write(cloud)
    before = (tmp_path / "out.laz").read_bytes()
    for cuts in (1, 60):
        writer.write_parts(split(cloud, random, cuts), extent_of(cloud))
        assert (tmp_path / "out.laz").read_bytes() == before


def test_no_points_at_all(tmp_path: Path) -> None:
    cloud, out = PointCloud(np.zeros((0, 3)), {"quality": np.zeros(0)}), tmp_path / "out.laz"
    LasWriter(filename=str(out)).write(cloud)
    before = out.read_bytes()
    LasWriter(filename=str(out)).write_parts([cloud, cloud], extent_of(cloud))
    assert out.read_bytes() == before
    with pytest.raises(ValueError, match="at least one"):
        LasWriter(filename=str(out)).write_parts([], extent_of(cloud))


def las(path: Path, raw: np.ndarray, offset: float, scale: float = 0.01, intensity: int = 1) -> LasReader:
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = [scale] * 3, [offset] * 3
    data = laspy.LasData(header)
    data.X, data.Y, data.Z = raw.T
    data.intensity, data.user_data = np.full(len(raw), intensity), np.arange(len(raw)) % 256
    data.write(path)
    return LasReader(filename=str(path))


def test_parts_of_two_files_come_onto_one_lattice(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 1000, (300, 3))
    one, other = las(tmp_path / "a.las", raw, 0.0, intensity=1), las(tmp_path / "b.las", raw, 50.0, intensity=2)
    assert one.outline().layout == other.outline().layout
    clouds = [one.read(), other.read()]
    shift = clouds[1].with_xyz(clouds[1].xyz + (clouds[1].rows == 7)[:, None] * 0.03)
    # As in a retiled file: some of the one, some of the other, some of the one again.
    parts = [clouds[0].select(np.arange(100, 200)), shift.select(np.arange(5, 250)), clouds[0].select(np.array([3, 1]))]
    out = tmp_path / "out.las"
    extent = Extent(347, np.zeros(3), np.full(3, 60.0))
    LasWriter(filename=str(out)).write_parts(parts, extent)
    after = laspy.read(out)
    expected = np.concatenate([raw[100:200], raw[5:250] + 5000, raw[[3, 1]]])
    expected[102] += 3  # row 7 of the other
    assert np.array_equal(np.stack([after.X, after.Y, after.Z], 1), expected)
    assert np.asarray(after.intensity).tolist() == [1] * 100 + [2] * 245 + [1] * 2
    rows = np.concatenate([np.arange(100, 200), np.arange(5, 250), [3, 1]])
    assert np.asarray(after.user_data).tolist() == (rows % 256).tolist()
    assert after.header.offsets.tolist() == [0, 0, 0]
    assert after.header.maxs.tolist() == (expected.max(0) * 0.01).tolist()


def test_an_extent_that_the_first_lattice_cannot_hold_moves_it_by_whole_steps(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 1000, (50, 3))
    far = 3e7
    clouds = [las(tmp_path / "a.las", raw, 0.0).read(), las(tmp_path / "b.las", raw, far).read()]
    out = tmp_path / "out.las"
    record = LasWriter(filename=str(out)).write_parts(clouds, Extent(100, np.zeros(3), np.full(3, far + 10))).history[0]
    assert any("X from" in warning for warning in record.warnings)
    again = LasReader(filename=str(out)).read()
    np.testing.assert_allclose(again.xyz, np.concatenate([c.xyz for c in clouds]), atol=1e-6, rtol=0)


def cloud(count: int = 100) -> PointCloud:
    xyz = np.random.default_rng(0).random((count, 3)) * 100
    return PointCloud(xyz, {"Intensity": np.arange(count).astype(np.uint16), "quality": np.ones(count)})


HALVES = (np.arange(50), np.arange(50, 100))
EXTENT = Extent(100, np.zeros(3), np.full(3, 100.0))


def bad_parts(kind: str, folder: Path) -> Iterator[PointCloud]:
    """Two parts of which the second is bad."""
    first, second = (cloud().select(half) for half in HALVES)
    yield first
    if kind == "more":
        yield cloud()
    elif kind == "fewer":
        yield second.select(np.arange(20))
    elif kind == "column":
        yield second.with_dims({"Extra": np.zeros(50)})
    elif kind == "missing":
        yield replace(second, dims={"Intensity": second.dims["Intensity"]})
    elif kind == "type":
        yield second.with_dims({"Intensity": np.zeros(50)})
    elif kind == "shape":
        yield second.with_dims({"quality": np.zeros((50, 2))})
    elif kind == "far":
        yield second.with_xyz(second.xyz + 1e6)
    elif kind == "nan":
        yield second.with_xyz(second.xyz * np.nan)
    elif kind == "file":
        yield replace(second, source=las(folder / "x.las", np.zeros((100, 3), int), 0.0).read().source)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("more", "hold more than the 100 points"),
        ("fewer", "hold 70 points, not the 100"),
        ("column", "differ in Extra"),
        ("missing", "differ in quality"),
        ("type", "differ in Intensity"),
        ("shape", "differ in quality"),
        ("far", "beyond the bounds"),
        ("nan", "not finite"),
        ("file", "cannot share one"),
    ],
)
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_bad_parts_are_refused_and_leave_the_old_file(tmp_path: Path, suffix: str, kind: str, says: str) -> None:
    out = tmp_path / "out" / f"a{suffix}"
    out.parent.mkdir()
    out.write_bytes(b"old")
    with pytest.raises(WriteError, match=says) as caught:
        LasWriter(filename=str(out)).write_parts(bad_parts(kind, tmp_path), EXTENT)
    assert str(caught.value).startswith(str(out))
    assert out.read_bytes() == b"old"
    assert os.listdir(out.parent) == [out.name]


def test_parts_of_different_layouts_are_refused(tmp_path: Path) -> None:
    raw = np.ones((10, 3), int)
    parts = [las(tmp_path / "a.las", raw, 0.0).read(), las(tmp_path / "b.las", raw, 0.0, scale=0.001).read()]
    with pytest.raises(WriteError, match=r"scale 0.01 .* and .*scale 0.001"):
        LasWriter(filename=str(tmp_path / "out.las")).write_parts(parts, Extent(20, np.zeros(3), np.ones(3)))


@pytest.mark.parametrize(
    "error", [ReadError("in.laz: is cut off"), OSError(5, "scratch"), KeyboardInterrupt(), ZeroDivisionError()]
)
@pytest.mark.parametrize("after", [0, 1])
def test_what_goes_wrong_with_the_parts_is_told_as_it_is(tmp_path: Path, error: BaseException, after: int) -> None:
    def parts() -> Iterator[PointCloud]:
        yield from [cloud().select(HALVES[0])][:after]
        raise error

    out = tmp_path / "a.laz"
    out.write_bytes(b"old")
    with pytest.raises(type(error)) as caught:
        LasWriter(filename=str(out)).write_parts(parts(), EXTENT)
    assert caught.value is error
    assert out.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [out.name]


def test_warnings_of_any_part_are_given_once(tmp_path: Path) -> None:
    place = np.arange(100)
    clouds = cloud().with_dims({"Red": (place > 60).astype(np.uint16), "UserData": np.where(place % 40 == 39, 0.4, 0)})
    writer = LasWriter(filename=str(tmp_path / "a.las"), dataformat_id=6)
    for some in ([clouds], [clouds.select(place[begin : begin + 20]) for begin in range(0, 100, 20)]):
        assert sorted(writer.write_parts(some, EXTENT).history[0].warnings) == [
            "dimension 'UserData' takes whole numbers only; fractions were rounded",
            "point format 6 has no place for Red, which was left out; see 'dataformat_id'",
        ]
    assert writer.write_parts([clouds.select(place[:39])], replace(EXTENT, count=39)).history[0].warnings == ()


def test_a_lastools_index_stays_only_where_it_is_sure_to_hold(tmp_path: Path) -> None:
    path, out = str(tmp_path / "in.las"), tmp_path / "out.las"
    data = laspy.LasData(laspy.LasHeader(point_format=6, version="1.4"))
    data.X = np.arange(10)
    data.header.vlrs.append(laspy.VLR("LAStools", 30, "index", b"tree"))
    data.write(path)
    whole = LasReader(filename=path).read()

    def kept(written: PointCloud) -> bool:
        told = any("index is void" in warning for warning in written.history[-1].warnings)
        stays = any(v.user_id == "LAStools" for v in laspy.open(out).header.vlrs)
        assert told != stays
        return stays

    writer = LasWriter(filename=str(out))
    assert kept(writer.write(whole))
    assert not kept(writer.write(whole.with_xyz(whole.xyz + 1)))
    assert not kept(writer.write(whole.select(np.arange(9, -1, -1))))
    assert not kept(writer.write(LasReader(filename=path, count=5).read()))
    assert not kept(writer.write_parts([whole], extent_of(whole)))


MEMORY = """
import resource, sys
import numpy as np
from deburr.core.cloud import Extent
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

path, out = sys.argv[1:]
def go(count):
    reader = LasReader(filename=path, count=count)
    parts = (part.with_xyz(part.xyz + 0.004) for part in reader.parts(200_000))
    extent = reader.outline().extent
    LasWriter(filename=out).write_parts(parts, Extent(extent.count, extent.low, extent.high + 0.004))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
go(10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(go(None) - before)
"""


def test_a_large_file_takes_the_memory_of_its_parts(tmp_path: Path) -> None:
    count, path = 3_000_000, tmp_path / "in.laz"
    with laspy.open(path, "w", header=laspy.LasHeader(point_format=7, version="1.4")) as file:
        for begin in range(0, count, 500_000):
            record = laspy.ScaleAwarePointRecord.zeros(500_000, header=file.header)
            record.X = record.Y = record.gps_time = np.arange(begin, begin + 500_000)
            file.write_points(record)
    command = [sys.executable, "-c", MEMORY, str(path), str(tmp_path / "out.laz")]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    # The cloud alone takes 3e6 * (36 + 48 + 8 + some 50 for the columns) bytes, over 400 MB.
    assert float(told.stdout) < 250, told.stdout
    assert LasReader(filename=str(tmp_path / "out.laz")).outline().extent.count == count
