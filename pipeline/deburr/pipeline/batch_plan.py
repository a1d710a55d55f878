"""What a batch is going to do, decided from the heads of its files alone: files, tiles, outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import Extent, Floats
from deburr.core.errors import DeburrError, RunError, SpecError
from deburr.core.stage import Filter, Outline, Stage
from deburr.pipeline import cutting, memory
from deburr.pipeline.alike import check_alike
from deburr.pipeline.fileref import FileRef
from deburr.pipeline.job import Job, as_json
from deburr.pipeline.names import cell_names, out_names
from deburr.pipeline.passes import reach
from deburr.pipeline.plan import Plan, load
from deburr.pipeline.resolve import Override
from deburr.pipeline.spec import Source
from deburr.pipeline.store import Store
from deburr.pipeline.tiles import Core, Work

#: Points of a file that are held at a time when it is written, at most.
_CHUNK = 1_000_000
#: The distance to the 16th neighbour, in spacings.
_HOP = sqrt(16 / np.pi)
#: Halos are as much wider than what is seen on average: to read a little more is cheaper than to read again.
_SPARE = 1.6
#: Real clouds are less even than random ones: their neighbours lie as much farther away than their density says.
_UNEVEN = 1.3


@dataclass(frozen=True)
class Request:
    """What was asked for; see `pipeline batch --help`."""

    spec: Source
    inputs: Sequence[Path]
    out: Path
    context: Sequence[Path] = ()
    name: str | None = None
    retile: float | None = None
    tile: float | None = None
    memory: int | None = None
    workers: int = 1
    overrides: Sequence[Override] = ()


@dataclass(frozen=True, eq=False)
class Tile:
    """A core, the output it goes to, and about how many points it has."""

    id: str
    core: Core
    output: str
    points: int


@dataclass(frozen=True, eq=False)
class Output:
    """A file to be written (or several of the same points), of input files with these numbers."""

    id: str
    writers: Sequence[Mapping[str, Any]]
    files: tuple[int, ...]
    may_be_empty: bool = True


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch that can begin. ``failed``: files that cannot even be looked at, and why."""

    plan: Plan
    job: Job
    outputs: Sequence[Output]
    failed: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def prepare(request: Request, scratch: Path) -> Prepared:
    """Read the heads of all files and decide. Raises `SpecError` with what cannot be run, `RunError` if no file can."""
    first = load(request.spec, input=request.inputs[0], output=request.out / request.inputs[0].name,
                 overrides=request.overrides)  # fmt: skip
    filters, places = checked(first)
    outlines, failed = _outlines(request)
    inputs = [path for path in request.inputs if path in outlines]
    if not inputs:
        raise RunError("\n".join(["no input can be read", *(failed.values())]))
    context = [path for path in request.context if path in outlines]
    dims = looked_at(filters)
    warnings = check_alike([(path, outlines[path]) for path in (*inputs, *context)], dims)
    lows = [outlines[path].extent.low for path in inputs]
    if request.retile is None:
        names = out_names(request.name, inputs, lows, request.out, context=context)
    else:
        names = [request.out / f"cell-{number}{inputs[0].suffix}" for number in range(len(inputs))]
        _check_layouts(inputs, outlines)
    plans = [load(request.spec, input=path, output=name, overrides=request.overrides)
             for path, name in zip(inputs, names, strict=True)]  # fmt: skip
    others = [load(request.spec, input=path, output=request.out / path.name, overrides=request.overrides)
              for path in context]  # fmt: skip
    refs = [
        _ref(plan, number, outlines[path], False) for number, (plan, path) in enumerate(zip(plans, inputs, strict=True))
    ]
    refs += [
        _ref(plan, len(refs) + number, outlines[path], True)
        for number, (plan, path) in enumerate(zip(others, context, strict=True))
    ]
    limit = memory.points(request.memory or int(0.8 * memory.available()) // request.workers)
    store = Store(refs, scratch / "points", dims, chunk(limit))
    units = next((outline.units for outline in outlines.values() if outline.units), None)
    job = Job(filters, places, store, units, limit, chunk(limit))
    outputs = (
        _cells(request, job, plans[0], inputs)
        if request.retile
        else [
            Output(name.name, _writers(plan), (number,))
            for number, (name, plan) in enumerate(zip(names, plans, strict=True))
        ]
    )
    return Prepared(first, job, outputs, failed, warnings)


def chunk(limit: int) -> int:
    """Points of a file that are held at a time, where a tile may have ``limit`` points."""
    return min(_CHUNK, limit // 2)


def checked(plan: Plan) -> tuple[tuple[Filter, ...], tuple[str, ...]]:
    """The filters of ``plan`` and where they stand. Raises `SpecError` for what cannot be run in tiles, by name."""
    steps = [step for step in plan.steps if isinstance(step.stage, Filter)]
    errors = []
    lost = ""
    for step in steps:
        stage = step.stage
        assert isinstance(stage, Filter)
        if stage.reach({}) is None:
            errors.append(
                f"{step.where}: has to see the whole cloud at once, and cannot be run in tiles{_why(stage)}; "
                "remove it, or run the files one by one with 'pipeline run'"
            )
        elif lost and stage.scope != "point":
            errors.append(f"{step.where}: cannot be run in tiles behind {lost}, which moves points from afar; run "
                          "these two as pipelines of their own, one after the other")  # fmt: skip
        lost = lost or ("filters.restore" if stage.type_name == "filters.restore" else "")
    if errors:
        raise SpecError(errors)
    return tuple(step.stage for step in steps if isinstance(step.stage, Filter)), tuple(step.where for step in steps)


def _why(stage: Stage) -> str:
    told = {name: getattr(stage, name, None) for name in ("model", "method", "reference")}
    given = [f"'{name}': '{value}'" for name, value in told.items() if value is not None]
    return f" with {', '.join(given)}" if given else ""


def looked_at(filters: Sequence[Filter]) -> frozenset[str] | None:
    """The dimensions that any of the filters may look at; None: all there are."""
    each = [stage.looks_at for stage in filters]
    if any(names is None for names in each):
        return None
    needed = [stage.needs for stage in filters]
    return frozenset().union(*(names for names in each if names is not None), *needed)


def _outlines(request: Request) -> tuple[dict[Path, Outline], dict[str, str]]:
    found: dict[Path, Outline] = {}
    failed: dict[str, str] = {}
    for path in (*request.inputs, *request.context):
        reader = load(request.spec, input=path, output=request.out / path.name, overrides=request.overrides).reader
        assert reader is not None
        try:
            found[path] = reader.outline()
        except DeburrError as error:
            failed[str(path)] = str(error)
    return found, failed


def _ref(plan: Plan, number: int, outline: Outline, context: bool) -> FileRef:
    assert plan.reader is not None
    return FileRef.of(plan.reader, number, outline, context)


def _writers(plan: Plan) -> list[dict[str, Any]]:
    found = [{"writer": as_json(step.stage), "where": step.where} for step in plan.steps if step.stage in plan.writers]
    if len(found) > 1:
        raise SpecError(
            f"{plan.origin or 'the spec'}: writes {len(found)} files; a batch takes one writer, remove the others"
        )
    return found


def _check_layouts(inputs: Sequence[Path], outlines: Mapping[Path, Outline]) -> None:
    first = outlines[inputs[0]].layout
    errors = [
        f"{path}: is {outlines[path].layout}, and {inputs[0]} is {first}; points of both cannot stand in one file "
        "without loss: leave out --retile, or convert one of them first"
        for path in inputs
        if outlines[path].layout != first
    ]
    if errors:
        raise SpecError(errors[:5])


def _cells(request: Request, job: Job, plan: Plan, inputs: Sequence[Path]) -> list[Output]:
    """The cells of the grid that the inputs are cut into anew."""
    assert request.retile is not None
    mine = [file for file in job.store.files if not file.context and file.extent.count]
    low, high = _around(mine)
    boxes = [box for box in cutting.grid(low, high, request.retile) if any(_meet(file, *box) for file in mine)]
    names = cell_names(request.name, [box[0] for box in boxes], request.out, inputs[0].suffix, inputs)
    outputs = []
    for name, box in zip(names, boxes, strict=True):
        files = tuple(file.number for file in mine if _meet(file, *box))
        there = load(request.spec, input=inputs[0], output=name, overrides=request.overrides)
        outputs.append(
            Output(
                name.name,
                [{**one, "box": [*box[0].tolist(), *box[1].tolist()]} for one in _writers(there)],
                files,
                False,
            )
        )
    return outputs


def _around(files: Sequence[FileRef]) -> tuple[Any, Any]:
    if not files:
        return np.zeros(2), np.zeros(2)
    return np.min([file.low for file in files], axis=0), np.max([file.high for file in files], axis=0)


def _meet(file: FileRef, low: Any, high: Any) -> bool:
    return bool((file.low < high).all() and (file.high > low).all())


def large(job: Job) -> list[FileRef]:
    """The inputs that are more than one tile, and must be unpacked before it is known how to cut them."""
    most = int(memory.CORE * job.limit)
    return [file for file in job.store.files if not file.context and file.extent.count > most]


def tiles(job: Job, outputs: Sequence[Output], side: float | None = None) -> list[Tile]:
    """The tiles that the outputs are made of; large files must have been unpacked. ``side``: of a regular grid."""
    most = int(memory.CORE * job.limit)
    found: list[Tile] = []
    for output in outputs:
        box = output.writers[0].get("box") if output.writers else None
        if box is None:
            boxes = _of_file(job, output.files[0], most, side)
        else:
            boxes = _even(
                np.array(box[:2]), np.array(box[2:]), job.store.count(np.array(box[:2]), np.array(box[2:])), most
            )
        for number, (low, high) in enumerate(boxes):
            name = output.id if len(boxes) == 1 else f"{output.id}-{number}"
            inside = sum(_points(job, file, low, high) for file in output.files)
            found.append(Tile(name, Core(low, high, output.files), output.id, inside))
    return found


def _points(job: Job, number: int, low: Any, high: Any) -> int:
    file = next(file for file in job.store.files if file.number == number)
    overlap = np.minimum(high, file.high) - np.maximum(low, file.low)
    width = np.maximum(file.high - file.low, 1e-300)
    return int(file.extent.count * np.clip(overlap / width, 0, 1).prod())


def _of_file(job: Job, number: int, most: int, side: float | None) -> list[cutting.Box]:
    file = next(file for file in job.store.files if file.number == number)
    if side is not None and file.extent.count:
        return cutting.grid(file.low, file.high, side)
    if file.extent.count <= most:
        return [(file.low, file.high)] if file.extent.count else [(np.zeros(2), np.zeros(2))]
    return cutting.cut(*job.store.histogram(number), most)


def place(x: float, y: float) -> Floats:
    """(2,) float64."""
    return np.array([x, y], dtype=np.float64)


def _even(low: Any, high: Any, count: int, most: int) -> list[cutting.Box]:
    parts = max(1, ceil(sqrt(count / most)))
    x, y = (np.linspace(low[axis], high[axis], parts + 1).tolist() for axis in (0, 1))
    return [(np.array([a, c]), np.array([b, d])) for c, d in pairwise(y) for a, b in pairwise(x)]


def halo(work: Work, extent: Extent) -> float:
    """How wide the halo of a tile may have to be, cloud units, where points lie as densely as in ``extent``."""
    told = [known.get("spacing") for known in (*work.known, work.asked)]
    if extent.count:
        told.append(_UNEVEN * float(np.sqrt(np.prod((extent.high - extent.low)[:2]) / extent.count)))
    seen = reach(work)
    return seen.length + _SPARE * seen.hops * _HOP * max((spacing for spacing in told if spacing), default=0.0)
