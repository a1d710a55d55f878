"""filters.spd in tiles: the same coordinates as in one piece, however the cloud is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import Extent, PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Filter, Reader
from deburr.testing import tiling


def stage(type_name: str, **options: Any) -> Filter:
    built = stage_class(f"filters.{type_name}").model_validate(options)
    assert isinstance(built, Filter)
    return built


def village(count: int = 12_000, noise: float = 0.05, side: float = 30.0) -> PointCloud:
    """A hill with a step, some points of it twice, a few birds, some noise classes; far from the origin."""
    random = np.random.default_rng(5)
    plan = random.uniform(0, side, (count, 2))
    z = 0.5 * np.sin(plan[:, 0] / 3) + 3.0 * (np.abs(plan - side / 2).max(1) < 6)
    xyz = np.column_stack((plan, z)) + random.normal(0, noise, (count, 3))
    xyz[:40, 2] += random.uniform(2, 9, 40)
    xyz = np.concatenate((xyz, xyz[100:300])) + np.array([85_000.0, 447_000.0, 0.0])
    classes = np.where(random.random(len(xyz)) < 0.01, 7, 2).astype(np.uint8)
    return PointCloud(xyz, {"Classification": classes})


def check(filters: list[Filter], cloud: PointCloud, boxes: Any, halo: float, spacing: float, **options: Any) -> Any:
    whole = cloud
    for one in filters:
        whole = one.run(whole)
    tiled, figures, done = tiling.tiled(filters, cloud, boxes, halo, **options)
    assert len(tiled) == len(whole)
    assert (tiled.rows == whole.rows).all()
    off = np.abs(tiled.xyz - whole.xyz).max(axis=1)
    assert np.mean(off < 1e-6) >= 0.9999
    assert off.max() < 0.01 * spacing
    for name, column in whole.dims.items():
        assert np.allclose(tiled.dims[name], column, rtol=1e-4, equal_nan=True), name
    return whole, figures, done


@pytest.mark.parametrize("tiles", [1, 2, 4, pytest.param(8, marks=pytest.mark.long)])
@pytest.mark.parametrize("noise", [0.02, 0.15], ids=["one step", "two steps"])
def test_tiles_leave_no_seam(tiles: int, noise: float) -> None:
    # Of many small tiles each reads nearly all.
    cloud = village(12_000 if tiles < 8 else 5_000, noise)
    boxes = tiling.cells(cloud, (84_997.3, 446_999.1), (33.0 / tiles, 36.0 / tiles))
    whole, _, _ = check([stage("spd")], cloud, boxes, 6.0, 0.28)
    assert np.abs(whole.xyz - cloud.xyz).max() > 0.02


def test_who_judges_does_not_hang_on_points_that_are_left_out() -> None:
    """Of at most 4096 points all judge; those that are left out are read all the same, and in a tile they count."""
    cloud = village(4400, 0.1, 20.0)
    classes = np.full(len(cloud), 2, np.uint8)
    classes[:2000] = 18
    cloud = PointCloud(cloud.xyz, {"Classification": classes})
    boxes = tiling.cells(cloud, (84_990.0, 446_990.0), (100.0, 100.0))
    check([stage("spd")], cloud, boxes, 6.0, 0.4)


def test_points_that_may_not_move_are_told_their_level_all_the_same() -> None:
    cloud = village(6000, 0.05, 24.0)
    classes = np.where(np.random.default_rng(2).random(len(cloud)) < 0.02, 6, 2).astype(np.uint8)
    cloud = PointCloud(cloud.xyz, {"Classification": classes})
    boxes = tiling.cells(cloud, (84_997.3, 446_999.1), (9.0, 40.0))
    denoise = stage("spd", classes=[6], dimensions=["NoiseLevel"])
    whole, figures, _ = check([denoise], cloud, boxes, 1.0, 0.3)
    for name in ("noise_median", "noise_p05", "noise_p95", "evidence"):
        assert figures[0][name] == pytest.approx(whole.history[-1].figures[name], rel=2e-3), name


def test_real_coordinates_agree_as_far_as_is_promised(data_dir: Path) -> None:
    """What README says of tiles: a hundred-thousandth of the spacing, hence at most one step of a coarser scale."""
    reader = stage_class("readers.las").model_validate(
        {"filename": str(data_dir / "data/lidar/pdal_lone-star.copc.laz")}
    )
    assert isinstance(reader, Reader)
    cloud = reader.read()
    middle = (cloud.extent.low + cloud.extent.high)[:2] / 2
    near = np.argsort(np.abs(cloud.xyz[:, :2] - middle).max(axis=1))[:4000]
    cloud = cloud.select(np.sort(near))
    low, high = cloud.xyz.min(axis=0), cloud.xyz.max(axis=0)
    cloud = replace(cloud, rows=np.arange(len(cloud)), extent=Extent(len(cloud), low, high), source=None)
    whole = stage("spd").run(cloud)
    spacing, scale = whole.history[-1].figures["spacing"], 0.00025
    tiles = tiling.cells(cloud, low[:2] - 0.1, (high - low)[:2] * 0.6)
    assert len(tiles) == 4
    tiled, _, _ = tiling.tiled([stage("spd")], cloud, tiles, 12 * spacing)
    assert (whole.moved == tiled.moved).all()
    assert whole.moved.sum() > 3000
    assert np.abs(tiled.xyz - whole.xyz).max() < 1e-5 * spacing
    assert scale > 1e-5 * spacing
    steps = np.abs(np.rint(tiled.xyz / scale) - np.rint(whole.xyz / scale))
    assert steps.max() <= 1
    # As likely as a place that near the middle, were they even: 2 * 1e-5 spacings of every step.
    assert steps.mean() <= 2e-5 * spacing / scale
