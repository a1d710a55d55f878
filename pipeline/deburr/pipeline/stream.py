"""One file that is larger than memory: unpacked into scratch, cleaned tile by tile, written in its own order."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deburr.core.errors import DeburrError, ReadError, SpecError
from deburr.core.progress import advance
from deburr.pipeline import batch_out, memory, scratch
from deburr.pipeline.batch import Account, Batch, Means, View
from deburr.pipeline.batch_plan import Output, Prepared, checked, chunk, looked_at
from deburr.pipeline.blame import blamed
from deburr.pipeline.execute import check_outputs
from deburr.pipeline.fileref import FileRef
from deburr.pipeline.job import Job, as_json
from deburr.pipeline.plan import Plan
from deburr.pipeline.store import Store

#: What scratch folders are called, beside the output: ``.NAME.deburr-1f3a``.
_MARK = ".deburr-"


def too_large(plan: Plan, asked: int | None) -> bool:
    """Whether the file that ``plan`` reads is more than fits into ``asked`` bytes of memory, or into what is free.

    Raises `SpecError` for a pipeline that cannot be run in tiles, if memory was ``asked`` for.
    """
    if plan.reader is None:
        return False
    try:
        count = plan.reader.outline().extent.count
    except DeburrError:
        return False  # the run itself says what is wrong with the file
    if memory.whole(count) <= (asked or int(0.8 * memory.available())):
        return False
    try:
        checked(plan)
    except SpecError:
        if asked is not None:
            raise
        return False
    return True


def run(plan: Plan, asked: int | None, view: View, report_dir: Path | None) -> dict[str, Any]:
    """Run ``plan`` in tiles within ``asked`` bytes of memory; returns the report. Raises `RunError`."""
    began, clock = datetime.now(UTC), time.monotonic()
    assert plan.reader is not None
    check_outputs(plan)
    if report_dir is not None:
        scratch.make_folder(report_dir)
    beside = Path(os.path.realpath(plan.writers[0].filename)) if plan.writers else (report_dir or Path()) / "report"
    clear_left(beside.parent)
    with _folder(beside) as folder:
        prepared = _prepared(plan, asked, folder, view)
        account = Batch(prepared, folder, Means(), view).run()
        if account.errors:
            raise _failed(account)
        out = report_dir or folder
        return batch_out.leave(prepared, account, out, began, time.monotonic() - clock)


def _prepared(plan: Plan, asked: int | None, folder: Path, view: Any) -> Prepared:
    filters, places = checked(plan)
    assert plan.reader is not None
    outline = plan.reader.outline()
    limit = memory.points(asked or int(0.8 * memory.available()))
    ref = FileRef.of(plan.reader, 0, outline)
    store = Store([ref], folder / "points", looked_at(filters), chunk(limit))
    writers = [
        {"writer": as_json(step.stage), "where": step.where} for step in plan.steps if step.stage in plan.writers
    ]
    outputs = [Output(Path(plan.reader.filename).name, writers, (0,))]
    job = Job(filters, places, store, outline.units, limit, chunk(limit))
    view.note(scratch.needed(Prepared(plan, job, outputs), folder))
    view.stage("unpacking", 1, ref.extent.count)
    advance("unpacking", 0, 0)
    with blamed(plan.steps[0].where):
        # The head may say a wrong extent; with one file nothing depends on that.
        store = store.measured()
    view.done({"id": ref.path, "points": ref.extent.count})
    return Prepared(plan, Job(filters, places, store, outline.units, limit, chunk(limit)), outputs)


def _failed(account: Account) -> DeburrError:
    first = next(iter(account.errors.values()))
    more = f" (and {len(account.errors) - 1} more failures of the kind)" if len(account.errors) > 1 else ""
    return ReadError(f"{first}{more}")


@contextmanager
def _folder(beside: Path) -> Iterator[Path]:
    """A scratch folder that nobody clears away while this process lives, and that is gone in the end."""
    import fcntl

    folder = beside.with_name(f".{beside.name[:80]}{_MARK}{secrets.token_hex(4)}")
    folder.mkdir()
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def clear_left(folder: Path) -> None:
    """Remove scratch folders of runs that were killed: those that no process holds."""
    import fcntl

    for left in folder.glob(f".*{_MARK}*"):
        with suppress(OSError):
            lock = os.open(left / "lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
