"""Gives every entry of a spec its type: by name, by place and extension, by ``--input`` and ``--output``; overrides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, TypeGuard

from deburr.core.errors import SpecError, did_you_mean
from deburr.core.files import is_pattern, matching
from deburr.core.registry import by_extension, extensions, hosted, hosts, stage_types, why_unknown
from deburr.pipeline.spec import Entry, Spec, show

#: Extensions that are not themselves the name of a reader or writer.
_TYPE = re.compile(r"(readers|filters|writers)\.\w+")


#: The place of an entry (-1: none in particular) and what is wrong with it; errors are listed in this order.
Problem = tuple[int, str]


@dataclass(frozen=True)
class Override:
    """``--filters.spd.noise=0.03``: ``target`` is a type or ``stage.TAG``."""

    target: str
    option: str
    value: Any

    @classmethod
    def from_name(cls, name: str, value: Any) -> Override:
        target, _, option = name.rpartition(".")
        return cls(target, option, _literal(value) if isinstance(value, str) else value)


def as_overrides(given: Mapping[str, Any] | Iterable[Override]) -> list[Override]:
    """Overrides that are given as a mapping of names to values, or ready. Raises `SpecError`."""
    if isinstance(given, Mapping):
        return [Override.from_name(name, value) for name, value in given.items()]
    changes = list(given)
    if not all(isinstance(change, Override) for change in changes):
        raise SpecError("overrides: must be a mapping such as {'filters.spd.strength': 0.5}; give one")
    return changes


def _literal(text: str) -> Any:
    """Lists, objects and null are JSON; numbers stay text, which every option of numbers reads (a name may be `1`)."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if value is None or isinstance(value, list | dict) else text


def resolve(
    spec: Spec, input: str | None, output: str | None, overrides: Sequence[Override], reads: bool = True
) -> tuple[Spec, list[Problem]]:
    """The spec with a type on every entry that has one, and the problems met, one sentence each.

    Without ``reads`` the points are the caller's: a pipeline that is one file name writes it.
    """
    entries = list(spec.entries)
    if input is not None:
        front = _front(entries)
        if front:
            entries[:front] = [_renamed(entries[0], input)]
        else:
            entries.insert(0, Entry("--input", bare=input))
    if output is not None:
        if len(entries) > 1 and _kind(entries[-1], last=True) == "writers":
            entries[-1] = _renamed(entries[-1], output)
        else:
            entries.append(Entry("--output", bare=output))
    alone = not reads and len(entries) == 1
    front = 0 if alone else _front(entries)
    errors: list[Problem] = []
    typed = []
    for place, entry in enumerate(entries):
        last = alone or 0 < place == len(entries) - 1
        # Of a pattern, the files that it matches tell the type.
        for one in _matching(entry) if place < front and entry.type is None else [entry]:
            found, problem = _typed(one, first=place < front, last=last)
            typed.append(found)
            errors += [(place, f"{spec.where(found)}: {problem}")] if problem else []
    typed, problems = _overridden(typed, overrides)
    # An option may have been given a pattern on the command line.
    typed = [one for entry in typed for one in (_matching(entry) if _kind(entry) == "readers" else [entry])]
    for place, entry in enumerate(typed):
        if _kind(entry) == "readers" and _is_pattern(name := entry.options.get("filename")):
            problems.append((place, f"{spec.where(entry)}: '{name}' matches no file; check the pattern"))
    return Spec(spec.origin, tuple(typed)), errors + problems


def _front(entries: Sequence[Entry]) -> int:
    """How many of the ``entries`` are readers that the pipeline begins with: all files in front, but for the last
    entry, which is written, if it is a mere file."""
    for place, entry in enumerate(entries):
        # Behind the first, a word without an extension is meant for a stage.
        first = place == 0 or (place < len(entries) - 1 and (not entry.bare or "." in entry.bare))
        if _kind(entry, first=first) != "readers":
            return place
    return len(entries)


def _is_pattern(name: Any) -> TypeGuard[str]:
    """Whether ``name`` is neither an address nor the name of a file, but a pattern of such names."""
    return isinstance(name, str) and "://" not in name and is_pattern(name)


def _matching(entry: Entry) -> list[Entry]:
    """The reader ``entry`` for each of the files that its name, a pattern, matches, by name; as it is where it is the
    name of a file, or matches none."""
    name = entry.bare or entry.options.get("filename")
    if not _is_pattern(name):
        return [entry]
    return [_renamed(entry, path) for path in matching(name)] or [entry]


def _renamed(entry: Entry, filename: str) -> Entry:
    """The reader or writer with another file; one that its extension chose is chosen anew."""
    if entry.type is None and entry.bare and not _is_type(entry.bare):
        return replace(entry, bare=filename)
    kind = entry.type or entry.bare or None
    return replace(entry, type=kind, bare="", options={**entry.options, "filename": filename})


def _is_type(text: str) -> bool:
    return text in stage_types() or _TYPE.fullmatch(text) is not None


def _kind(entry: Entry, first: bool = False, last: bool = False) -> str:
    """``readers``, ``filters``, ``writers``, or empty where the entry says too little."""
    name = entry.type or (entry.bare if _is_type(entry.bare) else "")
    if name:
        return name.partition(".")[0]
    is_file = bool(entry.bare) or "filename" in entry.options
    return "readers" if is_file and first else "writers" if is_file and last else ""


def _typed(entry: Entry, first: bool, last: bool) -> tuple[Entry, str]:
    """The entry with its type, or the reason why it has none."""
    if entry.type is not None:
        return entry, ""
    if entry.bare in stage_types() or (_is_type(entry.bare) and hosted(entry.bare) is not None):
        return replace(entry, type=entry.bare, bare=""), ""
    filename = entry.bare or entry.options.get("filename")
    if filename is None:
        return entry, "has no 'type'; name one of those that 'pipeline stages' lists"
    if not isinstance(filename, str):
        return entry, f"option 'filename' must be text, not {show(filename)}"
    kind_ = _kind(entry, first, last)
    if not _is_type(entry.bare):
        kind = by_extension(kind_, filename) or _elsewhere(kind_, filename, first or last)
        if kind is not None:
            return replace(entry, type=kind, bare="", options={**entry.options, "filename": filename}), ""
        if other := _other_way(kind_, filename):
            return entry, other
    return entry, _why_untyped(filename, first or last)


def _other_way(kind: str, filename: str) -> str:
    """Why no stage of this ``kind`` (readers, writers) is for a file that only the other can have; else empty."""
    other = by_extension({"readers": "writers", "writers": "readers"}.get(kind, ""), filename)
    if other is None:
        return ""
    verb, theirs = ("reads", "writes") if kind == "readers" else ("writes", "reads")
    known = ", ".join(sorted(extensions(kind)))
    return (
        f"no stage {verb} files of extension '{PurePath(filename).suffix}', which {other} {theirs}; give one of "
        f"another extension ({known}), or name a {kind[:-1]} by its 'type'"
    )


def _elsewhere(kind: str, filename: str, at_end: bool) -> str | None:
    """The type of the reader or writer (``kind``) that another program has for such a file."""
    extension = PurePath(filename).suffix.lower().removeprefix(".")
    found = (host.by_extension(kind, extension) for host in hosts() if at_end and extension)
    return next((type_name for type_name in found if type_name is not None), None)


def _why_untyped(name: str, at_end: bool) -> str:
    if _is_type(name) or did_you_mean(name, stage_types()) or (not at_end and "." not in name):
        return why_unknown(name)
    if not at_end:
        return f"'{name}' is no stage type; a file name may stand first, to be read, or last, to be written"
    known = sorted({*extensions("readers"), *extensions("writers")})
    return f"'{name}' has no extension that is known ({', '.join(known)}); rename the file, or give its 'type'"


def _overridden(entries: list[Entry], overrides: Sequence[Override]) -> tuple[list[Entry], list[Problem]]:
    errors: list[Problem] = []
    for change in overrides:
        name = f"--{change.target}.{change.option}"
        hits = [i for i, entry in enumerate(entries) if change.target in (entry.type, f"stage.{entry.tag}")]
        if not hits:
            known = dict.fromkeys(entry.type for entry in entries if entry.type)
            known |= dict.fromkeys(f"stage.{entry.tag}" for entry in entries if entry.tag)
            hint = did_you_mean(change.target, known) or f"; it has {', '.join(known) or 'none'}"
            errors.append((-1, f"{name}: the pipeline has no stage '{change.target}'{hint}"))
        for i in hits:
            options: Mapping[str, Any] = {**entries[i].options, change.option: change.value}
            entries[i] = replace(entries[i], options=options)
    return entries, errors
