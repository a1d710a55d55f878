"""What all commands share. Imports nothing that help would have to wait for."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def unmarked(text: str) -> str:
    """Text without the back-quotes of reStructuredText: a terminal would show them."""
    return re.sub(r"`{1,2}([^`]+)`{1,2}", r"\1", text)


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
    """The command, which first says which stages of other packages cannot be used."""

    @wraps(command)
    def named(*args: Any, **options: Any) -> Any:
        from importlib.metadata import entry_points

        if entry_points(group="deburr.stages"):
            from deburr.cli.say import say
            from deburr.core.registry import broken

            for sentence in broken():
                say(f"warning: {sentence}")
        return command(*args, **options)

    return named
