"""`pipeline info`: what is in a point cloud."""

from __future__ import annotations

import json

import click

from deburr.pipeline.cli import common
from deburr.pipeline.cli_say import give, say


@click.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@common
def info(file: str, as_json: bool, quiet: bool) -> None:
    """Count, bounds, CRS, density, spacing and noise of the point cloud FILE: the noise that `denoise` would find."""
    from deburr.pipeline import info as module
    from deburr.pipeline.cli_progress import shown

    with shown(quiet):
        found = module.info(file)
    for warning in found["warnings"]:
        say(f"warning: {warning}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in module.table(found):
        give(f"{name:<26} {value}")
