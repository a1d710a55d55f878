"""What a tile may be sure of: by hand, and against all that might lie beyond."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.horizon import Horizon

NONE = np.zeros((0, 3))


def horizon(low: Any, high: Any, n: int = 1, **more: Any) -> Horizon:
    ones = np.ones(n, np.bool_)
    low, high = (np.array(side, dtype=np.float64) for side in (low, high))
    return Horizon(low, high, ones, ones, np.zeros(n, np.int32), **more)


def sure(of: Horizon, point: Any, radius: float, unsettled: Any = NONE, moved: float = 0.0) -> bool:
    found = of.sure(np.array([point], dtype=np.float64), np.array([radius]), np.asarray(unsettled, np.float64), moved)
    assert found.shape == (1,)
    return bool(found[0])


def test_a_ball_must_lie_in_the_box_in_plan() -> None:
    box = horizon([0, 0], [10, 8])
    assert sure(box, [5, 4, 0], 3.9)
    assert not sure(box, [5, 4, 0], 4.1)
    assert sure(box, [1, 4, 99], 0.9)  # of heights, all are known
    assert not sure(box, [9.5, 4, 0], 0.9)
    assert not sure(box, [-1, 4, 0], 0.0)
    assert not sure(box, [5, 4, 0], np.inf)


def test_open_sides_have_nothing_beyond() -> None:
    half = horizon([0, -np.inf], [np.inf, np.inf])
    assert sure(half, [5, 1e9, 0], 4.9)
    assert not sure(half, [5, 1e9, 0], 5.1)
    assert half.bounded
    everything = horizon([-np.inf] * 2, [np.inf] * 2, moved=np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sure(everything, [5, 5, 0], np.inf)
        assert not sure(replace(half, moved=np.inf), [5, 5, 0], 0.0)
    assert not everything.bounded


def test_what_was_moved_may_have_come_nearer() -> None:
    box = horizon([0, 0], [10, 10], moved=1.0)
    assert sure(box, [5, 5, 0], 3.9)
    assert not sure(box, [5, 5, 0], 4.1)
    assert not sure(box, [5, 5, 0], 3.9, moved=0.5)


def test_unsettled_and_hidden_points_are_unknown() -> None:
    box = horizon([0, 0], [100, 100])
    assert sure(box, [50, 50, 0], 2.9, [[50, 50, 3]])
    assert not sure(box, [50, 50, 0], 3.1, [[50, 50, 3]])
    assert not sure(replace(box, moved=0.2), [50, 50, 0], 2.9, [[50, 50, 3]])
    hidden = replace(box, hidden=np.array([[50.0, 53.0, 0.0]]))
    assert sure(hidden, [50, 50, 0], 2.9)
    assert not sure(hidden, [50, 50, 0], 3.1)
    assert not sure(hidden, [50, 50, 0], np.inf)


def test_an_unsettled_point_on_the_ball_itself_is_one_too_many() -> None:
    # It may be the very neighbour that the radius leads to, and be gone in the whole cloud.
    box = horizon([0, 0], [100, 100])
    assert not sure(box, [50, 50, 0], 3.0, [[50, 50, 3]])
    assert not sure(box, [50, 50, 0], 0.0, [[50, 50, 0]])


def test_several_points_at_once_are_as_each_alone() -> None:
    random = np.random.default_rng(0)
    box = replace(horizon([0, 0], [10, 10], moved=0.1), hidden=random.uniform(0, 10, (3, 3)))
    points, radii = random.uniform(0, 10, (200, 3)), random.exponential(1.0, 200)
    radii[:5] = np.inf
    unsettled = random.uniform(0, 10, (5, 3))
    together = box.sure(points, radii, unsettled)
    assert 10 < together.sum() < 190
    for point, radius, found in zip(points, radii, together, strict=True):
        assert sure(box, point, radius, unsettled) == found


def test_what_is_left_out_unsettled_is_remembered_where_it_was_read() -> None:
    xyz = np.arange(12.0).reshape(4, 3)
    cloud = PointCloud(xyz + 0.5, original=xyz, horizon=horizon([0, 0], [9, 9], 4))
    cloud = cloud.settle(np.array([True, False, True, False]), 0.5)
    assert cloud.counted.tolist() == [True, False, True, False]
    kept = cloud.select(np.array([3, 2]))
    assert kept.horizon is not None
    assert kept.horizon.hidden.tolist() == [[3.0, 4.0, 5.0]]  # point 1; point 0 is settled, so its absence is too
    assert kept.settled.tolist() == [False, True]
    assert kept.horizon.moved == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_whatever_lies_beyond_a_sure_ball_holds_all_there_is(seed: int) -> None:
    random = np.random.default_rng(seed)
    everything = random.uniform(0, 10, (400, 3))
    drift = random.uniform(-0.1, 0.1, (400, 3))
    low, high = np.array([3.0, 2.0]), np.array([8.0, 9.0])
    inside = ((everything[:, :2] >= low) & (everything[:, :2] < high)).all(axis=1)
    now = everything + drift
    box = horizon(low, high, int(inside.sum()), moved=0.1 * 3**0.5)
    points, radii = now[inside], random.uniform(0, 2, int(inside.sum()))
    found = box.sure(points, radii, NONE)
    assert found.any()
    for point, radius in zip(points[found], radii[found], strict=True):
        near = np.linalg.norm(now - point, axis=1) <= radius
        assert np.asarray(inside)[near].all()
