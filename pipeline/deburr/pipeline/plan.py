"""From a `Spec` to a `Plan`: every stage built, every rule of order checked, all problems at once. Reads no points."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deburr.core.errors import SpecError, did_you_mean
from deburr.core.registry import stage_class, stage_types
from deburr.core.stage import Reader, Stage, Writer
from deburr.pipeline.options import build
from deburr.pipeline.resolve import Override, resolve
from deburr.pipeline.spec import Entry, Source, Spec, parse


@dataclass(frozen=True)
class Step:
    """A stage of a plan and where it stands: `denoise.json: stage 3 (filters.spd)`."""

    where: str
    stage: Stage


@dataclass(frozen=True)
class Plan:
    """A linear pipeline, checked and ready: what `deburr.pipeline.execute` runs."""

    origin: str
    steps: tuple[Step, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(step.stage for step in self.steps)

    @property
    def reader(self) -> Reader | None:
        return next((stage for stage in self.stages if isinstance(stage, Reader)), None)

    @property
    def writers(self) -> tuple[Writer, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Writer))

    def as_json(self) -> list[dict[str, Any]]:
        """The pipeline as it runs, overrides included; itself a spec."""
        return [
            {"type": stage.type_name, **stage.model_dump(mode="json", by_alias=True, exclude_unset=True)}
            for stage in self.stages
        ]


def load(
    source: Source,
    *,
    input: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | Iterable[Override] = (),
    reads: bool = True,
) -> Plan:
    """Parse and check a pipeline without reading a point.

    Parameters
    ----------
    source : path, JSON text, list or mapping
        The spec.
    input, output : path, optional
        Take the place of the files that the spec reads and writes, or add a reader and a writer.
    overrides : mapping, optional
        ``{"filters.spd.noise": 0.03, "stage.TAG.option": value}``.
    reads : bool
        Whether the pipeline must begin with a reader; False when the points come from the caller.

    Raises
    ------
    SpecError
        With every problem found, one sentence each.
    """
    if isinstance(overrides, Mapping):
        overrides = [Override.from_name(name, value) for name, value in overrides.items()]
    parsed = parse(source)
    spec, errors = resolve(
        parsed, None if input is None else str(input), None if output is None else str(output), list(overrides)
    )
    errors += _order(spec, reads)
    steps: list[Step] = []
    for entry in spec.entries:
        stage, problems = _built(entry, tuple(step.stage for step in steps))
        errors += [f"{spec.where(entry)}: {problem}" for problem in problems]
        if stage is not None:
            steps.append(Step(spec.where(entry), stage))
    errors += _files(steps)
    if errors:
        raise SpecError(errors)
    return Plan(spec.origin, tuple(steps))


def _built(entry: Entry, before: tuple[Stage, ...]) -> tuple[Stage | None, list[str]]:
    if entry.type is None:
        return None, []  # resolve has said why
    if entry.type not in stage_types():
        return None, [f"unknown stage type '{entry.type}'{did_you_mean(entry.type, stage_types()) or _LIST}"]
    stage, problems = build(stage_class(entry.type), entry.options)
    if stage is not None:
        problems += stage.check(before)
        problems += _missing_dimensions(stage, before)
    return stage, problems


_LIST = "; 'pipeline stages' lists all types"


def _missing_dimensions(stage: Stage, before: tuple[Stage, ...]) -> list[str]:
    # A reader that declares nothing may give any dimension: the file decides, and the run checks.
    if not before or not isinstance(before[0], Reader) or not before[0].gives:
        return []
    given = frozenset[str]().union(*(earlier.gives for earlier in before))
    return [
        f"needs the dimension '{name}', which no stage before it gives; add one that does"
        for name in sorted(stage.needs - given)
    ]


def _order(spec: Spec, reads: bool) -> list[str]:
    """The rules of a linear pipeline: reader, filters, writers."""
    kinds = [(entry.type or "").partition(".")[0] for entry in spec.entries]
    name = spec.origin or "the spec"
    errors = []
    if not spec.entries:
        errors.append(f"{name}: has no stages; name at least one")
    elif reads and "readers" not in kinds and spec.entries[0].type:
        errors.append(f"{name}: has no reader; begin with a file name, or give --input FILE")
    tags: dict[str, Entry] = {}
    for place, entry in enumerate(spec.entries):
        where = spec.where(entry)
        if kinds[place] == "readers" and "readers" in kinds[:place]:
            errors.append(f"{where}: several readers are not supported; run the pipeline once for each file")
        elif kinds[place] == "readers" and place > 0:
            errors.append(f"{where}: a reader must come first; move it to the front")
        elif kinds[place] == "readers" and not reads:
            errors.append(f"{where}: the points are given by the caller; remove the reader")
        if kinds[place] == "writers" and any(kind != "writers" for kind in kinds[place:]):
            errors.append(f"{where}: a writer must come last; move it to the end")
        errors += [f"{where}: {problem}" for problem in _linear(entry, spec.entries[:place])]
        if entry.tag is not None and entry.tag in tags:
            errors.append(f"{where}: tag '{entry.tag}' is already that of {tags[entry.tag].label}; choose another")
        tags.setdefault(entry.tag or "", entry)
    return errors


def _linear(entry: Entry, before: tuple[Entry, ...]) -> list[str]:
    if not entry.inputs or (before and entry.inputs == (before[-1].tag,)):
        return []
    return ["'inputs' must name the stage just before: only linear pipelines are supported; remove it or reorder"]


def _files(steps: list[Step]) -> list[str]:
    """File names that no system takes, and outputs that would overwrite what is read or written elsewhere."""
    errors = []
    seen: list[tuple[str, Step]] = []
    for step in steps:
        path = getattr(step.stage, "filename", None)
        if not isinstance(path, str):
            continue
        if not path or "\0" in path or not _encodable(path):
            errors.append(f"{step.where}: option 'filename' is empty or holds a character no file name may have")
            continue
        if isinstance(step.stage, Writer):
            errors += [_clash(step, path, other, earlier) for other, earlier in seen if _same(path, other)]
        seen.append((path, step))
    return errors


def _clash(step: Step, path: str, other: str, earlier: Step) -> str:
    if isinstance(earlier.stage, Writer):
        return f"{step.where}: '{path}' is written twice; choose another output"
    same = "the input itself" if path == other else f"the same file as the input '{other}'"
    return f"{step.where}: output '{path}' is {same}; choose another output, the input is never overwritten"


def _encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _same(one: str, other: str) -> bool:
    """Whether two paths lead to one file, through links of either kind."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False  # one of them does not exist, so they are two
