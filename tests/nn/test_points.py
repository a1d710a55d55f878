"""What is done to points before and after the networks."""

from __future__ import annotations

import numpy as np
import pytest

from deburr.nn.points import canonical, count_distinct, limited


def test_canonical_order_does_not_depend_on_the_files() -> None:
    points = np.array([[1.0, 0, 0], [0.0, 5, 1], [1.0, 0, 0], [0.0, 5, 0]])
    distinct, back = canonical(points)
    # The cell's highest bits decide, x before y before z: (1, 0, 0) lies in the half of low y.
    assert distinct.tolist() == [[1, 0, 0], [0, 5, 0], [0, 5, 1]]
    assert (distinct[back] == points).all()
    order = np.array([2, 0, 3, 1])
    again, back = canonical(points[order])
    assert (again == distinct).all()
    assert (again[back] == points[order]).all()


def test_neighbours_in_space_are_neighbours_in_order() -> None:
    side = np.arange(32.0)
    points = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    ordered, _ = canonical(points[np.random.default_rng(0).permutation(len(points))])
    # Eight points that follow each other from a multiple of eight are a cube of side 1.
    cubes = ordered.reshape(-1, 8, 3)
    assert (np.ptp(cubes, axis=1) == 1).all()


def test_points_in_one_cell_are_told_apart() -> None:
    """Half of the points lie closer together than the order's grid is fine."""
    rng = np.random.default_rng(0)
    points = np.concatenate((rng.uniform(0, 1e6, (50, 3)), 5e5 + rng.uniform(0, 1e-3, (50, 3))))
    distinct, back = canonical(points)
    again, _ = canonical(points[rng.permutation(100)])
    assert (again == distinct).all()
    assert (distinct[back] == points).all()


@pytest.mark.parametrize(
    ("twins", "others", "counted"), [(0, 0, 0), (5, 0, 1), (5, 2, 3), (1000, 3, 4), (1000, 40, 41), (0, 31, 31)]
)
def test_different_points_are_counted_wherever_they_stand(twins: int, others: int, counted: int) -> None:
    points = np.concatenate((np.zeros((twins, 3)), 1 + np.arange(3.0 * others).reshape(-1, 3)))
    assert count_distinct(points, 32) == counted
    assert min(count_distinct(points[::-1], 32), 32) == min(counted, 32)


def test_limited_shortens_and_never_lengthens() -> None:
    steps = np.array([[3.0, 4, 0], [0.3, 0.4, 0], [0.0, 0, 0]])
    assert limited(steps, 1.0) == pytest.approx(np.array([[0.6, 0.8, 0], [0.3, 0.4, 0], [0, 0, 0]]))
    assert limited(steps, None) is steps
