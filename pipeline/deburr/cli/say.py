"""The way out to the terminal: every line that may hold foreign text goes through here, JSON aside."""

from __future__ import annotations

import sys

import click

from deburr.cli import streams as _streams
from deburr.core.errors import WriteError
from deburr.core.text import printable


def say(line: object) -> None:
    """One line on what stderr is at the moment: a live bar that stands there puts itself below the line.

    Not by click, which looks for the stream behind the bar's, and so writes into the bar.
    """
    print(printable(line), file=sys.stderr, flush=True)


def say_all(lines: str) -> None:
    """The lines of an error's message, of which each is a sentence, on stderr."""
    for line in lines.split("\n"):
        say(line)


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
