"""What workers do: unpack a file, survey a tile, clean one, write a file. A task in, a record of JSON values out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deburr.batch import figures, job, ledger, tasks
from deburr.batch.job import Target
from deburr.batch.tasks import Clean, Survey, Task, Unpack, Write
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.files import plain
from deburr.core.sums import Histogram, Sum, from_json, merge, to_json
from deburr.pipeline.blame import blamed
from deburr.pipeline.report import peak_memory_mb
from deburr.scratch.results import Results, Saved, Shape, held, put_together, save, spanned
from deburr.scratch.room import scratch_file
from deburr.scratch.store import Unread
from deburr.tiles.residuals import noise_of
from deburr.tiles.tile import Done, View, Work, process


def do(value: Mapping[str, Any]) -> dict[str, Any]:
    """Do the task that `deburr.batch.tasks.as_json` gave; ``job``: the path of the job's file; ``secrets``: what stands
    in no file."""
    began = time.perf_counter()
    task, all_ = tasks.from_json(value), job.load(value["job"], value.get("secrets"))
    try:
        record = _done(task, all_)
    except Unread as error:
        record = {"unread": error.number, "error": str(error)}
    seconds = round(time.perf_counter() - began, 3)
    return {"id": task.id, **record, "seconds": seconds, "peak_memory_mb": peak_memory_mb()}


def _done(task: Task, all_: job.Job) -> dict[str, Any]:
    match task:
        case Unpack():
            window = None if task.window is None else (np.array(task.window[0]), np.array(task.window[1]))
            return {"points": all_.store.unpack(task.file, window).extent.count}
        case Survey():
            return _survey(task, all_)
        case Clean():
            return _clean(task, all_)
        case Write():
            return _write(task, all_)
    raise TypeError(f"{task.kind} is no task")


def _survey(task: Survey, all_: job.Job) -> dict[str, Any]:
    work = all_.work(task.known, task.surveyor)
    done = process(all_.view(task.core.files), work, task.core, task.halo, all_.limit)
    path = Path(task.folder) / f"{task.name}.json"
    with scratch_file(path) as file:
        json.dump(to_json(merge(done.sums)), file)
    return {"sums": str(path), "points": task.points, **_account(done)}


def _clean(task: Clean, all_: job.Job) -> dict[str, Any]:
    work, view, files = all_.work(task.known, None), all_.view(task.core.files), task.core.files
    done = process(view, work, task.core, task.halo, all_.limit)
    results = held([*done.pieces, *done.nowhere])
    done.pieces, done.nowhere = ([piece.read for piece in some] for some in (done.pieces, done.nowhere))
    record: dict[str, Any] = {**_account(done), **_moved(done), **_noise(done, work, view)}
    record["stages"] = [
        figures.packed(stage, records) for stage, records in zip(work.stages, done.records, strict=True)
    ]
    if task.targets is not None:
        # The only tile of its output: nothing needs to be kept in between.
        sources = [(number, [results[number]] if number in results else []) for number in files]
        record["written"] = _written(task, task.targets, sources, all_)
    else:
        record["pieces"] = {
            str(place): str(save(results[number], Path(task.folder) / f"{task.name}-{place}").folder)
            for place, number in enumerate(files)
            if number in results
        }
    return record


def _write(task: Write, all_: job.Job) -> dict[str, Any]:
    """Put an output together of the pieces of its tiles."""
    sources = [(number, [Saved(Path(folder)) for folder in folders]) for number, folders in task.sources]
    return {"points": task.points, "written": _written(task, task.targets, sources, all_)}


def _written(
    task: Clean | Write, targets: Sequence[Target], sources: Sequence[tuple[int, Sequence[Results]]], all_: job.Job
) -> list[dict[str, Any]]:
    """Write the outputs; what became of each."""
    whole = spanned([one.shape for _, results in sources for one in results])
    done: list[dict[str, Any]] = []
    if whole.extent.count == 0 and not task.may_be_empty:
        return done
    if len(sources) > 1:
        # Of files that give nothing here, nothing needs to be read.
        sources = [(number, results) for number, results in sources if results]
    for target in targets:
        writer, said = target.stage(), dict[str, None]()
        with blamed(target.where, whole.extent.count):
            cloud = writer.write_parts(_parts(sources, whole, all_, said), whole.extent)
        note = cloud.history[-1]
        low, high = whole.extent.low, whole.extent.high
        done.append(
            {
                **ledger.written(writer.filename),
                "count": whole.extent.count,
                "bounds": [low.tolist(), high.tolist()] if whole.extent.count else None,
                "figures": dict(note.figures),
                "warnings": [*said, *note.warnings],
            }
        )
    return done


def _parts(
    sources: Sequence[tuple[int, Sequence[Results]]],
    whole: Shape,
    all_: job.Job,
    said: dict[str, None],
) -> Iterator[PointCloud]:
    """The points to be written; what their readers warn of is added to ``said``."""
    for number, results in sources:
        with all_.store.reading(number):
            for part in put_together(all_.reader(number), results, whole, all_.chunk, all_.store.kinds):
                said.update(dict.fromkeys(warning for record in part.history for warning in record.warnings))
                yield part
    # The results are of the files as they were; the output takes its name only if they are so still.
    for number, _ in sources:
        with all_.store.reading(number):
            all_.store.file(number).check()
    if not Path(all_.path).exists():
        # The run was killed, and this worker did not notice; what stands there now is another run's.
        raise RunError(f"{all_.path}: is gone, and so is the run that asked for this; nothing is to be done")


def _account(done: Done) -> dict[str, Any]:
    return {"read": done.read, "attempts": done.attempts, "unproved": done.unproved, "halo": done.halo}


def _moved(done: Done) -> dict[str, Any]:
    """How far points that were read moved."""
    squares = np.concatenate([((piece.xyz - piece.original) ** 2).sum(axis=1) for piece in done.pieces])
    return {
        "displacements": Histogram.of(np.sqrt(squares[squares > 0])).as_json(),
        "points": len(squares) + sum(len(piece.rows) for piece in done.nowhere),
        "moved": int((squares > 0).sum()),
        "displacement_rms": float(np.sqrt(squares.mean())) if len(squares) else 0.0,
        "displacement_max": float(np.sqrt(squares.max(initial=0.0))),
    }


def _noise(done: Done, work: Work, view: View) -> dict[str, Any]:
    """The noise before and after, as far as stages told."""
    noted = [merge([record.sums for record in records if record.sums]) for records in done.records]
    before, after = noise_of(view, work, done.pieces, noted)
    return {"noise_before": before, "noise_after": after}


def sums_of(record: Mapping[str, Any]) -> dict[str, Sum]:
    """What a survey counted."""
    with open(record["sums"], encoding="utf-8", opener=plain) as file:
        return from_json(json.load(file))


def results_of(record: Mapping[str, Any]) -> dict[int, str]:
    """The folders of a tile's pieces, by the places of their files among those of its core."""
    return {int(place): folder for place, folder in (record.get("pieces") or {}).items()}


def still_there(record: Mapping[str, Any]) -> bool:
    """Whether what a task left behind is there still: its sums, its pieces, or the files it wrote."""
    try:
        if record.get("sums") is not None:
            sums_of(record)
        for folder in results_of(record).values():
            _ = Saved(Path(folder)).shape
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return all(ledger.output_is(one["path"], one) for one in record.get("written") or [])
