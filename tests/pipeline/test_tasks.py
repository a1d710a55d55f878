"""What workers do: the noise that is probed here and there."""

from __future__ import annotations

import numpy as np
import pytest

from deburr.core.cloud import Floats
from deburr.filters._planes import local_shape
from deburr.pipeline.tasks import _PROBED, _PROBES, _probes, _residuals


def slope(count: int, noise: float, seed: int = 4) -> Floats:
    """(N, 3): a slope of 100 points a square metre, far from the origin."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, (count / 100) ** 0.5, (count, 2))
    xyz = np.column_stack((plan, 0.3 * plan[:, 0])) + random.normal(0, noise, (count, 3))
    return np.asarray(xyz + np.array([85_000, 447_000, 20]))


def test_places_of_a_large_tile_do_not_see_each_other() -> None:
    xyz = slope(40_000, 0.02)
    rows, inner, places = _probes(xyz)
    assert len(rows) < len(xyz)
    together = local_shape(xyz[rows] - places, 16, inner).residuals
    assert _PROBES * _PROBED / 2 < len(together) < 2 * _PROBES * _PROBED
    starts = np.flatnonzero(np.diff(places[:, 0], prepend=np.inf))
    assert len(starts) == _PROBES
    alone = [
        local_shape(xyz[rows[part]], 16, inner[part]).residuals for part in np.split(np.arange(len(rows)), starts[1:])
    ]
    assert together == pytest.approx(np.concatenate(alone), abs=1e-9)


def test_noise_is_found_from_few_points_and_from_many() -> None:
    for count in (2000, 40_000):
        before, after = slope(count, 0.02), slope(count, 0.005)
        found = _residuals(before, after, np.ones(count, np.bool_))
        # A plane through 16 points takes a part of their noise with it.
        assert found == pytest.approx((0.02, 0.005), rel=0.15)


def test_where_nothing_moved_the_noise_is_as_before() -> None:
    xyz = slope(2000, 0.02)
    then, now = _residuals(xyz, xyz, np.zeros(2000, np.bool_))
    assert then == now == pytest.approx(0.02, rel=0.15)


def test_where_nothing_can_be_told_nothing_is() -> None:
    nothing = np.zeros((0, 3))
    assert _residuals(nothing, nothing, np.zeros(0, np.bool_)) == (None, None)
    few = slope(_PROBED - 1, 0.02)
    assert _residuals(few, few, np.zeros(len(few), np.bool_)) == (None, None)
    one = np.repeat(slope(1, 0.0), 20_000, axis=0)
    assert _residuals(one, one, np.zeros(len(one), np.bool_)) == (None, None)


def test_points_that_stay_do_not_count_where_most_move() -> None:
    cloud, rough = slope(3000, 0.01), slope(1000, 0.2, 5)
    before, after = np.concatenate((cloud, rough)), np.concatenate((cloud + np.array([0, 0, 1e-4]), rough))
    found = _residuals(before, after, (before != after).any(axis=1))
    assert found[0] == pytest.approx(0.01, rel=0.15)
