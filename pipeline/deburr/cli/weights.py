"""`pipeline weights`: import a published checkpoint, judge weights, show what a weights file says of itself."""

from __future__ import annotations

import json
from typing import Any

import click

from deburr.cli.complete import FILE
from deburr.cli.say import give, result
from deburr.cli.shared import common


def _module() -> Any:
    from deburr.core.interrupts import whole_import

    return whole_import("deburr.nn.weights")  # which imports torch


@click.group()
def weights() -> None:
    """Import, judge and show network weights."""


@weights.command("import")
@click.argument("source", metavar="CKPT", type=FILE)
@click.argument("target", metavar="OUT", type=FILE)
@common
def import_(source: str, target: str, quiet: bool) -> None:
    """Turn the published checkpoint CKPT (a torch file; nothing in it is executed) into the safetensors file OUT."""
    card = _module().import_checkpoint(source, target)
    if not quiet:
        click.echo(json.dumps(card, indent=2, default=str), err=True)
    give(target)


@weights.command()
@click.argument("source", metavar="FILE", type=FILE)
@click.argument("target", metavar="OUT", type=FILE)
@common
def judge(source: str, target: str, quiet: bool) -> None:
    """Judge the weights in FILE, or the `bundled` ones, as a training does at its end, and write them to OUT, which may
    be FILE: unchanged, but for what their card says of how they do, and of how much noise they leave (`Uncertainty`).
    Weights of earlier versions, which tell no Uncertainty, tell it then.

    Prints the validation table.
    """
    from deburr.cli.progress import shown

    _module()
    from deburr.train import judge as judged

    with shown(quiet, narrate=True):
        card = judged(source, target)
    result(json.dumps(card["validation"], indent=2))


@weights.command()
@click.argument("file", type=FILE)
@common
def show(file: str, quiet: bool) -> None:
    """Print the card of the weights in FILE, or of the `bundled` ones: what they are and where they come from."""
    if file == "bundled":
        from deburr.nn.models import DEFAULT, KINDS

        file = str(KINDS[DEFAULT].bundled)
    _, card = _module().read(file)
    result(json.dumps(card, indent=2, default=str))
