"""One file that is larger than memory: unpacked into scratch, cleaned tile by tile, written in its own order."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from deburr.batch import map as batch_map
from deburr.batch import outputs as batch_out
from deburr.batch import report as batch_report
from deburr.batch.job import Job, targets
from deburr.batch.layout import Output
from deburr.batch.prepare import Prepared, checked, chunk, looked_at
from deburr.batch.run import Account, Batch, Means, Silent, View, outputs_of
from deburr.batch.space import everything
from deburr.batch.work import results_of
from deburr.core import files, locks
from deburr.core.addresses import is_address
from deburr.core.errors import DeburrError, ReadError, SpecError, WriteError
from deburr.core.files import private, replacing
from deburr.core.progress import advance
from deburr.core.stage import Filter
from deburr.pipeline import execute, report
from deburr.pipeline.apart import check_run
from deburr.pipeline.blame import blamed
from deburr.pipeline.plan import Plan
from deburr.scratch import room as scratch
from deburr.scratch.input_file import FileRef
from deburr.scratch.results import Saved
from deburr.scratch.store import Store
from deburr.tiles import memory

#: What a run in tiles may leave in the folder of its report.
LEFT = (*execute.LEFT, batch_report.NAME, batch_map.NAME)
#: What scratch folders are called, beside the output: ``.NAME.deburr-1f3a``.
_MARK = ".deburr-"
#: Bytes of the names of outputs in a scratch folder's lock, at most.
_LONGEST = 1_000_000


def too_large(plan: Plan, asked: int | None) -> bool:
    """Whether the file that ``plan`` reads is more than fits into ``asked`` bytes of memory, or into what is free.

    Raises `SpecError` for a pipeline that cannot be run in tiles, if memory was ``asked`` for.
    """
    if plan.reader is None:
        return False
    if len(plan.readers) > 1:
        if asked is not None:
            raise SpecError(
                f"{plan.steps[1].where}: several files are merged in memory, whatever '--memory' says; leave it out, "
                "or run 'pipeline batch', one output a file"
            )
        return False
    if any(stage.host is not None for stage in plan.stages):
        if asked is not None:
            checked(plan)
        return False
    away = [step.where for step in plan.steps if is_address(getattr(step.stage, "filename", None) or "")]
    if away:
        if asked is not None:
            raise SpecError(
                f"{away[0]}: tiles are cut of files here and written to such, not at addresses; leave '--memory' out"
            )
        return False
    try:
        count = plan.reader.outline().extent.count
    except DeburrError:
        return False  # the run itself says what is wrong with the file
    filters = [stage for stage in plan.stages if isinstance(stage, Filter)]
    if memory.whole(count, filters) <= (asked or int(0.8 * memory.available())):
        return False
    try:
        checked(plan)
    except SpecError:
        if asked is not None:
            raise
        return False
    return True


def within(
    plan: Plan, memory_: int | str, report_dir: str | os.PathLike[str] | None
) -> tuple[dict[str, Any] | None, list[str]]:
    """The report of ``plan`` run in tiles, and what is warned of; None where all fits into the memory and nothing was
    done. Raises `SpecError` and `RunError`."""
    asked = memory.parse(str(memory_), option="memory")
    if not too_large(plan, asked):
        return None, []
    found = run(plan, asked, Silent(), None if report_dir is None else Path(report_dir))
    told = [f"{stage['type']}: {warning}" for stage in found["stages"] for warning in stage["warnings"]]
    return found, [*found["warnings"], *told]


def run(plan: Plan, asked: int | None, view: View, report_dir: Path | None) -> dict[str, Any]:
    """Run ``plan`` in tiles within ``asked`` bytes of memory; returns the report. Raises `RunError`."""
    began, clock = datetime.now(UTC), time.monotonic()
    assert plan.reader is not None
    check_run(plan, report_dir, LEFT)
    execute.check_outputs(plan)
    if report_dir is not None:
        scratch.make_folder(report_dir)
    beside = Path(os.path.abspath(plan.writers[0].filename)) if plan.writers else (report_dir or Path()) / "report"
    clear_left(beside.parent)
    with _folder(beside, [writer.filename for writer in plan.writers]) as folder:
        prepared = _prepared(plan, asked, folder, view)
        batch = Batch(prepared, folder, Means(keep=True), view)
        account, prepared = batch.run(), batch.prepared
        if account.errors:
            raise _failed(account)
        if report_dir is not None:
            _picture(prepared, account, report_dir)
        return batch_out.leave(prepared, account, report_dir or folder, began, time.monotonic() - clock)


def _prepared(plan: Plan, asked: int | None, folder: Path, view: Any) -> Prepared:
    filters, places = checked(plan)
    assert plan.reader is not None
    outline = plan.reader.outline()
    with blamed(plan.steps[0].where):
        FileRef.check_located(plan.reader.filename, outline.extent)
    limit = memory.points(asked or int(0.8 * memory.available()), filters)
    ref = FileRef.of(plan.reader, 0, outline)
    store = Store([ref], folder / "points", looked_at(filters), chunk(limit))
    outputs = [Output(Path(plan.reader.filename).name, targets(plan), (0,))]
    job = Job(filters, places, store, outline.units, limit, chunk(limit))
    scratch.check_room(folder, everything(job))
    view.note(scratch.needed(folder, everything(job)))
    view.stage("unpacking", 1, ref.extent.count)
    advance("unpacking", 0, 0)
    with blamed(plan.steps[0].where):
        # The head may say a wrong extent; with one file nothing depends on that.
        store = store.measured()
    view.done({"id": ref.path, "points": ref.extent.count})
    return Prepared(plan, Job(filters, places, store, outline.units, limit, chunk(limit)), outputs)


def _picture(prepared: Prepared, account: Account, folder: Path) -> None:
    """Draw a section through the tile that lost the most noise."""
    from deburr.show.picture import as_written, draw

    tiles = [tile for tile in account.tiles.values() if results_of(tile)]
    if not tiles:
        return
    tile = max(tiles, key=lambda one: batch_report.removed(one) or 0.0)
    low, high = np.array(tile["box"][:2]), np.array(tile["box"][2:])
    cloud, _ = prepared.job.view((0,)).read(low, high)
    found = Saved(Path(results_of(tile)[0])).between(0, int(cloud.rows.max()) + 1)
    # Both are by ascending row; a stage may have removed some.
    cloud = cloud.select(np.isin(cloud.rows, found.rows))
    dims = {name: column for name, column in found.dims.items() if name in cloud.dims}
    with replacing(folder / report.PICTURE) as temporary:
        written = [one["figures"] for one in outputs_of(account)]
        draw(as_written(cloud.with_xyz(found.xyz).with_dims(dims), written[-1] if written else {}), temporary)


def _failed(account: Account) -> DeburrError:
    first = next(iter(account.errors.values()))
    more = f" (and {len(account.errors) - 1} more failures of the kind)" if len(account.errors) > 1 else ""
    return ReadError(f"{first}{more}")


@contextmanager
def _folder(beside: Path, outputs: Sequence[str]) -> Iterator[Path]:
    """A scratch folder that nobody clears away while this process lives, and that is gone in the end.

    It names the ``outputs``: who clears it away finds what was half-written, too.
    """
    token = secrets.token_hex(4)
    folder = beside.with_name(f".{beside.name[:80]}{_MARK}{token}")
    # Under another name first: a folder that is not locked yet would be taken for one that was left.
    new = beside.with_name(f".deburr-new-{token}")
    try:
        new.mkdir(mode=0o700)
        lock = private(new / "lock", os.O_RDWR | os.O_CREAT)
        with suppress(OSError):  # some network file systems have no locks
            locks.take(lock, wait=True)
        os.write(lock, json.dumps([os.path.abspath(path) for path in outputs]).encode())
        lock = _renamed(new, folder, lock)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise WriteError(
            f"{folder}: scratch space cannot be made ({error.strerror or error}); choose another output"
        ) from error
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _renamed(new: Path, folder: Path, lock: int) -> int:
    """Give the folder ``new`` its name; the lock in it, which is another where no folder with open files is moved."""
    try:
        new.rename(folder)
        return lock
    except PermissionError:  # Windows
        os.close(lock)
        new.rename(folder)
        lock = private(folder / "lock", os.O_RDWR)
        with suppress(OSError):
            locks.take(lock)
        return lock


def clear_left(folder: Path) -> None:
    """Remove what runs that were killed left: scratch folders that no process holds, outputs that are half-written."""
    for left in folder.glob(f".*{_MARK}*"):
        with suppress(OSError):
            if not files.is_ours(left):
                continue
            lock = private(left / "lock", os.O_RDWR | files.NO_WAIT)
            try:
                ours = locks.take(lock)
                if ours:
                    files.clear_left(_named(lock))
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
            if ours:  # Windows removes no file that is open: the lock itself is still there
                shutil.rmtree(left, ignore_errors=True)


def _named(lock: int) -> list[str]:
    """The outputs that a scratch folder's lock names; none where not even that was written to the end."""
    try:
        found = json.loads(files.read_whole(lock, _LONGEST))
    except (ValueError, RecursionError):
        return []
    return [path for path in found if isinstance(path, str) and "\0" not in path] if isinstance(found, list) else []
