"""The figures of a batch: hand-computed totals, and the table read back."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.batch.report import difference, headline, removed, totals, write
from deburr.core.errors import WriteError
from deburr.core.sums import Histogram


def tile(number: int, **other: Any) -> dict[str, Any]:
    told = {
        "id": f"tile_{number}",
        "files": ["a.laz"],
        "box": [0.1, 0.2, 1000.25, 6632629.73],
        "points": 100,
        "read": 130,
        "noise_before": 0.05,
        "noise_after": 0.03,
        "displacement_rms": 0.04,
        "displacement_max": 0.2,
        "moved": 90,
        "seconds": 0.5,
        "peak_memory_mb": 512.5,
        "halo": 3.25,
        "attempts": 1,
        "unproved": 0,
        "error": None,
    }
    return told | other


FAILED = {"id": "bad", "files": ["b.laz"], "error": "b.laz: stage 2 (filters.spd):\n  out of memory", "points": 40}


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "tiles.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_noise_removed() -> None:
    assert removed(tile(1)) == pytest.approx(0.04)
    assert removed(tile(1, noise_before=0.03, noise_after=0.05)) == pytest.approx(-0.04)
    assert removed(tile(1, noise_after=None)) is None
    assert removed(tile(1, error="broken")) is None
    assert removed(FAILED) is None


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_was_removed_and_what_is_left_add_up(before: float, after: float) -> None:
    gone = difference(before, after)
    assert (gone >= 0) == (before >= after)
    assert after**2 + gone * abs(gone) == pytest.approx(before**2, abs=1e-12 + 1e-9 * max(before, after) ** 2)


def test_totals_weigh_tiles_with_their_points() -> None:
    tiles = [
        tile(1, points=300, moved=200, noise_before=0.02, noise_after=0.01, displacement_rms=0.01),
        tile(2, points=100, noise_before=0.06, noise_after=0.02, displacement_rms=0.03, displacement_max=0.5),
        # Not measured: counts for all but the noise.
        tile(3, points=100, noise_before=None, noise_after=None, displacement_rms=0.0, unproved=5, attempts=3),
        FAILED,
    ]
    found = totals(tiles, [{"path": "a.laz", "error": None}, {"path": "b.laz", "error": "b.laz: broken"}])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["noise_before"] == pytest.approx(((300 * 0.02**2 + 100 * 0.06**2) / 400) ** 0.5)
    assert found["noise_after"] == pytest.approx(((300 * 0.01**2 + 100 * 0.02**2) / 400) ** 0.5)
    assert found["noise_removed"] == pytest.approx((found["noise_before"] ** 2 - found["noise_after"] ** 2) ** 0.5)
    assert found["displacement_rms"] == pytest.approx(((300 * 0.01**2 + 100 * 0.03**2) / 500) ** 0.5)
    whole = {key: value for key, value in found.items() if not key.startswith("noise") and key != "displacement_rms"}
    assert whole == {
        "tiles": 4,
        "tiles_failed": 1,
        "files": 2,
        "files_failed": 1,
        "points": 500,
        "points_failed": 40,
        "points_moved": 380,
        "points_unproved": 5,
        "points_read": 390,
        "displacement_median": None,
        "displacement_p95": None,
        "displacement_max": 0.5,
        "tile_seconds": 1.5,
        "peak_memory_mb": 512.5,
        "widest_halo": 3.25,
        "attempts": 5,
    }


def test_the_noise_of_a_cloud_does_not_depend_on_how_it_was_cut() -> None:
    whole = totals([tile(1, points=400, noise_before=0.05, noise_after=0.01)])
    parts = totals([tile(n, points=p, noise_before=0.05, noise_after=0.01) for n, p in ((1, 1), (2, 399))])
    assert parts["noise_removed"] == pytest.approx(whole["noise_removed"])


def test_nothing_at_all_and_nothing_but_failures(tmp_path: Path) -> None:
    empty = write(tmp_path, [], [], "m")
    assert _rows(tmp_path) == []
    assert (empty["points"], empty["noise_before"], empty["displacement_max"]) == (0, None, None)
    assert headline(empty, "m") == "0 points in 0 tiles"
    failed = write(tmp_path, [FAILED], [], "m")
    assert headline(failed, "m") == "0 points in 0 tiles; 1 tile failed"
    assert [row["status"] for row in _rows(tmp_path)] == ["failed"]


def test_the_table_read_back(tmp_path: Path) -> None:
    odd = tile(2, files=["ä, b.laz", 'c "d".laz'], points=0, seconds=0.0, noise_before=None)
    write(tmp_path, [tile(1), odd, FAILED], [], "m")
    rows = _rows(tmp_path)
    assert rows[0] == {
        "tile": "tile_1",
        "files": "a.laz",
        "status": "done",
        "points": "100",
        "points_read": "130",
        "points_moved": "90",
        "points_unproved": "0",
        "noise_before_m": "0.05",
        "noise_after_m": "0.03",
        "noise_removed_m": "0.04",
        "displacement_rms_m": "0.04",
        "displacement_max_m": "0.2",
        "halo_m": "3.25",
        "seconds": "0.5",
        "points_per_second": "200",
        "peak_memory_mb": "512.5",
        "attempts": "1",
        "min_x_m": "0.1",
        "min_y_m": "0.2",
        "max_x_m": "1000.25",
        "max_y_m": "6632629.73",
        "error": "",
    }
    assert rows[1]["files"] == 'ä, b.laz; c "d".laz'
    assert (rows[1]["points_per_second"], rows[1]["noise_before_m"], rows[1]["noise_removed_m"]) == ("", "", "")
    assert (rows[2]["status"], rows[2]["points"], rows[2]["seconds"]) == ("failed", "40", "")
    assert rows[2]["error"] == "b.laz: stage 2 (filters.spd): out of memory"
    assert len((tmp_path / "tiles.csv").read_text().splitlines()) == 4


def test_the_heads_tell_the_unit(tmp_path: Path) -> None:
    write(tmp_path, [tile(1)], [], "US ft")
    assert {"noise_before_US_ft", "halo_US_ft", "max_y_US_ft"} <= _rows(tmp_path)[0].keys()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="does not exist"):
        write(tmp_path / "none", [tile(1)], [], "m")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ([tile(1)], "100 points in 1 tile: noise 5 cm -> 3 cm (-40 %)"),
        ([tile(1, points=1234567), FAILED], "1,234,567 points in 1 tile: noise 5 cm -> 3 cm (-40 %); 1 tile failed"),
        ([tile(1, noise_after=None), tile(2, noise_after=None)], "200 points in 2 tiles: moved by 4 cm RMS"),
        (
            # Lengths of 1, 2, 3 and 4 cm in one tile, 5 cm in another.
            [
                tile(1, noise_after=None, displacements=Histogram.of(np.array([0.01, 0.02, 0.03, 0.04])).as_json()),
                tile(2, noise_after=None, displacements=Histogram.of(np.array([0.05])).as_json()),
            ],
            "200 points in 2 tiles: moved by 4 cm RMS (median 3 cm, 95 % below 4.8 cm, at most 20 cm)",
        ),
        ([tile(1, noise_after=None, displacement_max=0.0)], "100 points in 1 tile"),
    ],
)
def test_headlines(tiles: list[dict[str, Any]], words: str) -> None:
    assert headline(totals(tiles), "m") == words
