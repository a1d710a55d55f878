"""What a run shows on stderr: a live bar on a terminal, plain lines elsewhere, a summary at the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from deburr.cli.say import say
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
    debug = bool(click.get_current_context().find_root().meta.get("debug"))
    handler = _Echo(logging.DEBUG if debug else logging.INFO)
    logger = logging.getLogger("deburr")
    before = logger.level
    if debug or (narrate and not quiet):
        logger.addHandler(handler)
        logger.setLevel(handler.level)
    try:
        with _progress(quiet):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Echo(logging.Handler):
    """Logs to what stderr is at the moment: the live bar puts itself in between."""

    def emit(self, record: logging.LogRecord) -> None:
        # Warnings go into the report, and from there into the summary.
        if record.levelno != logging.WARNING:
            say(self.format(record))


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
            say(f"{plan.steps[entry['step'] - 1].where}: warning: {warning}")
    if quiet:
        return
    from deburr.show.words import lines, unit_of

    unit = unit_of(report)
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
            say(f"{step.where}: warning: {warning}")
        if not quiet:
            say(f"{entry['type']} {entry['tag'] or ''}")
            for words, value in lines(entry, report["units"]):
                say(f"    {words:<38} {value}")
    for output in report["outputs"]:
        for warning in output["warnings"]:
            say(f"{output['path']}: warning: {warning}")
