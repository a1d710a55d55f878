"""The way out to the terminal: every line that may hold foreign text goes through here, JSON aside."""

from __future__ import annotations

import click

from deburr.core.text import printable


def say(line: object) -> None:
    """One line on stderr."""
    click.echo(printable(line), err=True)


def say_all(lines: str) -> None:
    """The lines of an error's message, of which each is a sentence, on stderr."""
    for line in lines.split("\n"):
        say(line)


def give(line: object) -> None:
    """One line on stdout: a result. A path of 4,096 bytes is shown in full, even where every byte is an escape."""
    click.echo(printable(line, 20_000))
