"""The neighbour search and the point spacing, on a grid whose answers are known."""

from __future__ import annotations

import threading
import time
from math import pi, sqrt
from typing import Any

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


def _crowd(extra: int) -> np.ndarray:
    """A grid, and ``extra`` points more in each of two of its places, in no order; one zero is negative."""
    points = np.concatenate([grid(12, 1.0), np.zeros((extra, 3)), np.full((extra, 3), [3.0, 3.0, 0.0])])
    points[-1, 2] = -0.0
    return points[np.random.default_rng(1).permutation(len(points))]


@pytest.mark.parametrize("extra", [0, 1, 64, 5000])
@pytest.mark.parametrize("k", [1, 17, 300])
def test_points_at_one_place_are_found_one_by_one(extra: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", "2")
    points = _crowd(extra)
    queries = np.concatenate([points[:150], [[0.0, 0.0, 0.0], [2.9, 3.1, 0.2], [-50.0, 7.0, 1.0]]])
    distances, rows = Neighbors(points).nearest(queries, k)
    every = np.sqrt(((queries[:, None] - points) ** 2).sum(axis=2))
    assert (distances == np.sort(every, axis=1)[:, :k]).all()
    assert (np.take_along_axis(every, rows, axis=1) == distances).all()
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_points_at_one_place_cost_no_more_than_one() -> None:
    sizes = []
    tree = Neighbors(_crowd(5000))
    query = tree._query
    tree._query = lambda queries, k: sizes.append((len(queries), tree._tree.n)) or query(queries, k)  # type: ignore
    assert tree.nearest(tree.points, 17)[0].shape == (12 * 12 + 10_000, 17)
    assert sizes == [(144, 144)]


def test_places_are_told_with_how_many_points_they_hold() -> None:
    for extra in (0, 3, 100):
        tree = Neighbors(_crowd(extra))
        distances, places, counts = tree.nearest_places(np.array([[0.0, 0.0, 0.0], [3.0, 3.0, 0.0]]), 2)
        assert tree.different == 144
        assert distances.tolist() == [[0.0, 1.0], [0.0, 1.0]]
        assert places[:, 0].tolist() == [[0.0, 0.0, 0.0], [3.0, 3.0, 0.0]]
        assert counts.tolist() == [[1 + extra, 1], [1 + extra, 1]]
        assert tree.nearest_places(np.zeros((1, 3)), 1000)[0].shape == (1, 144)
        # The same answers as before.
        assert (tree.nearest(tree.points, 5)[0] == Neighbors(tree.points).nearest(tree.points, 5)[0]).all()


def test_threads_and_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(2).normal(size=(20_001, 3))
    found = []
    for count in ("1", "2", "5"):
        monkeypatch.setenv("DEBURR_THREADS", count)
        tree = Neighbors(points)
        found.append((*tree.nearest(points, 9), tree.nearest_within(points[::-1] + 1.0, 0.5)))
    for other in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], other, strict=True))
    assert (found[0][1][:, 0] == np.arange(len(points))).all()


def test_an_interrupted_search_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", "4")
    points = np.random.default_rng(3).normal(size=(50_000, 3))
    tree, caller = Neighbors(points), threading.current_thread()
    query, leaving = tree._query, threading.Event()
    running: list[int] = []
    most: list[int] = []

    def interrupted(queries: np.ndarray, k: int) -> Any:
        if threading.current_thread() is caller:
            while not most:
                time.sleep(0.001)
            leaving.set()
            raise KeyboardInterrupt
        running.append(1)
        most.append(1)
        leaving.wait(10)
        time.sleep(0.2)
        found = query(queries, k)
        running.pop()
        return found

    monkeypatch.setattr(tree, "_query", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tree.nearest(points, 17)
    assert not running
    # Each of the three ends after the piece it is at, of 27.
    assert 1 <= len(most) <= 6
    monkeypatch.undo()
    assert (tree.nearest(points, 1)[1][:, 0] == np.arange(len(points))).all()


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
