"""Chance by source row."""

from __future__ import annotations

import numpy as np

from deburr.core.chance import BLOCK, drawn


def chance(rows: list[int], *seed: int) -> list[float]:
    found: list[float] = drawn(np.array(rows), seed, lambda random, count: random.random(count), "test").tolist()
    return found


def test_a_row_has_its_chance_wherever_it_stands() -> None:
    rows = [3, BLOCK + 3, 7 * BLOCK, 4]
    found = chance(rows, 5)
    assert len(set(found)) == 4
    assert chance(rows[::-1], 5) == found[::-1]
    assert chance([BLOCK + 3], 5) == found[1:2]
    assert chance([], 5) == []


def test_every_number_of_the_seed_counts() -> None:
    assert len({chance([3], *seed)[0] for seed in ((5,), (6,), (5, 1), (5, 2))}) == 4
