"""`pipeline info`: what is in a point cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from deburr.cli.complete import FILE
from deburr.cli.say import give, result, say, say_all
from deburr.cli.shared import common
from deburr.core.addresses import is_address
from deburr.core.errors import RunError


@click.command()
@click.argument("names", metavar="FILE...", nargs=-1, required=True, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; of several files, a list.")
@click.option("--summary", is_flag=True, help="Only what the head of the file tells; its points are not read.")
@common
def info(names: tuple[str, ...], as_json: bool, summary: bool, quiet: bool) -> None:
    """Count, bounds, CRS, density, spacing and noise of the point cloud FILE: the noise that `denoise` would find.

    Several files, and quoted globs, are told of one after another.
    """
    from deburr.batch.inputs import files

    found: list[dict[str, Any]] = []
    failed: list[RunError] = []
    batch = "pipeline batch '[\"filters.spd\"]' FOLDER --out DIR"
    paths = [path for name in names for path in ([name] if is_address(name) else files([name], batch))]
    for path in paths:
        try:
            found.append(_told(path, as_json, summary, quiet, first=not found))
        except RunError as error:
            if len(paths) == 1:
                raise
            # The others are told of all the same.
            say_all(str(error))
            failed.append(error)
    if as_json:
        result(json.dumps(found[0] if len(paths) == 1 else found, indent=2))
    if failed:
        raise click.exceptions.Exit(failed[0].exit_code)


def _told(path: str | Path, as_json: bool, summary: bool, quiet: bool, first: bool) -> dict[str, Any]:
    """The figures of one file, printed unless they are to be JSON."""
    from deburr.cli.progress import shown
    from deburr.pipeline import info as module

    with shown(quiet):
        found = module.outlined(str(path)) if summary else module.info(str(path))
    for warning in found["warnings"]:
        say(f"warning: {warning}")
    if not as_json:
        if not first:
            result("")
        for name, value in module.table(found):
            give(f"{name:<26} {value}")
    return found
