"""filters.upsample in tiles: the same new points, bit by bit, in the same order, however the work is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from deburr.batch import batch
from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.figure import merged
from deburr.filters import _blocks
from deburr.filters.upsample import Upsample
from deburr.pipeline import run
from deburr.testing import tiling
from deburr.tiles import memory

#: So that small clouds have several blocks.
SMALL = 500


def hills(count: int) -> PointCloud:
    """About one point for each square of side 1, far from the origin; a hole of width 6, and some points of class 7."""
    rng, width = np.random.default_rng(0), float(np.sqrt(count))
    plan = rng.uniform(0, width, (count, 2))
    plan = plan[np.hypot(*(plan - 0.5 * width).T) > 3]
    z = 2 * np.sin(plan[:, 0] / 9) * np.cos(plan[:, 1] / 7) + rng.normal(0, 0.1, len(plan))
    dims = {
        "Classification": rng.choice(np.array([2, 6, 7], np.uint8), len(plan), p=[0.7, 0.28, 0.02]),
        "Intensity": rng.integers(0, 999, len(plan)).astype(np.uint16),
    }
    return PointCloud(np.column_stack((plan, z)) + np.array([5e5, 5e6, 100.0]), dims)


def check(cloud: PointCloud, stage: Upsample, whole: PointCloud, side: float, halo: float) -> int:
    """Hold the result in tiles to the ``whole``; returns how many tiles there were."""
    boxes = tiling.cells(cloud, cloud.extent.low[:2] - side / 3, np.array([side, side]))
    tiled, figures, done = tiling.tiled([stage], cloud, boxes, halo)
    assert sum(one.unproved for one in done) == 0
    assert tiled.rows.tolist() == whole.rows.tolist()
    assert tiled.xyz.tobytes() == whole.xyz.tobytes()
    assert tiled.dims.keys() == whole.dims.keys()
    for name, column in whole.dims.items():
        assert column.dtype == tiled.dims[name].dtype
        assert column.tobytes() == tiled.dims[name].tobytes(), name
    counted = merged([record.figures for one in done for record in one.records[0]], stage.reports)[0]
    assert counted | figures[0] == dict(whole.history[-1].figures)
    return len(boxes)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"factor": 2.0}, {"spacing": 0.85, "max_gap": 6.5}], ids=["gaps stay", "max_gap"])
def test_new_points_are_those_of_the_whole_cloud(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "MOST", SMALL)
    cloud, stage = hills(1200), Upsample(**options)
    whole = stage.run(cloud)
    middle = np.hypot(*(whole.xyz[len(cloud) :, :2] - [500_017.3, 5_000_017.3]).T) < 2
    assert len(whole) > 1.2 * len(cloud)
    assert (middle.sum() > 10) == ("max_gap" in options)
    # With too narrow a halo tiles read again, and wider.
    assert [check(cloud, stage, whole, *cut) for cut in ((31.0, 30.0), (19.0, 2.0))] == [4, 9]


@pytest.mark.slow
def test_blocks_change_little_of_what_one_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, stage = hills(4800), Upsample(factor=2.0)
    one = stage.run(cloud).xyz[len(cloud) :]
    # Of blocks of 500 points more than half lies at a border.
    monkeypatch.setattr(_blocks, "MOST", 2 * SMALL)
    parts = list(_blocks.blocks(cloud, stage.whole(cloud), 0.0))
    assert len(parts) > 4
    assert (
        sorted(np.concatenate([part.seen[part.own] for part in parts]).tolist())
        == np.flatnonzero(cloud.active).tolist()
    )
    many = stage.run(cloud).xyz[len(cloud) :]
    assert len(many) == pytest.approx(len(one), rel=0.005)
    assert nearest(many) > 0.3 * nearest(one)
    # Where one hole is filled rather than another, so are some around; and nowhere more than so.
    assert np.mean([np.abs(one - place).max(1).min() > 0.1 for place in many]) < 0.04


def nearest(points: Floats) -> float:
    """How near to each other two in a thousand of ``points`` are."""
    away = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2) + 1e9 * np.eye(len(points)), axis=1)[:, 0]
    return float(np.quantile(away, 0.002))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"factor": 2.0}, {"factor": 1.5, "max_gap": 4.0}], ids=["gaps stay", "max_gap"])
def test_of_a_real_cloud_too(options: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "MOST", SMALL)
    cloud = run([str(data_dir / "data/lidar/3dfier_ahn3_cropped_1.laz")]).cloud
    cloud = cloud.select(around(cloud.xyz, 1800))
    cloud, stage = PointCloud(cloud.xyz, cloud.dims), Upsample(**options)
    whole = stage.run(cloud)
    assert len(whole) > 1.1 * len(cloud)
    side = float((cloud.extent.high - cloud.extent.low)[:2].max()) / 2
    assert check(cloud, stage, whole, side, side / 2) >= 4


def around(xyz: Floats, count: int) -> Bools:
    """A square around the middle with about ``count`` points."""
    away = np.abs(xyz[:, :2] - np.median(xyz[:, :2], axis=0)).max(1)
    return np.asarray(away <= np.partition(away, count)[count])


def written(path: Path, cloud: PointCloud) -> Path:
    las = laspy.create(point_format=6, file_version="1.4")
    las.header.scales, las.header.offsets = np.full(3, 1e-4), np.array([5e5, 5e6, 0.0])
    las.x, las.y, las.z = cloud.xyz.T
    las.classification, las.intensity = cloud.dims["Classification"], cloud.dims["Intensity"]
    las.gps_time = 0.25 + cloud.rows
    las.write(path)
    return path


@pytest.mark.slow
def test_files_hold_the_same_records_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blocks, "MOST", SMALL)
    monkeypatch.setattr(memory, "_FEWEST", 500)
    cloud, step = hills(1600), {"type": "filters.upsample", "factor": 2.0}
    left = cloud.xyz[:, 0] < 500_022
    files = [written(tmp_path / name, cloud.select(mine)) for name, mine in (("a.las", left), ("b.las", ~left))]
    source, outs = written(tmp_path / "in.las", cloud), [tmp_path / name for name in ("whole.las", "tiled.las")]
    limit = memory.BASE + memory.PER_POINT * 1100
    whole = run([str(source), step, str(outs[0])])
    tiled = run([str(source), step, str(outs[1])], memory=limit)
    first, second = (laspy.read(path).points.array for path in outs)
    assert len(first) == len(whole.cloud) > 1.5 * len(cloud)
    assert first.tobytes() == second.tobytes()
    assert first[: len(cloud)].tobytes() == laspy.read(source).points.array.tobytes()
    # A new point has what the file holds of the one beside it, and comes in its order.
    times = laspy.read(outs[1]).gps_time[len(cloud) :]
    assert (np.diff(times) >= 0).all()
    totals = tiled.report["totals"]
    assert (totals["points"], totals["points_moved"]) == (len(cloud), 0)
    # Of a folder: each file has its own points, and those that are made beside them.
    done = batch([step], files, tmp_path / "out", tile=18.0)
    assert not done.failed
    found = [laspy.read(tmp_path / "out" / path.name) for path in files]
    places = np.concatenate([one.xyz for one in found])
    assert sorted(map(tuple, places.tolist())) == sorted(map(tuple, laspy.read(outs[0]).xyz.tolist()))
    for one, mine in zip(found, (left, ~left), strict=True):
        assert one.gps_time[: mine.sum()].tolist() == (0.25 + cloud.rows[mine]).tolist()
        assert set(one.gps_time.tolist()) == set(one.gps_time[: mine.sum()].tolist())
        assert np.asarray(one.synthetic).tolist() == [0] * int(mine.sum()) + [1] * (len(one) - int(mine.sum()))
