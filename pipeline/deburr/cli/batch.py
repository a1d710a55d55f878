"""`pipeline batch`: one pipeline over many files."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deburr.cli.overrides import OverridesCommand
from deburr.cli.say import give, result
from deburr.cli.shared import common
from deburr.core.errors import SpecError

if TYPE_CHECKING:
    from deburr.batch.prepare import Prepared, Request

#: In the folder of outputs: what is needed in between.
_SCRATCH = ".deburr"
#: Processes at most: no machine has more cores than a good part of this.
_WORKERS = 4096
#: In the ledger: how much memory a run took. The share of free memory that one takes, and what it may be at most when
#: it goes on another time.
_MEMORY, _SHARE, _STILL = "memory", 0.8, 0.9


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
@click.argument("spec")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--out", metavar="DIR", required=True, help="Folder for the outputs; made if it is missing.")
@click.option("--context", metavar="FILE", multiple=True, help="Read only for what lies around the inputs; repeatable.")
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
@click.option("--vpc", is_flag=True, help="Write a virtual point cloud of the outputs (QGIS).")
@click.option("--retry-failed", is_flag=True, help="Do only what failed in the run before.")
@click.option("--dry-run", is_flag=True, help="Print the plan as JSON and do nothing.")
@common
def batch(spec: str, inputs: tuple[str, ...], out: str, overrides: dict[str, str], quiet: bool, **options: Any) -> None:
    """Run the pipeline in SPEC over INPUTS: files, folders, globs, .vpc files. One output an input.

    Files are cleaned together with what lies around them in the other files, so that no border shows, and their noise
    is found in all of them; with --independent, each as 'pipeline run' would. Run the same command again after an
    interruption: what is done is kept. Prints the paths of the files written.
    """
    from deburr.batch.prepare import prepare

    request = _request(spec, inputs, out, overrides, options)
    folder = request.out
    request = _as_before(request, shared=options["scheduler"] is not None)
    prepared = prepare(request, folder / _SCRATCH)
    if options["dry_run"]:
        from deburr.batch.dry_run import described

        result(json.dumps(described(request, prepared), indent=2))
        return
    _run(request, prepared, options, quiet)


def _request(
    spec: str, inputs: tuple[str, ...], out: str, overrides: dict[str, str], options: dict[str, Any]
) -> Request:
    from deburr.batch.inputs import expand
    from deburr.batch.prepare import Request
    from deburr.batch.vpc import SUFFIX
    from deburr.pipeline.resolve import Override
    from deburr.tiles import memory

    for name in ("retile", "tile"):
        if options[name] is not None and not 0 < options[name] < math.inf:
            raise SpecError(f"--{name} {options[name]:g}: must be a length above 0, in the cloud's units")
    if not 1 <= options["workers"] <= _WORKERS:
        raise SpecError(f"--workers {options['workers']}: must be at least 1 and at most {_WORKERS:,}")
    found = expand(inputs)
    context = expand(options["context"], found) if options["context"] else []
    # Workers elsewhere have other working folders.
    place = Path.absolute if options["scheduler"] else Path
    return Request(
        spec,
        [place(path) for path in found],
        place(Path(out)),
        [place(path) for path in context],
        options["name"],
        options["retile"],
        options["tile"],
        None if options["memory"] is None else memory.parse(options["memory"], options["workers"]),
        options["workers"],
        [Override.from_name(name, value) for name, value in overrides.items()],
        [Path(word) for word in (*inputs, *options["context"]) if Path(word).suffix.lower() == SUFFIX],
        options["vpc"],
        options["independent"],
    )


def _as_before(request: Request, shared: bool) -> Request:
    """With as much memory as the run before took, if that is free still: files are cut as then, and what is done stays.

    What is free changes from moment to moment, and with it where large files would be cut. ``shared``: with other
    workers of a cluster, one a core, whose machines are taken to be like this one.
    """
    from deburr.batch.ledger import Ledger
    from deburr.batch.prepare import LEDGER
    from deburr.core.neighbors import threads
    from deburr.tiles import memory

    if request.memory is not None:
        return request
    free = memory.available() // (threads() if shared else 1)
    path = request.out / LEDGER
    before = None if not path.is_file() else Ledger(path).get(_MEMORY, str(request.workers))
    kept = None if before is None or before["bytes"] > _STILL * free else int(before["bytes"])
    return replace(request, memory=kept or int(_SHARE * free))


def _temporary(prepared: Prepared, folder: Path) -> list[Path]:
    """All files that a run writes beside temporary ones."""
    from deburr.batch.prepare import left_in

    written = [Path(one["writer"]["filename"]) for output in prepared.outputs for one in output.writers]
    return [*written, *left_in(folder, vpc=True)]


def _run(request: Request, prepared: Prepared, options: dict[str, Any], quiet: bool) -> None:
    from deburr.batch import outputs as batch_out
    from deburr.batch.ledger import Ledger
    from deburr.batch.prepare import LEDGER
    from deburr.batch.run import Batch, Means, clear
    from deburr.batch.space import everything
    from deburr.cli.batch_view import BatchView
    from deburr.core.files import clear_left
    from deburr.scratch.room import make_folder, needed

    began, clock = datetime.now(UTC), time.monotonic()
    folder = request.out
    make_folder(folder)
    said = needed(folder / _SCRATCH, everything(prepared.job))
    with Ledger(folder / LEDGER) as ledger, BatchView(batch_out.unit_of(prepared), quiet) as view:
        for warning in prepared.warnings:
            view.warn(warning)
        view.note(said)
        # Nobody else writes here now; what is half-written is of a run that was killed.
        clear_left(_temporary(prepared, folder))
        took = {"bytes": request.memory}
        if ledger.get(_MEMORY, str(request.workers)) != took:
            ledger.add(str(request.workers), _MEMORY, took)
        if options["retry_failed"] and not any(one["error"] for one in ledger.of_kind("failed").values()):
            view.note(f"nothing failed in the run before in {folder}; nothing is done again")
            return
        means = Means(request.workers, options["scheduler"], ledger, options["retry_failed"])
        batch = Batch(prepared, folder / _SCRATCH, means, view)
        account = batch.run(request.tile)
        prepared = batch.prepared
        report = batch_out.leave(prepared, account, folder, began, time.monotonic() - clock)
        for warning in batch_out.warnings_of(prepared, account):
            view.warn(warning)
        for stage in report["stages"]:
            for warning in stage["warnings"]:
                view.warn(f"{stage['type']}: {warning}")
        if options["vpc"]:
            target = folder / f"{folder.resolve().name}.vpc"
            for warning in batch_out.virtual(account, target):
                view.warn(warning)
        view.finish(report["totals"])
        if not account.errors:
            clear(folder / _SCRATCH)
            clear_left(_temporary(prepared, folder))
    for output in prepared.outputs:
        if account.outputs.get(output.id, {}).get("written"):
            give(folder / output.id)
    if options["vpc"]:
        give(target)
    if account.errors:
        raise click.exceptions.Exit(1)
