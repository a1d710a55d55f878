"""The standard streams of a command, whatever whoever started it has made of them."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO, cast


class _Telling(io.TextIOWrapper):
    """A stream for words only: that nobody can be told does not end the work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def settle() -> None:
    """Make all three streams usable, and stderr one whose failure stops nothing.

    A stream that is closed is replaced by one to nowhere, or the next file that is opened would take its number, and
    whatever a library prints would be written into that file. To a closed stdout nothing can be written: results that
    nobody gets are an error.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                _open(number, flags)
                setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
            else:  # taken by another file by now
                nowhere = os.open(os.devnull, flags)
                setattr(sys, name, os.fdopen(nowhere, "r" if number == 0 else "w"))
    told = sys.stderr
    if isinstance(told, io.TextIOWrapper) and not isinstance(told, _Telling):
        encoding = told.encoding
        telling = _Telling(told.detach(), encoding, "backslashreplace", line_buffering=True)
        sys.stderr = cast(TextIO, telling)


def drop_results() -> None:
    """Write nothing more to stdout, not even what it still holds: it was found that it takes nothing."""
    with suppress(OSError, ValueError, AttributeError):
        number = sys.stdout.fileno()
        os.close(number)
        _open(number, os.O_WRONLY)


def _open(number: int, flags: int) -> None:
    opened = os.open(os.devnull, flags)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
