"""What all commands share. Imports nothing that help would have to wait for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click

from deburr.cli.parent import Pid, following

#: How far a command is can be shown as a bar, be told to a program, or be kept back.
_WAYS = ("bar", "json", "none")


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command: --quiet and --debug."""

    def keep(ctx: click.Context, option: click.Parameter, value: bool) -> bool:
        ctx.find_root().meta[str(option.name)] = value
        return value

    debug = click.option(
        "--debug", is_flag=True, is_eager=True, expose_value=False, callback=keep, help="Show tracebacks and the log."
    )
    quiet = click.option("--quiet", "-q", is_flag=True, help="No progress and no summary; warnings and errors remain.")
    return quiet(debug(_naming_broken(command)))


def _naming_broken(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, which first says what of other packages cannot be used."""

    @wraps(command)
    def named(*args: Any, **options: Any) -> Any:
        for sentence in _broken():
            from deburr.cli.say import warn

            warn(sentence)
        return command(*args, **options)

    return named


def _broken() -> list[str]:
    """What other packages bring and cannot be used; that there is nothing is found out in no time."""
    from deburr.core.entries import points

    groups = ("stages", "models", "hosts", "commands")
    if not any(point.package != "deburr" for group in groups for point in points(f"deburr.{group}")):
        return []
    from deburr.cli import commands
    from deburr.core import registry
    from deburr.nn import models

    return [*registry.broken(), *models.broken(), *commands.broken()]


def hosted(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that work long, `common` ones among them, for programs that run deburr.

    The command is called with a ``meter``, a `deburr.cli.meter.Meter`, which this finishes if the command returns.
    """

    @wraps(command)
    def run(*words: Any, quiet: bool, progress: str, parent: int | None, **options: Any) -> Any:
        from deburr.cli.meter import Meter
        from deburr.cli.progress import logged

        with following(parent), logged():
            meter = Meter("none" if quiet else progress)
            found = command(*words, quiet=quiet, meter=meter, **options)
            meter.finish()
            return found

    way = click.option(
        "--progress",
        type=click.Choice(_WAYS),
        default=_WAYS[0],
        show_default=True,
        help="How far the work is, on stderr: for people, as lines of JSON for programs, or not at all.",
    )
    follow = click.option(
        "--parent", type=Pid(), metavar="PID", help="End as by an interrupt when the process with this number is gone."
    )
    return way(follow(common(run)))


def asks_for_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON on stderr: known before it is read, so that errors in it are told so."""
    line = list(words)
    line = line[: line.index("--")] if "--" in line else line
    ways = [line[i + 1 : i + 2] for i, word in enumerate(line) if word == "--progress"]
    return "--progress=json" in line or ["json"] in ways
