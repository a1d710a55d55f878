"""From a `Spec` to a `Plan`: every stage built, every rule of order checked, all problems at once. Reads no points."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deburr.core.addresses import NO_FILES
from deburr.core.errors import SpecError
from deburr.core.registry import hosted, stage_class, stage_types, why_unknown
from deburr.core.stage import Reader, Stage, Writer
from deburr.pipeline import notebook
from deburr.pipeline.options import build
from deburr.pipeline.resolve import Override, Problem, as_overrides, resolve
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
    def readers(self) -> tuple[Reader, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Reader))

    @property
    def reader(self) -> Reader | None:
        """The first reader, which is the only one as a rule."""
        return next(iter(self.readers), None)

    @property
    def writers(self) -> tuple[Writer, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Writer))

    @property
    def runs(self) -> tuple[tuple[Step, ...], ...]:
        """The steps, those that follow each other and are run by the same other program taken together.

        Of several files, which are one cloud from the first stage on that joins them, readers and that stage begin
        anew.
        """
        found: list[list[Step]] = []
        several, whole = len(self.readers) > 1, False
        for step in self.steps:
            begins = several and (isinstance(step.stage, Reader) or (joins(step.stage) and not whole))
            after_reader = several and bool(found) and isinstance(found[-1][-1].stage, Reader)
            whole |= joins(step.stage)
            same = bool(found) and step.stage.host is not None and step.stage.host is found[-1][-1].stage.host
            if same and not begins and not after_reader:
                found[-1].append(step)
            else:
                found.append([step])
        return tuple(map(tuple, found))

    def _repr_html_(self) -> str:
        """In a notebook: the stages, and what each will do."""
        return notebook.of_plan(self)

    def for_files(self, input: str | os.PathLike[str], output: str | os.PathLike[str]) -> Plan:
        """The same pipeline for another file that it reads, and another that it writes at its end, in formats of the
        same stages; the stages between are the same objects. Raises `SpecError` as `load` does."""
        steps: list[Step] = []
        errors: list[str] = []
        for step in self.steps:
            stage, before = step.stage, tuple(earlier.stage for earlier in steps)
            last = step is self.steps[-1] and isinstance(stage, Writer)
            problems: list[str] = []
            if last or isinstance(stage, Reader):
                stage = stage.model_copy(update={"filename": str(output if last else input)})
                problems = stage.check(before)
            steps.append(Step(step.where, stage))
            errors += [f"{step.where}: {problem}" for problem in (*problems, *_files(steps))]
        if errors:
            raise SpecError(errors)
        return Plan(self.origin, tuple(steps))

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
    changes = as_overrides(overrides)
    spec, errors = resolve(
        parse(source), None if input is None else str(input), None if output is None else str(output), changes, reads
    )
    errors += _order(spec, reads)
    steps: list[Step] = []
    for place, entry in enumerate(spec.entries):
        stage, problems = _built(entry, tuple(step.stage for step in steps))
        if stage is not None:
            steps.append(Step(spec.where(entry), stage))
            problems += _files(steps)
        errors += [(place, f"{spec.where(entry)}: {problem}") for problem in problems]
    _read_elsewhere(steps, spec.entries)
    if errors:
        raise SpecError([text for _, text in sorted(errors, key=lambda problem: problem[0])])
    return Plan(spec.origin, tuple(steps))


def joins(stage: Stage) -> bool:
    """Whether several files are one cloud from ``stage`` on; before it each is run alone, as in PDAL."""
    return isinstance(stage, Writer) or stage.joins


def _read_elsewhere(steps: list[Step], entries: tuple[Entry, ...]) -> None:
    """Leave the reading, too, to the program that runs all other steps: the points need not pass through here, and its
    writers find what its readers tell them."""
    behind = {step.stage.host for step in steps[1:]}
    host = behind.pop() if len(behind) == 1 else None
    several = len(steps) > 1 and isinstance(steps[1].stage, Reader)
    if host is None or several or len(steps) != len(entries) or not isinstance(steps[0].stage, Reader):
        return
    other = host.stage_class(steps[0].stage.type_name)
    stage = None if other is None else build(other, entries[0].options)[0]
    if stage is not None:
        steps[0] = Step(steps[0].where, stage)


def _built(entry: Entry, before: tuple[Stage, ...]) -> tuple[Stage | None, list[str]]:
    if entry.type is None:
        return None, []  # resolve has said why
    cut = _cut(before)
    own = stage_class(entry.type) if entry.type in stage_types() else None
    # A pattern of file names is one behind parts that were joined again, too; elsewhere it is a name.
    pattern = "#" in str(entry.options.get("filename")) and any(s.host is not None and s.host.cuts(s) for s in before)
    other = hosted(entry.type) if own is None or cut or pattern or _foreign_options(own, entry) else None
    if own is None and other is None:
        return None, [why_unknown(entry.type)]
    if cut is not None and other is None:
        assert cut.host is not None
        behind = f"stands behind {cut.type_name}, which cuts the cloud into parts that end where others begin"
        return None, [f"{behind}, and {cut.host.name} has no such stage; put it before {cut.type_name}"]
    stage: Stage | None = None
    problems: list[str] = []
    if other is not None:
        stage, problems = build(other, entry.options)
    if own is not None and cut is None and (other is None or problems):
        # Options that neither knows are best explained by our own stage.
        stage, problems = build(own, entry.options)
    if stage is not None:
        problems += stage.check(before)
        problems += _missing_dimensions(stage, before)
    return stage, problems


def _cut(before: tuple[Stage, ...]) -> Stage | None:
    """The stage that has cut the cloud, if it is in parts behind ``before``."""
    cut: Stage | None = None
    for stage in before:
        if stage.host is not None and stage.host.cuts(stage):
            cut = cut or stage
        elif stage.host is not None and stage.host.joins(stage):
            cut = None
    return cut


def _foreign_options(own: type[Stage], entry: Entry) -> bool:
    """Whether ``entry`` has an option that our own stage of its type has not."""
    known = {field.alias or name for name, field in own.model_fields.items()} | own.model_fields.keys()
    known |= own.synonyms.keys()
    return bool(entry.options.keys() - known)


def _missing_dimensions(stage: Stage, before: tuple[Stage, ...]) -> list[str]:
    """What a stage before takes away that this one needs; whether the file has it, the run finds out."""
    taken: dict[str, str] = {}
    for earlier in before:
        taken |= dict.fromkeys(earlier.takes, earlier.type_name)
        # Whatever else another program may give.
        kept = taken.keys() if earlier.host is not None else earlier.gives
        taken = {name: by for name, by in taken.items() if name not in kept}
    return [
        f"needs the dimension '{name}', which {taken[name]} before it has removed; remove one of the two"
        for name in sorted(stage.needs & taken.keys())
    ]


def _order(spec: Spec, reads: bool) -> list[Problem]:
    """The rules of a linear pipeline: reader, filters, writers."""
    name = spec.origin or "the spec"
    if not spec.entries:
        return [(-1, f"{name}: has no stages; name at least one")]
    kinds = [(entry.type or "").partition(".")[0] for entry in spec.entries]
    errors: list[Problem] = []
    if reads and "readers" not in kinds and spec.entries[0].type:
        errors.append((-1, f"{name}: has no reader; begin with a file name, or give --input FILE"))
    for place, entry in enumerate(spec.entries):
        problems = [*_misplaced(kinds, place, reads), *_linear(entry, spec.entries[:place])]
        twin = next((other for other in spec.entries[:place] if entry.tag is not None and other.tag == entry.tag), None)
        if twin is not None and twin.label == entry.label:
            twin = None  # files that one pattern matches
        if twin is not None:
            problems.append(f"tag '{entry.tag}' is already that of {twin.label}; choose another")
        errors += [(place, f"{spec.where(entry)}: {problem}") for problem in problems]
    return errors


def _misplaced(kinds: list[str], place: int, reads: bool) -> list[str]:
    if kinds[place] == "writers" and any(kind != "writers" for kind in kinds[place:]):
        return ["a writer must come last; move it to the end"]
    if kinds[place] != "readers":
        return []
    if not reads:
        return ["the points are given by the caller; remove the reader"]
    return ["a reader must come first; move it to the front"] if {*kinds[:place]} - {"readers"} else []


def _linear(entry: Entry, before: tuple[Entry, ...]) -> list[str]:
    if not entry.inputs or (before and entry.inputs == (before[-1].tag,)):
        return []
    if all(_is_reader(one) for one in before) and {*entry.inputs} == {one.tag for one in before}:
        return []
    return ["'inputs' must name the stage just before: only linear pipelines are supported; remove it or reorder"]


def _is_reader(entry: Entry) -> bool:
    return (entry.type or "").startswith("readers.")


def _files(steps: list[Step]) -> list[str]:
    """A file name that no system takes; an output that would overwrite what is read or written before it."""
    last = steps[-1].stage
    if not isinstance(last, Reader | Writer):
        return []
    path = last.filename
    if last.host is not None and "filename" not in last.model_fields_set:
        return []
    if not path or "\0" in path or not _encodable(path):
        return ["option 'filename' is empty or holds a character that no file name may have; correct it"]
    if isinstance(last, Reader):
        return []
    if last.host is None and path.lower().startswith(("http://", "https://")):
        return [f"'{path}' {NO_FILES}"]
    return [problem for step in steps[:-1] for problem in _clashes(path, step.stage)]


def _clashes(path: str, earlier: Stage) -> list[str]:
    if isinstance(earlier, Writer):
        twice = f"output '{path}' is written twice; choose another output"
        return [twice] if _same(path, earlier.filename) else []
    return [
        f"output '{path}' is the {'input' if isinstance(earlier, Reader) else option} file itself; choose another "
        "output, what is read is never overwritten"
        for option in sorted(earlier.files)
        if (read := getattr(earlier, option)) is not None and _same(path, read)
    ]


def _encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _same(path: str, other: str) -> bool:
    """Whether both lead to one file, through links of either kind."""
    try:
        return os.path.realpath(path) == os.path.realpath(other) or os.path.samefile(path, other)
    except (OSError, ValueError):
        return False  # one of them does not exist, so they are two
