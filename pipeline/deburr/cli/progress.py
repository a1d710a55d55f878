"""What a run shows on stderr: a live bar on a terminal, plain lines elsewhere, a summary at the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from deburr.cli import say as out
from deburr.cli.meter import FILE, PASS, TILE, Meter
from deburr.cli.say import say, warn
from deburr.core.errors import DeburrError
from deburr.core.progress import listening
from deburr.core.text import printable

if TYPE_CHECKING:
    from deburr.pipeline.plan import Plan

#: Seconds between two plain lines: a log of a long run stays readable.
_PAUSE = 5.0
#: Characters of a label in a live bar, at most: what does not fit into its line is not redrawn but written anew.
_WIDE = 100


@contextmanager
def shown(quiet: bool, narrate: bool = False) -> Iterator[None]:
    """Show the progress of the work inside the block; with ``narrate`` also what it logs."""
    with _log_shown(narrate and not quiet), _progress(quiet):
        yield


@contextmanager
def _log_shown(narrate: bool = False) -> Iterator[None]:
    """Show what is logged, if ``narrate`` or --debug asks for it."""
    debug = bool(click.get_current_context().find_root().meta.get("debug"))
    handler = _Echo(logging.DEBUG if debug else logging.INFO)
    logger = logging.getLogger("deburr")
    before = logger.level
    if debug or narrate:
        logger.addHandler(handler)
        logger.setLevel(handler.level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def running(plan: Plan, meter: Meter, quiet: bool) -> Iterator[None]:
    """Show, by ``meter``, the progress of ``plan``, which is run in memory inside the block."""
    with _log_shown():
        if meter.active:
            with listening(_Stages(plan, meter)), meter.shown():
                yield
        else:
            with _progress(quiet or meter.way == "none"):
                yield


class _Stages:
    """Hears the stages of a plan, and makes one share of what they say."""

    def __init__(self, plan: Plan, meter: Meter) -> None:
        weights = [sum(step.stage.effort for step in steps) for steps in plan.runs]
        self._parts = [(own, sum(weights[i + 1 :])) for i, own in enumerate(weights)]
        self._meter, self._label, self._done = meter, "", 0
        self._points = _points(plan) if meter.json else None
        if not meter.share.open(FILE):
            meter.begin(FILE)

    def __call__(self, label: str, done: int, total: int) -> None:
        if total == 0:  # the next stage
            own, later = self._parts.pop(0) if self._parts else (1.0, 1.0)
            self._meter.begin(PASS, own, later, label, self._points)
            self._label = ""
        elif self._meter.share.open(PASS):
            if label != self._label or done < self._done:
                # How much more the stage has to do after this is not known.
                self._meter.begin(TILE, 1.0, 1.0, label, self._points)
                self._label = label
            self._done = done
            share = min(1.0, done / total)
            self._meter.reach(TILE, share, None if self._points is None else round(share * self._points))


def _points(plan: Plan) -> int | None:
    """How many points ``plan`` reads, as far as heads of files say."""
    try:
        return sum(reader.outline().extent.count for reader in plan.readers) or None
    except DeburrError:
        return None  # the run itself says what is wrong with the file


class _Echo(logging.Handler):
    """Logs to what stderr is at the moment: the live bar puts itself in between."""

    def emit(self, record: logging.LogRecord) -> None:
        # Warnings go into the report, and from there into the summary.
        if record.levelno != logging.WARNING:
            say(self.format(record))


@contextmanager
def logged() -> Iterator[None]:
    """Where a program reads stderr, warnings that are logged and that nobody else takes are objects as well."""
    if not out.is_json():
        yield
        return
    before, logging.lastResort = logging.lastResort, _Warnings(logging.WARNING)
    try:
        yield
    finally:
        logging.lastResort = before


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warn(self.format(record))


@contextmanager
def _progress(quiet: bool) -> Iterator[None]:
    if quiet:
        yield
    elif sys.stderr.isatty():
        with _live():
            yield
    else:
        with listening(_Lines()):
            yield


class _Lines:
    """One line as something starts, then one every few seconds."""

    def __init__(self) -> None:
        self._label = ""
        self._last = 0.0

    def __call__(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        if label != self._label:
            self._label, self._last = label, now
            # Work that is done at once needs no line of its own.
            if total == 0:
                say(label)
        elif total and now - self._last >= _PAUSE:
            self._last = now
            say(f"{label}: {100 * done // total} %")


@contextmanager
def _live() -> Iterator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def listener(label: str, done: int, total: int) -> None:
            label = printable(label, _WIDE)
            if label not in tasks:
                for task in tasks.values():
                    progress.remove_task(task)
                tasks.clear()
                tasks[label] = progress.add_task(label, total=total or None)
            progress.update(tasks[label], completed=done, total=total or None)

        with listening(listener):
            yield


def summary(plan: Plan, report: Mapping[str, Any], quiet: bool) -> None:
    """Warnings always; figures unless quiet."""
    for entry in report["stages"]:
        for warning in entry["warnings"]:
            warn(warning, plan.steps[entry["step"] - 1].where)
    if quiet:
        return
    from deburr.show.words import lines

    unit = report["units"]
    for entry in report["stages"]:
        name = f"{entry['type']} {entry['tag'] or ''}"
        if entry["points_out"] is None:  # run by another program together with the next stage
            say(f"{name:<42} in {entry['runs_in']}, with the next")
        else:
            inside = "" if entry["runs_in"] == "deburr" else f" in {entry['runs_in']}"
            say(f"{name:<42} {entry['points_out']:>12,} points {entry['seconds']:>8.2f} s{inside}")
        for words, value in lines(entry, unit):
            say(f"    {words:<38} {value}")
    memory = report["peak_memory_mb"]
    tail = f", at most {memory:,.0f} MB of memory" if memory else ""
    say(f"done in {report['seconds']:.1f} s{tail}")


def tiled_summary(plan: Plan, report: Mapping[str, Any], quiet: bool) -> None:
    """The same of a run in tiles, whose report knows the filters only."""
    from deburr.core.stage import Filter
    from deburr.show.words import lines

    steps = [step for step in plan.steps if isinstance(step.stage, Filter)]
    for step, entry in zip(steps, report["stages"], strict=True):
        for warning in entry["warnings"]:
            warn(warning, step.where)
        if not quiet:
            say(f"{entry['type']} {entry['tag'] or ''}")
            for words, value in lines(entry, report["units"]):
                say(f"    {words:<38} {value}")
    for output in report["outputs"]:
        for warning in output["warnings"]:
            warn(warning, output["path"])
