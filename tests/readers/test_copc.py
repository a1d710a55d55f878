"""readers.las with 'bounds' and 'resolution': of COPC by its index, of other files by looking at every point."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copcs
import laspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.core import bounds
from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError
from deburr.core.merging import merge
from deburr.formats.las.header import LasSource
from deburr.pipeline import run
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

INFO = 375 + 54


def box(low: Any, high: Any) -> str:
    return "(" + ", ".join(f"[{a!r}, {b!r}]" for a, b in zip(map(float, low), map(float, high), strict=True)) + ")"


def inside(cloud: PointCloud, low: Any, high: Any) -> Any:
    """The rows of the points in a box of two or three axes, both ends included."""
    xyz = cloud.xyz[:, : len(low)]
    return cloud.rows[((xyz >= low) & (xyz <= high)).all(axis=1)]


def records(cloud: PointCloud) -> bytes:
    assert isinstance(cloud.source, LasSource)
    return bytes(cloud.source.records.tobytes())


def check_window(path: str, low: Any, high: Any) -> int:
    whole = LasReader(filename=path).read()
    rows = inside(whole, low, high)
    reader = LasReader(filename=path, bounds=box(low, high))
    part = reader.read()
    assert part.rows.tolist() == rows.tolist()
    assert part.xyz.tobytes() == whole.xyz[rows].tobytes()
    assert isinstance(whole.source, LasSource)
    assert records(part) == whole.source.records[rows].tobytes()
    for name, column in whole.dims.items():
        assert part.dims[name].tobytes() == column[rows].tobytes(), name
    told = reader.outline().extent
    assert told.count == len(rows)
    assert (told.low.tolist(), told.high.tolist()) == (part.extent.low.tolist(), part.extent.high.tolist())
    for size in (1 + len(rows) // 3, max(1, len(rows))):
        parts = list(reader.parts(size))
        assert [len(one) for one in parts[:-1]] == [size] * (len(parts) - 1)
        assert np.concatenate([one.rows for one in parts]).tolist() == rows.tolist()
        assert b"".join(map(records, parts)) == records(part)
        assert {one.extent.count for one in parts} == {len(rows)}
    return len(rows)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, copcs.Copc]:
    """4,000 points on five levels, pages in a tree."""
    levels = np.random.default_rng(1).choice(5, 4000, p=[0.3, 0.3, 0.36, 0.02, 0.02])
    made = copcs.copc(copcs.random_points(4000), levels.tolist())
    assert len(made.pages) > 50
    return made.write(tmp_path_factory.mktemp("copc") / "tree.copc.laz"), made


@pytest.mark.parametrize(("number", "paged", "threads"), [(6, True, "1"), (7, False, "2"), (8, True, "2")])
def test_boxes_of_any_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, paged: bool, threads: str
) -> None:
    monkeypatch.setenv("DEBURR_THREADS", threads)
    random = np.random.default_rng(number)
    las = copcs.random_points(500, number, extra=number == 8, seed=number)
    # Pages of single nodes, where there are pages.
    made = copcs.copc(las, random.integers(0, 3, 500).tolist(), paged)
    path = made.write(tmp_path / "a.copc.laz")
    assert records(LasReader(filename=path).read()) == made.points.tobytes()
    low, side = np.subtract(copcs.CENTRE, copcs.HALF), 2 * copcs.HALF
    assert check_window(path, low, low + side) == 500
    assert check_window(path, low + 2 * side, low + 3 * side) == 0
    assert check_window(path, low[:2] - 9e9, low[:2] + 9e9) == 500
    for axes in (2, 3):
        begin = low[:axes] + random.uniform(0, side, axes)
        check_window(path, begin, begin + random.uniform(0, side / 2, axes))
    # A box of one point, and one that ends where the points' voxels do.
    one = LasReader(filename=path).read().xyz[7]
    assert check_window(path, one, one) >= 1
    check_window(path, low, low + side / 4)


def test_it_is_what_laspy_reads_by_the_index(tree: tuple[str, copcs.Copc]) -> None:
    path, _ = tree
    low, high = (
        np.array([499_951.0, 5_599_967.0]),
        np.array([500_003.0, 5_600_013.0]),
    )  # steps of the lattice: laspy rounds
    with laspy.CopcReader.open(path) as file:
        truth = file.spatial_query(laspy.copc.Bounds(low, high))
    part = LasReader(filename=path, bounds=box(low, high)).read()
    assert len(part) > 300
    assert sorted(truth.array.tolist()) == sorted(part.source.records.tolist())  # type: ignore[attr-defined]


def test_chunks_elsewhere_are_not_read(tree: tuple[str, copcs.Copc], tmp_path: Path) -> None:
    path, made = tree
    low, high = np.array([499_980.0, 5_599_990.0]), np.array([499_990.0, 5_600_002.0])
    truth = records(LasReader(filename=path, bounds=box(low, high)).read())
    assert truth
    data, spoilt = bytearray(made.data), 0
    for (level, *place), (at, size, _) in made.nodes.items():
        side = 2 * copcs.HALF / 2**level
        corner = np.subtract(copcs.CENTRE, copcs.HALF)[:2] + np.array(place[:2]) * side
        if (corner > high + 0.011).any() or (corner + side < low - 0.011).any():
            data[at : at + size] = b"\xff" * size
            spoilt += 1
    # So are pages of which no voxel meets the box: the last is the root.
    assert spoilt > 0.9 * len(made.nodes)
    other = tmp_path / "spoilt.copc.laz"
    other.write_bytes(data)
    assert records(LasReader(filename=str(other), bounds=box(low, high)).read()) == truth
    with pytest.raises(ReadError):
        LasReader(filename=str(other)).read()


def test_levels_down_to_a_resolution(tree: tuple[str, copcs.Copc]) -> None:
    path, made = tree
    levels = np.array([key[0] for key in made.keys])
    for resolution, deepest in ((100.0, 0), (8.0, 0), (7.9, 1), (4.0, 1), (1.1, 3), (0.001, 4), (1e-300, 4)):
        part = LasReader(filename=path, resolution=resolution).read()
        assert part.rows.tolist() == np.flatnonzero(levels <= deepest).tolist()
    low, high = [499_950.0, 5_599_950.0, 90.0], [500_020.0, 5_600_000.0, 130.0]
    both = LasReader(filename=path, bounds=box(low, high), resolution=4.0).read()
    rows = inside(LasReader(filename=path).read(), low, high)
    assert both.rows.tolist() == rows[levels[rows] <= 1].tolist()
    assert len(both)


def test_a_real_file(data_dir: Path) -> None:
    path = str(data_dir / "data/lidar/pdal_lone-star.copc.laz")
    assert check_window(path, [515_380.0, 4_918_350.0], [515_384.0, 4_918_354.0]) > 300
    for resolution in (1.0, 0.2, 0.1):
        with laspy.CopcReader.open(path) as file:
            truth = file.query(resolution=resolution)
        part = LasReader(filename=path, resolution=resolution).read()
        assert len(part) == len(truth)
        assert math.isclose(float(part.xyz.sum()), float(sum(np.sum(truth[a]) for a in "xyz")), rel_tol=1e-12)


@pytest.mark.parametrize("name", ["pdal_4_6_crop.las", "laspy_fullwave.laz", "pdal_extrabytes.las", "laspy_plane.laz"])
def test_boxes_of_files_without_an_index(data_dir: Path, name: str) -> None:
    path = str(data_dir / "data/lidar" / name)
    xyz = LasReader(filename=path).read().xyz
    low, high = np.quantile(xyz, 0.2, axis=0), np.quantile(xyz, 0.8, axis=0)
    assert 0 < check_window(path, low[:2], high[:2]) < len(xyz)
    assert 0 < check_window(path, low, high) < len(xyz)
    with pytest.raises(ReadError, match=r"is no COPC, which alone has levels; leave 'resolution' out"):
        LasReader(filename=path, resolution=1.0).read()


def test_a_box_without_points_is_said(tree: tuple[str, copcs.Copc]) -> None:
    cloud = LasReader(filename=tree[0], bounds="([0, 1], [0, 1])").read()
    assert len(cloud) == 0
    assert cloud.history[0].warnings == (f"{tree[0]}: none of its 4,000 points was asked for",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bounds": "0,0,5,5"}, r"option 'bounds' must be \(\[xmin, xmax\], \[ymin, ymax\]\).*it is none\)"),
        ({"bounds": "([0, 1])"}, "it is none"),
        ({"bounds": "([0, 1], [2, nan])"}, "it is none"),
        ({"bounds": "([0, 1], [2, 1e999])"}, "too large"),
        ({"bounds": "([1, 0], [2, 3])"}, "a lower end is above its upper one"),
        ({"bounds": "([0, 1], [2, 3]) / EPSG:4326"}, "a system of coordinates behind it is not taken"),
        ({"bounds": "([0, 1], [2, 3])", "count": 5}, "options 'bounds' and 'count' exclude each other"),
        ({"resolution": 2.0, "start": 5}, "options 'resolution' and 'start' exclude each other"),
        ({"resolution": 2.0, "all_points": True}, "options 'resolution' and 'all_points' exclude each other"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, Any], said: str) -> None:
    (error,) = LasReader(filename="a.laz", **options).check(())
    assert re.search(said, error)


@given(st.lists(st.floats(-1e12, 1e12), min_size=6, max_size=6), st.booleans())
@settings(max_examples=50, deadline=None)
def test_boxes_as_they_are_spelt(numbers: list[float], flat: bool) -> None:
    low, high = np.minimum(numbers[:3], numbers[3:]), np.maximum(numbers[:3], numbers[3:])
    axes = 2 if flat else 3
    found = bounds.parse(box(low[:axes], high[:axes]).replace(", ", ","))
    assert found.low[:axes].tolist() == low[:axes].tolist()
    assert found.high[:axes].tolist() == high[:axes].tolist()
    assert flat == bool(np.isinf(found.low[2]))


Damage = Callable[[bytearray, copcs.Copc], None]


def entry_of(made: copcs.Copc, at: int) -> tuple[int, ...]:
    return copcs.ENTRY.unpack_from(made.data, at)


def field(offset: int, kind: str, value: Any, page: int = -1) -> Damage:
    """The number at ``offset`` of a page's first entry."""
    return lambda data, made: struct.pack_into("<" + kind, data, made.pages[page][0] + offset, value)


def info(offset: int, kind: str, value: Any) -> Damage:
    return lambda data, _: struct.pack_into("<" + kind, data, INFO + offset, value)


def circle(data: bytearray, made: copcs.Copc) -> None:
    struct.pack_into("<Qi", data, made.pages[-1][0] + 16, *made.pages[-1])


def shared(data: bytearray, made: copcs.Copc) -> None:
    """Every page of the root leads one entry further into the root: together more than the file."""
    at, size = made.pages[-1]
    for number in range(64):
        struct.pack_into("<Qii", data, at + 32 * number + 16, at + 32 * number, size - 32 * number, -1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (circle, "its pages lead to themselves"),
        (shared, "its pages lead to themselves"),
        (field(16, "Q", 2**64 - 32), "a page lies beyond the file"),
        (field(16, "Q", 10**7), "a page lies beyond the file"),
        (field(24, "i", -32), "a page lies beyond the file"),
        (field(24, "i", 33), "is no page"),
        (field(28, "i", -2), "it names voxels that there are not"),
        (field(0, "i", 32), "it names voxels that there are not"),
        (field(0, "i", -1), "it names voxels that there are not"),
        (field(4, "i", 4), "it names voxels that there are not"),
        (field(12, "i", -1), "it names voxels that there are not"),
        (field(16, "Q", 5000, page=0), "it does not fit the points"),
        (field(16, "Q", 2**63 + 5000, page=0), "it does not fit the points"),
        (field(24, "i", 7, page=0), "it does not fit the points"),
        (field(28, "i", 10**9, page=0), "it does not fit the points"),
        (info(24, "d", 0.0), "it describes no cube"),
        (info(24, "d", math.nan), "it describes no cube"),
        (info(0, "d", math.inf), "it describes no cube"),
        (info(32, "d", -1.0), "it describes no cube"),
        (info(40, "Q", 2**63), "a page lies beyond the file"),
        (info(48, "Q", 2**63 + 32), "a page lies beyond the file|lead to themselves"),
    ],
)
def test_damaged_indices_are_one_sentence(
    tree: tuple[str, copcs.Copc], tmp_path: Path, damage: Damage, said: str
) -> None:
    made = tree[1]
    first = next(n for n, (at, _) in enumerate(made.pages) if entry_of(made, at)[6] > 0)
    made = copcs.Copc(made.data, made.points, made.keys, made.nodes, [made.pages[first], *made.pages[1:]])
    data = bytearray(made.data)
    damage(data, made)
    path = tmp_path / "damaged.copc.laz"
    path.write_bytes(data)
    with pytest.raises(
        ReadError, match=rf"its index \(COPC\) is damaged, or of another file: .*({said}).*get an intact"
    ):
        LasReader(filename=str(path), resolution=1e-9).read()
    assert len(LasReader(filename=str(path)).read()) == 4000  # which needs no index


def test_a_cube_as_large_as_numbers_get(tree: tuple[str, copcs.Copc], tmp_path: Path) -> None:
    data = bytearray(tree[1].data)
    struct.pack_into("<d", data, INFO + 24, 1.7e308)
    path = tmp_path / "large.copc.laz"
    path.write_bytes(data)
    assert len(LasReader(filename=str(path), bounds="([0, 1], [0, 1])").read()) == 0


@pytest.mark.parametrize("options", [{}, {"dataformat_id": 7}, {"extra_dims": "Depth=double"}, {"minor_version": 5}])
def test_what_is_chosen_is_written_bit_by_bit(
    tree: tuple[str, copcs.Copc], tmp_path: Path, options: dict[str, Any]
) -> None:
    bounds_ = "([499950, 500020], [5599950, 5600000])"
    whole = LasReader(filename=tree[0]).read()
    part = LasReader(filename=tree[0], bounds=bounds_).read()
    assert 100 < len(part) < 4000
    written = []
    for cloud, name in ((part, "part.las"), (whole.select(part.rows), "whole.las")):
        # One point has moved, one is gone, and they are in another order.
        xyz = cloud.xyz + (cloud.rows == part.rows[9])[:, None] * [0.5, 0.0, 0.0]
        cloud = cloud.with_xyz(xyz).select(np.arange(len(part) - 1, 0, -1))
        path = tmp_path / name
        LasWriter(filename=str(path), creation_doy=1, **options).write(cloud)
        written.append(path.read_bytes())
    assert written[0] == written[1]
    out = LasWriter(filename=str(tmp_path / "same.laz")).write(part)
    assert out.history[-1].warnings == ()
    assert records(LasReader(filename=str(tmp_path / "same.laz")).read()) == records(part)


def test_windows_of_several_files_become_one(tree: tuple[str, copcs.Copc], tmp_path: Path) -> None:
    names = "([499940, 499960], [5599950, 5600000])", "([0, 1], [0, 1])", "([500010, 500060], [5599950, 5600000])"
    clouds = [LasReader(filename=tree[0], bounds=one).read() for one in names]
    joined, _ = merge([*clouds, LasReader(filename=tree[0], count=70).read()])
    first, _, third = clouds
    assert len(joined) == len(first) + len(third) + 70
    assert len(np.unique(joined.rows)) == len(joined)
    path = tmp_path / "joined.laz"
    LasWriter(filename=str(path)).write(joined.select(np.arange(len(joined))[::-1]))
    whole = tree[1].points
    wanted = np.concatenate([whole[first.rows], whole[third.rows], whole[:70]])[::-1]
    assert records(LasReader(filename=str(path)).read()) == wanted.tobytes()


def test_a_pipeline_reads_a_window_whole_and_in_tiles(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "data/lidar/pdal_lone-star.copc.laz"
    spec: list[Any] = [
        {"type": "readers.las", "filename": str(path), "bounds": "([515380, 515383], [4918350, 4918354])"},
        {"type": "filters.noise", "sigma": 0.01, "seed": 3},
        {"type": "writers.las", "filename": str(tmp_path / "a.las"), "creation_doy": 1},
    ]
    run(spec)
    once = (tmp_path / "a.las").read_bytes()
    rows = LasReader(**{key: value for key, value in spec[0].items() if key != "type"}).read().rows
    assert laspy.read(tmp_path / "a.las").header.point_count == len(rows) > 500
    from deburr.batch import batch

    batch(spec, inputs=[path], out=tmp_path / "out", name="b.las", tile=1.5)
    assert (tmp_path / "out" / "b.las").read_bytes() == once
