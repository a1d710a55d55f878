"""`pipeline train`: train a network by a recipe."""

from __future__ import annotations

import json

import click

from deburr.cli.complete import FILE, FOLDER
from deburr.cli.say import result
from deburr.cli.shared import common


@click.command()
@click.argument("recipe", metavar="TRAIN.json", type=FILE)
@click.option("--init", metavar="WEIGHTS", type=FILE, help="Start from these weights: a file, or bundled.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted training of this recipe stopped.")
@click.option(
    "--prepare", metavar="FOLDER", type=FOLDER, help="Do not train: write scenes for the recipe's option scenes there."
)
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="How many scenes to prepare.")
@common
def train(recipe: str, init: str | None, resume: bool, prepare: str | None, count: int, quiet: bool) -> None:
    """Train a denoising network by the recipe TRAIN.json, on surfaces that it generates itself, or fine-tune one on
    noisy clouds of your own.

    Prints the card of the weights that it wrote: data, chain of runs, validation table.
    """
    from deburr.cli.progress import shown
    from deburr.core.interrupts import whole_import

    whole_import("deburr.nn.deburr.default")  # which imports torch
    from deburr.train import prepare as write_scenes
    from deburr.train import run

    if prepare is not None:
        if init is not None or resume:
            raise click.UsageError("--prepare trains nothing; leave out --init and --resume")
        with shown(quiet, narrate=True):
            write_scenes(recipe, prepare, count)
        return
    with shown(quiet, narrate=True):
        card = run(recipe, init, resume)
    result(json.dumps(card, indent=2))
