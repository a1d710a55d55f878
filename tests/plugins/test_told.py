"""What filters inside PDAL say on stderr while they work: nothing at first, then lines, or one line on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from deburr.core.progress import advance
from deburr.plugins.pdal.inside import told as _told


class Clock:
    """Goes on by what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("deburr.plugins.pdal.inside.told.time.monotonic", lambda: self.now)

    def work(self, seconds: float, done: int) -> None:
        self.now += seconds
        advance("denoising", done, 200)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_short_work_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(monkeypatch)
    with _told.progress("filters.spd"):
        clock.work(0.5, 10)
        clock.work(1.4, 190)
    assert capsys.readouterr() == ("", "")


def test_long_work_in_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(monkeypatch)
    with _told.progress("filters.spd"):
        for done in range(20, 201, 20):
            clock.work(1.0, done)
        clock.now += 10
        advance("1/1 filters.spd", 0, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"deburr (filters.spd): denoising: {percent} %" for percent in (20, 70)]


def test_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, screen = Clock(monkeypatch), Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with _told.progress("filters.spd"):
        clock.work(3.0, 100)
        clock.work(0.01, 110)
        clock.work(0.2, 200)
    text = screen.getvalue()
    assert "\n" not in text
    assert "50 %" in text
    assert "55 %" not in text
    assert "100 %" in text
    assert text.endswith(" \r")


def test_metadata_is_text() -> None:
    node = _told.metadata({"points": 3, "noise": 0.5, "model": "deburr", "known": True, "none": None}, ("beware",))
    assert [(child["name"], child["value"], child["type"]) for child in node["children"]] == [
        ("points", "3", "integer"),
        ("noise", "0.5", "double"),
        ("model", "deburr", "string"),
        ("known", "true", "boolean"),
        ("warning", "beware", "string"),
    ]
