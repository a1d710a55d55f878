"""`pipeline run`, `pipeline validate`, `pipeline denoise`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deburr.core.errors import SpecError
from deburr.pipeline.cli import common
from deburr.pipeline.cli_overrides import OverridesCommand

if TYPE_CHECKING:
    from deburr.pipeline.plan import Plan


def _files(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--output", metavar="FILE", help="Write this file: replaces the spec's, or adds a writer.")(
        command
    )
    return click.option("--input", metavar="FILE", help="Read this file: replaces the spec's, or adds a reader.")(
        command
    )


def _report(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--report",
        metavar="DIR",
        help="Write report.json and pictures there: section.png (before, after), noise.png (where).",
    )(command)


def _memory(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--memory", metavar="SIZE", help="Use no more than this, e.g. 2GB; larger files are run in tiles."
    )(command)


@click.command(cls=OverridesCommand)
@click.argument("spec")
@_files
@_report
@_memory
@common
def run(
    spec: str,
    input: str | None,
    output: str | None,
    report: str | None,
    memory: str | None,
    quiet: bool,
    overrides: dict[str, str],
) -> None:
    """Run the pipeline in SPEC, a JSON file (or the JSON itself).

    A file that does not fit into memory is cut into tiles, with the same result. Prints the paths of the files written;
    progress and a summary go to stderr.
    """
    _execute(_plan(spec, input, output, overrides, report), report, quiet, memory)


@click.command()
@click.argument("input", metavar="IN")
@click.argument("output", metavar="OUT")
@click.option("--noise", help="Standard deviation of the noise, in the cloud's units; default: estimated.")
@click.option("--strength", help="Share of the displacement that is applied, 0 to 1; default 1.")
@click.option("--max-displacement", help="No point moves further, in the cloud's units.")
@click.option("--steps", help="Ascent steps; default: the model's own.")
@click.option("--device", help="cpu, cuda, or auto; default cpu.")
@_report
@_memory
@common
def denoise(
    input: str, output: str, report: str | None, memory: str | None, quiet: bool, **options: str | None
) -> None:
    """Denoise the point cloud IN and write it as OUT: the same points, in the same order, nothing else changed."""
    given = {name: value for name, value in options.items() if value is not None}
    spec = [{"filename": input}, {"type": "filters.spd", **given}, {"filename": output}]
    _execute(_plan(spec, None, None, {}, report), report, quiet, memory)


@click.command(cls=OverridesCommand)
@click.argument("spec")
@_files
@_report
@common
def validate(
    spec: str, input: str | None, output: str | None, report: str | None, quiet: bool, overrides: dict[str, str]
) -> None:
    """Check the pipeline in SPEC and print the verdict as JSON: `valid`, and `error_detail` with every problem; of a
    valid one also its `stages`, and in which program each `runs_in`.

    Exits with 2 if the pipeline is invalid. Takes the same arguments as `run`; reads no points and writes nothing.
    """
    from deburr.pipeline.report import runs_in

    found: dict[str, Any] = {"valid": False, "error_detail": []}
    try:
        plan = _plan(spec, input, output, overrides, report)
        found |= {"valid": True, "stages": [{"type": s.type_name, "runs_in": runs_in(s)} for s in plan.stages]}
    except SpecError as error:
        found["error_detail"] = list(error.errors)
    click.echo(json.dumps(found, indent=2))
    if not found["valid"]:
        raise click.exceptions.Exit(SpecError.exit_code)


def _plan(spec: Any, input: str | None, output: str | None, overrides: dict[str, str], report: str | None) -> Plan:
    from deburr.pipeline.apart import check_run
    from deburr.pipeline.plan import load

    plan = load(spec, input=input, output=output, overrides=overrides)
    check_run(plan, report)
    if not plan.writers and report is None:
        name = plan.origin or "the spec"
        raise SpecError(f"{name}: writes nothing; end it with a file name, or give --output FILE or --report DIR")
    return plan


def _execute(plan: Plan, report: str | None, quiet: bool, memory: str | None) -> None:
    from deburr.pipeline import memory as amounts
    from deburr.pipeline import stream
    from deburr.pipeline.cli_progress import shown, summary
    from deburr.pipeline.execute import execute

    asked = None if memory is None else amounts.parse(memory)
    if stream.too_large(plan, asked):
        outputs, written = [writer.filename for writer in plan.writers], _stream(plan, asked, report, quiet)
    else:
        with shown(quiet):
            result = execute(plan, None, report)
        summary(plan, result.report, quiet)
        from deburr.pipeline.report import written as files

        outputs, written = result.report["outputs"], [] if report is None else files(report)
    for path in (*outputs, *written):
        click.echo(path)


def _stream(plan: Plan, memory: int | None, report: str | None, quiet: bool) -> list[str]:
    """Run a file in tiles; returns the paths of what is left beside the outputs."""
    from deburr.pipeline import batch_map, batch_report, crs, stream
    from deburr.pipeline.cli_batch_view import BatchView
    from deburr.pipeline.cli_progress import tiled_summary
    from deburr.pipeline.report import written as files

    assert plan.reader is not None
    unit = crs.short(plan.reader.outline().units or "units")
    with BatchView(unit, quiet) as view:
        found = stream.run(plan, memory, view, None if report is None else Path(report))
        tiled_summary(plan, found, quiet)
        view.finish(found["totals"])
    names = (
        []
        if report is None
        else [*files(report), *(str(Path(report) / n) for n in (batch_report.NAME, batch_map.NAME))]
    )
    return [name for name in names if Path(name).exists()]
