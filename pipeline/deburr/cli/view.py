"""`pipeline view`: a page on which a cloud is seen before and after."""

from __future__ import annotations

from pathlib import PurePath

import click

from deburr.cli.complete import FILE
from deburr.cli.say import give, say
from deburr.cli.shared import common
from deburr.core.addresses import name_of
from deburr.core.errors import SpecError


@click.command()
@click.argument("before", metavar="BEFORE", type=FILE)
@click.argument("after", metavar="[AFTER]", required=False, type=FILE)
@click.option(
    "-o", "--output", metavar="FILE", type=FILE, help="The page; default: the last file's name and .html, right here."
)
@click.option("--box", metavar="X,Y,X,Y", help="Only what lies between a low and a high corner in plan.")
@common
def view(before: str, after: str | None, output: str | None, box: str | None, quiet: bool) -> None:
    """Make a page that shows the clouds BEFORE and AFTER in three dimensions, or one cloud alone.

    One HTML file, opened by a double click, without network: slider and wiper between before and after, colours by
    every dimension, sections, and what is known of a point that is clicked. Prints the path of the page.
    """
    from deburr.cli.progress import shown
    from deburr.pipeline.view import view as write

    path = output or f"{PurePath(name_of(after or before)).stem}.html"
    with shown(quiet):
        scene = write(before, after, path, None if box is None else _box(box))
    if not quiet:
        said = f"{len(scene.before):,} of {scene.total:,} points are shown"
        say(said if scene.paired else f"{said}; before and after are not the same points, so no movement is told")
    give(path)


def _box(text: str) -> list[float]:
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if len(found) != 4 or not (found[0] < found[2] and found[1] < found[3]):
        raise SpecError(f"--box {text[:80]}: must be four numbers, low x, low y, high x, high y, such as 0,0,50,50")
    return found
