"""Puts the denoiser into a PDAL pipeline: after noise is classified, before anything is computed from the surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from deburr.core import text
from deburr.core.errors import SpecError
from deburr.pipeline.spec import Entry, Source, decode, taken_apart
from deburr.plugins.pdal import preset
from deburr.plugins.pdal.convert import flow as _flow
from deburr.plugins.pdal.convert.flow import Flow
from deburr.plugins.pdal.convert.roles import Role, in_degrees, roles

Runner = Literal["pdal", "deburr"]


@dataclass(frozen=True)
class Converted:
    """A pipeline with the denoiser: its JSON value, why it stands where it stands, and whether anything changed."""

    value: Any
    reasons: tuple[str, ...]
    changed: bool = True


def convert(source: Source, options: Mapping[str, Any], runner: Runner = "pdal") -> Converted:
    """The pipeline in ``source``, one that PDAL runs, with the denoiser at its best place; all else stays as it is.

    Parameters
    ----------
    source : path, JSON text, list or mapping
        The pipeline.
    options : mapping
        Those of filters.spd, for the denoiser.
    runner : 'pdal' or 'deburr'
        Whether `pdal pipeline` is to run the result (filters.python) or `pipeline run` (filters.spd).

    Raises
    ------
    SpecError
        For JSON that is none, wrong options, or a pipeline without a place through which all points pass.
    """
    new = stage(options, runner)
    origin, value = decode(source)
    stages = value.get("pipeline", value) if isinstance(value, Mapping) else value
    theirs = _understood(origin, stages)
    there = next((i for i, role in enumerate(theirs.roles) if role.kind == "denoise"), None)
    if there is not None:
        return Converted(value, (f"{theirs.label(there)} is the denoiser already; nothing is changed",), False)
    place = _place(theirs)
    result = _inserted(list(stages), theirs, place, new)
    reasons = (_reason(theirs, place), *_notes(theirs, place, new, runner))
    return Converted({**value, "pipeline": result} if isinstance(value, Mapping) else result, reasons)


@dataclass(frozen=True)
class _Theirs:
    """A pipeline of PDAL's, understood: of each stage its entry, type and role; and how points flow."""

    name: str
    entries: tuple[Entry, ...]
    types: list[str]
    roles: list[Role]
    flow: Flow

    def label(self, place: int) -> str:
        kind = self.types[place]
        shown = {"readers.": "a file that is read", "writers.": "a file that is written"}.get(kind, kind)
        return f"stage {place + 1} ({shown})"


def _understood(origin: str, stages: Any) -> _Theirs:
    name = origin or "the pipeline"
    entries = tuple(_with_file(entry, Path(origin).parent) for entry in taken_apart(name, stages).entries)
    if not entries:
        raise SpecError(f"{name}: has no stages; name at least a file to read")
    types = [_type(entry, place, len(entries)) for place, entry in enumerate(entries)]
    return _Theirs(name, entries, types, roles(entries, types), _flow.of(name, entries, types))


def as_text(value: Any) -> str:
    """The JSON of a pipeline, as a file."""
    return text.as_json(value) + "\n"


def stage(options: Mapping[str, Any], runner: Runner) -> dict[str, Any]:
    """The denoiser as a stage for ``runner``. Raises `SpecError`."""
    if runner == "deburr":
        return {"type": "filters.spd", **preset.checked("filters.spd", options)}
    return {"type": "filters.python", **preset.options("denoise", options)}


def _type(entry: Entry, place: int, count: int) -> str:
    """The type, as far as PDAL needs one: of a mere file name, whether it is read or written."""
    if entry.type:
        return entry.type
    if entry.bare.startswith("filters."):
        return entry.bare
    return "writers." if 0 < place == count - 1 else "readers."


def _with_file(entry: Entry, folder: Path) -> Entry:
    """The stage with the options that its file of options has, if that is JSON; looked for here and in ``folder``."""
    name = entry.options.get("option_file")
    files = [Path(name), folder / name] if isinstance(name, str) else []
    for file in files:
        if file.is_file():
            with file.open("rb") as opened:
                is_json = opened.read(100).lstrip()[:1] == b"{"
            told = decode(str(file))[1] if is_json else {}
            return replace(entry, options={**told, **entry.options})
    return entry


def _place(theirs: _Theirs) -> int:
    """How many stages stand before the denoiser."""
    doing, count = theirs.roles, len(theirs.roles)
    read = max((i + 1 for i, role in enumerate(doing) if role.kind == "read"), default=0)
    limit = next((i for i, role in enumerate(doing) if role.kind == "late"), count)
    # Files that are written last are what it is all for; those written on the way are copies of what was there.
    last = max((i + 1 for i, role in enumerate(doing) if role.kind != "write"), default=0)
    limit = min(limit, last)
    wanted = max((i + 1 for i in range(limit) if doing[i].kind in ("read", "noise") or _matters(doing[i])), default=0)
    while wanted < limit and doing[wanted].kind == "early":
        wanted += 1
    good = [place for place in range(read, limit + 1) if theirs.flow.passes_all(place)]
    if not good:
        late = f", and {theirs.label(limit)} must come after it" if limit < count and limit < last else ""
        raise SpecError(
            f"{theirs.name}: there is no place where all points pass one after another{late}; "
            "put filters.spd or filters.python into each branch by hand"
        )
    return min(good, key=lambda place: (abs(place - wanted), place))


def _matters(role: Role) -> bool:
    return role.kind == "early" and bool(role.does)


def _inserted(stages: list[Any], theirs: _Theirs, place: int, new: dict[str, Any]) -> list[Any]:
    """The stages with ``new`` in front of number ``place``, and its name where the one before was named."""
    entries = theirs.entries
    sources, takers = theirs.flow.across(place)
    named = [i for i in takers if entries[i].inputs]
    if set(sources) != set(theirs.flow.waiting[place]):
        new = {**new, "inputs": [entries[i].tag for i in sources]}
    if named:
        tag = _free_tag({entry.tag for entry in entries})
        new = {"type": new["type"], "tag": tag, **new}
        tags = {entries[i].tag for i in sources}
        for i in named:
            inputs = list(dict.fromkeys(tag if name in tags else name for name in entries[i].inputs))
            stages[i] = {**stages[i], "inputs": inputs if len(inputs) > 1 else inputs[0]}
    return [*stages[:place], new, *stages[place:]]


def _free_tag(taken: set[str | None]) -> str:
    tag, number = "denoised", 1
    while tag in taken:
        number += 1
        tag = f"denoised{number}"
    return tag


def _reason(theirs: _Theirs, place: int) -> str:
    """`between stage 2 (filters.outlier) and stage 3 (filters.smrf): after noise ..., before the ground is found`."""
    doing = theirs.roles
    before = doing[:place]
    past = list(dict.fromkeys(role.does for role in before if role.kind == "noise" or _matters(role)))
    after = " and ".join(past) or "the points are read"
    if place == 0:
        where, why = f"before {theirs.label(0)}", []
    elif place == len(doing):
        where, why = f"after {theirs.label(place - 1)}", [f"after {after}"]
    else:
        where, why = f"between {theirs.label(place - 1)} and {theirs.label(place)}", [f"after {after}"]
    ahead = next((role.does for role in doing[place:] if role.kind == "late"), None)
    if ahead is None:
        ahead = "what follows may need clean points" if place < len(doing) and doing[place].kind == "unknown" else None
        ahead = ahead or ("the points are written" if any(role.kind == "write" for role in doing[place:]) else None)
    return f"{where}: {', '.join([*why, *([f'before {ahead}'] if ahead else [])])}"


def _notes(theirs: _Theirs, place: int, new: Mapping[str, Any], runner: Runner) -> list[str]:
    """What its user should know besides, one sentence each."""
    doing = theirs.roles
    notes = []
    late = next((i for i in range(place, len(doing)) if doing[i].finds_noise), None)
    if late is not None and not any(role.finds_noise for role in doing[:place]):
        notes.append(
            f"{theirs.label(late)} tells noise from surface too late: the denoiser takes all points for surface that "
            f"are not marked by then; move that stage before {theirs.label(place)}"
        )
    copies = [i for i in range(place) if doing[i].kind == "write"]
    if copies:
        notes.append(f"{theirs.label(copies[0])} writes the points as they were")
    sources = [theirs.entries[i] for i in theirs.flow.across(place)[0] if doing[i].kind == "read"]
    if len(sources) > 1:
        notes.append(
            "each file is denoised without its neighbours: a filters.merge before it lets it see across borders"
        )
    srs = [entry.options.get(key) for entry in sources for key in ("default_srs", "override_srs", "spatialreference")]
    if any(map(in_degrees, srs)):
        notes.append("x and y are in degrees there, in which no distance means anything: project the points before it")
    added = new.get("add_dimension") or ",".join(preset.dimensions(new))
    if added:
        notes.append(f'writers.las keeps the new dimensions with its option "extra_dims": "{added}"')
    if runner == "deburr" and not theirs.flow.linear:
        notes.append("'pipeline run' takes pipelines without branches and with one reader; let PDAL run this one")
    return notes
