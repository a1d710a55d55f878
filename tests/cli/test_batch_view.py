"""What a running batch shows, off a terminal and on one; time by a clock that the test holds."""

from __future__ import annotations

import io
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner

from deburr.batch.report import totals
from deburr.cli.batch_view import BatchView
from deburr.cli.times import duration


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(name: str, points: int = 1_234_567, **other: Any) -> dict[str, Any]:
    told = {"id": name, "points": points, "noise_before": 0.0231, "noise_after": 0.0084, "seconds": 3.2}
    return told | {"displacement_rms": 0.02, "displacement_max": 0.1, "peak_memory_mb": 812.4, "error": None} | other


def _run(quiet: bool = False, broken: bool = False) -> list[str]:
    """A small batch: the lines on stderr."""
    clock = Clock()

    @click.command()
    def batch() -> None:
        records = [record("a_0"), record("a_1", 1, noise_before=None, unproved=1)]
        bad = [{"id": name, "error": "b.laz: stage 2 (filters.spd): [Errno 5] no"} for name in ("b_0", "b_1")]
        with BatchView("m", quiet, clock) as view:
            view.warn("a.laz and b.laz overlap")
            view.stage("cleaning", 400, 5_000_000)
            for each in records:
                clock.now += 2
                view.done(each)
            for each in bad:
                view.failed(each["id"], each["error"], 1000)
            if broken:
                raise click.ClickException("stopped")
            clock.now += 61
            view.finish(totals([*records, *bad]))

    done = CliRunner().invoke(batch)
    assert done.exit_code == int(broken), done.output
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_one_line_a_tile_off_a_terminal() -> None:
    assert _run() == [
        "warning: a.laz and b.laz overlap",
        "cleaning: 400 tiles, 5,000,000 points",
        "1/400 a_0 1,234,567 points 2.31 cm -> 0.84 cm 3.2 s",
        "2/400 a_1 1 point 3.2 s (1 unproved)",
        "3/400 b_0 failed: b.laz: stage 2 (filters.spd): [Errno 5] no",
        "4/400 b_1 failed: b.laz: stage 2 (filters.spd): [Errno 5] no",
        "2 failed:",
        "    b_0, b_1: b.laz: stage 2 (filters.spd): [Errno 5] no",
        "1,234,568 points in 2 tiles: noise 2.31 cm -> 0.84 cm (-64 %); 2 tiles failed",
        "1 point may differ from those of an untiled run",
        "done in 1 min 5 s, 18,993 points a second, at most 812 MB of memory in a worker",
    ]


def test_quiet_shows_warnings_and_failures_alone() -> None:
    failures = ["2 failed:", "    b_0, b_1: b.laz: stage 2 (filters.spd): [Errno 5] no"]
    assert _run(quiet=True) == ["warning: a.laz and b.laz overlap", *failures]
    # Also where the batch ends before its time.
    assert _run(quiet=True, broken=True) == ["warning: a.laz and b.laz overlap", *failures, "Error: stopped"]


def test_one_cause_is_told_once_and_many_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with BatchView("m", quiet=True) as view:
        view.stage("cleaning", 1000, 1000)
        for number in range(100):
            view.failed(f"t{number}", "a.laz: gone")
        for number in range(60):
            view.failed(f"u{number}", f"cause {number}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["160 failed:", "    t0, t1, t2 and 97 more: a.laz: gone", "    u0: cause 0"]
    assert (len(lines), lines[-1]) == (42, "    and 21 other causes, which the report lists")


def test_time_left_goes_by_points_not_by_tiles() -> None:
    clock = Clock()
    view = BatchView("m", True, clock)
    view.stage("cleaning", 3, 1_000_000)
    assert view._stage.state(clock.now) == "0 done, 3 left"
    clock.now += 10
    view.done(record("large", 900_000))
    # A third of the tiles, but nine tenths of the points: 100,000 points at 90,000 a second are left.
    assert view._stage.left(clock.now) == pytest.approx(10 / 9)
    assert view._stage.state(clock.now) == "1 done, 2 left, 90,000 points/s, 1.1 s to go"
    # It runs down while nothing is done, and not below nothing.
    assert view._stage.left(clock.now + 1) == pytest.approx(1 / 9)
    assert view._stage.left(clock.now + 5) == 0
    view.failed("small", "gone", 50_000)
    assert view._stage.left(clock.now) == pytest.approx(5 / 9)
    assert view._stage.state(clock.now).startswith("1 done, 1 failed, 1 left, 90,000 points/s")


def test_speed_follows_what_happens_of_late() -> None:
    clock = Clock()
    view = BatchView("m", True, clock)
    view.stage("cleaning", 1000, 10**9)
    for speed in (100, 1000):
        for _ in range(100):
            clock.now += 10
            view.done(record("a", 10 * speed))
        assert view._stage.speed() == pytest.approx(speed, rel=0.01)


def test_tiles_of_an_earlier_run_tell_nothing_of_the_speed(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with BatchView("m", clock=clock) as view:
        view.stage("cleaning", 10, 1000)
        view.resumed(8, 800)
        assert view._stage.left(clock.now) is None
        clock.now += 4
        view.done(record("a", 100))
        assert view._stage.left(clock.now) == pytest.approx(4)
    assert capsys.readouterr().err.splitlines()[1:3] == [
        "8/10 done in an earlier run",
        "9/10 a 100 points 2.31 cm -> 0.84 cm 3.2 s",
    ]


def test_passes_without_points_are_counted_in_tiles(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with BatchView("m", clock=clock) as view:
        view.stage("writing", 2, 0)
        view.done({"id": "a.laz"})
        assert view._stage.state(clock.now) == "1 done, 1 left"
        view.finish(totals([]))
    assert capsys.readouterr().err.splitlines() == [
        "writing: 2 tiles, 0 points",
        "1/2 a.laz 0 points",
        "0 points in 0 tiles",
        "done in 0.0 s",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_live_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    clock = Clock()
    with BatchView("m", clock=clock) as view:
        view.stage("survey 1", 3, 100)
        view.done(record("a", 100))
        view.stage("cleaning", 3, 1_000_000)
        clock.now += 10
        view.done(record("a [b]", 900_000))
        bar = view._meter._bar
        assert bar is not None
        bar.refresh()
        share = bar.tasks[0].completed
        view.failed("t", "a.laz: [bold] gone", 1000)
        # One bar for all passes, and its share is that of the whole batch.
        assert [(task.description, task.total) for task in bar.tasks] == [("cleaning", 1.0)]
        assert share < bar.tasks[0].completed < 0.99
        view.finish(totals([record("a", 900_000)]))
    shown = terminal.getvalue()
    assert "1 done, 2 left, 90,000 points/s, 1.1 s to go" in shown
    assert f"{100 * share:.0f} %" in shown
    # Text of others is shown as it is, not taken for markup; tiles have no lines of their own.
    assert "2/3 t failed: a.laz: [bold] gone" in shown
    assert "a [b]" not in shown
    assert "1 failed:\n    t: a.laz: [bold] gone\n" in shown.replace("\r", "")
    assert shown.endswith("at most 812 MB of memory in a worker\n")
    assert sys.stderr is terminal


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.24, "3.2 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (725, "12 min 5 s"),
        (3599.7, "1 h 0 min"),
        (4320, "1 h 12 min"),
        (86_399, "1 d 0 h"),
        (97_000, "1 d 3 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
