"""What all commands share. Imports nothing that help would have to wait for."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    return quiet(debug(command))
