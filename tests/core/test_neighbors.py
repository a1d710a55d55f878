"""The neighbour search and the point spacing, on a grid whose answers are known."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest

from deburr.core.errors import RunError
from deburr.core.neighbors import Neighbors, cloud_spacing, threads


def grid(side: int, step: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(side) * step, np.arange(side) * step)
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(side * side)])


def test_nearest_are_sorted_and_cut_to_the_points_there_are() -> None:
    points = np.array([[0.0, 0, 0], [3.0, 0, 0], [1.0, 0, 0]])
    distances, rows = Neighbors(points).nearest(np.array([[0.4, 0, 0]]), 5)
    assert rows.tolist() == [[0, 2, 1]]
    assert distances[0] == pytest.approx([0.4, 0.6, 2.6])
    assert Neighbors(points).nearest(points, 1)[1].tolist() == [[0], [1], [2]]


def test_within_counts_the_border() -> None:
    assert Neighbors(grid(3, 2.0)).within(np.array([[2.0, 2.0, 0.0]]), 2.0).tolist() == [5]


def test_spacing_of_a_grid_and_of_none() -> None:
    # The 16th neighbour in a square grid is sqrt(5) steps away.
    assert cloud_spacing(grid(50, 0.5)) == pytest.approx(0.5 * sqrt(5) * sqrt(pi / 16))
    # Two points: the only neighbour stands for the 16th.
    assert cloud_spacing(np.array([[0.0, 0, 0], [3.0, 0, 0]])) == pytest.approx(3 * sqrt(pi))
    assert cloud_spacing(np.zeros((1, 3))) == cloud_spacing(np.zeros((40, 3))) == 0.0


def test_threads_are_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("DEBURR_THREADS", "")
    assert threads() >= 1
    monkeypatch.delenv("DEBURR_THREADS")
    assert threads() >= 1
    for wrong in ("two", "0", "-1", "1.5", "²"):
        monkeypatch.setenv("DEBURR_THREADS", wrong)
        with pytest.raises(RunError, match="DEBURR_THREADS: must be a whole number"):
            threads()


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_sizes_whose_squares_are_no_numbers_are_refused(size: float) -> None:
    with pytest.raises(RunError, match="too far or too near to measure"):
        cloud_spacing(grid(10, size))
    assert cloud_spacing(grid(10, size ** (1 / 2))) > 0
