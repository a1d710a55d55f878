"""filters.outlier by energy: what it finds, what it leaves alone, and that tiles find the same."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.filters._surprise import CHANCES, ON_A_PLANE, SURPRISES, surprise, surprising
from deburr.filters.outlier import Outlier
from deburr.pipeline.plan import load
from deburr.testing import contract, tiling

SIDE, NOISE = 40.0, 0.2
BIRDS, TWINS, FLYING = slice(1600, 1640), slice(1640, 1642), slice(1642, 1662)


def ground() -> np.ndarray:
    """(N, 3) 1600 points of a plane; 40 birds; two at one place in the air; 20 that fly low above the plane."""
    random = np.random.default_rng(0)
    plane = np.column_stack((random.uniform(0, SIDE, (1600, 2)), random.normal(0, NOISE, 1600)))
    birds = np.column_stack((random.uniform(0, SIDE, (40, 2)), random.uniform(5, 20, 40)))
    low = np.column_stack((random.uniform(3, SIDE - 3, (20, 2)), random.uniform(2.5, 3.5, 20)))
    twins = np.tile([[20.0, 20.0, 12.0]], (2, 1))
    return np.concatenate((plane, birds, twins, low)) + np.array([5e5, 5.4e6, 100.0])


def flagged(cloud: PointCloud, **options: Any) -> np.ndarray:
    done = Outlier.model_validate({"method": "energy", **options}).run(cloud)
    return np.asarray(done.dims["Classification"] == 7)


def test_it_finds_birds_twins_and_what_flies_low_and_leaves_the_plane_alone() -> None:
    xyz = ground()
    found = flagged(PointCloud(xyz))
    assert found[BIRDS].all()
    assert found[TWINS].all()
    assert found[FLYING].mean() >= 0.9
    assert found[:1600].mean() < 0.002
    statistical = Outlier().run(PointCloud(xyz)).dims["Classification"] == 7
    assert statistical[FLYING].mean() < 0.5


def test_a_surprise_is_distance_and_energy() -> None:
    """As far as on a plane and no energy: none. Twice as far: log 2. An energy of 15 nats: log(16) / 4, as much."""
    spacing = 0.3
    apart = ON_A_PLANE * spacing * np.array([1.0, 2.0, 1.0, 2.0, 0.0])
    found = surprise(apart, spacing, np.array([0.0, 0, 15, 15, 3]))
    assert found[:4] == pytest.approx([0, log(2), log(2), 2 * log(2)])
    assert found[4] == -np.inf


def test_on_a_plane_the_four_nearest_are_as_far_as_it_says() -> None:
    random = np.random.default_rng(1)
    plan = np.column_stack((random.uniform(0, 60, (3600, 2)), np.zeros(3600)))
    inside = ((plan[:, :2] > 3) & (plan[:, :2] < 57)).all(1)
    away = np.sort(np.linalg.norm(plan[inside, None] - plan[None], axis=2), axis=1)[:, 1:5]
    assert away.mean() == pytest.approx(ON_A_PLANE, rel=0.02)


def test_the_table_falls_and_is_met_at_its_marks() -> None:
    assert list(CHANCES) == sorted(CHANCES, reverse=True)
    assert list(SURPRISES) == sorted(SURPRISES)
    assert [surprising(chance) for chance in CHANCES] == pytest.approx(SURPRISES)
    assert SURPRISES[3] < surprising(0.007) < SURPRISES[4]


def test_a_smaller_chance_flags_fewer() -> None:
    cloud = PointCloud(ground())
    many, some, few = (flagged(cloud, chance=chance) for chance in (0.1, 0.005, 0.0001))
    assert (some <= many).all()
    assert (few <= some).all()
    assert few.sum() < some.sum() < many.sum()


def test_points_of_a_noise_class_take_no_part() -> None:
    xyz = ground()
    classes = np.full(len(xyz), 2, np.uint8)
    classes[BIRDS] = 18
    done = Outlier(method="energy").run(PointCloud(xyz, {"Classification": classes}))
    assert (done.dims["Classification"][BIRDS] == 18).all()
    assert done.history[-1].figures["points"] == len(xyz) - 40
    assert (done.dims["Classification"][FLYING] == 7).mean() >= 0.9


def test_neither_order_nor_unit_matters_and_nothing_moves() -> None:
    xyz = ground()
    base, order = flagged(PointCloud(xyz)), np.random.default_rng(2).permutation(len(xyz))
    assert (flagged(PointCloud(xyz[order])) == base[order]).all()
    assert (flagged(PointCloud(1000 * (xyz - xyz[0]))) == base).all()
    done = Outlier(method="energy").run(PointCloud(xyz))
    assert done.xyz.tobytes() == xyz.tobytes()
    assert "Energy" not in done.dims
    assert [record.stage for record in done.history] == ["filters.outlier"]


@pytest.mark.parametrize("action", ["classify", "remove"])
def test_tiles_find_the_same(action: str) -> None:
    cloud, stage = PointCloud(ground()), Outlier.model_validate({"method": "energy", "action": action})
    whole = stage.run(cloud)
    boxes = tiling.cells(cloud, (5e5 - 0.7, 5.4e6 - 0.3), (25.0, 60.0))
    tiled, _, done = tiling.tiled([stage], cloud, boxes, 4.0)
    assert (tiled.rows == whole.rows).all()
    count = sum(record.figures["flagged"] for tile in done for record in tile.records[0])
    assert count == whole.history[-1].figures["flagged"] > 50
    for name, column in whole.dims.items():
        assert (tiled.dims[name] == column).all()


def test_too_few_points_are_told() -> None:
    done = Outlier(method="energy").run(PointCloud(ground()[:20]))
    assert (done.dims["Classification"] == 0).all()
    assert done.history[-1].warnings == (
        "fewer than 32 different points tell no outliers by their energy; none was flagged",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"chance": 0.01},
            "option 'chance' has no effect with method 'statistical'; remove it, or use method 'energy'",
        ),
        ({"method": "energy", "chance": 0.5}, "option 'chance' must be"),
        ({"method": "energy", "chance": 0}, "option 'chance' must be"),
    ],
)
def test_validate_says_what_is_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(["in.laz", {"type": "filters.outlier", **options}, "out.laz"])
    (error,) = caught.value.errors
    assert said in error


def test_it_keeps_what_all_filters_promise() -> None:
    contract.check("filters.outlier", {"method": "energy"})
