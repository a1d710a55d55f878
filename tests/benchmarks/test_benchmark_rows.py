"""What is shown of filters that have settings."""

from __future__ import annotations

import numpy as np
import pytest
from classical import classical, local_plane
from protocol import best, best_line, best_lines, rms, settings


def test_the_best_setting_is_chosen_column_by_column() -> None:
    found = {"plane, k = 16": [0.4, 0.7], "plane, k = 32": [0.5, 0.6]}
    assert best(found) == ([0.4, 0.6], ["16", "32"])
    assert best(found, aim=1.0) == ([0.5, 0.7], ["32", "16"])
    assert best({"a, k = 16": [np.nan], "a, k = 32, twice": [3.0]}) == ([3.0], ["32 twice"])
    assert best({"deburr": [0.2]}) == ([0.2], [""])


def test_a_table_has_a_line_for_a_filter_and_one_for_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"deburr": lambda p: p, "plane, k = 16": lambda p: 4 * p, "plane, k = 32, twice": lambda p: 2 * p}
    best_lines(rows, lambda denoise: [float(denoise(np.ones(1))[0]), float(-denoise(np.ones(1))[0])])
    best_line({"plane, k = 16": [1.0]}, what=", worst shape")
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert told == [
        ["deburr", "1.000", "-1.000"],
        ["plane", "2.000", "-2.000"],
        ["by", "k", "=", "32", "twice", "32", "twice"],
        ["plane,", "worst", "shape", "1.000"],
        ["by", "k", "=", "16"],
    ]


def test_every_filter_has_settings_and_those_of_a_quick_run_are_among_them() -> None:
    filters = settings(classical())
    assert set(settings(classical(quick=True))) == {"local plane", "guided filter"} < set(filters)
    assert min(map(len, filters.values())) >= 2
    assert classical(quick=True).keys() < classical().keys()
    plane = np.random.default_rng(0).normal(0, (9, 9, 0.1), (400, 3))
    twice, once = (classical()[f"local plane, k = 16{what}"](plane) for what in (", twice", ""))
    assert rms(twice - local_plane(once)) == 0
    assert rms(once - plane) > 0
