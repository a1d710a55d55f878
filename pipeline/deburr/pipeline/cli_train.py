"""`pipeline train`: train a network by a recipe."""

from __future__ import annotations

import json

import click

from deburr.pipeline.cli import common


@click.command()
@click.argument("recipe", metavar="TRAIN.json")
@click.option("--init", metavar="WEIGHTS", help="Start from these weights: a file, or bundled.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted training of this recipe stopped.")
@common
def train(recipe: str, init: str | None, resume: bool, quiet: bool) -> None:
    """Train a denoising network by the recipe TRAIN.json, on surfaces that it generates itself, or fine-tune one on
    noisy clouds of your own.

    Prints the card of the weights that it wrote: data, chain of runs, validation table.
    """
    from deburr.pipeline.cli_progress import shown
    from deburr.train import run

    with shown(quiet, narrate=True):
        card = run(recipe, init, resume)
    click.echo(json.dumps(card, indent=2))
