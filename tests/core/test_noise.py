"""The noise that a stage found: figures known beforehand, and the same of parts as of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import Extent
from deburr.core.noise import CELLS, Grid, noise_by_place, noise_figures, noise_rms, noise_sums
from deburr.core.sums import Sum, from_json, merge, to_json

LOW, HIGH = np.array([85_000.0, 447_000.0, -3.0]), np.array([85_256.0, 447_064.0, 9.0])
EXTENT = Extent(1000, LOW, HIGH)


def told(level: Any, places: Any, may: Any = None, evidence: Any = None) -> Any:
    some = np.ones(len(level), np.bool_) if may is None else may
    return noise_sums(level, some, evidence, places, EXTENT)


def test_figures_and_root_mean_square() -> None:
    level = np.array([0.03, 0.01, 0.02])
    sums = told(level, np.tile(LOW, (3, 1)), np.array([True, True, False]), np.array([True, False, False]))
    assert noise_figures(sums) == {
        "noise_median": 0.02,
        "noise_p05": pytest.approx(0.011),
        "noise_p95": pytest.approx(0.029),
        "evidence": 1 / 3,
    }
    assert noise_rms(sums) == pytest.approx(np.sqrt((0.03**2 + 0.01**2) / 2))


def test_what_nobody_told_is_not_told() -> None:
    nothing = told(np.zeros(0), np.zeros((0, 3)))
    without: list[dict[str, Sum]] = [{}, nothing]
    for sums in without:
        assert noise_figures(sums) == {}
        assert noise_rms(sums) is None
        assert noise_by_place(sums) is None
    assert "evidence" not in noise_figures(told(np.ones(2), np.tile(LOW, (2, 1))))


def test_cells_lie_where_the_points_were_read() -> None:
    # Along the longer side, 256 long, a cell is a unit wide.
    places = LOW + np.array([[0.5, 0.5, 1], [0.9, 0.1, 2], [255.5, 63.5, 3], [256, 64, 4]])
    found = noise_by_place(told(np.array([0.01, 0.03, 0.05, 0.07]), places))
    assert found is not None
    assert (found.grid.low.tolist(), found.grid.side) == ([85_000, 447_000], 1.0)
    # The point on the border has a cell of its own.
    assert found.cells.tolist() == [[0, 0], [255, 63], [CELLS, 64]]
    assert found.counts.tolist() == [2, 1, 1]
    assert found.levels == pytest.approx([0.02, 0.05, 0.07])


def test_one_level_everywhere_is_no_map() -> None:
    places = np.random.default_rng(0).uniform(LOW, HIGH, (50, 3))
    assert noise_by_place(told(np.full(50, 0.02), places)) is None


def test_parts_tell_what_the_whole_tells() -> None:
    rng = np.random.default_rng(1)
    places, level = rng.uniform(LOW, HIGH, (1000, 3)), rng.uniform(0, 0.1, 1000)
    may, evidence = rng.random(1000) < 0.7, rng.random(1000) < 0.4
    whole = told(level, places, may, evidence)
    parts = np.split(rng.permutation(1000), [100, 100, 640])
    together = merge([from_json(to_json(told(level[p], places[p], may[p], evidence[p]))) for p in parts])
    assert noise_figures(together) == noise_figures(whole)
    assert noise_rms(together) == noise_rms(whole)
    one, other = noise_by_place(together), noise_by_place(whole)
    assert one is not None
    assert other is not None
    assert (one.grid.side, one.grid.low.tolist()) == (other.grid.side, other.grid.low.tolist())
    assert (one.cells == other.cells).all()
    assert one.levels == pytest.approx(other.levels)


def test_a_cloud_of_one_place_has_a_grid_too() -> None:
    grid = Grid.over(Extent(3, LOW, LOW))
    assert grid.numbers(np.tile(LOW, (3, 1))).tolist() == [0, 0, 0]
