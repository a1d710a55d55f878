"""What a program reads on stderr: every line an object, and one share that never falls back and ends at 1."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deburr.cli.batch_view import BatchView
from deburr.cli.meter import FILE, PASS, TILE, Meter
from deburr.cli.share import Share
from deburr.cli.shared import asks_for_json
from deburr.tiles import memory

Cli = Callable[..., Result]
OUTLIER = '["filters.outlier"]'


def _lines(told: str) -> list[dict[str, Any]]:
    """All lines of stderr, of which each must be an object of JSON."""
    found = [json.loads(line) for line in told.splitlines()]
    assert found
    assert all(isinstance(line, dict) and line for line in found)
    return found


def _shares(lines: list[dict[str, Any]]) -> list[float]:
    """The shares, which must never fall back."""
    found = [line["progress"] for line in lines if "progress" in line]
    assert all(0 <= before <= after <= 1 for before, after in pairwise(found)), found
    assert all(isinstance(line["phase"], str) and line["phase"] for line in lines if "progress" in line)
    assert all(0 <= line["points"] <= line["points_total"] for line in lines if "points" in line)
    assert all(line["seconds_left"] >= 0 for line in lines if "seconds_left" in line)
    return found


def _whole(result: Result) -> list[dict[str, Any]]:
    """The lines of a command that succeeded."""
    lines = _lines(result.stderr)
    assert result.exit_code == 0, result.output
    shares = _shares(lines)
    assert lines[-1]["progress"] == 1
    assert shares[0] < 1
    assert shares.count(1) == 1
    assert all(line.keys() & {"progress", "note", "warning"} for line in lines)
    return lines


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small clouds are done before a second line would come."""
    monkeypatch.setattr("deburr.cli.meter._PAUSE", 0.0)


@pytest.fixture
def clouds(tmp_path: Path, save: Callable[..., Path]) -> list[str]:
    """Three files, side by side."""
    draw = np.random.default_rng(1)
    for number, name in enumerate(("a.las", "b.las", "c.las")):
        plan = draw.uniform(0, 10, (500, 2)) + np.array([10.0 * number, 0.0])
        save(name, np.column_stack([plan, draw.normal(0, 0.05, 500)]))
    return ["a.las", "b.las", "c.las"]


def test_run(cli: Cli, clouds: list[str]) -> None:
    lines = _whole(cli("run", '["a.las", "filters.outlier", "out.las"]', "--progress", "json"))
    phases = [line["phase"] for line in lines if "progress" in line]
    assert [phase for phase in phases if "/" in phase] == ["1/3 readers.las", "2/3 filters.outlier", "3/3 writers.las"]
    # The points of the stage that is at work.
    assert any(line.get("points") == line.get("points_total") == 500 for line in lines)
    assert any("filters.outlier" in line.get("note", "") for line in lines)


def test_several_files_are_one_share(cli: Cli, clouds: list[str]) -> None:
    # A set noise keeps the work short.
    done = cli("denoise", *clouds, "out", "--mkdir", "--noise", "0.05", "--progress=json")
    lines = _whole(done)
    assert done.stdout.splitlines() == [f"out/{name}" for name in clouds]
    ends = [line["progress"] for line in lines if line.get("phase") == "3/3 writers.las"]
    # A file's writer ends about where the next file begins: files of the same size take thirds.
    assert [round(3 * end) for end in ends] == [1, 2, 3]


def test_batch_and_what_is_resumed(cli: Cli, clouds: list[str]) -> None:
    command = ("batch", OUTLIER, *clouds, "--out", "out", "--tile", "4", "--progress", "json")
    lines = _whole(cli(*command))
    phases = list(dict.fromkeys(line["phase"] for line in lines if "progress" in line))
    assert phases[-2:] == ["writing", "done"]
    assert phases.index("cleaning") > phases.index("survey 1")
    # Within a phase it moves as well.
    assert len({line["progress"] for line in lines if line.get("phase") == "cleaning"}) > 5
    Path("out/b.las").unlink()
    again = _whole(cli(*command))
    assert any("done in an earlier run" in line.get("note", "") for line in again)


def test_batch_in_processes(cli: Cli, clouds: list[str]) -> None:
    lines = _whole(cli("batch", OUTLIER, *clouds, "--out", "out", "--workers", "2", "--progress", "json"))
    assert {line["phase"] for line in lines if "progress" in line} >= {"survey 1", "cleaning", "done"}


def test_a_file_in_tiles(cli: Cli, clouds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BASE", 0), ("PER_POINT", 1), ("_FEWEST", 100), ("available", lambda: 10**9)):
        monkeypatch.setattr(memory, name, value)
    spec = '["a.las", "filters.outlier", "out.las"]'
    lines = _whole(cli("run", spec, "--memory", "200", "--progress", "json"))
    assert {line["phase"] for line in lines if "progress" in line} >= {"unpacking", "cleaning", "writing"}


def test_a_file_that_fails_is_an_error_and_no_end(cli: Cli, clouds: list[str]) -> None:
    Path("b.las").write_bytes(Path("b.las").read_bytes()[:1500])
    done = cli("batch", OUTLIER, *clouds, "--out", "out", "--progress", "json")
    lines = _lines(done.stderr)
    assert done.exit_code == 1
    assert max(_shares(lines)) < 1
    assert any("b.las" in line.get("error", "") for line in lines)


def test_a_file_that_proves_broken_begins_passes_anew_and_the_share_does_not_fall(
    cli: Cli, clouds: list[str], save: Callable[..., Path]
) -> None:
    # Its head is right; what is behind is cut off.
    whole = Path("b.las").read_bytes()
    Path("b.las").write_bytes(whole[: len(whole) // 2])
    done = cli("batch", OUTLIER, *clouds, "--out", "out", "--tile", "4", "--progress", "json")
    shares = _shares(_lines(done.stderr))
    assert (done.exit_code, len(shares) > 5) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        (("run", '["a.las", "filters.outlierx", "out.las"]'), 2, "filters.outlierx"),
        (("run", '["no.las", "out.las"]'), 1, "no.las"),
        (("run", '["a.las", "out.las"]', "--nothing"), 2, "--nothing"),
        (("denoise", "a.las"), 2, "Only 'a.las' is named"),
        (("batch", "[]", "a.las"), 2, "--out"),
        (("run", '["a.las", "out.las"]', "--memory", "lots"), 2, "lots"),
    ],
)
def test_errors_are_objects(cli: Cli, clouds: list[str], words: tuple[str, ...], code: int, found: str) -> None:
    done = cli(*words, "--progress", "json")
    assert done.exit_code == code
    *before, last = _lines(done.stderr)
    assert found in last["error"]
    assert all("error" not in line for line in before)
    assert all(share < 1 for share in _shares(before))


def test_warnings_are_objects_and_all_that_quiet_leaves(cli: Cli, save: Callable[..., Path]) -> None:
    # No surface anywhere: there is nothing to read the noise from.
    save("fog.las", np.random.default_rng(2).uniform(0, 10, (500, 3)))
    loud = [line for line in _whole(cli("denoise", "fog.las", "out.las", "--progress", "json")) if "warning" in line]
    assert loud
    quiet = cli("denoise", "fog.las", "out.las", "--progress", "json", "--quiet")
    assert quiet.exit_code == 0
    assert _lines(quiet.stderr) == loud


def test_none_shows_no_progress_and_the_summary(cli: Cli, clouds: list[str]) -> None:
    done = cli("run", '["a.las", "filters.outlier", "out.las"]', "--progress", "none")
    assert "1/3" not in done.stderr
    assert "done in" in done.stderr
    done = cli("batch", OUTLIER, "a.las", "--out", "out", "--progress", "none")
    assert "cleaning" not in done.stderr
    assert "500 points in 1 tile" in done.stderr


def test_a_tracebacks_lines_are_within_an_object(cli: Cli, clouds: list[str]) -> None:
    done = cli("run", '["no.las", "out.las"]', "--progress", "json", "--debug")
    *before, last = _lines(done.stderr)
    assert "no.las" in last["error"]
    assert "Traceback" in before[-1]["note"]


def test_a_process_of_its_own_says_nothing_else(clouds: list[str], tmp_path: Path) -> None:
    words = ["run", '["a.las", "filters.outlier", "out.las"]', "--progress", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "deburr.cli.main", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "out.las\n")
    lines = _lines(done.stderr)
    assert _shares(lines)[-1] == 1
    assert lines[-1]["progress"] == 1


def test_lines_are_at_most_five_a_second(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("deburr.cli.meter._PAUSE", 0.2)
    now = [0.0]
    meter = Meter("json", lambda: now[0])
    meter.begin(FILE)
    meter.begin(PASS, phase="cleaning", points=1000)
    for step in range(1000):
        now[0] += 0.01
        meter.reach(PASS, (step + 1) / 1000, step + 1)
    meter.finish()
    lines = _lines(capsys.readouterr().err)
    assert 40 <= len(lines) <= 52
    assert _shares(lines)[-1] == 1


def test_time_left_is_of_all_and_not_of_what_was_done_before(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    meter = Meter("json", lambda: now[0])
    meter.begin(FILE)
    meter.begin(PASS, phase="cleaning", points=100)
    meter.reach(PASS, 0.5, 50, skipped=True)
    assert meter.left() is None
    now[0] = 10.0
    meter.reach(PASS, 0.75, 75)
    # A quarter took 10 s, and the rest is about another one.
    assert meter.left() == pytest.approx(10, rel=0.1)
    now[0] = 15.0
    assert meter.left() == pytest.approx(5, rel=0.2)


_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("stage"), st.sampled_from(["unpacking", "survey 1", "survey 2", "cleaning", "writing", "x"]),
                  st.integers(0, 5), st.integers(0, 100)),
        st.tuples(st.just("done"), st.integers(0, 60)),
        st.tuples(st.just("failed"), st.integers(0, 60)),
        st.tuples(st.just("resumed"), st.integers(0, 5), st.integers(0, 60)),
        st.tuples(st.just("work"), st.sampled_from(["a", "b"]), st.integers(0, 20), st.integers(0, 10)),
    ),
    max_size=60,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_EVENTS)
def test_whatever_a_batch_does_the_share_rises(events: list[tuple[Any, ...]]) -> None:
    meter = Meter()
    view = BatchView("m", True, meter=meter)
    meter.begin(FILE)
    before = 0.0
    for kind, *told in events:
        if kind == "stage":
            view.stage(*told)
        elif kind == "done":
            view.done({"id": "a", "points": told[0]})
        elif kind == "failed":
            view.failed("a", "gone", told[0])
        elif kind == "resumed":
            view.resumed(*told)
        else:
            view._worked(*told)
        assert before <= meter.share.now < 1
        before = meter.share.now
    meter.finish()
    assert meter.share.now == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1), st.floats(0.01, 9), st.floats(0, 9), st.booleans())))
def test_parts_within_parts_never_leave_them(steps: list[tuple[int, float, float, float, bool]]) -> None:
    share, before, begun = Share(), 0.0, False
    for level, done, own, later, whole in steps:
        if level and share.open(level - 1) and not begun:
            share.reach(level - 1, done)
        else:
            level = min(level, sum(map(share.open, range(4))))
            share.begin(level, own, later, whole)
        begun = not begun
        assert before <= share.now < 1
        before = share.now


def test_parts_take_what_they_weigh() -> None:
    share = Share()
    share.begin(FILE, 1, 1)
    share.begin(PASS, 1, 3)
    share.begin(TILE, 1, 0)
    share.reach(TILE, 0.5)
    assert share.now == pytest.approx(0.99 / 2 / 4 / 2)
    share.begin(FILE, 1, 0)
    assert share.now == pytest.approx(0.99 / 2)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("run a --progress json", True),
        ("run a --progress=json --quiet", True),
        ("run a --progress bar", False),
        ("run --progress", False),
        ("denoise -- --progress json", False),
    ],
)
def test_what_is_asked_for_is_known_before_a_line_is_read(words: str, asked: bool) -> None:
    assert asks_for_json(words.split()) is asked
