"""writers.copc: the same points, each in its voxel, and an index that deburr, laspy and PDAL read windows by."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.batch import batch
from deburr.core.cloud import Extent, PointCloud, extent_of
from deburr.core.errors import SpecError
from deburr.pipeline import load, run
from deburr.readers.las import LasReader
from deburr.writers import _copc_tree
from deburr.writers.copc import CopcWriter
from deburr.writers.las import LasWriter

#: A folder of node_modules with the package copc.
NODE = os.environ.get("DEBURR_COPC_NPM", "")


def rows(records: Any) -> list[bytes]:
    """Every record's bytes, sorted."""
    size = records.dtype.itemsize
    raw = records.tobytes()
    return sorted(raw[at : at + size] for at in range(0, len(raw), size))


def records(path: Path | str) -> Any:
    return LasReader(filename=str(path)).read().source.records  # type: ignore[attr-defined]


def check_tree(path: Path) -> dict[int, int]:
    """All that the specification of COPC 1.0 says of a file, as laspy finds it; how many points are on each level."""
    data = path.read_bytes()
    assert data[377:381] == b"copc"
    assert data[393:395] == b"\x01\x00"
    assert struct.unpack_from("<H", data, 375 + 20) == (160,)
    assert data[375 + 54 + 72 : 375 + 54 + 160] == bytes(88)
    levels: dict[int, int] = {}
    with laspy.CopcReader.open(path) as file:
        info, header = file.copc_info, file.header
        entries = file.root_page.entries
        assert header.version == "1.4"
        assert header.point_format.id in (6, 7, 8)
        assert info.spacing == 2 * info.halfsize / 128
        assert sum(entry.point_count for entry in entries.values()) == header.point_count
        assert [one.record_id for one in laspy.read(path).evlrs if one.user_id == "copc"] == [1000]
        everything = file.query()
        if header.point_count:
            assert (float(everything["gps_time"].min()), float(everything["gps_time"].max())) == (
                info.gps_min,
                info.gps_max,
            )
        returns = np.bincount(np.asarray(everything["return_number"]), minlength=16)[1:16]
        assert header.number_of_points_by_return.tolist() == returns.tolist()
        low, eps = info.center - info.halfsize, 1e-9 * max(1.0, float(np.abs(info.center).max()))
        parents = {(key.level, key.x, key.y, key.z) for key in entries}
        for key, entry in entries.items():
            assert key.level == 0 or (key.level - 1, key.x >> 1, key.y >> 1, key.z >> 1) in parents
            if not entry.point_count:
                continue
            node = laspy.copc.OctreeNode()
            node.offset, node.byte_size, node.point_count = entry.offset, entry.byte_size, entry.point_count
            found = file._fetch_and_decompress_points_of_nodes([node])
            xyz = np.array([found.x, found.y, found.z]).T
            side = 2 * info.halfsize / 2**key.level
            corner = low + np.array([key.x, key.y, key.z]) * side
            assert (xyz >= corner - eps).all()
            assert (xyz < corner + side + eps).all()
            levels[key.level] = levels.get(key.level, 0) + len(found)
            children = [(key.level + 1, 2 * key.x + i, 2 * key.y + j, 2 * key.z + k)
                        for i in (0, 1) for j in (0, 1) for k in (0, 1)]  # fmt: skip
            if parents & set(children):  # points of the spacing of the level: one a cell
                cells = np.floor((xyz - low) / (info.spacing / 2**key.level) + 1e-9)
                assert len(np.unique(cells, axis=0)) >= 0.999 * len(found)
    return levels


@pytest.mark.parametrize("name", ["pdal_lone-star.copc.laz", "ign_77055_627755.laz", "ign_several_extra_bytes.laz"])
def test_real_files_keep_every_bit_of_every_point(data_dir: Path, tmp_path: Path, name: str) -> None:
    source = LasReader(filename=str(data_dir / "data/lidar" / name)).read()
    if len(source) > 150_000:
        source = source.select(np.arange(0, len(source), 1 + len(source) // 150_000))
    path = tmp_path / "out.copc.laz"
    result = CopcWriter(filename=str(path)).write(source)
    assert result.history[-1].figures["points"] == len(source)
    assert len(result) == len(source)
    assert result.xyz is source.xyz
    old = source.source.taken(source.rows)  # type: ignore[attr-defined]
    if old.dtype["intensity"] and source.source.layout.format in (6, 7, 8):  # type: ignore[attr-defined]
        assert rows(records(path)) == rows(old)
    again = LasReader(filename=str(path)).read()
    order, back = (np.lexsort((*one.xyz.T, one.dims["GpsTime"], one.dims["Intensity"])) for one in (source, again))
    assert again.xyz[back].tobytes() == source.xyz[order].tobytes()
    assert (again.crs, again.units) == (source.crs, source.units)
    levels = check_tree(path)
    assert len(levels) > 1
    low, high = np.quantile(source.xyz[:, :2], 0.4, axis=0), np.quantile(source.xyz[:, :2], 0.6, axis=0)
    spelt = "([{!r}, {!r}], [{!r}, {!r}])".format(*np.ravel([low, high], order="F").tolist())
    window = LasReader(filename=str(path), bounds=spelt).read()
    inside = ((source.xyz[:, :2] >= low) & (source.xyz[:, :2] <= high)).all(axis=1)
    assert len(window) == inside.sum() > 0
    # Coarser levels are a thinned cloud, spread over all of it.
    top = LasReader(filename=str(path), resolution=1e9).read()
    assert len(top) == levels[0] < len(source)
    assert np.allclose(top.xyz.min(axis=0)[:2], source.xyz.min(axis=0)[:2], atol=0.05 * np.ptp(source.xyz[:, 0]))


@pytest.mark.parametrize(
    ("name", "number", "waves"),
    [
        ("pdal_autzen_trim.laz", 7, False),
        ("laspy_plane.laz", 7, False),
        ("laspy_fullwave.laz", 8, True),
        ("laspy_vegetation_1_3.las", None, None),
    ],
)
def test_other_point_formats_become_those_of_copc(
    data_dir: Path, tmp_path: Path, name: str, number: int | None, waves: bool | None
) -> None:
    source = LasReader(filename=str(data_dir / "data/lidar" / name), count=30_000).read()
    path = tmp_path / "out.copc.laz"
    told = CopcWriter(filename=str(path)).write(source).history[-1]
    check_tree(path)
    again = LasReader(filename=str(path)).read()
    assert again.source.layout.format == (number or told.figures["point_format"])  # type: ignore[attr-defined]
    if waves is not None:
        assert waves == ("COPC has no place for waveforms, which were left out" in told.warnings)
    for one in ("Intensity", "ReturnNumber", "PointSourceId", "Red", "UserData"):
        if one in source.dims:
            assert sorted(again.dims[one].tolist()) == sorted(source.dims[one].tolist())


def cloud(xyz: Any, **dims: Any) -> PointCloud:
    return PointCloud(np.asarray(xyz, dtype=np.float64).reshape(-1, 3), {k: np.asarray(v) for k, v in dims.items()})


@pytest.mark.parametrize(
    "xyz",
    [
        np.zeros((0, 3)),
        [[1.0, 2.0, 3.0]],
        np.tile([500_000.0, 5_000_000.0, 9.0], (40_000, 1)),
        np.linspace([0.0, 0.0, 0.0], [1000.0, 0.0, 0.0], 40_000),
        np.concatenate([np.tile([[0.0, 0.0, 0.0]], (20_000, 1)), [[1e6, 1e6, 1e6]]]),
    ],
    ids=["none", "one", "equal", "line", "far"],
)
def test_clouds_of_all_shapes(tmp_path: Path, xyz: Any) -> None:
    points = cloud(xyz, GpsTime=np.arange(len(xyz), dtype=np.float64))
    path = tmp_path / "a.copc.laz"
    CopcWriter(filename=str(path)).write(points)
    levels = check_tree(path)
    assert sum(levels.values()) == len(points)
    again = LasReader(filename=str(path)).read()
    assert sorted(again.dims["GpsTime"].tolist()) == points.dims["GpsTime"].tolist()
    there = again.xyz[np.argsort(again.dims["GpsTime"])]
    assert np.allclose(there, points.xyz, atol=1e-2)


@given(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([1e-3, 1.0, 1e7]), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_the_tree_of_any_points(seed: int, count: int, size: float, axes: int) -> None:
    random = np.random.default_rng(seed)
    xyz = np.zeros((count, 3))
    xyz[:, :axes] = random.integers(0, 40, (count, axes)) * size / 40 + random.choice([0.0, 4e6])
    before = _copc_tree.FEW
    _copc_tree.FEW = 5  # so that small clouds have trees
    try:
        tree = _copc_tree.grow(xyz, 1e-3)
        other = _copc_tree.grow(xyz, 1e-3)
    finally:
        _copc_tree.FEW = before
    assert sorted(tree.order.tolist()) == list(range(count))
    assert tree.order.tolist() == other.order.tolist()
    assert tree.ends[-1] == count
    known: set[tuple[int, ...]] = set()
    begin = 0
    for key, end in zip(tree.keys.tolist(), tree.ends.tolist(), strict=True):
        assert begin < end
        own, begin = tree.order[begin:end], end
        assert tuple(key) not in known
        known.add(tuple(key))
        assert key[0] == 0 or (key[0] - 1, *(place >> 1 for place in key[1:])) in known  # parents come first
        side = 2 * tree.half / 2.0 ** key[0]
        corner = tree.centre - tree.half + np.array(key[1:]) * side
        slack = 1e-9 * max(1.0, float(np.abs(xyz).max()))
        assert (xyz[own] >= corner - slack).all()
        assert (xyz[own] < corner + side + slack).all()
        assert own.tolist() == sorted(own.tolist())  # within a node as they came


def parts(source: PointCloud, ends: Sequence[int]) -> list[PointCloud]:
    return [source.select(np.arange(a, b)) for a, b in zip([0, *ends], [*ends, len(source)], strict=True)]


def test_parts_give_the_same_bytes(data_dir: Path, tmp_path: Path) -> None:
    source = LasReader(filename=str(data_dir / "data/lidar/laspy_plane.laz")).read()
    writer = CopcWriter(filename=str(tmp_path / "a.copc.laz"), creation_doy=1)
    writer.write(source)
    once = (tmp_path / "a.copc.laz").read_bytes()
    extent = extent_of(source.xyz)
    writer.write_parts(parts(source, [10, 10, 3000]), Extent(extent.count, extent.low, extent.high))
    assert (tmp_path / "a.copc.laz").read_bytes() == once
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEBURR_THREADS", "1")
        writer.write(source)
    assert (tmp_path / "a.copc.laz").read_bytes() == once


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filename": "a.laz"}, "must end in .copc.laz, by which programs know"),
        ({"filename": "a.copc.laz", "dataformat_id": 3}, "dataformat_id"),
        ({"filename": "a.copc.laz", "minor_version": 2}, "minor_version"),
        ({"filename": "a.copc.laz", "compression": "none"}, "compression"),
    ],
)
def test_what_copc_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(["a.laz", {"type": "writers.copc", **options}])


def test_plain_laz_under_its_name_is_told_of(tmp_path: Path) -> None:
    note = LasWriter(filename=str(tmp_path / "a.copc.laz")).write(cloud([[1.0, 2.0, 3.0]])).history[-1]
    assert any("or write it with writers.copc" in warning for warning in note.warnings)
    note = CopcWriter(filename=str(tmp_path / "a.copc.laz")).write(cloud([[1.0, 2.0, 3.0]])).history[-1]
    assert note.warnings == ()


def test_a_pipeline_and_a_batch_write_it(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "data/lidar/laspy_plane.laz"
    spec: list[Any] = [{"type": "filters.noise", "sigma": 0.01, "seed": 1}, {"type": "writers.copc", "creation_doy": 1}]
    run([str(source), spec[0], str(tmp_path / "once.copc.laz")])
    check_tree(tmp_path / "once.copc.laz")
    spec[1]["filename"] = "x.copc.laz"
    out = tmp_path / "out"
    done = batch(spec, inputs=source, out=out, vpc=True)
    path = done.written[0]
    assert path == out / "laspy_plane.copc.laz"
    assert rows(records(path)) == rows(records(tmp_path / "once.copc.laz"))
    check_tree(path)
    assert not any("QGIS draws points of COPC" in warning for warning in done.report.get("warnings", []))
    # It is not done again, and done anew where it is gone.
    stamp = path.stat().st_mtime_ns
    batch(spec, inputs=source, out=out, vpc=True)
    assert path.stat().st_mtime_ns == stamp
    path.unlink()
    batch(spec, inputs=source, out=out, vpc=True)
    check_tree(path)


_WRITE = """
import resource, signal, sys
import numpy as np
from deburr.core.cloud import PointCloud
from deburr.writers.copc import CopcWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cloud = PointCloud(np.random.default_rng(0).uniform(0, 100, (60_000, 3)))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
CopcWriter(filename=sys.argv[1]).write(cloud)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("room", [100, 200_000])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, threads: str, room: int) -> None:
    path = tmp_path / "a.copc.laz"
    path.write_bytes(b"as it was")
    words = [sys.executable, "-c", _WRITE, str(path), str(room)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "DEBURR_THREADS": threads})
    assert done.returncode == 1
    assert "WriteError" in done.stderr
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["a.copc.laz"]
    assert path.read_bytes() == b"as it was"


_KILLED = """
import os, signal, sys
from deburr.batch import batch
from deburr.writers import _copc_body
spec = [{"type": "filters.noise", "sigma": 0.01, "seed": 1}, {"type": "writers.copc", "filename": "x.copc.laz"}]
if sys.argv[3]:
    before = getattr(_copc_body, sys.argv[3])
    def dies(file, *others):
        if sys.argv[3] == "_compress":
            before(file, *others)
        file.flush() if hasattr(file, "flush") else None
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(_copc_body, sys.argv[3], dies)
batch(spec, sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("moment", ["_compress", "_page", "finish"])
def test_killed_while_it_writes(tmp_path: Path, moment: str) -> None:
    source, out = tmp_path / "a.laz", tmp_path / "out"
    cloud = PointCloud(np.random.default_rng(0).uniform(0, 100, (5000, 3)))
    LasWriter(filename=str(source)).write(cloud)

    def began(moment: str) -> int:
        return subprocess.run([sys.executable, "-c", _KILLED, str(source), str(out), moment]).returncode

    assert began(moment) == -9
    assert not (out / "a.copc.laz").exists()
    assert [path for path in out.iterdir() if path.name.startswith(".a.copc")]  # what was half-written
    assert began("") == 0
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    check_tree(out / "a.copc.laz")
    assert len(records(out / "a.copc.laz")) == 5000
    # An output that is there stays as it is until the next is complete.
    whole = (out / "a.copc.laz").read_bytes()
    LasWriter(filename=str(source)).write(cloud.with_xyz(cloud.xyz + 1))
    assert began(moment) == -9
    assert (out / "a.copc.laz").read_bytes() == whole


_BATCH = """
import resource, signal, sys
from deburr.batch import batch
if int(sys.argv[2]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
spec = [{"type": "filters.noise", "sigma": 0.01, "seed": 1}, {"type": "writers.copc", "filename": "x.copc.laz"}]
found = batch(spec, ["small.laz", "large.laz"], "out", workers=int(sys.argv[1]))
print(len(found.failed), *found.failed.values(), sep="|")
"""


@pytest.mark.slow
def test_a_batch_goes_on_where_a_full_disk_or_a_kill_ended_it(tmp_path: Path) -> None:
    for name, count in (("small", 500), ("large", 60_000)):
        cloud = PointCloud(np.random.default_rng(count).uniform(0, 100, (count, 3)) + (0 if count == 500 else 500))
        LasWriter(filename=str(tmp_path / f"{name}.laz")).write(cloud)
    out = tmp_path / "out"

    def call(code: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)

    def written() -> list[str]:
        return sorted(path.name for path in out.iterdir() if "copc" in path.name)

    # There is room for all that the small one takes, scratch too, and not for the large one.
    full = call(_BATCH, "1", "400000")
    assert full.returncode == 0, full.stderr
    assert full.stdout.startswith("1|"), full.stdout
    assert "cannot be" in full.stdout
    assert written() == ["small.copc.laz"]
    small = (out / "small.copc.laz").stat()
    killed = call(_KILLED.replace("sys.argv[1], sys.argv[2]", "sys.argv[1].split(), sys.argv[2]"),
                  "small.laz large.laz", "out", "finish")  # fmt: skip
    assert killed.returncode == -9
    assert "large.copc.laz" not in written()
    done = call(_BATCH, "1", "0")
    assert done.stdout == "0\n", done.stderr
    assert written() == ["large.copc.laz", "small.copc.laz"]
    assert (out / "small.copc.laz").stat() == small
    for name, count in (("small", 500), ("large", 60_000)):
        check_tree(out / f"{name}.copc.laz")
        assert len(records(out / f"{name}.copc.laz")) == count


def test_the_package_copc_of_npm_reads_it(tmp_path: Path) -> None:
    if not (NODE and shutil.which("node")):
        pytest.skip("needs node and the package copc of npm: 'make test-copc' brings it")
    path = tmp_path / "a.copc.laz"
    run([str(Path(__file__).parents[2] / "sample_data/house.laz"), str(path)])
    script = Path(__file__).parents[1] / "support/copc_npm.js"
    done = subprocess.run(
        ["node", str(script), str(path)], capture_output=True, text=True, env={**os.environ, "NODE_PATH": NODE}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    cloud = LasReader(filename=str(path)).read()
    assert told["count"] == len(cloud) == sum(node["points"] for node in told["nodes"].values())
    assert sorted(map(tuple, told["points"])) == sorted(
        zip(*(cloud.source.records[name].tolist() for name in "XYZ"), cloud.dims["Intensity"].tolist(), strict=True)  # type: ignore[attr-defined]
    )
    assert len(told["nodes"]) > 5
    with laspy.CopcReader.open(path) as file:
        assert told["spacing"] == file.copc_info.spacing
        assert set(told["nodes"]) == {f"{key.level}-{key.x}-{key.y}-{key.z}" for key in file.root_page.entries}
