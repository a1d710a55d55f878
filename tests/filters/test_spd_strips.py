"""filters.spd where a cloud has several strips or stations: each onto its own surface, the gap between them kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Filter
from deburr.testing import tiling

Array = np.ndarray

GAP = 0.05


def stage(type_name: str, **options: Any) -> Filter:
    if type_name == "spd":
        options = {"strips": "apart", **options}
    built = stage_class(f"filters.{type_name}").model_validate(options)
    assert isinstance(built, Filter)
    return built


def surface(plan: Array) -> Array:
    return np.column_stack((plan, 0.2 * np.sin(plan[:, 0] / 2)))


def two(first: float, second: float, gap: float = GAP, count: int = 3000, seed: int = 0) -> tuple[PointCloud, Array]:
    """Two strips over the same 9 m square, each of ``count`` points, in random order, strip 8 higher by ``gap``, with
    noise ``first`` and ``second`` in height; and the clean places. Points of one strip are 16 cm apart."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, 9, (2 * count, 2))
    ids = random.permutation(np.repeat(np.array([3, 8], dtype=np.uint16), count))
    clean = surface(plan) + np.where(ids == 8, gap, 0.0)[:, None] * [0, 0, 1]
    noise = random.normal(0, np.where(ids == 8, second, first))
    return PointCloud(clean + noise[:, None] * [0, 0, 1], {"PointSourceId": ids}), clean


def left(xyz: Array, clean: Array, rows: Array) -> float:
    return float(np.sqrt(((xyz - clean)[rows, 2] ** 2).mean()))


def test_a_gap_between_strips_is_kept_and_reported() -> None:
    cloud, clean = two(0.01, 0.01)
    done = stage("spd").run(cloud)
    upper = cloud.dims["PointSourceId"] == 8
    gap = (done.xyz - surface(done.xyz[:, :2]))[:, 2]
    assert 0.045 < np.median(gap[upper]) - np.median(gap[~upper]) < 0.052
    for rows in (upper, ~upper):
        assert left(done.xyz, clean, rows) < 0.5 * left(cloud.xyz, clean, rows)
    told = stage("metrics", repeatability="strips").run(done).history[-1].figures["repeatability"]
    assert abs(told["now"]["offset"]) == pytest.approx(GAP, abs=0.002)


def test_merged_strips_are_one_cloud() -> None:
    cloud, _ = two(0.01, 0.01)
    merged = stage("spd", strips="merge").run(cloud)
    without = stage("spd").run(PointCloud(cloud.xyz))
    assert (merged.xyz == without.xyz).all()
    apart = stage("spd").run(cloud)
    assert (merged.xyz != apart.xyz).any()
    assert apart.history[-1].figures["strips_apart"] == 2
    assert "strips_apart" not in merged.history[-1].figures


def test_a_strip_is_cleaned_as_if_it_were_alone() -> None:
    cloud, _ = two(0.02, 0.03)
    options: dict[str, Any] = {"noise": 0.03, "steps": 2}
    together = stage("spd", **options).run(cloud)
    for number in (3, 8):
        rows = cloud.dims["PointSourceId"] == number
        alone = stage("spd", **options).run(PointCloud(cloud.xyz[rows]))
        assert together.xyz[rows] == pytest.approx(alone.xyz, abs=1e-6)


def test_a_good_scan_is_not_harmed_by_a_bad_one_among_it() -> None:
    """Fifteen times as noisy: the levels differ by nearly as much, and so does what is done."""
    cloud, clean = two(0.004, 0.06, gap=0.0)
    done = stage("spd", dimensions=["NoiseLevel"]).run(cloud)
    bad = cloud.dims["PointSourceId"] == 8
    assert left(done.xyz, clean, bad) < 0.4 * left(cloud.xyz, clean, bad)
    assert left(done.xyz, clean, ~bad) < left(cloud.xyz, clean, ~bad)
    level = done.dims["NoiseLevel"]
    assert np.median(level[bad]) > 7 * np.median(level[~bad])


def test_a_strip_of_a_few_points_stays_and_the_others_do_not_see_it() -> None:
    cloud, _ = two(0.02, 0.02)
    few = np.array([[1.0, 1.0, 0.2], [1.1, 1.0, 0.25], [1.0, 1.1, 0.1]])
    ids = np.concatenate((cloud.dims["PointSourceId"], np.full(3, 99, np.uint16)))
    more = PointCloud(np.concatenate((cloud.xyz, few)), {"PointSourceId": ids})
    done = stage("spd", dimensions=["NoiseLevel", "Uncertainty"]).run(more)
    assert (done.xyz[-3:] == few).all()
    assert done.xyz[:-3] == pytest.approx(stage("spd").run(cloud).xyz, abs=1e-6)
    assert np.isnan(done.dims["Uncertainty"][-3:]).all()
    assert done.history[-1].figures["points"] == len(more)


def test_where_no_strip_is_large_enough_nothing_moves() -> None:
    random = np.random.default_rng(1)
    cloud = PointCloud(random.normal(size=(40, 3)), {"PointSourceId": np.repeat(np.array([1, 2], np.uint16), 20)})
    done = stage("spd").run(cloud)
    assert (done.xyz == cloud.xyz).all()
    assert "too few to denoise (at least 32 of one strip)" in done.history[-1].warnings[0]


def test_tiles_of_strips_leave_no_seam() -> None:
    cloud, _ = two(0.02, 0.04)
    denoise = stage("spd", dimensions=["NoiseLevel"])
    whole = denoise.run(cloud)
    boxes = tiling.cells(cloud, (-0.3, -0.7), (5.0, 5.0))
    tiled, figures, _ = tiling.tiled([denoise], cloud, boxes, 2.0)
    off = np.abs(tiled.xyz - whole.xyz).max(axis=1)
    assert np.mean(off < 1e-6) >= 0.9999
    assert off.max() < 0.002
    assert tiled.dims["NoiseLevel"] == pytest.approx(whole.dims["NoiseLevel"], rel=1e-4)
    for name in ("noise_median", "noise_p05", "noise_p95", "evidence"):
        assert figures[0][name] == pytest.approx(whole.history[-1].figures[name], rel=2e-3), name


def test_the_published_model_knows_no_strips() -> None:
    errors = stage("spd", model="spd", weights="any.safetensors", strips="merge").check(())
    assert errors == ["option 'strips' has no effect on model 'spd'; remove it"]
