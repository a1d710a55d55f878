"""What a batch shows on stderr: a bar on a terminal, a line a tile elsewhere, what failed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from deburr.cli import say as out
from deburr.cli.meter import FILE, PASS, TILE, WORK, Meter
from deburr.cli.say import say
from deburr.cli.times import duration
from deburr.core.progress import listening
from deburr.show.words import length

#: Seconds: speed is that of about this long, so that a slow start or a nap of the machine is forgotten.
_MEMORY = 60.0
#: Of a pass, by the first word of its name: its weight, and that of all that may follow. Guesses.
_WEIGHTS = {"unpacking": (1.0, 9.0), "survey": (1.0, 7.0), "cleaning": (7.0, 1.0), "writing": (4.0, 1.0)}
#: Causes of failures that are shown at the end.
_LISTED = 40


class BatchView:
    """Shows a batch while it runs, as a context manager.

    Parameters
    ----------
    unit : of lengths, as of `deburr.core.crs.words.unit`.
    quiet : show warnings and failures only.
    clock : seconds, for tests.
    meter : what shows how far the command is; default: a bar.
    """

    def __init__(
        self,
        unit: str,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
        meter: Meter | None = None,
    ) -> None:
        self._unit, self._quiet, self._clock = unit, quiet, clock
        self._meter = meter or Meter("none" if quiet else "bar", clock)
        #: Not on a terminal, a bar that is redrawn would fill the log with itself.
        self._lines = not quiet and self._meter.way == "bar" and not self._meter.active
        self._shown = ExitStack()
        self._stage = _Stage("", 0, 0, clock())
        #: Names, by what went wrong: one missing file can fail hundreds of tiles.
        self._failures: dict[str, list[str]] = {}
        #: Points that were cleaned in an earlier run, not in this one.
        self._kept = 0
        self._began = clock()
        #: What was last told of the work on a tile.
        self._label, self._worked_on = "", 0

    def __enter__(self) -> Self:
        if self._meter.active:
            self._meter.state = lambda: self._stage.state(self._clock())
            if not self._meter.share.open(FILE):
                self._meter.begin(FILE)
            self._shown.enter_context(listening(self._worked))
            self._shown.enter_context(self._meter.shown())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.close()
        # `finish` was not reached: what failed so far is worth knowing all the more.
        self._list_failures()

    def stage(self, name: str, total_tiles: int, total_points: int) -> None:
        """A pass begins over so many tiles and points."""
        own, later = _WEIGHTS.get(name.partition(" ")[0], (1.0, 1.0))
        # A pass that was broken off comes again.
        whole = self._stage.tiles >= self._stage.total_tiles
        self._stage = _Stage(name, total_tiles, total_points, self._clock())
        self._label = ""
        self._meter.begin(PASS, own, later, name, total_points, whole)
        if self._lines:
            self._say(f"{name}: {_many(total_tiles, 'tile')}, {_many(total_points, 'point')}")

    def done(self, record: Mapping[str, Any]) -> None:
        """A tile of the pass is done: its record, or at least ``id`` and ``points``."""
        self._stage.count(int(record.get("points") or 0), self._clock())
        self._count()
        if self._lines:
            self._say(f"{self._stage.place} {_in_words(record, self._unit)}")

    def resumed(self, tiles: int, points: int) -> None:
        """So many tiles of the pass were done in an earlier run: they take no time, and tell nothing of the speed."""
        self._stage.skip(tiles, points)
        self._kept = points if self._stage.name == "cleaning" else self._kept
        if tiles and not self._quiet:
            self._say(f"{self._stage.place} done in an earlier run")
        self._count(skipped=True)

    def failed(self, id: str, error: str, points: int = 0) -> None:
        """A tile or file failed for good; ``error`` says file, stage and cause, ``points`` how many there are in it."""
        names = self._failures.setdefault(error, [])
        if id not in names:
            names.append(id)
        self._stage.count(points, self._clock(), failed=True)
        if not self._quiet:
            place = f"{self._stage.place} " if self._stage.total_tiles else ""
            self._say(f"{place}{id} failed: {error}")
        self._count()

    def note(self, sentence: str) -> None:
        """Shown unless quiet."""
        if not self._quiet:
            self._say(sentence)

    def warn(self, sentence: str) -> None:
        """Shown always, above the bar."""
        out.warn(sentence)

    def finish(self, totals: Mapping[str, Any]) -> None:
        """The end: what failed, and what was achieved; ``totals`` as of `deburr.batch.report.totals`."""
        from deburr.batch.report import headline

        self._meter.hide()
        self._list_failures()
        if self._quiet:
            return
        self._say(headline(totals, self._unit))
        if totals.get("points_unproved"):
            self._say(f"{_many(totals['points_unproved'], 'point')} may differ from those of an untiled run")
        seconds = self._clock() - self._began
        worked = totals["points"] - self._kept
        speed = f", {worked / seconds:,.0f} points a second" if worked > 0 and seconds > 0 else ""
        memory = totals.get("peak_memory_mb")
        tail = f", at most {memory:,.0f} MB of memory in a worker" if memory else ""
        self._say(f"done in {duration(seconds)}{speed}{tail}")

    def _count(self, skipped: bool = False) -> None:
        """Tell the meter how far the pass is."""
        stage = self._stage
        self._label = ""
        if self._meter.share.open(PASS):  # a file can fail before anything is begun
            self._meter.reach(PASS, stage.share, stage.points, skipped)

    def _worked(self, label: str, done: int, total: int) -> None:
        """Work on a tile in this process goes on."""
        if not total or not self._meter.share.open(PASS):
            return
        if not self._meter.share.open(TILE):
            # How many points it has is not known; of what is left of the pass, one tile's part is.
            self._meter.begin(TILE, 1.0, max(0, self._stage.total_tiles - self._stage.tiles - 1))
        if label != self._label or done < self._worked_on:
            self._label = label
            self._meter.begin(WORK, 1.0, 1.0)
        self._worked_on = done
        self._meter.reach(WORK, done / total)

    def _list_failures(self) -> None:
        if not self._failures:
            return
        self._fail(f"{len({name for names in self._failures.values() for name in names}):,} failed:")
        for error, names in list(self._failures.items())[:_LISTED]:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            self._fail(f"    {', '.join(names[:3])}{more}: {error}")
        if len(self._failures) > _LISTED:
            self._fail(f"    and {len(self._failures) - _LISTED:,} other causes, which the report lists")
        self._failures = {}

    def _say(self, line: str) -> None:
        say(line)

    def _fail(self, line: str) -> None:
        say(line.strip() if out.is_json() else line, "error")


class _Stage:
    """How far a pass is. Time left is that of the *points* left: tiles differ by a thousand times in what they hold."""

    def __init__(self, name: str, total_tiles: int, total_points: int, now: float) -> None:
        self.name, self.total_tiles, self.total_points = name, total_tiles, total_points
        self.tiles = self.failures = self.points = 0
        self._began = self._last = now
        # Points and seconds, both fading: their ratio is the speed of late.
        self._recent, self._span = 0.0, 0.0

    def count(self, points: int, now: float, failed: bool = False) -> None:
        """One more tile."""
        self.tiles, self.failures, self.points = self.tiles + 1, self.failures + failed, self.points + points
        fade = 0.5 ** ((now - self._last) / _MEMORY)
        # What failed took its time, but what is left will not be as quick as that.
        self._recent = self._recent * fade + (0 if failed else points)
        self._span = self._span * fade + (now - self._last)
        self._last = now

    def skip(self, tiles: int, points: int) -> None:
        self.tiles, self.points = self.tiles + tiles, self.points + points

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1; of points, if they are known."""
        done, total = (self.points, self.total_points) if self.total_points else (self.tiles, self.total_tiles)
        return min(1.0, done / total) if total else 0.0

    @property
    def place(self) -> str:
        """``12/400``."""
        return f"{self.tiles:,}/{self.total_tiles:,}"

    def speed(self) -> float:
        """Points a second of late; 0 while it is not known."""
        return self._recent / self._span if self._span > 0 else 0.0

    def left(self, now: float) -> float | None:
        """Seconds to the end of the pass, None while not known."""
        speed = self.speed()
        return max(0.0, (self.total_points - self.points) / speed - (now - self._last)) if speed > 0 else None

    def state(self, now: float) -> str:
        """``12 done, 1 failed, 387 left, 93,000 points/s, 1 h 12 min to go``."""
        parts = [f"{self.tiles - self.failures:,} done", f"{max(0, self.total_tiles - self.tiles):,} left"]
        if self.failures:
            parts.insert(1, f"{self.failures:,} failed")
        if self.speed():
            parts.append(f"{self.speed():,.0f} points/s")
        left = self.left(now)
        return ", ".join([*parts, f"{duration(left)} to go"] if left is not None else parts)


def _in_words(record: Mapping[str, Any], unit: str) -> str:
    """``tile_3_4 1,234,567 points 2.31 cm -> 0.84 cm 3.2 s``."""
    words = [str(record["id"]), _many(int(record.get("points") or 0), "point")]
    before, after = record.get("noise_before"), record.get("noise_after")
    if before is not None and after is not None:
        words.append(f"{length(before, unit)} -> {length(after, unit)}")
    if record.get("seconds") is not None:
        words.append(duration(record["seconds"]))
    if record.get("unproved"):
        words.append(f"({record['unproved']:,} unproved)")
    return " ".join(words)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
