"""`pipeline pdal-script`, `pdal-preset`, `pdal-doctor`, `convert-pdal`: what PDAL's users need."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deburr.pipeline.cli import common


@click.command("pdal-script")
@common
def pdal_script(quiet: bool) -> None:
    """Print the path of the script that PDAL's filters.python runs; it is the stage's option `script`."""
    from deburr.plugins import preset

    click.echo(preset.script())


@click.command("pdal-preset")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option(
    "--function",
    type=click.Choice(["denoise", "outlier", "outlier_mask"]),
    default="denoise",
    show_default=True,
    help="What to do: denoise; mark outliers; remove outliers.",
)
@click.option("--module", metavar="NAME", help="The module's name inside PDAL; default: deburr_pdal.")
@click.option("--output", "-o", metavar="FILE", help="Write FILE instead of stdout.")
@common
def pdal_preset(options: tuple[str, ...], function: str, module: str | None, output: str | None, quiet: bool) -> None:
    """Write options of PDAL's filters.python as a file for its `option_file`.

    OPTION=VALUE are those of filters.spd or filters.outlier, e.g. noise=0.03 'where=Classification == 2'. The stage in
    the pipeline is then {"type": "filters.python", "option_file": "FILE"}.
    """
    from deburr.plugins import preset

    found = preset.options(function, preset.parse_options(options), module or preset.MODULE)
    _put(preset.as_option_file(found), output)


def _put(text: str, output: str | None) -> None:
    """``text`` on stdout; or into the file ``output``, whose path is then on stdout."""
    if output is None:
        click.echo(text, nl=False)
        return
    from deburr.core.files import replacing

    with replacing(output) as path:
        Path(path).write_text(text, encoding="utf-8")
    click.echo(output)
