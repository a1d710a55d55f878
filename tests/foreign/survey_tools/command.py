"""A command of another package, beside those of deburr."""

from __future__ import annotations

import click

from deburr.cli.say import result
from deburr.cli.shared import common


@click.command()
@click.argument("path")
@common
def count(path: str, quiet: bool) -> None:
    """Count the points of a text file."""
    from survey_tools.stages import Xyz  # help does without

    result(f"{len(Xyz(filename=path).read())}")
