"""How far a command is, as one share of all it does: for people as a bar, for programs as lines of JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

from deburr.cli.say import tell
from deburr.cli.share import Share
from deburr.cli.times import duration
from deburr.core.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

#: Levels of the share: files that are run one by one, passes over the points, tiles, and what is done to a tile.
FILE, PASS, TILE, WORK = range(4)
#: Seconds between two lines of JSON, at least.
_PAUSE = 0.2
#: Seconds: speed is that of about this long, so that a slow start or a nap of the machine is forgotten.
_MEMORY = 60.0
#: Characters of a label in a live bar, at most: what does not fit into its line is not redrawn but written anew.
_WIDE = 60


class Meter:
    """Keeps the share of a command, and shows it.

    Parameters
    ----------
    way : ``"bar"``, on a terminal only; ``"json"``; ``"none"``.
    clock : seconds, for tests.
    """

    def __init__(self, way: str = "none", clock: Callable[[], float] = time.monotonic) -> None:
        self.way, self.json = way, way == "json"
        #: Whether anything is shown: without, nobody needs to listen to work.
        self.active = self.json or (way == "bar" and sys.stderr.isatty())
        self.phase = "starting"
        self.share = Share()
        #: What a bar says behind its share.
        self.state: Callable[[], str] = self._to_go
        self._points: int | None = None
        self._done = 0
        self._clock, self._told = clock, -inf
        self._last = clock()
        # Share and seconds, both fading: their ratio is the speed of late.
        self._recent, self._span = 0.0, 0.0
        self._bar: Progress | None = None

    def begin(
        self, level: int, own: float = 1.0, later: float = 0.0, phase: str | None = None, points: int | None = None,
        whole: bool = True,
    ) -> None:  # fmt: skip
        """As `Share.begin`; ``phase`` is what it is called, ``points`` how many it goes over, both None: as before."""
        before = self.share.now
        self.share.begin(level, own, later, whole)
        if phase is not None:
            self.phase, self._points, self._done = phase, points, 0
        self._moved(before)

    def reach(self, level: int, done: float, points: int | None = None, skipped: bool = False) -> None:
        """As `Share.reach`; ``points``: how many of the phase's are done, None: as before.

        ``skipped``: was done in an earlier run, and tells nothing of the speed.
        """
        before = self.share.now
        self.share.reach(level, done)
        self._done = self._done if points is None else points
        self._moved(self.share.now if skipped else before)

    def finish(self) -> None:
        """The command has done all it was asked for."""
        self.share.finish()
        self.phase, self._points = "done", None
        if self.json:
            tell(self._line(0.0))

    def left(self) -> float | None:
        """Seconds to go, None while not known."""
        if self._recent <= 0 or self._span <= 0:
            return None
        speed = self._recent / self._span
        return max(0.0, (1 - self.share.now) / speed - (self._clock() - self._last))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While this lasts, the bar is on the terminal, if it is a bar."""
        if self.active and not self.json:
            self._bar = _bar(lambda: self.state())
            self._bar.start()
            self._redraw()
        try:
            yield
        finally:
            self.hide()

    def hide(self) -> None:
        """Take the bar away: results are printed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _moved(self, before: float) -> None:
        now = self._clock()
        fade = 0.5 ** ((now - self._last) / _MEMORY)
        self._recent = self._recent * fade + self.share.now - before
        self._span = self._span * fade + (now - self._last)
        self._last = now
        if self.json and now - self._told >= _PAUSE:
            self._told = now
            tell(self._line(self.left()))
        self._redraw()

    def _line(self, left: float | None) -> dict[str, Any]:
        found: dict[str, Any] = {"progress": round(self.share.now, 4), "phase": printable(self.phase)}
        if self._points is not None:
            found |= {"points": min(self._done, self._points), "points_total": self._points}
        return found if left is None else {**found, "seconds_left": round(left, 1)}

    def _redraw(self) -> None:
        if self._bar is None:
            return
        for task in self._bar.task_ids or [self._bar.add_task("", total=1.0)]:
            self._bar.update(task, completed=self.share.now, description=printable(self.phase, _WIDE))

    def _to_go(self) -> str:
        left = self.left()
        return "" if left is None else f"{duration(left)} to go"


def _bar(state: Callable[[], str]) -> Progress:
    """A live line; ``state`` is asked at every redraw, so that time left runs down between two steps."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.text import Text

    class State(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(state())

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=10))
    console = Console(stderr=True)
    return Progress(*columns, TextColumn("{task.percentage:>3.0f} %"), State(), console=console, transient=True)
