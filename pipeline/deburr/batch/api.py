"""A batch from Python: what `pipeline batch` does, which is built on it."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from deburr.batch import outputs
from deburr.batch.inputs import expand
from deburr.batch.ledger import Ledger
from deburr.batch.prepare import LEDGER, Prepared, Request, left_in, prepare
from deburr.batch.run import Batch, Means, Silent, View, clear
from deburr.batch.space import everything
from deburr.batch.vpc import SUFFIX
from deburr.core.addresses import Named, is_address
from deburr.core.bounds import parse, unfit
from deburr.core.cut import Box
from deburr.core.errors import DeburrWarning, SpecError
from deburr.core.files import clear_left
from deburr.core.neighbors import threads
from deburr.pipeline.resolve import Override, as_overrides
from deburr.pipeline.spec import Source
from deburr.scratch.room import make_folder, needed
from deburr.tiles import memory as memory_of

#: In the folder of outputs: what is needed in between.
SCRATCH = ".deburr"
#: Processes at most: no machine has more cores than a good part of this.
_WORKERS = 4096
#: In the ledger: how much memory a run took. The share of free memory that one takes, and what it may be at most when
#: it goes on another time.
_MEMORY, _SHARE, _STILL = "memory", 0.8, 0.9

Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class BatchResult:
    """What a batch did: the files ``written``, why others ``failed``, by input, tile or output, and its ``report``."""

    written: tuple[Path, ...]
    failed: Mapping[str, str]
    report: Mapping[str, Any]


def batch(
    spec: Source,
    inputs: Path_ | Iterable[Path_],
    out: Path_,
    *,
    context: Iterable[Path_] = (),
    workers: int = 1,
    scheduler: str | None = None,
    memory: int | str | None = None,
    name: str | None = None,
    retile: float | None = None,
    tile: float | None = None,
    vpc: bool = False,
    independent: bool = False,
    bounds: str | None = None,
    retry_failed: bool = False,
    overrides: Mapping[str, Any] | Iterable[Override] = (),
    view: View | None = None,
) -> BatchResult:
    """Run a pipeline over many files, tile by tile, as the command `pipeline batch` does.

    Called again after an interruption, it keeps what is done. What fails of single files does not raise: it is in
    ``failed``, and the rest is written.

    Parameters
    ----------
    spec, overrides
        As in `deburr.pipeline.plan.load`.
    inputs, context : path or paths
        Files, folders, globs, virtual point clouds (.vpc), catalogues (STAC, .json); files and lists may be addresses.
        ``context`` is looked at and not written.
    out : path
        The folder of the outputs, of ``report.json`` and of the ledger; made if it is missing.
    workers : int
        Processes that share the cores.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers are used instead.
    memory : int or str, optional
        Bytes, or such as ``"8GB"``, for all workers together (on a cluster, for each); default: most of what is free.
    name : str, optional
        A template for the names of outputs, of ``{stem}``, ``{x}``, ``{y}``, ``{index}``; default: the inputs'.
    retile : float, optional
        Write squares of this side instead of one output an input, cloud units.
    tile : float, optional
        Work in squares of this side, cloud units; default: as memory allows.
    vpc : bool
        Write a virtual point cloud of the outputs.
    independent : bool
        Each file is a cloud of its own, as of separate objects.
    bounds : str, optional
        Clean and write the points of this box alone, ``"([xmin, xmax], [ymin, ymax])"``, cloud units. What lies around
        it is looked at.
    retry_failed : bool
        Do only what failed in the run before.
    view : View, optional
        Is told of every step.

    Raises
    ------
    SpecError
        Before anything is read: all that is wrong with what was asked for.
    RunError
        Nothing could go on, or no input can be read.

    Warns
    -----
    DeburrWarning
        When all is done: what is in the report's ``warnings``, too.
    """
    words = [inputs] if isinstance(inputs, str | os.PathLike) else [*inputs]
    asked = request(
        spec, [os.fspath(word) for word in words], out, context=[os.fspath(word) for word in context], workers=workers,
        memory=memory, name=name, retile=retile, tile=tile, vpc=vpc, independent=independent,
        bounds=bounds, overrides=as_overrides(overrides), shared=scheduler is not None,
    )  # fmt: skip
    told = _Listening(view or Silent())
    found = run(asked, prepare(asked, asked.out / SCRATCH), told, scheduler, retry_failed)
    for sentence in told.warnings:
        warnings.warn(sentence, DeburrWarning, stacklevel=2)
    return found


class _Listening:
    """Keeps warnings, and hands on everything to a view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
        self._view.warn(sentence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


def request(
    spec: Source,
    inputs: Sequence[str],
    out: Path_,
    *,
    context: Sequence[str] = (),
    workers: int = 1,
    memory: int | str | None = None,
    name: str | None = None,
    retile: float | None = None,
    tile: float | None = None,
    vpc: bool = False,
    independent: bool = False,
    bounds: str | None = None,
    overrides: Sequence[Override] = (),
    shared: bool = False,
    prefix: str = "",
) -> Request:
    """What `batch` was asked for, checked as far as no file must be read. Raises `SpecError`.

    ``shared``: with the workers of a cluster. ``prefix``: of the names of options in messages.
    """
    for option, side in (("retile", retile), ("tile", tile)):
        if side is not None and not 0 < side < math.inf:
            raise SpecError(f"{prefix}{option} {side:g}: must be a length above 0, in the cloud's units")
    if not 1 <= workers <= _WORKERS:
        raise SpecError(f"{prefix}workers {workers}: must be at least 1 and at most {_WORKERS:,}")
    if is_address(os.fspath(out)):
        raise SpecError(f"{prefix}out {out}: is an address; outputs of a batch are files here, upload them")
    box = None if bounds is None else _box(bounds, f"{prefix}bounds")
    found = expand(inputs, bounds=box)
    around = expand(context, found, box) if context else []

    def place(path: Named) -> Named:
        # Workers elsewhere have other working folders.
        return path.absolute() if shared and isinstance(path, Path) else path

    asked = Request(
        spec,
        [place(path) for path in found],
        Path(out).absolute() if shared else Path(out),
        [place(path) for path in around],
        name,
        retile,
        tile,
        memory_of.parse(str(memory), workers, f"{prefix}memory") if memory is not None else None,
        workers,
        overrides,
        [Path(word) for word in (*inputs, *context) if Path(word).suffix.lower() == SUFFIX],
        vpc,
        independent,
        box,
    )
    return asked if asked.memory is not None else replace(asked, memory=_as_before(asked, shared))


def _box(text: str, option: str) -> Box:
    """The half-open box in x and y that an option gives, both of whose ends are part of it. Raises `SpecError`."""
    wrong = unfit(option, text)
    if wrong:
        raise SpecError(wrong)
    found = parse(text)
    if np.isfinite(found.low[2]) or np.isfinite(found.high[2]):
        raise SpecError(f"{option} {text}: heights are not bounded in a batch; leave the third pair out")
    return found.low[:2], np.nextafter(found.high[:2], np.inf)


def _as_before(asked: Request, shared: bool) -> int:
    """As much memory as the run before took, if that is free still: files are cut as then, and what is done stays.

    What is free changes from moment to moment, and with it where large files would be cut. ``shared``: with other
    workers of a cluster, one a core, whose machines are taken to be like this one.
    """
    free = memory_of.available() // (threads() if shared else 1)
    path = asked.out / LEDGER
    before = None if not path.is_file() else Ledger(path).get(_MEMORY, str(asked.workers))
    kept = None if before is None or before["bytes"] > _STILL * free else int(before["bytes"])
    return kept or int(_SHARE * free)


def run(
    asked: Request, prepared: Prepared, view: View, scheduler: str | None = None, only_failed: bool = False
) -> BatchResult:
    """Do what was ``prepared``, and leave reports beside the outputs. Raises as `batch` does."""
    began, clock = datetime.now(UTC), time.monotonic()
    folder = asked.out
    make_folder(folder)
    said = needed(folder / SCRATCH, everything(prepared.job))
    with Ledger(folder / LEDGER) as ledger:
        for warning in prepared.warnings:
            view.warn(warning)
        view.note(said)
        # Nobody else writes here now; what is half-written is of a run that was killed.
        clear_left(_temporary(prepared, folder))
        took = {"bytes": asked.memory}
        if ledger.get(_MEMORY, str(asked.workers)) != took:
            ledger.add(str(asked.workers), _MEMORY, took)
        if only_failed and not any(one["error"] for one in ledger.of_kind("failed").values()):
            view.note(f"nothing failed in the run before in {folder}; nothing is done again")
            return BatchResult((), {}, {})
        work = Batch(prepared, folder / SCRATCH, Means(asked.workers, scheduler, ledger, only_failed), view)
        account = work.run(asked.tile)
        prepared = work.prepared
        report = outputs.leave(prepared, account, folder, began, time.monotonic() - clock)
        for warning in outputs.warnings_of(prepared, account):
            view.warn(warning)
        for stage in report["stages"]:
            for warning in stage["warnings"]:
                view.warn(f"{stage['type']}: {warning}")
        written = [
            folder / output.id for output in prepared.outputs if account.outputs.get(output.id, {}).get("written")
        ]
        if asked.vpc:
            written.append(folder / f"{folder.resolve().name}{SUFFIX}")
            for warning in outputs.virtual(account, written[-1]):
                view.warn(warning)
        view.finish(report["totals"])
        if not account.errors:
            clear(folder / SCRATCH)
            clear_left(_temporary(prepared, folder))
    return BatchResult(tuple(written), dict(account.errors), report)


def _temporary(prepared: Prepared, folder: Path) -> list[Path]:
    """All files that a run writes beside temporary ones."""
    written = [Path(one.path) for output in prepared.outputs for one in output.targets]
    return [*written, *left_in(folder, vpc=True)]
