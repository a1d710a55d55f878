"""What a batch is going to do, decided from the heads of its files alone: files, tiles, outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from deburr.batch import map as batch_map
from deburr.batch import report as batch_report
from deburr.batch.job import Job, Target, targets
from deburr.batch.layout import Output
from deburr.batch.names import cell_names, out_names, stem
from deburr.core import cut as cutting
from deburr.core import web
from deburr.core.addresses import Named, is_address, spelt
from deburr.core.errors import DeburrError, RunError, SpecError
from deburr.core.original import ORIGINAL
from deburr.core.progress import advance
from deburr.core.registry import by_extension, extensions
from deburr.core.stage import Filter, Outline, Reader, Stage
from deburr.core.waits import side_by_side
from deburr.pipeline import report
from deburr.pipeline.apart import check_apart, read_by
from deburr.pipeline.compatible import check_alike
from deburr.pipeline.plan import Plan, load
from deburr.pipeline.resolve import Override, resolve
from deburr.pipeline.spec import Entry, Source, parse, show
from deburr.scratch.input_file import FileRef, Stamp, stamp
from deburr.scratch.store import Store
from deburr.show import noise_map
from deburr.show.page import page
from deburr.tiles import memory

#: In the folder of outputs: the ledger.
LEDGER = "ledger.jsonl"
#: Tiles of a file that may hold hardly any points, and points that each tile beyond these should hold on average.
_FEW_TILES, _POINTS_A_TILE = 1000, 16
#: Points of a file that are held at a time when it is written, at most.
_CHUNK = 1_000_000
#: Characters by which a name may stand for several files.
_PATTERN = set("*?[]#{}$~")


@dataclass(frozen=True)
class Request:
    """What was asked for; see `pipeline batch --help`. ``lists`` are the virtual point clouds that named inputs;
    ``bounds``: from and to, (2,) each, half-open, where points are worked on."""

    spec: Source
    inputs: Sequence[Named]
    out: Path
    context: Sequence[Named] = ()
    name: str | None = None
    retile: float | None = None
    tile: float | None = None
    memory: int | None = None
    workers: int = 1
    overrides: Sequence[Override] = ()
    lists: Sequence[Path] = ()
    vpc: bool = False
    independent: bool = False
    bounds: cutting.Box | None = None

    @cached_property
    def plans(self) -> dict[tuple[str, str], Plan]:
        """The pipeline, as loaded for the first file of each extension that is read and that is written."""
        return {}

    @cached_property
    def last(self) -> Entry | None:
        """The last entry of the spec."""
        entries = resolve(parse(self.spec), None, None, self.overrides)[0].entries
        return entries[-1] if entries else None


@dataclass(frozen=True, eq=False)
class Prepared:
    """A batch that can begin. ``failed``: files that cannot even be looked at, and why."""

    plan: Plan
    job: Job
    outputs: Sequence[Output]
    failed: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def without(self, errors: Mapping[int, str]) -> Prepared:
        """As if the files with these numbers, which cannot be read for the reasons given, were not there."""
        store = self.job.store
        gone = {file.path: errors[file.number] for file in store.files if file.number in errors}
        left = [file for file in store.files if file.number not in errors]
        job = replace(self.job, store=store.only([file.number for file in left]))
        kept = [replace(one, files=tuple(n for n in one.files if n not in errors)) for one in self.outputs]
        outputs = [output for output in kept if output.files]
        return replace(self, job=job, outputs=outputs, failed={**self.failed, **gone})


def prepare(request: Request, scratch: Path) -> Prepared:
    """Read the heads of all files and decide. Raises `SpecError` with what cannot be run, `RunError` if no file can."""
    if request.independent and (request.context or request.retile is not None):
        other = "--context" if request.context else "--retile"
        raise SpecError(f"--independent: each file is a cloud of its own, and {other} takes all for one; leave out one")
    first = next((path for path in request.inputs if _is_text(path)), None)
    filters, places = ((), ()) if first is None else checked(_plan(request, first))
    outlines, states, failed = _outlines(request)
    inputs = [path for path in request.inputs if path in outlines]
    if not inputs:
        raise RunError(["no input can be read", *failed.values()])
    beside = [] if request.bounds is None else [path for path in inputs if not _touches(outlines[path], request.bounds)]
    inputs = [path for path in inputs if path not in beside]
    if not inputs:
        raise RunError("no input has points in --bounds; correct them, they are in the units of the inputs")
    context = [path for path in request.context if path in outlines] + ([] if request.independent else beside)
    dims = looked_at(filters)
    warnings = check_alike(
        [(path, outlines[path]) for path in (*inputs, *context)],
        dims,
        not request.independent,
        "; scans of separate objects want --independent",
    )
    names = _names(request, inputs, outlines)
    plans = [_plan(request, path, name) for path, name in zip(inputs, names, strict=True)]
    # A file keeps its number when others before it cannot be read today.
    numbers = {path: number for number, path in enumerate((*request.inputs, *request.context))}
    readers = [(plan, path, False) for plan, path in zip(plans, inputs, strict=True)]
    readers += [(_plan(request, path), path, True) for path in context]
    refs = [_ref(plan, numbers[path], outlines[path], about, states[path]) for plan, path, about in readers]
    _check_needed(filters, [file for file in refs if not file.context])
    limit = memory.points((request.memory or int(0.8 * memory.available())) // request.workers, filters)
    store = Store(refs, scratch / "points", dims, chunk(limit))
    units = next((outline.units for outline in outlines.values() if outline.units), None)
    job = Job(filters, places, store, units, limit, chunk(limit), request.independent, request.bounds)
    if request.tile is not None:
        _check_side(request, job)
    if request.retile is not None:
        outputs = _cells(request, job, inputs)
    else:
        outputs = [
            Output(name.name, _targets(plan), (numbers[path],))
            for name, plan, path in zip(names, plans, inputs, strict=True)
        ]
    _check_apart(request, plans[0], outputs)
    return Prepared(plans[0], job, outputs, failed, warnings)


def left_in(folder: Path, vpc: bool) -> list[Path]:
    """The files that a batch leaves in ``folder`` beside its outputs; with ``vpc``, the virtual point cloud too."""
    names = [report.NAME, page.NAME, batch_report.NAME, batch_map.NAME, noise_map.NAME]
    return [folder / name for name in [*names, *([f"{folder.resolve().name}.vpc"] if vpc else [])]]


def _check_apart(request: Request, plan: Plan, outputs: Sequence[Output]) -> None:
    """Raise `SpecError` where the batch would overwrite what it reads."""
    own = [path for path in (*request.inputs, *request.context) if isinstance(path, Path)]
    reads = dict.fromkeys(own, "an input") | read_by(plan)
    reads |= dict.fromkeys(request.lists, "the list of inputs")
    written = [one.path for output in outputs for one in output.targets]
    check_apart(reads, [*written, *left_in(request.out, request.vpc), request.out / LEDGER])


def _plan(request: Request, path: Named, output: Path | None = None) -> Plan:
    """The pipeline for one input; without an ``output``, with one that is in nobody's way."""
    output = output or request.out / ".deburr" / f"{stem(path)}{_suffix(request, path)}"
    kind = (path.suffix, output.name[len(stem(output)) :])
    # Names in which something may stand for more than itself are looked at each time.
    if kind in request.plans and not _PATTERN & {*str(path), *str(output)}:
        return request.plans[kind].for_files(spelt(path), output)
    plan = load(request.spec, input=spelt(path), output=output, overrides=request.overrides)
    request.plans.setdefault(kind, plan)
    return plan


def _suffix(request: Request, path: Named) -> str:
    """The extension of the output for ``path``: its own, or that of the spec's writer if this writes another format."""
    last = request.last
    writer = "" if last is None else last.type or ""
    if last is None or not writer.startswith("writers."):
        return path.suffix
    for one in (path, Path(str(last.options.get("filename", "")))):
        for end in (one.name[len(stem(one)) :], one.suffix):
            if by_extension("writers", f"x{end}") == writer:
                return end
    return next((f".{extension}" for extension, one in extensions("writers").items() if one == writer), path.suffix)


def _names(request: Request, inputs: Sequence[Named], outlines: Mapping[Named, Outline]) -> list[Path]:
    """Where the results of ``inputs`` go; with --retile, where they do not go."""
    if request.retile is not None:
        _check_layouts(inputs, outlines)
        return [request.out / ".deburr" / f"{stem(path)}{_suffix(request, path)}" for path in inputs]
    lows = [outlines[path].extent.low for path in inputs]
    suffixes = [_suffix(request, path) for path in inputs]
    numbers = {path: number for number, path in enumerate(request.inputs)}
    return out_names(
        request.name, inputs, lows, request.out, suffixes, request.context, [numbers[path] for path in inputs]
    )


def _check_needed(filters: Sequence[Filter], files: Sequence[FileRef]) -> None:
    """Raise `SpecError` for a dimension that cannot be taken to be 0 where a file lacks it, and others have it."""
    given: set[str] = set()
    wanted: dict[str, str] = {}
    for stage in filters:
        # Kept coordinates that are 0 would be where points are put back to.
        kept = {*ORIGINAL} & (stage.looks_at or frozenset())
        wanted |= dict.fromkeys((stage.needs - given) | kept, stage.type_name)
        given |= stage.gives
    filled = [file for file in files if file.extent.count]
    errors = []
    for name in sorted(wanted):
        having = next((file for file in filled if name in file.kinds), None)
        lacking = [file for file in filled if name not in file.kinds]
        if having is not None and lacking:
            errors.append(
                f"{lacking[0].path}: has no dimension '{name}', which {wanted[name]} needs and {having.path} has; "
                "run the files that have it apart from the others"
            )
    if errors:
        raise SpecError(errors[:5])


def chunk(limit: int) -> int:
    """Points of a file that are held at a time, where a tile may have ``limit`` points."""
    return min(_CHUNK, limit // 2)


def checked(plan: Plan) -> tuple[tuple[Filter, ...], tuple[str, ...]]:
    """The filters of ``plan`` and where they stand. Raises `SpecError` for what cannot be run in tiles, by name."""
    steps = [step for step in plan.steps if isinstance(step.stage, Filter)]
    errors = [
        f"{step.where}: runs in {step.stage.host.name}, which takes the whole cloud at once, so not in tiles; "
        "run the files one by one with 'pipeline run', without --memory"
        for step in plan.steps
        if step.stage.host is not None
    ]
    lost = ""
    for step in steps:
        stage = step.stage
        assert isinstance(stage, Filter)
        if stage.host is not None:
            continue
        if stage.reach({}) is None:
            errors.append(
                f"{step.where}: has to see the whole cloud at once, and cannot be run in tiles{_why(stage)}; "
                "remove it, or run the files one by one with 'pipeline run', without --memory"
            )
        elif lost and stage.looks_around:
            errors.append(f"{step.where}: cannot be run in tiles behind {lost}, which moves points from afar; run "
                          "these two as pipelines of their own, one after the other")  # fmt: skip
        lost = lost or (stage.type_name if stage.moves_afar else "")
    if errors:
        raise SpecError(errors)
    return tuple(step.stage for step in steps if isinstance(step.stage, Filter)), tuple(step.where for step in steps)


def _why(stage: Stage) -> str:
    told = {name: getattr(stage, name) for name in sorted(stage.model_fields_set - {"tag", "user_data"})}
    given = [f"'{name}': {show(value)}" for name, value in told.items() if value is not None]
    return f" with {', '.join(given)}" if given else ""


def looked_at(filters: Sequence[Filter]) -> frozenset[str] | None:
    """The dimensions that any of the filters may look at; None: all there are."""
    each = [stage.looks_at for stage in filters]
    if any(names is None for names in each):
        return None
    needed = [stage.needs for stage in filters]
    return frozenset().union(*(names for names in each if names is not None), *needed)


def _touches(outline: Outline, bounds: cutting.Box) -> bool:
    """Whether the file may have points in the ``bounds``."""
    low, high = outline.extent.low[:2] - outline.step, outline.extent.high[:2] + outline.step
    return bool(outline.extent.count and (low < bounds[1]).all() and (high >= bounds[0]).all())


def _outlines(request: Request) -> tuple[dict[Named, Outline], dict[Named, Stamp | None], dict[str, str]]:
    """What the heads of the files tell, the state of each before it was looked at; and what of others is wrong."""
    found: dict[Named, Outline] = {}
    states: dict[Named, Stamp | None] = {}
    failed: dict[str, str] = {}
    paths = [*request.inputs, *request.context]
    readers = {path: reader for path in paths if _is_text(path) and (reader := _plan(request, path).reader) is not None}
    heads = _heads([*readers.values()])
    for path in paths:
        if path not in readers:
            shown = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
            failed[shown] = f"{shown}: its name is not UTF-8 text, which reports and lists are made of; rename it"
            continue
        try:
            states[path], told = next(heads)()
            FileRef.check_located(str(path), told.extent)
            found[path] = told
        except DeburrError as error:
            failed[str(path)] = f"{readers[path].type_name}: {error}"
    return found, states, failed


def _heads(readers: Sequence[Reader]) -> Iterator[Callable[[], tuple[Stamp | None, Outline]]]:
    """Of the file of each reader, its state and what its head tells, or the error that this raises, when called. Those
    on the web, each of which is waited for, are read side by side."""

    def head(reader: Reader) -> Callable[[], tuple[Stamp | None, Outline]]:
        try:
            # The state first: what changes in between is found to have changed.
            with web.held(reader.filename):
                told = stamp(reader.filename), reader.outline()
        except DeburrError as error:
            return partial(_raised, error)
        return lambda: told

    remote = [reader for reader in readers if reader.has_head and is_address(reader.filename)]
    answers = side_by_side(head, remote)
    done = 0
    for reader in readers:
        if reader.has_head and is_address(reader.filename):
            yield next(answers)
            done += 1
            advance("reading heads", done, len(remote))
        else:
            yield head(reader)


def _raised(error: Exception) -> NoReturn:
    raise error


def _is_text(path: Named) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _ref(plan: Plan, number: int, outline: Outline, context: bool, state: Stamp | None) -> FileRef:
    assert plan.reader is not None
    return FileRef.of(plan.reader, number, outline, context, state)


def _targets(plan: Plan) -> list[Target]:
    found = targets(plan)
    if len(found) > 1:
        raise SpecError(
            f"{plan.origin or 'the spec'}: writes {len(found)} files; a batch takes one writer, remove the others"
        )
    return found


def _check_side(request: Request, job: Job) -> None:
    """Raise `SpecError` for tiles of which there would be far too many."""
    assert request.tile is not None
    for file in job.store.files:
        if not file.context and file.extent.count:
            low, high = job.own(file.number)
            high = np.maximum(high, low + (request.retile or 0.0))
            cutting.check_side(low, high, request.tile, _FEW_TILES + file.extent.count // _POINTS_A_TILE)


def _check_layouts(inputs: Sequence[Named], outlines: Mapping[Named, Outline]) -> None:
    first = outlines[inputs[0]].layout
    errors = [
        f"{path}: is {outlines[path].layout}, and {inputs[0]} is {first}; points of both cannot stand in one file "
        "without loss: leave out --retile, or convert one of them first"
        for path in inputs
        if outlines[path].layout != first
    ]
    if errors:
        raise SpecError(errors[:5])


def _cells(request: Request, job: Job, inputs: Sequence[Named]) -> list[Output]:
    """The cells of the grid that the inputs are cut into anew."""
    assert request.retile is not None
    mine = [file for file in job.store.files if not file.context and file.extent.count]
    low, high = _around([job.own(file.number) for file in mine])
    grid = [(box, _meeting(job, box)) for box in cutting.grid(low, high, request.retile)]
    boxes = [(box, files) for box, files in grid if files]
    names = cell_names(request.name, [box[0] for box, _ in boxes], request.out, _suffix(request, inputs[0]),
                       (*inputs, *request.context))  # fmt: skip
    outputs = []
    for name, (box, files) in zip(names, boxes, strict=True):
        there = _plan(request, inputs[0], name)
        if job.bounds is not None:
            box = (np.maximum(box[0], job.bounds[0]), np.minimum(box[1], job.bounds[1]))
        outputs.append(Output(name.name, _targets(there), files, box, may_be_empty=False))
    return outputs


def _around(boxes: Sequence[cutting.Box]) -> cutting.Box:
    if not boxes:
        return np.zeros(2), np.zeros(2)
    return np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)


def _meeting(job: Job, box: cutting.Box) -> tuple[int, ...]:
    """The numbers of the inputs that may have points in the box."""
    return tuple(file.number for file in job.store.meeting(*box) if not file.context)
