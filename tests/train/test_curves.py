"""The table of a run: what is written is read again, and a resumed run writes no row twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from deburr.core.errors import ReadError
from deburr.train.curves import Curves

TABLE = [
    {"scene": "solid", "noise": 0.3, "noise_estimated": 0.29, "to_surface": 0.5},
    {"scene": "landscape", "noise": 0.15, "noise_estimated": 0.2, "to_surface": 0.4, "to_own_place": 1.1},
]


def test_rows_are_kept_up_to_where_a_run_goes_on(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "w.csv")
    for step in (100, 200, 300):
        curves.add(step, step / 10, 1000 * step, {"score": 1 / step})
        if step == 200:
            curves.validated(TABLE)
    curves.add(300, 31.0, 0, {"score": 9.0})
    curves.write()
    lines = (tmp_path / "w.csv").read_text().splitlines()
    assert lines[0] == (
        "step,seconds,points,score,validation solid 0.3 to_surface,"
        "validation landscape 0.15 to_surface,validation landscape 0.15 to_own_place"
    )
    assert lines[2:] == ["200,20,200000,0.005,0.5,0.4,1.1", "300,30,300000,0.0033333,,,"]
    again = Curves(tmp_path / "w.csv")
    again.resume(250)
    again.add(300, 33.0, 300_000, {"score": 0.002})
    again.write()
    assert (tmp_path / "w.csv").read_text().splitlines()[:3] == lines[:3]
    assert (tmp_path / "w.csv").read_text().splitlines()[3:] == ["300,33,300000,0.002,,,"]


def test_the_picture_is_written(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "w.csv")
    curves.draw()
    empty = (tmp_path / "w.png").read_bytes()
    curves.add(1, 0.5, 10, {"score": 2.0})
    curves.validated(TABLE)
    curves.draw()
    assert (tmp_path / "w.png").read_bytes() not in (b"", empty)


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ReadError, match="no table of a training run"):
        Curves(tmp_path / "w.csv").resume(5)
