"""`pipeline run`, `pipeline validate`, `pipeline denoise`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deburr.cli.complete import FILE, FOLDER
from deburr.cli.overrides import OverridesCommand
from deburr.cli.profile import shown_profile
from deburr.cli.say import give, result, say_all
from deburr.cli.shared import common, hosted
from deburr.core.addresses import is_address
from deburr.core.errors import DeburrError, RunError, SpecError, WriteError

if TYPE_CHECKING:
    from deburr.cli.meter import Meter
    from deburr.pipeline.plan import Plan
    from deburr.pipeline.spec import Source


def _files(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--output", metavar="FILE", type=FILE, help="Write this file: replaces the spec's, or adds a writer."
    )(command)
    return click.option(
        "--input", metavar="FILE", type=FILE, help="Read this file: replaces the spec's, or adds a reader."
    )(command)


def _report(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--report",
        metavar="DIR",
        type=FOLDER,
        help="Write report.json and pictures there: report.html (3-D), section.png, noise.png (where).",
    )(command)


def _memory(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--memory", metavar="SIZE", help="Use no more than this, e.g. 2GB; larger files are run in tiles."
    )(command)


def _mkdir(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--mkdir", is_flag=True, help="Make the folder of the output if it is missing.")(command)


def _profile(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--profile", is_flag=True, help="Say where the time went, phase by phase, and threads idle.")(
        command
    )


def _spec(command: Callable[..., Any]) -> Callable[..., Any]:
    """SPEC, which may come from stdin, as PDAL takes it."""
    command = click.option("--stdin", "-s", is_flag=True, help="Read SPEC from stdin; so does '-' in its place.")(
        command
    )
    return click.argument("spec", required=False, type=FILE)(command)


def _read(spec: str | None, stdin: bool) -> Source:
    """The JSON file, or the JSON itself."""
    from deburr.pipeline.spec import MAX_BYTES, decode_bytes

    if stdin and spec not in (None, "-"):
        raise click.UsageError(f"--stdin reads SPEC from stdin, and '{spec}' is given too; leave out one of them")
    if not stdin and spec is None:
        raise click.MissingParameter(param_type="argument", param_hint="'SPEC'", ctx=click.get_current_context())
    if spec not in (None, "-"):
        return str(spec)
    value = decode_bytes("stdin", sys.stdin.buffer.read(MAX_BYTES + 1))
    if not isinstance(value, list | dict):
        raise SpecError("stdin: must be a list of stages, or an object with 'pipeline'")
    return value


@click.command(cls=OverridesCommand)
@_spec
@_files
@_report
@_memory
@_mkdir
@_profile
@hosted
def run(
    spec: str | None,
    stdin: bool,
    input: str | None,
    output: str | None,
    report: str | None,
    memory: str | None,
    mkdir: bool,
    profile: bool,
    quiet: bool,
    meter: Meter,
    overrides: dict[str, str],
) -> None:
    """Run the pipeline in SPEC, a JSON file (or the JSON itself).

    A file that does not fit into memory is cut into tiles, with the same result. Prints the paths of the files written;
    progress and a summary go to stderr.
    """
    plan = _plan(_read(spec, stdin), input, output, overrides, report)
    with shown_profile(profile):
        _execute(plan, report, quiet, meter, memory, mkdir)


@click.command()
@click.argument("inputs", metavar="IN...", nargs=-1, type=FILE)
@click.argument("output", metavar="OUT", type=FILE)
@click.option("--noise", help="Standard deviation of the noise, in the cloud's units; default: estimated.")
@click.option("--strength", help="Share of the displacement that is applied, 0 to 1; default 1.")
@click.option("--max-displacement", help="No point moves further, in the cloud's units.")
@click.option("--steps", help="Ascent steps; default: the model's own.")
@click.option("--device", help="cpu, cuda, or auto; default cpu.")
@click.option("--classes", metavar="N,N", help="Only points of these ASPRS classes may move: 2,6.")
@click.option("--where", metavar="CONDITION", help="Only points that meet this may move: 'Z > 3'.")
@click.option("--outliers", help="classify (as 7) or remove: outliers are found first; default none.")
@click.option("--chance", help="Share of the good points that may be taken for outliers; default: the cloud tells.")
@click.option("--spread", help="even: spaced evenly along the surface, for objects, not for scans; default none.")
@click.option("--dimensions", metavar="NAME,NAME", help="Add Displacement, Uncertainty, NoiseLevel, Energy.")
@_report
@_memory
@_mkdir
@_profile
@hosted
def denoise(
    inputs: tuple[str, ...],
    output: str,
    report: str | None,
    memory: str | None,
    mkdir: bool,
    profile: bool,
    quiet: bool,
    meter: Meter,
    **options: str | None,
) -> None:
    """Denoise the point cloud IN and write it as OUT: the same points, in the same order, nothing else changed.

    Several files (or a quoted glob) are cleaned one by one, each without its neighbours, into the folder OUT. Tiles of
    one area, and whole folders, are for `pipeline batch`, which sees across their borders. What is wrong with one file
    stops none of the others. An OUT that ends in .copc.laz is COPC, whose points stand in the order of its octree.
    """
    from deburr.cli.meter import FILE

    if not inputs:
        raise click.UsageError(
            f"Only '{output}' is named. Give what to read and what to write: pipeline denoise {shlex.quote(output)} OUT"
        )
    given = {name: value for name, value in options.items() if value is not None}
    targets, plans = _targets(inputs, output, report, mkdir), []
    for source, target, told in targets:
        spec = [{"filename": source}, {"type": "filters.spd", **given}, {"filename": target}]
        plans.append((_plan(spec, None, None, {}, told), told))
    sizes = [_size(source) for source, *_ in targets]
    failed: list[str] = []
    with shown_profile(profile):
        for number, (plan, told) in enumerate(plans):
            meter.begin(FILE, sizes[number], sum(sizes[number + 1 :]))
            try:
                _execute(plan, told, quiet, meter, memory, mkdir)
            except DeburrError as error:
                if len(plans) == 1:
                    raise
                say_all(str(error))
                failed.append(targets[number][0])
    if failed:
        raise RunError(
            f"{len(failed)} of {len(plans)} files were not cleaned: {', '.join(failed)}; above it says why. The others "
            f"are in {output}"
        )


def _size(path: str) -> int:
    """Bytes of a file, by which the work on it is guessed; 1 where there is none to be had."""
    try:
        return max(1, os.stat(path).st_size)
    except OSError:
        return 1


def _targets(
    inputs: tuple[str, ...], output: str, report: str | None, mkdir: bool
) -> list[tuple[str, str, str | None]]:
    """Of each file that ``inputs`` name: its path, its output's, the folder of its report."""
    from deburr.batch.inputs import files

    if any(map(is_address, inputs)):
        if len(inputs) > 1:
            raise SpecError(f"{inputs[0]}: an address is cleaned alone, into one file; give it alone")
        return [(inputs[0], output, report)]
    found = files(inputs, f"pipeline batch '[\"filters.spd\"]' {shlex.join(inputs)} --out DIR")
    folder = Path(output)
    if len(found) == 1 and not output.endswith(os.sep):
        return [(str(found[0]), output, report)]
    if not folder.is_dir() and not mkdir:
        what = "is a file" if folder.exists() else "does not exist"
        raise SpecError(
            f"{output}: {what}, and {len(found)} files need a folder to go into; give an existing one, or one to be "
            "made and --mkdir"
        )
    names = [path.name for path in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(f"{twice[0]}: is the name of several inputs, and of one file in {output}; run them apart")
    several = len(found) > 1
    return [
        (str(path), str(folder / path.name), str(Path(report) / path.stem) if report and several else report)
        for path in found
    ]


@click.command(cls=OverridesCommand)
@_spec
@_files
@_report
@common
def validate(
    spec: str | None,
    stdin: bool,
    input: str | None,
    output: str | None,
    report: str | None,
    quiet: bool,
    overrides: dict[str, str],
) -> None:
    """Check the pipeline in SPEC and print the verdict as JSON: `valid`, and `error_detail` with every problem; of a
    valid one also its `stages`, and in which program each `runs_in`.

    Exits with 2 if the pipeline is invalid. Takes the same arguments as `run`; reads no points and writes nothing.
    Files that filters read, such as weights and references, must be there; inputs need not.
    """
    from deburr.pipeline.execute import missing_files
    from deburr.pipeline.report import runs_in

    found: dict[str, Any] = {"valid": False, "error_detail": []}
    try:
        plan = _plan(_read(spec, stdin), input, output, overrides, report)
        if missing := missing_files(plan):
            raise SpecError(missing)
        found |= {"valid": True, "stages": [{"type": s.type_name, "runs_in": runs_in(s)} for s in plan.stages]}
    except SpecError as error:
        found["error_detail"] = list(error.errors)
    result(json.dumps(found, indent=2))
    if not found["valid"]:
        raise click.exceptions.Exit(SpecError.exit_code)


def _plan(spec: Any, input: str | None, output: str | None, overrides: dict[str, str], report: str | None) -> Plan:
    from deburr.batch.one_file import LEFT
    from deburr.pipeline.apart import check_run
    from deburr.pipeline.plan import load

    plan = load(spec, input=input, output=output, overrides=overrides)
    check_run(plan, report, LEFT)
    if not plan.writers and report is None:
        name = plan.origin or "the spec"
        raise SpecError(f"{name}: writes nothing; end it with a file name, or give --output FILE or --report DIR")
    return plan


def _folders(plan: Plan, mkdir: bool) -> None:
    """Make the folders of the outputs, or say that this can be asked for. Raises `WriteError`."""
    for step in plan.steps:
        path = getattr(step.stage, "path", None)
        if path is None or (folder := Path(path).parent).exists():
            continue
        if not mkdir:
            raise WriteError(
                f"{step.where}: {path}: folder {folder} does not exist; create it ('--mkdir' does), or choose another "
                "output path"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"{step.where}: {path}: folder {folder} cannot be made ({error.strerror}); choose another output path"
            ) from error


def _execute(plan: Plan, report: str | None, quiet: bool, meter: Meter, memory: str | None, mkdir: bool) -> None:
    from deburr.batch import one_file as stream
    from deburr.cli.progress import running, summary
    from deburr.pipeline.execute import execute
    from deburr.tiles import memory as amounts

    asked = None if memory is None else amounts.parse(memory)
    _folders(plan, mkdir)
    if stream.too_large(plan, asked):
        outputs, written = [writer.filename for writer in plan.writers], _stream(plan, asked, report, quiet, meter)
    else:
        with running(plan, meter, quiet):
            done = execute(plan, None, report)
        summary(plan, done.report, quiet)
        from deburr.pipeline.report import written as files

        outputs, written = done.report["outputs"], [] if report is None else files(report)
    for path in (*outputs, *written):
        give(path)


def _stream(plan: Plan, memory: int | None, report: str | None, quiet: bool, meter: Meter) -> list[str]:
    """Run a file in tiles; returns the paths of what is left beside the outputs."""
    from deburr.batch import map as batch_map
    from deburr.batch import one_file as stream
    from deburr.batch import report as batch_report
    from deburr.cli.batch_view import BatchView
    from deburr.cli.progress import tiled_summary
    from deburr.core.crs import words as crs
    from deburr.pipeline.report import written as files

    assert plan.reader is not None
    unit = crs.short(plan.reader.outline().units or "units")
    with BatchView(unit, quiet, meter=meter) as view:
        found = stream.run(plan, memory, view, None if report is None else Path(report))
        tiled_summary(plan, found, quiet)
        view.finish(found["totals"])
    names = (
        []
        if report is None
        else [*files(report), *(str(Path(report) / n) for n in (batch_report.NAME, batch_map.NAME))]
    )
    return [name for name in names if Path(name).exists()]
