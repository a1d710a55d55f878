"""Sums that merge: exact, and the same however the values were cut."""

from __future__ import annotations

import json
from fractions import Fraction
from math import isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.core.sums import BITS, Exact, Histogram, Sum, from_json, merge, to_json

NUMBERS = st.floats(-1e100, 1e100)
LISTS = st.lists(NUMBERS, max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=4)


def cut(values: Any, places: list[int]) -> list[Any]:
    return np.split(np.array(values, dtype=np.float64), sorted(places))


@given(LISTS, CUTS)
def test_a_sum_is_that_of_fractions_however_it_is_cut(values: list[float], places: list[int]) -> None:
    whole = Exact.of(np.array(values, dtype=np.float64))
    assert whole.sum == sum((Fraction(value) for value in values), Fraction(0))
    parts = [Exact.of(part) for part in cut(values, places)]
    assert sum(parts[1:], parts[0]) == whole
    assert whole.count == len(values)


@given(st.lists(NUMBERS.filter(lambda x: x == 0 or abs(x) > 1e-100), max_size=60))
def test_squares_are_not_rounded_either(values: list[float]) -> None:
    assert Exact.of_squares(np.array(values, dtype=np.float64)).sum == sum(
        (Fraction(value) ** 2 for value in values), Fraction(0)
    )


def test_the_smallest_and_largest_numbers_are_added_exactly() -> None:
    values = np.array([5e-324, -5e-324, 1.7e308, 1.7e308, -1.7e308, 2.0**-1074])
    assert Exact.of(values).sum == Fraction(1.7e308) + Fraction(1, 2**1074)
    assert Exact.of(np.full(3, 0.1)).mean == 0.1
    assert isnan(Exact.of(np.zeros(0)).mean)


@given(LISTS.filter(bool), CUTS, st.sampled_from([0.0, 0.25, 0.5, 0.99, 1.0]), st.sampled_from([4, BITS, 20]))
def test_quantiles_do_not_depend_on_the_cuts_and_lie_in_the_bin(
    values: list[float], places: list[int], share: float, bits: int
) -> None:
    array = np.array(values, dtype=np.float64)
    whole = Histogram.of(array, bits=bits)
    merged = merge([{"x": Histogram.of(part, bits=bits)} for part in cut(values, places)])["x"]
    assert isinstance(merged, Histogram)
    found = whole.quantile(share)
    assert found == merged.quantile(share)
    assert found is not None
    # Between two ranks; each is known to the width of its bin.
    low, high = (float(np.quantile(array, share, method=side)) for side in ("lower", "higher"))
    slack = 2.0**-bits * (1 + 1e-9)
    assert low - abs(low) * slack <= found <= high + abs(high) * slack
    assert whole.max == max(values)


def test_quantiles_of_few_different_values_are_exact() -> None:
    values = np.array([-3.0, -3.0, -0.0, 0.0, 1.0, 1.0, 1.0, 8.0])
    found = Histogram.of(values)
    for share in (0.0, 0.2, 0.5, 0.75, 0.9, 1.0):
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), abs=1e-15)
    assert Histogram.of(np.zeros(0)).quantile(0.5) is None
    assert Histogram.of(np.zeros(0)).max is None


def test_weights_and_marks() -> None:
    found = Histogram.of(np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 6.0]), np.array([10.0, 20.0, 40.0]))
    assert found.total == 8.0
    assert found.middle() == 4.0
    assert found.mean_between(0.5, 3.0) == 15.0
    assert found.mean_between(3.0, 5.0) == 40.0


@given(LISTS)
def test_json_gives_the_same_sums_back(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    sums: dict[str, Sum] = {"exact": Exact.of(array), "bins": Histogram.of(array)}
    again = from_json(json.loads(json.dumps(to_json(sums), allow_nan=False)))
    assert again["exact"] == sums["exact"]
    for name in ("keys", "weights", "lows", "highs", "sums"):
        assert getattr(again["bins"], name).tobytes() == getattr(sums["bins"], name).tobytes()
    assert to_json(merge([sums, again])) == to_json(merge([again, sums]))


def test_of_nothing_nothing_is_merged() -> None:
    assert merge([]) == {}
    assert merge([{}, {}]) == {}
