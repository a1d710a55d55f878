"""PDAL's way to change options from the command line: `--filters.spd.noise=0.03`, `--stage.TAG.option=value`."""

from __future__ import annotations

import re
from typing import Any

import click
from click.shell_completion import CompletionItem

from deburr.cli import complete

#: What overrides look like, for help and manuals.
OVERRIDES = (
    ("--TYPE.OPTION=VALUE", "Set an option of all stages of a type: --filters.spd.noise=0.03"),
    ("--stage.TAG.OPTION=VALUE", "Set an option of the stage with that tag."),
)
_OVERRIDE = re.compile(r"--([A-Za-z_]\w*\.[\w.\-]+)(?:=(.*))?", re.DOTALL)


class OverridesCommand(click.Command):
    """A command that takes overrides among its options and passes them on as ``overrides``, name to text."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest: list[str] = []
        found: dict[str, Any] = {}
        waiting = list(args)
        while waiting:
            word = waiting.pop(0)
            if word == "--":
                rest += [word, *waiting]
                break
            match = _OVERRIDE.fullmatch(word)
            if match is None:
                rest.append(word)
            elif match[2] is not None:
                found[match[1]] = match[2]
            elif waiting and not waiting[0].startswith("--"):
                found[match[1]] = waiting.pop(0)
            elif not ctx.resilient_parsing:  # the shell completes the value
                raise click.UsageError(f"--{match[1]} needs a value: --{match[1]}=VALUE", ctx)
        remaining = super().parse_args(ctx, rest)
        ctx.params["overrides"] = found
        return remaining

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Overrides too."""
        found = complete.overrides(ctx.params.get("spec"), incomplete) if incomplete.startswith("--") else []
        return [*super().shell_complete(ctx, incomplete), *found]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Overrides"):
            formatter.write_dl(OVERRIDES)
