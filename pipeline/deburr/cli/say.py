"""The way out to the terminal: every line that may hold foreign text goes through here, JSON aside."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from deburr.cli import streams as _streams
from deburr.core.errors import WriteError
from deburr.core.text import printable

#: Whether stderr is for a program, as of `in_json`. One for the process, as stderr is.
_json = False


@contextmanager
def in_json(on: bool) -> Iterator[None]:
    """While this lasts, every line on stderr is an object of JSON, if ``on``."""
    global _json
    before, _json = _json, on
    try:
        yield
    finally:
        _json = before


def is_json() -> bool:
    """Whether a program reads stderr."""
    return _json


def say(line: object, kind: str = "note") -> None:
    """One line on what stderr is at the moment: a live bar that stands there puts itself below the line.

    For programs it is an object with the line as its ``kind``: ``note``, ``warning`` or ``error``. Not by click, which
    looks for the stream behind the bar's, and so writes into the bar.
    """
    text = printable(line)
    if _json:
        tell({kind: text})
    else:
        print(text, file=sys.stderr, flush=True)


def warn(sentence: object, where: str = "") -> None:
    """A warning, of what is at ``where``."""
    head = f"{where}: " if where else ""
    say(f"{head}{sentence}" if _json else f"{head}warning: {sentence}", "warning")


def tell(values: Mapping[str, Any]) -> None:
    """One object of JSON on stderr, in one line."""
    print(json.dumps(values), file=sys.stderr, flush=True)


def say_all(lines: str) -> None:
    """The lines of an error's message, of which each is a sentence, on stderr."""
    for line in lines.split("\n"):
        say(line, "error")


def give(line: object) -> None:
    """One line on stdout: a result. A path of 4,096 bytes is shown in full, even where every byte is an escape."""
    result(printable(line, 20_000))


def result(text: object, newline: bool = True) -> None:
    """Print a result on stdout. Raises `WriteError` if it cannot be written there; a closed pipe ends the command."""
    try:
        click.echo(text, nl=newline)
    except BrokenPipeError:
        raise
    except OSError as error:
        _streams.drop_results()
        reason = error.strerror or error
        raise WriteError(f"stdout: cannot be written ({reason}); free space, or send it elsewhere") from error


def unmarked(text: str) -> str:
    """Text without the back-quotes of reStructuredText: a terminal would show them."""
    return re.sub(r"`{1,2}([^`]+)`{1,2}", r"\1", text)
