"""filters.spd with points spread evenly along the surface behind the denoising."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Filter
from deburr.testing import tiling

Array = np.ndarray


def spd(**options: Any) -> Filter:
    built = stage_class("filters.spd").model_validate(options)
    assert isinstance(built, Filter)
    return built


def hill(count: int = 5000, noise: float = 0.05, side: float = 20.0, seed: int = 5) -> PointCloud:
    """A hill with a step, far from the origin, spacing 28 cm; half of it is class 6, the rest class 2."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, side, (count, 2))
    z = 0.5 * np.sin(plan[:, 0] / 3) + 3.0 * (np.abs(plan - side / 2).max(1) < 6)
    xyz = np.column_stack((plan, z)) + random.normal(0, noise, (count, 3)) + np.array([85_000.0, 447_000.0, 0.0])
    return PointCloud(xyz, {"Classification": np.where(plan[:, 1] < side / 2, 6, 2).astype(np.uint8)})


def unevenness(points: Array) -> float:
    nearest = cKDTree(points).query(points, 2)[0][:, 1]
    return float(nearest.std() / nearest.mean())


def away(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.norm(a - b, axis=1))


def test_points_lie_evenly_and_what_that_took_is_told_apart() -> None:
    cloud = hill()
    plain, even = spd().run(cloud), spd(spread="even", dimensions=["Displacement"]).run(cloud)
    assert unevenness(plain.xyz) > 0.45
    assert unevenness(even.xyz) < 0.33
    figures = even.history[-1].figures
    along = away(even.xyz, plain.xyz)
    assert figures["spread_median"] == pytest.approx(np.median(along), rel=2e-3)
    assert figures["spread_max"] == pytest.approx(along.max(), rel=1e-6)
    assert along.max() <= 0.5 * figures["spacing"] * (1 + 1e-6)
    assert even.dims["Displacement"] == pytest.approx(away(even.xyz, cloud.xyz), rel=1e-5)
    # The noise that was found is that of the denoising.
    assert figures["noise"] == plain.history[-1].figures["noise"]
    assert "spread_median" not in plain.history[-1].figures
    assert (spd(spread="none").run(cloud).xyz == plain.xyz).all()


def test_a_clean_even_sample_stays() -> None:
    side = np.arange(40) * 0.25
    plan = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    cloud = PointCloud(np.column_stack((plan, 0.05 * plan[:, 0])))
    even = spd(spread="even").run(cloud)
    assert (even.xyz == spd().run(cloud).xyz).all()
    assert even.history[-1].figures["spread_max"] == 0.0


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_strength_is_a_share_of_both(strength: float) -> None:
    cloud = hill(3000)
    plain, even = (spd(spread=spread, strength=strength).run(cloud) for spread in ("none", "even"))
    along = away(even.xyz, plain.xyz)
    assert along.max() <= strength * 0.5 * even.history[-1].figures["spacing"] * (1 + 1e-6)
    assert (along.max() > 0) == (strength > 0)


def test_no_point_moves_further_than_asked() -> None:
    cloud = hill(3000)
    even = spd(spread="even", max_displacement=0.03).run(cloud)
    assert away(even.xyz, cloud.xyz).max() <= 0.03 * (1 + 1e-6)
    figures = spd(spread="even").run(cloud).history[-1].figures
    assert figures["max_displacement"] > spd().run(cloud).history[-1].figures["max_displacement"]


def test_points_that_may_not_move_stay_and_push_from_where_they_are() -> None:
    cloud = hill(3000)
    may = cloud.dims["Classification"] == 6
    held, free = spd(spread="even", classes=[6]).run(cloud), spd(spread="even").run(cloud)
    assert (held.xyz[~may] == cloud.xyz[~may]).all()
    assert unevenness(held.xyz[may]) < 0.36
    # Only near the others does it matter that they stay.
    near = np.abs(cloud.xyz[:, 1] - 447_010.0) < 0.4
    assert (held.xyz[may & near] != free.xyz[may & near]).any()
    far = np.abs(cloud.xyz[:, 1] - 447_010.0) > 7
    assert held.xyz[may & far] == pytest.approx(free.xyz[may & far], abs=1e-6)
    assert held.history[-1].figures["spread_median"] > 0


@pytest.mark.parametrize("options", [{}, {"classes": [6], "strength": 0.7}], ids=["all", "some"])
@pytest.mark.parametrize("noise", [0.03, 0.12], ids=["one step", "two steps"])
def test_tiles_leave_no_seam(noise: float, options: dict[str, Any]) -> None:
    cloud, stage = hill(8000, noise, 25.0), spd(spread="even", **options)
    whole = stage.run(cloud)
    boxes = tiling.cells(cloud, (84_997.3, 446_999.1), (9.0, 16.0))
    tiled, figures, done = tiling.tiled([stage], cloud, boxes, 3.0)
    assert sum(tile.unproved for tile in done) == 0
    off = np.abs(tiled.xyz - whole.xyz).max(axis=1)
    assert np.mean(off < 1e-6) >= 0.9999
    assert off.max() < 0.003
    for name in ("spread_median", "spread_max"):
        assert figures[0][name] == pytest.approx(whole.history[-1].figures[name], rel=2e-3), name


def test_the_published_model_spreads_nothing() -> None:
    errors = spd(model="spd", weights="any.safetensors", spread="even").check(())
    assert errors == ["option 'spread' has no effect on model 'spd'; remove it"]
