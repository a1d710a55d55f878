"""Boxes: every point lies in exactly one, those on borders too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.core.cut import Box, cut, grid
from deburr.core.errors import SpecError


def holders(boxes: list[Box], points: Any) -> Any:
    """(N,) int: in how many boxes each point lies."""
    return sum((((points >= low) & (points < high)).all(axis=1)).astype(int) for low, high in boxes)


def test_a_row_of_cells_is_halved_where_the_points_are() -> None:
    counts = np.array([[1], [1], [1], [5]])
    boxes = cut(counts, np.arange(5.0), np.array([0.0, 1.0]), 4)
    assert [(low.tolist(), high.tolist()) for low, high in boxes] == [
        ([0.0, 0.0], [3.0, 1.0]),
        ([3.0, 0.0], [4.0, 1.0]),  # one cell alone may hold more
    ]


def test_the_longer_side_is_halved() -> None:
    even = np.ones((4, 4))
    wide = cut(even, np.arange(5.0) * 10, np.arange(5.0), 8)
    assert [low.tolist() for low, _ in wide] == [[0, 0], [20, 0]]
    deep = cut(even, np.arange(5.0), np.arange(5.0) * 10, 8)
    assert [low.tolist() for low, _ in deep] == [[0, 0], [0, 20]]


def test_few_points_make_one_box() -> None:
    for counts in (np.zeros((3, 2)), np.ones((3, 2))):
        ((low, high),) = cut(counts, np.arange(4.0), np.arange(3.0), 6)
        assert [*low, *high] == [0, 0, 3, 2]


@settings(deadline=None)
@given(st.data())
def test_cut_boxes_hold_each_point_once_and_not_too_many(data: st.DataObject) -> None:
    width, depth = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x, y = np.cumsum(random.uniform(0.1, 5, width + 1)) - 7, np.cumsum(random.uniform(0.1, 5, depth + 1)) + 1e5
    n = data.draw(st.integers(0, 300))
    points = np.column_stack([random.uniform(x[0], x[-1], n), random.uniform(y[0], y[-1], n)])
    on = random.random((n, 2)) < 0.3  # some on edges, but for the last
    points[:, 0] = np.where(on[:, 0], random.choice(x[:-1], n), points[:, 0])
    points[:, 1] = np.where(on[:, 1], random.choice(y[:-1], n), points[:, 1])
    counts = np.histogram2d(points[:, 0], points[:, 1], [x, y])[0].astype(int)
    most = data.draw(st.integers(1, 100))
    boxes = cut(counts, x, y, most)
    assert (holders(boxes, points) == 1).all()
    area = sum((high - low).prod() for low, high in boxes)
    assert area == pytest.approx((x[-1] - x[0]) * (y[-1] - y[0]))
    for low, high in boxes:
        inside = int(holders([(low, high)], points).sum())
        assert inside > 0 or n == 0
        if inside > most:
            # No more than one of its cells holds anything, or it would have been cut.
            i, j = np.searchsorted(x, [low[0], high[0]]), np.searchsorted(y, [low[1], high[1]])
            assert (counts[i[0] : i[1], j[0] : j[1]] > 0).sum() == 1


def test_a_grid_is_aligned_to_its_origin() -> None:
    boxes = grid(np.array([84_808.3, 447_412.8]), np.array([84_999.999, 447_641.299]), 100.0)
    lows = [low.tolist() for low, _ in boxes]
    assert lows == [[a, b] for b in (447_400, 447_500, 447_600) for a in (84_800, 84_900)]
    shifted = grid(np.array([0.0, 0.0]), np.array([10.0, 10.0]), 10.0, (5.0, -1.0))
    assert [low.tolist() for low, _ in shifted] == [[-5, -1], [5, -1], [-5, 9], [5, 9]]


def test_a_point_on_the_upper_border_has_a_box() -> None:
    boxes = grid(np.zeros(2), np.full(2, 20.0), 10.0)
    assert len(boxes) == 9
    assert holders(boxes, np.array([[20.0, 20.0], [10.0, 0.0]])).tolist() == [1, 1]


@settings(deadline=None)
@given(
    st.floats(-1e7, 1e7),
    st.floats(0, 50),
    st.floats(3, 40),
    st.floats(-1e3, 1e3),
    st.lists(st.floats(0, 1), max_size=20),
)
def test_grid_cells_hold_each_point_once(low: float, width: float, side: float, origin: float, shares: Any) -> None:
    lows, highs = np.array([low, -low]), np.array([low + width, -low + width / 2])
    boxes = grid(lows, highs, side, (origin, -origin))
    inner = lows + np.outer([0.0, 1.0, *shares], highs - lows)
    corners = np.array([corner for box in boxes for corner in box])
    corners = corners[((corners >= lows) & (corners <= highs)).all(axis=1)]
    points = np.concatenate((np.minimum(inner, highs), corners))
    assert (holders(boxes, points) == 1).all()
    assert holders(boxes, np.array([lows, highs])).tolist() == [1, 1]


def test_no_points_need_no_grid() -> None:
    assert grid(np.full(2, np.inf), np.full(2, -np.inf), 10.0) == []


def test_a_slip_of_the_pen_is_refused() -> None:
    with pytest.raises(SpecError, match=r"tiles of 0.1 are too small .* make them larger"):
        grid(np.zeros(2), np.full(2, 1e4), 0.1)
