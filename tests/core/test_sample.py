"""The part of a cloud that is looked at: about as much as asked for, and the same in every tile."""

from __future__ import annotations

import numpy as np
import pytest

from deburr.core.cloud import Extent
from deburr.core.sample import ENOUGH, Sample


def extent(count: int, width: float = 1000.0, depth: float = 2000.0, at: float = 0.0) -> Extent:
    return Extent(count, np.array([at, at, 0.0]), np.array([at + width, at + depth, 9.0]))


def test_what_is_small_or_flat_is_looked_at_as_a_whole() -> None:
    assert Sample.of(extent(ENOUGH)) is None
    assert Sample.of(extent(ENOUGH * 9, depth=0.0)) is None
    assert Sample.of(Extent(0, np.full(3, np.inf), np.full(3, -np.inf))) is None
    assert Sample.of(extent(ENOUGH + 1)) is not None


@pytest.mark.parametrize("at", [0.0, -777.7, 5_400_000.0])
@pytest.mark.parametrize("times", [4, 50])
def test_about_enough_points_in_whole_cells_of_a_power_of_two(times: int, at: float) -> None:
    count = times * ENOUGH
    sample = Sample.of(extent(count, at=at))
    assert sample is not None
    assert sample.side == 2.0 ** round(np.log2(sample.side))
    assert 0.5 < count * sample.side**2 / 2e6 / (1 << 17) < 2.0
    places = np.random.default_rng(0).uniform([at, at, 0], [at + 1000, at + 2000, 9], (40_000, 3))
    assert sample.holds(places).mean() == pytest.approx(1 / times, rel=0.6)


def test_cells_and_points_agree() -> None:
    whole = extent(20 * ENOUGH, at=-300.25)
    sample = Sample.of(whole)
    assert sample is not None
    cells = np.array(sample.cells(whole))
    random = np.random.default_rng(1)
    places = random.uniform(whole.low, whole.high, (5_000, 3))
    # Points on the borders of cells too.
    places[::2, :2] = np.clip(np.round(places[::2, :2] / sample.side) * sample.side, whole.low[:2], whole.high[:2])
    x, y = places[:, :1], places[:, 1:2]
    inside = (x >= cells[:, 0]) & (y >= cells[:, 1]) & (x < cells[:, 2]) & (y < cells[:, 3])
    assert (inside.sum(axis=1) == sample.holds(places)).all()
    assert 0 < sample.holds(places).sum() < len(places)


def test_neighbouring_cells_are_chosen_apart() -> None:
    # A hash that let a row or a column through as one would look along one road only.
    chosen = Sample(1.0, 0.25).holds(
        np.stack(np.meshgrid(np.arange(-50.0, 50), np.arange(-50.0, 50)), -1).reshape(-1, 2)
    )
    grid = chosen.reshape(100, 100)
    assert 0.2 < grid.mean() < 0.3
    for axis in (0, 1):
        assert grid.mean(axis=axis).max() < 0.5
        assert abs(np.mean(np.roll(grid, 1, axis) & grid) - 0.0625) < 0.02
