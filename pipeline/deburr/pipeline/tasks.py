"""What workers do: unpack a file, survey a tile, clean one, write a file. JSON values in, JSON values out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import Bools, Floats, Ints, PointCloud
from deburr.core.errors import RunError
from deburr.core.stage import Reader
from deburr.core.sums import Sum, from_json, merge, to_json
from deburr.pipeline import figures, job, ledger
from deburr.pipeline.blame import blamed
from deburr.pipeline.pieces import Results, Saved, Shape, held, put_together, save, spanned
from deburr.pipeline.report import peak_memory_mb
from deburr.pipeline.scratch import scratch_file
from deburr.pipeline.tiles import Done, process

#: The standard deviation of a Gaussian of which a quarter lies within 1 of its mean.
_SIGMA = 3.138
#: Places in a tile where its noise is measured, and points at each, about.
_PROBES, _PROBED = 32, 300
_NONE = np.zeros(0, np.int64)


def do(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do a task of the kind that it names; ``job``: the path of the job's file."""
    began = time.perf_counter()
    doing = {"unpack": _unpack, "survey": _survey, "clean": _clean, "write": _write}[task["kind"]]
    record = doing(task, job.load(task["job"]))
    seconds = round(time.perf_counter() - began, 3)
    return {"id": task["id"], **record, "seconds": seconds, "peak_memory_mb": peak_memory_mb()}


def _unpack(task: Mapping[str, Any], all_: job.Job) -> dict[str, Any]:
    return {"points": all_.store.unpack(task["file"]).extent.count}


def _survey(task: Mapping[str, Any], all_: job.Job) -> dict[str, Any]:
    work, core = all_.work(task["known"], task["surveyor"]), job.core_of(task["core"])
    done = process(all_.view, work, core, task["halo"], all_.limit)
    path = Path(task["folder"]) / f"{task['name']}.json"
    with scratch_file(path) as file:
        json.dump(to_json(merge(done.sums)), file)
    return {"sums": str(path), "points": task["points"], **_account(done)}


def _clean(task: Mapping[str, Any], all_: job.Job) -> dict[str, Any]:
    done = process(all_.view, all_.work(task["known"], None), job.core_of(task["core"]), task["halo"], all_.limit)
    results = held(done.pieces)
    record: dict[str, Any] = {**_account(done), **_moved(done)}
    record["stages"] = [figures.packed(records) for records in done.records]
    if task["output"] is not None:
        # The only tile of its output: nothing needs to be kept in between.
        files = task["core"]["files"]
        record["written"] = _written(
            task, [(number, [results[number]] if number in results else []) for number in files], all_
        )
    else:
        folder = Path(task["folder"])
        record["pieces"] = {
            str(number): str(save(one, folder / f"{task['name']}-{number}").folder) for number, one in results.items()
        }
    return record


def _write(task: Mapping[str, Any], all_: job.Job) -> dict[str, Any]:
    """Put an output together of the pieces of its tiles."""
    sources = [(number, [Saved(Path(folder)) for folder in folders]) for number, folders in task["sources"]]
    return {"points": task["points"], "written": _written(task, sources, all_)}


def _written(
    task: Mapping[str, Any], sources: Sequence[tuple[int, Sequence[Results]]], all_: job.Job
) -> list[dict[str, Any]]:
    """Write the outputs; what became of each."""
    whole = spanned([one.shape for _, results in sources for one in results])
    done: list[dict[str, Any]] = []
    if whole.extent.count == 0 and not task["may_be_empty"]:
        return done
    if len(sources) > 1:
        # Of files that give nothing here, nothing needs to be read.
        sources = [(number, results) for number, results in sources if results]
    for output in task["output"]:
        writer = job.writer_of(output["writer"])
        with blamed(output["where"], whole.extent.count):
            cloud = writer.write_parts(_parts(task, sources, whole, all_), whole.extent)
        note = cloud.history[-1]
        low, high = whole.extent.low, whole.extent.high
        done.append(
            {
                **ledger.identity(writer.filename),
                "count": whole.extent.count,
                "bounds": [low.tolist(), high.tolist()] if whole.extent.count else None,
                "figures": dict(note.figures),
                "warnings": list(note.warnings),
            }
        )
    return done


def _parts(
    task: Mapping[str, Any], sources: Sequence[tuple[int, Sequence[Results]]], whole: Shape, all_: job.Job
) -> Iterator[PointCloud]:
    for number, results in sources:
        yield from put_together(_reader(all_, number), results, whole, all_.chunk, all_.store.kinds)
    if not Path(task["job"]).exists():
        # The run was killed, and this worker did not notice; what stands there now is another run's.
        raise RunError(f"{task['job']}: is gone, and so is the run that asked for this; nothing is to be done")


def _reader(all_: job.Job, number: int) -> Reader:
    return all_.store.file(number).reader


def _account(done: Done) -> dict[str, Any]:
    return {"read": done.read, "attempts": done.attempts, "unproved": done.unproved, "halo": done.halo}


def _moved(done: Done) -> dict[str, Any]:
    """How far points moved, and the noise before and after where it was probed."""
    before = np.concatenate([piece.original for piece in done.pieces])
    after = np.concatenate([piece.xyz for piece in done.pieces])
    squares = ((after - before) ** 2).sum(axis=1)
    then, now = _residuals(before, after, squares > 0)
    return {
        "points": len(before),
        "moved": int((squares > 0).sum()),
        "displacement_rms": float(np.sqrt(squares.mean())) if len(squares) else 0.0,
        "displacement_max": float(np.sqrt(squares.max(initial=0.0))),
        "residual_before": then,
        "residual_after": now,
    }


def _residuals(before: Floats, after: Floats, moved: Any) -> tuple[float | None, float | None]:
    """The noise of points (N, 3), or around a few of them, before and after; cloud units.

    Of distances to local planes the lower quartile, as a standard deviation: leaves and edges are far from any plane,
    and may be more than half of the points.
    """
    from deburr.filters._planes import local_shape

    if len(moved) and moved.mean() > 0.5:  # what is not to move may be noise that is known
        before, after = before[moved], after[moved]
    if len(before) < _PROBED:
        return None, None
    rows, inner, places = _probes(before)
    if not len(rows):
        return None, None
    found = []
    for points in (before, after) if moved.any() else (before,):
        residuals = local_shape(points[rows] - places, 16, inner).residuals
        found.append(_SIGMA * float(np.quantile(residuals, 0.25)))
    return found[0], found[-1]


def _probes(xyz: Floats) -> tuple[Ints, Bools, Floats]:
    """Rows of points (N, 3) at places here and there, which of them are not at the brink of a place, and (M, 3) what to
    take away from their coordinates so that places lie too far apart to see each other. Of a few points, all."""
    if len(xyz) <= _PROBES * _PROBED:
        return np.arange(len(xyz)), np.ones(len(xyz), np.bool_), xyz[:1]
    low, span = xyz.min(axis=0), np.ptp(xyz, axis=0)
    # A square of so many points, if they lay evenly.
    side = float(np.sqrt(max(span[:2].prod(), 1e-300) * _PROBED / len(xyz)))
    by_x = np.argsort(xyz[:, 0])
    x = xyz[by_x, 0]
    rows, inner, places = [], [], []
    for number, row in enumerate(np.linspace(0, len(xyz) - 1, _PROBES).astype(int)):
        middle = xyz[row, :2]
        strip = by_x[slice(*np.searchsorted(x, [middle[0] - side, middle[0] + side]))]
        near = np.sort(strip[np.abs(xyz[strip, 1] - middle[1]) < side])[: 8 * _PROBED]
        if len(near) >= 32:
            rows.append(near)
            inner.append(np.abs(xyz[near, :2] - middle).max(axis=1) < side / 2)
            places.append(np.broadcast_to(low - [4 * number * span.max(), 0, 0], (len(near), 3)))
    return np.concatenate([_NONE, *rows]), np.concatenate([_NONE > 0, *inner]), np.concatenate([xyz[:0], *places])


def sums_of(record: Mapping[str, Any]) -> dict[str, Sum]:
    """What a survey counted."""
    return from_json(json.loads(Path(record["sums"]).read_text(encoding="utf-8")))


def results_of(record: Mapping[str, Any]) -> dict[int, str]:
    """The folders of a tile's pieces, for each file."""
    return {int(number): folder for number, folder in record.get("pieces", {}).items()}


def still_there(record: Mapping[str, Any]) -> bool:
    """Whether what a task left behind is there still: its sums, its pieces, or the files it wrote."""
    if "sums" in record and not Path(record["sums"]).exists():
        return False
    written = all(ledger.output_is(one["path"], one) for one in record.get("written", []))
    return written and all(Path(folder).is_dir() for folder in results_of(record).values())
