"""filters.outlier by energy: what it finds, what it leaves alone, and that tiles find the same."""

from __future__ import annotations

from math import exp, log, pi, sqrt
from typing import Any

import numpy as np
import pytest

from deburr.core import sample
from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.filters import _outliers
from deburr.filters._surprise import CHANCES, SHORTEST, SURPRISES, counted, parting, surprise, surprising
from deburr.filters.outlier import Outlier
from deburr.nn import level
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


def test_a_surprise_is_isolation_and_energy() -> None:
    """Linked at the shortest length and no energy: none. Twice as far: log 2. Energy 15: log(16) / 4, as much."""
    spacing = 0.3
    found = surprise(SHORTEST * spacing * np.array([1.0, 2.0, 1.0, 2.0]), spacing, np.array([0.0, 0, 15, 15]))
    assert found == pytest.approx([0, log(2), log(2), 2 * log(2)])


def test_flocks_are_found_and_wires_stay() -> None:
    """Flocks of 8 and 30 birds, as near to each other as the plane's points are; a wire whose points are 2.5 spacings
    apart."""
    random = np.random.default_rng(7)
    corner = np.array([5e5, 5.4e6, 100.0])
    flocks = [random.normal(0, 0.7, (size, 3)) + np.array([x, 20.0, 12.0]) for size, x in ((8, 5.0), (30, 30.0))]
    wire = np.column_stack((2.5 * np.arange(60) - 55, np.full(60, 20.0), random.normal(30, 0.05, 60)))
    xyz = np.concatenate((ground()[:1600], *(part + corner for part in (*flocks, wire))))
    found = flagged(PointCloud(xyz))
    assert found[1600:1638].mean() > 0.9
    assert found[1638:].mean() < 0.05
    assert found[:1600].mean() < 0.002
    statistical = Outlier().run(PointCloud(xyz)).dims["Classification"] == 7
    assert statistical[1608:1638].mean() < 0.5


def drawn(share: float, count: int = 200_000) -> np.ndarray:
    """Surprises that fall away at a rate of 5, and a ``share`` of outliers around 2."""
    random = np.random.default_rng(8)
    outliers = random.normal(2.0, 0.25, int(share * count))
    return np.concatenate((random.exponential(1 / 5, count - len(outliers)), outliers))


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05, 0.15])
def test_outliers_begin_where_they_are_as_likely_as_good_points(share: float) -> None:
    """Where the exponential and the normal distribution cross, by bisection."""
    low, high = 0.0, 2.0
    for _ in range(60):
        x = (low + high) / 2
        outliers = share / (0.25 * sqrt(2 * pi)) * exp(-0.5 * ((x - 2.0) / 0.25) ** 2)
        low, high = (x, high) if outliers < (1 - share) * 5 * exp(-5 * x) else (low, x)
    assert 1.0 < low < 1.6
    assert parting(counted(drawn(share))) == pytest.approx(low, abs=0.05)


def test_what_falls_away_slowly_is_no_second_kind() -> None:
    """Leaves: a tenth of the points, of a second exponential function. Then as many outliers beside them."""
    random = np.random.default_rng(9)
    leaves = np.concatenate((random.exponential(0.1, 18_000), random.exponential(0.7, 2000)))
    assert surprising(0.02) <= parting(counted(leaves)) <= surprising(0.005)
    apart = parting(counted(np.concatenate((leaves, random.normal(2.5, 0.2, 3000)))))
    assert (leaves > apart).mean() < 0.03
    assert apart < 2.2


def test_a_few_that_are_very_far_hide_none() -> None:
    """Fifty in two thousand stand apart from the good points; three of them further off than any measure."""
    random = np.random.default_rng(2)
    good, off = random.normal(0, 0.3, 2000), random.normal(2.0, 0.25, 47)
    apart = parting(counted(np.concatenate((good, off, [6.0, 6.2, 9.0]))))
    assert 0.9 < apart < 1.6
    assert (off > apart).mean() > 0.95


def test_where_outliers_begin_is_the_same_of_parts_and_of_nothing_what_the_table_says() -> None:
    all_of_it = drawn(0.02, count=20_000)
    one, two, three = (counted(part) for part in np.split(all_of_it, [700, 9000]))
    assert parting(one + (two + three)) == parting(counted(all_of_it[::-1]))
    for nothing in (np.zeros(0), np.full(5, np.nan), np.full(500, 0.3)):
        assert parting(counted(nothing)) == surprising(0.01)


def test_where_there_is_but_one_kind_of_points_the_table_decides() -> None:
    """Points fall away faster than exponentially, or as fast, and those far out are no second kind."""
    random = np.random.default_rng(5)
    leaves = np.concatenate((random.normal(0, 0.1, 6000), random.normal(2, 0.1, 4000)))  # two kinds, as many of either
    for alone in (random.normal(0, 0.3, 20_000), random.exponential(0.2, 20_000), leaves):
        assert parting(counted(alone)) == surprising(0.01)


def test_where_kinds_part_low_there_must_be_more_than_good_points_explain() -> None:
    """Eight and sixteen of a hundred points are around 0.5, where one in ten good points would be."""
    random = np.random.default_rng(6)
    for share, begin in ((0.08, surprising(0.01)), (0.16, surprising(0.1))):
        some = random.normal(0.55, 0.03, int(share * 20_000))
        cloud = np.concatenate((np.abs(random.normal(0, 0.1, 20_000 - len(some))), some))
        assert parting(counted(cloud)) == begin


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


def test_of_a_large_cloud_a_sample_tells_where_outliers_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles and the whole look at the same part of it."""
    for module in (sample, level, _outliers):
        monkeypatch.setattr(module, "ENOUGH", 1200)
    monkeypatch.setattr(sample, "_CELL", 200)
    cloud, counts = PointCloud(ground()), []
    assert sample.Sample.of(cloud.extent) is not None
    monkeypatch.setattr(_outliers, "counted", lambda seen: counts.append(len(seen)) or counted(seen))
    whole = Outlier(method="energy").run(cloud)
    assert 600 < counts[0] < len(cloud)
    boxes = tiling.cells(cloud, (5e5 - 0.7, 5.4e6 - 0.3), (25.0, 60.0))
    tiled, _, _ = tiling.tiled([Outlier(method="energy")], cloud, boxes, 4.0)
    assert (tiled.dims["Classification"] == whole.dims["Classification"]).all()
    assert sum(counts[1:]) >= counts[0]
    assert (whole.dims["Classification"] == 7).sum() > 50


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
