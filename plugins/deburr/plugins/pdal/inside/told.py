"""What the filters inside PDAL say: lines on stderr, for stdout is PDAL's."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deburr.core.progress import listening
from deburr.core.text import printable

#: Work that is done within so many seconds shows no progress; between two lines of it pass so many.
_PATIENCE, _PAUSE = 2.0, 5.0


def tell(stage: str, sentence: str) -> None:
    """One line on stderr, or none where the program has no stderr."""
    if sys.stderr is not None:
        print(printable(f"deburr ({stage}): {sentence}"), file=sys.stderr, flush=True)


def metadata(figures: Mapping[str, Any], warnings: tuple[str, ...]) -> dict[str, Any]:
    """Figures and warnings as PDAL takes them from a script for its own metadata: text throughout."""
    told = [*figures.items(), *(("warning", sentence) for sentence in warnings)]
    children = [_node(name, value) for name, value in told if value is not None]
    return _node("deburr", "") | {"children": children}


def _node(name: str, value: Any) -> dict[str, str]:
    # A type is always said: PDAL's guess at it fails on common values.
    kinds = {bool: "boolean", int: "integer", float: "double"}
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return {"name": name, "value": text, "type": kinds.get(type(value), "string"), "description": ""}


@contextmanager
def progress(stage: str) -> Iterator[None]:
    """Show how far the work inside the block is, if it takes long: in one line on a terminal, else in several."""
    shown = _Shown(stage)
    with listening(shown):
        try:
            yield
        finally:
            shown.end()


class _Shown:
    def __init__(self, stage: str) -> None:
        isatty = getattr(sys.stderr, "isatty", None)
        self._stage, self._terminal = stage, bool(isatty and isatty())
        self._last = time.monotonic() + _PATIENCE - self._pause
        self._width = 0

    @property
    def _pause(self) -> float:
        return 0.1 if self._terminal else _PAUSE

    def __call__(self, label: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not total or now - self._last < self._pause:
            return
        self._last = now
        text = f"{label}: {100 * done // total} %"
        if self._terminal:
            line = printable(f"deburr ({self._stage}): {text}")
            print(f"\r{line.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            tell(self._stage, text)

    def end(self) -> None:
        """Wipe the line."""
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
