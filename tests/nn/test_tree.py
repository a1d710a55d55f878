"""The compiled search tree finds what SciPy's finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from deburr.core.errors import RunError
from deburr.core.neighbors import Neighbors
from deburr.nn.deburr.blocks import Blocks, helping
from deburr.nn.deburr.kernels.tree import LEAF, Tree

Array = np.ndarray


def clouds(rng: np.random.Generator) -> dict[str, Array]:
    """What trees find hard, each of some thousand points."""
    floor = rng.uniform(0, 50, (4000, 3)) * [1, 1, 1e-3]
    lattice = np.stack(np.meshgrid(*3 * [np.arange(16.0)]), -1).reshape(-1, 3)
    return {
        "floor": floor,
        "far": np.concatenate((floor, floor[:5] + 1e9)),
        "lattice": lattice[rng.permutation(len(lattice))],
        "line": np.linspace(0, 1, 3000)[:, None] * [1.0, 2.0, 3.0],
        "plane": floor * [1, 1, 0],
        "dense and thin": np.concatenate((floor, 1e-6 * floor)),
        "doubles": np.repeat(floor[:500], 7, axis=0),
        "one place": np.concatenate((floor[:600], np.zeros((300, 3)))),
    }


@pytest.mark.parametrize("name", clouds(np.random.default_rng(0)))
@pytest.mark.parametrize("k", [1, 17, 49])
def test_distances_are_those_of_scipy_to_the_last_bit(name: str, k: int) -> None:
    rng = np.random.default_rng(1)
    points = clouds(rng)[name]
    tree = Tree.of(points, Blocks(len(points), 500))
    away = rng.normal(0, 1, (300, 3)) * np.ptp(points, axis=0) + points[:300]
    # One after the other, in any order, and from places where there is none: what was found before must not mislead.
    for queries in (points, points[rng.permutation(len(points))], away, np.repeat(away[:9], 40, axis=0)):
        distances, rows = tree.nearest(queries, k)
        wanted = cKDTree(points).query(queries, k=k)[0].reshape(distances.shape)
        assert np.array_equal(distances, wanted)
        # Who is equally far may be found in either's place, but each once, and as far away as is said.
        assert all(len(set(row)) == k for row in rows.tolist())
        there = np.sqrt(((points[rows] - queries[:, None]) ** 2).sum(-1))
        np.testing.assert_allclose(there, distances, rtol=1e-12)


@given(st.integers(1, 4 * LEAF), st.integers(1, 20), st.integers(0, 1000))
@settings(deadline=None)
def test_few_points_are_found_too(count: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    distances, rows = Tree.of(points, Blocks(count)).nearest(points, k)
    assert distances.shape == rows.shape == (count, min(k, count))
    assert rows[:, 0].tolist() == list(range(count))
    assert np.array_equal(distances, Neighbors(points).nearest(points, k)[0])


def test_any_number_of_threads_finds_the_same() -> None:
    points = clouds(np.random.default_rng(2))["floor"]
    distances, rows = Tree.of(points, Blocks(len(points), 4096)).nearest(points, 17)
    for size in (64, 1000):
        with helping(3) as helpers:
            found = Tree.of(points, Blocks(len(points), size, helpers)).nearest(points, 17)
        assert np.array_equal(found[0], distances)
        assert np.array_equal(found[1], rows)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(RunError, match="too far or too near to measure"):
        Tree.of(np.array([[0.0, 0, 0], [1e200, 0, 0]]), Blocks(2))
