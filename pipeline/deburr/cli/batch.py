"""`pipeline batch`: one pipeline over many files."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from deburr.cli.complete import FILE, FOLDER
from deburr.cli.overrides import OverridesCommand
from deburr.cli.say import give, result
from deburr.cli.shared import hosted

if TYPE_CHECKING:
    from deburr.cli.meter import Meter


class _Whole(click.ParamType[int]):
    """A whole number; Python itself refuses thousands of digits with an error of its own."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", str(value)) is None:
            self.fail(f"{str(value)[:40]!r} is no whole number of at most 18 digits; give one such as 2", param, ctx)
        return int(value)


@click.command(cls=OverridesCommand)
@click.argument("spec", type=FILE)
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option("--out", metavar="DIR", required=True, type=FOLDER, help="Folder for the outputs; made if it is missing.")
@click.option(
    "--context", metavar="FILE", multiple=True, type=FILE, help="Read only for what lies around the inputs; repeatable."
)
@click.option("--workers", type=_Whole(), default=1, show_default=True, help="Processes that share the cores.")
@click.option("--scheduler", metavar="ADDRESS", help="Work on this Dask cluster: tcp://host:8786.")
@click.option(
    "--memory",
    metavar="SIZE",
    help="For all workers together (on a cluster, for each), e.g. 8GB; default: most of what is free.",
)
@click.option(
    "--name", metavar="TEMPLATE", help="Names of outputs, of {stem}, {x}, {y}, {index}; default: the inputs'."
)
@click.option("--retile", metavar="SIDE", type=float, help="Write squares of this side instead, in the cloud's units.")
@click.option("--tile", metavar="SIDE", type=float, help="Work in squares of this side; default: as memory allows.")
@click.option("--independent", is_flag=True, help="Each file is a cloud of its own: scans of objects, not tiles.")
@click.option(
    "--bounds", metavar="BOX", help="Clean and write the points of this box alone: '([xmin, xmax], [ymin, ymax])'."
)
@click.option("--vpc", is_flag=True, help="Write a virtual point cloud of the outputs (QGIS).")
@click.option("--retry-failed", is_flag=True, help="Do only what failed in the run before.")
@click.option("--dry-run", is_flag=True, help="Print the plan as JSON and do nothing.")
@hosted
def batch(
    spec: str,
    inputs: tuple[str, ...],
    out: str,
    overrides: dict[str, str],
    quiet: bool,
    meter: Meter,
    **options: Any,
) -> None:
    """Run the pipeline in SPEC over INPUTS: files, folders, globs, .vpc files, STAC catalogues (.json),
    each here or at an address (https://, s3://). One output an input.

    Files are cleaned together with what lies around them in the other files, so that no border shows, and their noise
    is found in all of them; with --independent, each as 'pipeline run' would. Run the same command again after an
    interruption: what is done is kept. Prints the paths of the files written.
    """
    from deburr.batch import api
    from deburr.batch.dry_run import described
    from deburr.batch.outputs import unit_of
    from deburr.batch.prepare import prepare
    from deburr.cli.batch_view import BatchView
    from deburr.cli.progress import shown
    from deburr.pipeline.resolve import as_overrides

    scheduler, only_failed, dry = (options.pop(name) for name in ("scheduler", "retry_failed", "dry_run"))
    asked = api.request(
        spec, inputs, out, **options, overrides=as_overrides(overrides), shared=scheduler is not None, prefix="--"
    )
    with shown(quiet or meter.way != "bar"):
        prepared = prepare(asked, asked.out / api.SCRATCH)
        plan = described(asked, prepared) if dry else None
    if plan is not None:
        result(json.dumps(plan, indent=2))
        return
    with BatchView(unit_of(prepared), quiet, meter=meter) as view:
        found = api.run(asked, prepared, view, scheduler, only_failed)
    for path in found.written:
        give(path)
    if found.failed:
        raise click.exceptions.Exit(1)
