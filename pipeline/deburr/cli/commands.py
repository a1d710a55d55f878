"""The commands there are: deburr's own, and those of plugins and other packages, which register a command of click in
the entry point group ``deburr.commands`` under its name."""

from __future__ import annotations

from typing import Any

import click

from deburr.cli.say import unmarked
from deburr.core.entries import Entries, Point, points
from deburr.core.errors import SpecError
from deburr.core.interrupts import whole_import

#: Command -> module, help line. The line stands here so that --help imports no module.
OWN = {
    "run": ("deburr.cli.run", "Run the pipeline of a JSON file."),
    "validate": ("deburr.cli.run", "Check a pipeline without reading a point."),
    "denoise": ("deburr.cli.run", "Denoise one file; no JSON needed."),
    "batch": ("deburr.cli.batch", "Run a pipeline over many files, tile by tile."),
    "info": ("deburr.cli.info", "What is in a point cloud."),
    "view": ("deburr.cli.view", "A page that shows a cloud before and after, in 3-D."),
    "stages": ("deburr.cli.stages", "The stages there are, and their options."),
    "schema": ("deburr.cli.stages", "JSON Schema of pipelines, for editors."),
    "weights": ("deburr.cli.weights", "Import and show network weights."),
    "evaluate": ("deburr.cli.evaluate", "Measure a denoiser where the truth is known."),
    "train": ("deburr.cli.train", "Train a denoising network."),
}


def _fault(point: Point, found: Any) -> str | None:
    return None if isinstance(found, click.Command) else "is no command of click"


_OTHERS = Entries[click.Command]("deburr.commands", "command", lambda: OWN, _fault)


def names() -> tuple[str, ...]:
    """All commands; those of plugins last."""
    return (*OWN, *_OTHERS.names)


def own() -> tuple[str, ...]:
    """The commands that deburr brings, those of its plugins last."""
    return (*OWN, *sorted(point.name for point in points("deburr.commands") if point.package == "deburr"))


def lines() -> list[tuple[str, str]]:
    """Each command and what it does, in a line; of one that cannot be loaded, why."""
    return [(name, OWN[name][1] if name in OWN else _line(name)) for name in names()]


def _line(name: str) -> str:
    try:
        return _OTHERS.get(name).get_short_help_str(limit=80)
    except SpecError as error:
        return f"(broken: {error})"


def get(name: str) -> click.Command | None:
    """The command of this name; None if there is none. Raises `SpecError` for one that cannot be loaded."""
    if name in _OTHERS.names:
        command = _OTHERS.get(name)
    elif name in OWN:
        command = getattr(whole_import(OWN[name][0]), name)
    else:
        return None
    _unmark(command)
    return command


def broken() -> list[str]:
    """What other packages have registered and cannot be used, one sentence each."""
    return _OTHERS.broken()


def _unmark(command: click.Command) -> None:
    command.help = command.help and unmarked(command.help)
    for one in command.commands.values() if isinstance(command, click.Group) else ():
        _unmark(one)
