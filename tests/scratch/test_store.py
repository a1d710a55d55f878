"""The store gives what a selection from all clouds in memory gives, in whatever pieces files are unpacked."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deburr.core.cloud import Extent, PointCloud
from deburr.core.cut import cut
from deburr.core.errors import ReadError, RunError, WriteError
from deburr.core.progress import listening
from deburr.core.registry import stage_class
from deburr.core.stage import Outline, Reader, Writer
from deburr.readers.las import LasReader
from deburr.scratch.input_file import FileRef
from deburr.scratch.store import Store, size
from deburr.scratch.unpack import unpack

EVERYWHERE = (np.full(2, -np.inf), np.full(2, np.inf))
LATTICE = 0.01


def reader(path: Path) -> Reader:
    made = stage_class(f"readers.{'ply' if path.suffix == '.ply' else 'las'}").model_validate({"filename": str(path)})
    assert isinstance(made, Reader)
    return made


def written(path: Path, cloud: PointCloud) -> FileRef:
    """The cloud in a file, on a lattice if it is LAS."""
    options: dict[str, Any] = {"filename": str(path)}
    kind = "ply" if path.suffix == ".ply" else "las"
    if kind == "las":
        options |= {f"scale_{axis}": LATTICE for axis in "xyz"} | {f"offset_{axis}": 0.0 for axis in "xyz"}
    writer = stage_class(f"writers.{kind}").model_validate(options)
    assert isinstance(writer, Writer)
    writer.write(cloud)
    return FileRef.of(reader(path), 0)


def selected(refs: list[FileRef], low: Any, high: Any) -> tuple[Any, Any, Any, list[PointCloud]]:
    """Coordinates, rows, files of the points in a box, from whole clouds; and those clouds, cut to the box."""
    clouds = []
    for ref in refs:
        cloud = ref.reader.read()
        plan = cloud.xyz[:, :2]
        clouds.append(cloud.select(((plan >= low) & (plan < high)).all(axis=1)))
    files = np.concatenate([np.full(len(cloud), ref.number) for ref, cloud in zip(refs, clouds, strict=True)])
    return np.concatenate([c.xyz for c in clouds]), np.concatenate([c.rows for c in clouds]), files, clouds


def check_same(store: Store, refs: list[FileRef], low: Any, high: Any) -> None:
    found, file = store.read(low, high)
    xyz, rows, files, clouds = selected(refs, low, high)
    assert np.array_equal(found.xyz, xyz)
    assert np.array_equal(found.rows, rows)
    assert np.array_equal(file, files)
    assert file.dtype == np.int32
    assert found.dims.keys() == store.kinds.keys()
    for name, column in found.dims.items():
        lacking = [np.zeros((len(c), *column.shape[1:])) if name not in c.dims else c.dims[name] for c in clouds]
        assert np.array_equal(column, np.concatenate(lacking)), name
        assert column.dtype == store.kinds[name].base
    assert store.count(low, high) >= len(found)
    assert found.extent is store.extent


@st.composite
def cloud(draw: st.DrawFn) -> PointCloud:
    """Points of a lattice over a few metres, many equal and on lines, at times with a column."""
    n, wide = draw(st.integers(0, 400)), draw(st.sampled_from([0, 3, 50, 1500]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corner = random.integers(-500, 500, 3)
    raw = random.integers(0, wide + 1, (n, 3)) * random.choice([1, 10], 3) + corner
    dims = {"Classification": random.integers(0, 9, n).astype(np.uint8)} if draw(st.booleans()) else {}
    return PointCloud(raw * LATTICE, dims)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_box_is_what_lies_in_it(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("store")
    names = [f"{i}{data.draw(st.sampled_from(['.las', '.laz', '.ply']))}" for i in range(data.draw(st.integers(1, 3)))]
    made = [written(folder / name, data.draw(cloud())) for name in names]
    refs = [replace(ref, number=2 * number) for number, ref in enumerate(made)]
    dims = data.draw(st.sampled_from([None, frozenset[str](), frozenset({"Classification", "Intensity"})]))
    store = Store(refs[::-1], folder / "scratch", dims, data.draw(st.sampled_from([7, 100, 1000])))
    # The columns of a box are the same, whichever files it meets.
    assert dims is None or store.kinds.keys() <= dims
    check_same(store, refs, *EVERYWHERE)
    corners = np.concatenate([ref.reader.read().xyz[:, :2] for ref in refs] + [np.zeros((1, 2))])
    for _ in range(8):
        # Corners of boxes are points, so that points lie on borders, or lie beyond all points.
        i, j = (data.draw(st.integers(0, len(corners) - 1)) for _ in range(2))
        shift = data.draw(st.sampled_from([0.0, LATTICE, 3.0]))
        check_same(store, refs, np.minimum(corners[i], corners[j]), np.maximum(corners[i], corners[j]) + shift)


def test_boxes_side_by_side_share_no_point(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    ref = written(tmp_path / "a.las", PointCloud(np.array(random.integers(0, 300, (5000, 3)) * 0.1, np.float64)))
    store = Store([ref], tmp_path / "scratch")
    store.unpack(0)
    counts, x, y = store.histogram(0)
    assert counts.sum() == 5000
    boxes = cut(counts, x, y, 300)
    assert len(boxes) > 16
    rows = [store.read(*box)[0].rows for box in boxes]
    assert max(map(len, rows)) <= 300
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(5000))


def test_a_store_goes_through_json(tmp_path: Path) -> None:
    first = written(tmp_path / "a.laz", PointCloud([[1.0, 2.0, 3.0], [1.5, 2.5, 3.5]]))  # type: ignore[arg-type]
    empty = written(tmp_path / "b.ply", PointCloud(np.zeros((0, 3))))
    ref = FileRef.of(LasReader(filename=first.path, start=1, override_srs="EPSG:28992"), 0)
    store = Store([ref, replace(empty, number=1, context=True)], tmp_path / "scratch", frozenset({"Intensity"}), 10)
    text = json.dumps(store.as_json(), allow_nan=False)
    again = Store.from_json(json.loads(text))
    assert again.as_json() == store.as_json()
    found, file = again.read(*EVERYWHERE)
    assert found.xyz.tolist() == [[1.5, 2.5, 3.5]]
    assert found.rows.tolist() == [1]
    assert found.crs == "EPSG:28992"
    assert file.tolist() == [0]
    assert again.files[1].context
    assert again.extent.count == 1


def test_columns_of_several_types_become_one(tmp_path: Path) -> None:
    columns: dict[str, tuple[Any, ...]] = {
        "a.ply": (np.uint8, np.uint64, ">f4"),
        "b.ply": (np.int16, np.int64, "<f8"),
    }
    refs = []
    for number, (name, theirs) in enumerate(columns.items()):
        dims = {key: np.array([3], one) for key, one in zip(("small", "large", "real"), theirs, strict=True)}
        # The reader's own: whether all these types survive in PLY is not the point here.
        extent = Extent(1, np.zeros(3), np.zeros(3))
        (tmp_path / name).touch()
        types = {key: column.dtype for key, column in dims.items()}
        outline = Outline(extent, None, None, "", types)
        refs.append(FileRef.of(reader(tmp_path / name), number, outline))
    kinds = Store(refs, tmp_path / "scratch").kinds
    assert {name: str(kind) for name, kind in kinds.items()} == {"small": "int16", "large": "int64", "real": "float64"}


def test_vectors_are_kept_and_other_shapes_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    points = PointCloud(random.random((500, 3)), {"Colour": random.random((500, 3)).astype(np.float32)})
    (tmp_path / "a.ply").touch()
    kind = type(reader(tmp_path / "a.ply"))
    monkeypatch.setattr(kind, "read", lambda self: points)
    ref = FileRef.of(reader(tmp_path / "a.ply"), 0)
    store = Store([FileRef.from_json(ref.as_json())], tmp_path / "scratch", chunk=100)
    found, _ = store.read(*EVERYWHERE)
    assert np.array_equal(found.dims["Colour"], points.dims["Colour"])
    other = replace(ref, number=1, path="b.ply", kinds={"Colour": np.dtype("<f4")})
    with pytest.raises(RunError, match=r"b\.ply: dimension 'Colour' has values of shape \(\), and \(3,\) in .*a\.ply"):
        Store([ref, other], tmp_path)
    assert Store([ref, other], tmp_path, frozenset()).kinds == {}


def test_count_before_and_after_unpacking(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ref = written(tmp_path / "a.las", PointCloud(random.uniform(0, 100, (20_000, 3))))
    store = Store([ref], tmp_path / "scratch")
    low, high = np.array([10.0, 20.0]), np.array([30.0, 40.0])
    true = 20_000 * 0.04
    assert 3 * true < store.count(low, high) < 6 * true
    assert store.count(low - 1e6, high + 1e6) == 20_000
    assert store.count(low + 1e6, high + 1e6) == 0
    assert not (tmp_path / "scratch").exists()
    store.unpack(0)
    assert len(store.read(low, high)[0]) <= store.count(low, high) < 2 * true


def test_only_files_that_the_box_meets_are_unpacked(tmp_path: Path) -> None:
    left = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((50, 3))))
    right = replace(
        written(tmp_path / "b.las", left.reader.read().with_xyz(left.reader.read().xyz + np.array([5.0, 0, 0]))),
        number=1,
    )
    store = Store([left, right], tmp_path / "scratch")
    (tmp_path / "b.las").unlink()
    assert len(store.read(np.zeros(2), np.full(2, 4.0))[0]) == 50
    with pytest.raises(ReadError, match=r"b\.las: cannot be read \(No such file or directory\)"):
        store.read(np.zeros(2), np.full(2, 9.0))


def test_indices_that_were_let_go_are_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deburr.scratch.store._OPENED", 2)
    xyz = np.random.default_rng(0).random((30, 3))
    refs = [
        replace(written(tmp_path / f"{i}.las", PointCloud(xyz + np.array([2.0 * i, 0, 0]))), number=i) for i in range(5)
    ]
    store = Store(refs, tmp_path / "scratch")
    for _ in range(2):
        assert len(store.read(*EVERYWHERE)[0]) == 150
        assert np.unique(store.read(np.array([3.5, -1.0]), np.array([7.5, 2.0]))[1]).tolist() == [2, 3]
        assert len(store._opened) == 2


def test_release_and_unpack_again(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((50, 3))))
    store, other = (Store([ref], tmp_path / "scratch") for _ in range(2))
    other.unpack(0)
    assert len(store.read(*EVERYWHERE)[0]) == 50
    store.release(0)
    store.release(0)
    assert [path.name[:5] for path in (tmp_path / "scratch").iterdir()] == [".lock"]
    assert len(other.read(*EVERYWHERE)[0]) == 50


def test_a_changed_file_is_unpacked_anew(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((50, 3))))
    Store([ref], tmp_path / "scratch").unpack(0)
    changed = written(tmp_path / "a.las", PointCloud(np.random.default_rng(1).random((60, 3))))
    assert len(Store([changed], tmp_path / "scratch").read(*EVERYWHERE)[0]) == 60


def test_what_is_cut_off_is_unpacked_anew(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((50, 3))))
    place = Store([ref], tmp_path / "scratch").unpack(0).folder
    os.truncate(place / "points", 100)
    assert len(Store([ref], tmp_path / "scratch").read(*EVERYWHERE)[0]) == 50


def test_progress_is_told_in_points(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.laz", PointCloud(np.random.default_rng(0).random((50, 3))))
    told: list[tuple[str, int, int]] = []
    with listening(lambda *step: told.append(step)):
        Store([ref], tmp_path / "scratch", chunk=20).unpack(0)
    assert told == [("unpacking a.laz", done, 50) for done in (20, 40, 50)]


def with_bounds(path: Path, low: float, high: float) -> FileRef:
    """The file after its header was made to say that x ends at ``high`` and begins at ``low``."""
    data = bytearray(path.read_bytes())
    data[179:195] = np.array([high, low]).tobytes()
    path.write_bytes(data)
    return FileRef.of(reader(path), 0)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """1,000 points, x from 0 to 9.99."""
    random = np.random.default_rng(0)
    points = np.column_stack([np.arange(1000) * LATTICE, random.integers(0, 900, (1000, 2)) * LATTICE])
    return Path(written(tmp_path / "line.las", PointCloud(points)).path)


def test_points_beyond_the_bounds_in_the_head_are_refused(line: Path, tmp_path: Path) -> None:
    store = Store([with_bounds(line, 0.0, 8.0)], tmp_path / "scratch")
    for _ in range(2):
        with pytest.raises(
            RunError, match=r"line.las: has points beyond the bounds in its head .* write it anew first"
        ):
            store.read(*EVERYWHERE)
    alone = store.measured()
    assert len(alone.read(*EVERYWHERE)[0]) == 1000
    assert alone.extent.high[0] == pytest.approx(9.99)
    assert len(Store.from_json(alone.as_json()).read(np.array([9.0, 0]), np.full(2, 10.0))[0]) == 100


def test_points_within_a_step_of_the_bounds_are_found(line: Path, tmp_path: Path) -> None:
    ref = with_bounds(line, 0.01, 9.985)
    store = Store([ref], tmp_path / "scratch")
    assert ref.step == LATTICE
    assert len(store.read(*EVERYWHERE)[0]) == 1000
    assert store.read(np.array([9.986, -1.0]), np.full(2, 20.0))[0].rows.tolist() == [999]
    assert store.read(np.array([-1.0, -1.0]), np.array([0.005, 20.0]))[0].rows.tolist() == [0]
    counts, x, _ = store.histogram(0)
    assert counts.sum() == 1000
    assert x[0] <= 0.0
    assert x[-1] > 9.99


@pytest.mark.parametrize(("low", "high"), [(-1e6, 1e6), (1e5, 1e5 + 10)])
def test_bounds_quite_wrong_do_not_make_reading_slow(line: Path, tmp_path: Path, low: float, high: float) -> None:
    store = Store([with_bounds(line, low, high)], tmp_path / "scratch").measured()
    assert store.count(np.array([2.0, 0.0]), np.array([3.0, 9.0])) < 600
    assert len(store.read(np.array([2.0, 0.0]), np.array([3.0, 9.0]))[0]) == 100


def test_no_room_leaves_nothing(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((5000, 3))))
    store = Store([ref], tmp_path / "scratch", chunk=1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(
            WriteError, match=r"scratch: the points of .*a\.las cannot be unpacked there \(File too large"
        ):
            store.unpack(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name[:5] for path in (tmp_path / "scratch").iterdir()] == [".lock"]
    assert len(store.read(*EVERYWHERE)[0]) == 5000


def test_scratch_that_cannot_be_written(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.zeros((1, 3))))
    (tmp_path / "scratch").touch()
    with pytest.raises(WriteError, match=r"scratch: the points of .*a\.las cannot be unpacked there"):
        Store([ref], tmp_path / "scratch").unpack(0)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.laz", PointCloud(np.random.default_rng(0).random((5000, 3))))
    os.truncate(ref.path, os.path.getsize(ref.path) // 2)
    with pytest.raises(ReadError, match=r"a\.laz"):
        Store([ref], tmp_path / "scratch").read(*EVERYWHERE)
    assert [path.name[:5] for path in (tmp_path / "scratch").iterdir()] == [".lock"]


def test_leftovers_of_a_killed_process_vanish(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.zeros((1, 3))))
    store = Store([ref], tmp_path / "scratch")
    place = store.unpack(0).folder
    store.release(0)
    (place.with_name(f".{place.name}.0123456789ab")).mkdir()
    store.unpack(0)
    assert sorted(path.name[:5] for path in place.parent.iterdir()) == [".lock", place.name[:5]]


def test_the_slower_of_two_throws_its_work_away(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((50, 3))))
    first = unpack(ref.reader, ref.extent, {}, tmp_path / "scratch" / "0")
    state = (first.folder / "points").stat().st_ino
    assert unpack(ref.reader, ref.extent, {}, first.folder).folder == first.folder
    assert (first.folder / "points").stat().st_ino == state
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["0"]


def test_size_is_what_is_written(tmp_path: Path) -> None:
    ref = written(tmp_path / "a.las", PointCloud(np.random.default_rng(0).random((20_000, 3))))
    for dims in (None, frozenset({"Classification"})):
        scratch = tmp_path / str(dims)
        Store([ref], scratch, dims, 5000).unpack(0)
        used = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
        assert 0.5 * size([ref], dims, 5000) < used <= size([ref], dims, 5000)


#: Reads all of the store that its input tells, once a line is given.
READ = """
import json, sys
import numpy as np
from deburr.scratch.store import Store
store = Store.from_json(json.loads(input()))
input()
cloud, file = store.read(np.full(2, -np.inf), np.full(2, np.inf))
print(len(cloud), cloud.rows.sum(), cloud.xyz.sum(), file.sum())
"""


@pytest.fixture
def ahn(data_dir: Path) -> list[FileRef]:
    paths = [data_dir / "data" / "lidar" / f"3dfier_ahn3_cropped_{i}.laz" for i in (1, 2)]
    return [FileRef.of(reader(path), number) for number, path in enumerate(paths)]


def test_two_processes_at_a_fresh_store(ahn: list[FileRef], tmp_path: Path) -> None:
    text = json.dumps(Store(ahn, tmp_path / "scratch", frozenset({"Classification"})).as_json())
    command = [sys.executable, "-c", READ]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with workers[0], workers[1]:
        for end in (text, ""):  # the second line once both are ready, or nearly
            for worker in workers:
                assert worker.stdin is not None
                print(end, file=worker.stdin, flush=True)
        results = [worker.communicate()[0].split() for worker in workers]
    assert results[0] == results[1]
    assert int(results[0][0]) == 640_510 + 208_432
    kept = [path.name for path in (tmp_path / "scratch").iterdir() if not path.name.startswith(".lock")]
    assert sorted(name[:2] for name in kept) == ["0-", "1-"]


@pytest.fixture
def whole(ahn: list[FileRef]) -> tuple[PointCloud, Any]:
    clouds = [ref.reader.read() for ref in ahn]
    dims = {"Classification": np.concatenate([cloud.dims["Classification"] for cloud in clouds])}
    rows = np.concatenate([cloud.rows for cloud in clouds])
    file = np.repeat([0, 1], [len(cloud) for cloud in clouds])
    return PointCloud(np.concatenate([cloud.xyz for cloud in clouds]), dims, rows=rows), file


def test_a_thousand_boxes_of_real_tiles(ahn: list[FileRef], whole: tuple[PointCloud, Any], tmp_path: Path) -> None:
    store = Store(ahn, tmp_path / "scratch", frozenset({"Classification"}), chunk=100_000)
    cloud, file = whole
    random = np.random.default_rng(0)
    # By x, so that a box is searched among few; points' own coordinates are on the borders.
    order = np.argsort(cloud.xyz[:, 0], kind="stable")
    x = cloud.xyz[order, 0]
    for _ in range(1000):
        low = cloud.xyz[random.integers(len(cloud)), :2]
        high = cloud.xyz[random.integers(len(cloud)), :2] if random.random() < 0.05 else low + random.uniform(0, 30, 2)
        low, high = np.minimum(low, high), np.maximum(low, high)
        some = np.sort(order[np.searchsorted(x, low[0]) : np.searchsorted(x, high[0])])
        some = some[(cloud.xyz[some, 1] >= low[1]) & (cloud.xyz[some, 1] < high[1])]
        found, files = store.read(low, high)
        assert np.array_equal(found.xyz, cloud.xyz[some])
        assert np.array_equal(found.rows, cloud.rows[some])
        assert np.array_equal(found.dims["Classification"], cloud.dims["Classification"][some])
        assert np.array_equal(files, file[some])


@pytest.mark.alldata
def test_every_real_file(data_dir: Path, tmp_path: Path) -> None:
    for path in sorted((data_dir / "data" / "lidar").iterdir()):
        ref = FileRef.of(reader(path), 0)
        store = Store([ref], tmp_path / path.name, chunk=200_000).measured()
        middle = (ref.extent.low + ref.extent.high)[:2] / 2
        check_same(store, [ref], *EVERYWHERE)
        check_same(store, [ref], middle, EVERYWHERE[1])
        assert Store([ref], tmp_path / path.name, chunk=200_000).unpack(0).extent.count == ref.extent.count
