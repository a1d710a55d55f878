"""`pipeline pdal-script`, `pdal-preset`, `pdal-doctor`, `convert-pdal`: what PDAL's users need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from deburr.cli.complete import FILE
from deburr.cli.say import give, result, say
from deburr.cli.shared import common


@click.command("pdal-script", short_help="The path of the script that PDAL's filters.python runs.")
@common
def pdal_script(quiet: bool) -> None:
    """Print the path of the script that PDAL's filters.python runs; it is the stage's option `script`."""
    from deburr.plugins.pdal import preset

    result(str(preset.script()))


@click.command("pdal-preset", short_help="Write a file of options for PDAL's filters.python.")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option(
    "--function",
    type=click.Choice(["denoise", "outlier", "outlier_mask"]),
    default="denoise",
    show_default=True,
    help="What to do: denoise; mark outliers; remove outliers.",
)
@click.option("--module", metavar="NAME", help="The module's name inside PDAL; default: deburr_pdal.")
@click.option("--output", "-o", metavar="FILE", type=FILE, help="Write FILE instead of stdout.")
@common
def pdal_preset(options: tuple[str, ...], function: str, module: str | None, output: str | None, quiet: bool) -> None:
    """Write options of PDAL's filters.python as a file for its `option_file`.

    OPTION=VALUE are those of filters.spd or filters.outlier, e.g. noise=0.03 'where=Classification == 2'. The stage in
    the pipeline is then {"type": "filters.python", "option_file": "FILE"}.
    """
    from deburr.plugins.pdal import preset

    found = preset.options(function, preset.parse_options(options), module or preset.MODULE)
    _put(preset.as_option_file(found), output)


def _put(text: str, output: str | None) -> None:
    """``text`` on stdout; or into the file ``output``, whose path is then on stdout."""
    if output is None:
        result(text, newline=False)
        return
    from deburr.core.files import replacing

    with replacing(output) as path:
        Path(path).write_text(text, encoding="utf-8")
    give(output)


@click.command("convert-pdal", short_help="Put the denoiser into a PDAL pipeline.")
@click.argument("pipeline", type=FILE)
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option(
    "--runner",
    type=click.Choice(["pdal", "deburr"]),
    default="pdal",
    show_default=True,
    help="What will run the result: 'pdal pipeline' or 'pipeline run'.",
)
@click.option("--output", "-o", metavar="FILE", type=FILE, help="Write FILE instead of stdout.")
@common
def convert_pdal(
    pipeline: str, options: tuple[str, ...], runner: Literal["pdal", "deburr"], output: str | None, quiet: bool
) -> None:
    """Put the denoiser into PIPELINE, a JSON file for PDAL, at the right place, and say why there.

    That is after readers and noise classification, before ground filters and rasters. All else stays as it is, but for
    comments, which are left out.
    OPTION=VALUE are those of filters.spd, e.g. noise=0.03.
    """
    from deburr.plugins.pdal import preset
    from deburr.plugins.pdal.convert import convert

    found = convert.convert(pipeline, preset.parse_options(options), runner)
    _put(convert.as_text(found.value), output)
    if not quiet:
        for reason in found.reasons:
            say(reason)


@click.command("pdal-doctor", short_help="Find out why deburr does not run inside PDAL.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@common
def pdal_doctor(as_json: bool, quiet: bool) -> None:
    """Find out why deburr does not run inside PDAL, and say the remedy: one line for each thing looked at.

    Takes some seconds. Exit code 0 if all that the filter needs works, 1 otherwise.
    """
    from deburr.plugins.pdal import doctor

    checks = doctor.examine()
    if as_json:
        result(json.dumps([check.as_json() for check in checks], indent=2))
    else:
        for check in checks:
            if not quiet or check.outcome == "trouble":
                give(check)
    click.get_current_context().exit(0 if doctor.healthy(checks) else 1)
