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
        assert np.allclose(tiled.dims[name], column, rtol=1e-4, atol=1e-6, equal_nan=True), name
    return whole, figures, done


@pytest.mark.parametrize("tiles", [1, 2, 4, pytest.param(8, marks=pytest.mark.long)])
@pytest.mark.parametrize("noise", [0.02, 0.15], ids=["one step", "two steps"])
def test_tiles_leave_no_seam(tiles: int, noise: float) -> None:
    # Of many small tiles each reads nearly all.
    cloud = village(12_000 if tiles < 8 else 5_000, noise)
    boxes = tiling.cells(cloud, (84_997.3, 446_999.1), (33.0 / tiles, 36.0 / tiles))
    whole, _, _ = check([stage("spd")], cloud, boxes, 6.0, 0.28)
    assert np.abs(whole.xyz - cloud.xyz).max() > 0.02


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "ancestral"},
        {"sampler": "langevin", "samples": 2, "dimensions": ["Uncertainty"]},
        pytest.param({"sampler": "ddim"}, marks=pytest.mark.slow),
        pytest.param({"sampler": "ascent"}, marks=pytest.mark.slow),
    ],
    ids=lambda options: options["sampler"],
)
def test_every_sampler_leaves_no_seam(options: dict[str, Any]) -> None:
    """Chance belongs to a point, and every step's way is known to reach no further than it says."""
    cloud = village(6000, 0.1, 24.0)
    boxes = tiling.cells(cloud, (84_997.3, 446_999.1), (14.0, 40.0))
    whole, _, _ = check([stage("spd", steps=3, **options)], cloud, boxes, 6.0, 0.3)
    assert np.abs(whole.xyz - cloud.xyz).max() > 0.1


def test_chance_has_a_seed() -> None:
    cloud = village(2000, 0.1, 12.0)
    one, same, other = (stage("spd", sampler="ancestral", seed=seed).run(cloud).xyz for seed in (1, 1, 2))
    assert (one == same).all()
    assert np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("options", [{}, {"classes": [6]}, {"strength": 0.0}], ids=["moved", "held", "still"])
@pytest.mark.parametrize("noise", [0.02, 0.15], ids=["one step", "two steps"])
def test_energies_leave_no_seam(noise: float, options: dict[str, Any]) -> None:
    cloud = village(5000, noise, 20.0)
    classes = cloud.dims["Classification"].copy()
    classes[60:160] = 6
    cloud = cloud.with_dims({"Classification": classes})
    boxes = tiling.cells(cloud, (84_997.3, 446_999.1), (12.0, 40.0))
    whole, _, _ = check([stage("spd", dimensions=["Energy"], **options)], cloud, boxes, 3.0, 0.28)
    energy, active = whole.dims["Energy"], whole.dims["Classification"] != 7
    assert energy.dtype == np.float32
    assert (np.isfinite(energy) == active).all()
    birds = np.flatnonzero(active[:40])
    assert np.median(energy[birds]) > 20 * np.median(energy[active])


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
