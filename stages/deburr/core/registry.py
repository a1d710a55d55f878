"""Finds stages: the JSON type is the module. Third parties add theirs by the entry point group ``deburr.stages``, and
programs that run stages of their own by the group ``deburr.hosts``."""

from __future__ import annotations

import importlib
import os
import pkgutil
from difflib import get_close_matches
from functools import cache
from pathlib import PurePath
from typing import Any

from deburr.core.addresses import shown
from deburr.core.entries import Entries, Point
from deburr.core.errors import SpecError, did_you_mean
from deburr.core.host import Host
from deburr.core.interrupts import whole_import
from deburr.core.stage import Filter, Reader, Stage, Writer

_KINDS: dict[str, type[Stage]] = {"readers": Reader, "filters": Filter, "writers": Writer}


@cache
def _own() -> tuple[str, ...]:
    names: list[str] = []
    for kind in _KINDS:
        package = importlib.import_module(f"deburr.{kind}")
        found = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
        names += [f"{kind}.{name}" for name in found]
    return tuple(names)


def _fault(point: Point, found: Any) -> str | None:
    """What is wrong with a stage of another package."""
    kind = point.name.partition(".")[0]
    base = _KINDS.get(kind)
    if base is None or not (isinstance(found, type) and issubclass(found, base)):
        return (
            f"is no class of a {kind.removesuffix('s')}; its name begins with readers, filters or writers, and it "
            "derives from Reader, Filter or Writer of deburr.core.stage"
        )
    return None if vars(found).get("type_name") == point.name else "has another type_name; give it its entry point's"


_STAGES = Entries[type[Stage]]("deburr.stages", "stage", _own, _fault)
_HOSTS = Entries[Host]("deburr.hosts", "host")


def broken() -> list[str]:
    """What other packages have registered and cannot be used, one sentence each. Loads all that they have."""
    return [*_STAGES.broken(), *_HOSTS.broken()]


def stage_types() -> tuple[str, ...]:
    """Every stage type of deburr's own: readers, filters, writers, then third parties'. Imports no stage."""
    return (*_own(), *_STAGES.names)


def hosts() -> tuple[Host, ...]:
    """The programs that may run stages which are not deburr's own, whether or not they are there."""
    return tuple(_HOSTS.sound().values())


@cache
def extensions(kind: str) -> dict[str, str]:
    """The type of the reader or writer (``kind``: readers, writers) for files of each extension, lower case, without
    its dot. Deburr's own come first; stages that cannot be loaded have none."""
    found: dict[str, str] = {}
    for type_name in stage_types():
        if type_name.startswith(f"{kind}."):
            try:
                stage = stage_class(type_name)
            except SpecError:
                continue
            for extension in stage.extensions:
                found.setdefault(extension, type_name)
    return found


def by_extension(kind: str, path: str | os.PathLike[str]) -> str | None:
    """The type of the reader or writer for a file of this name; None if there is none. Of an extension and a longer
    one that ends with it, as ``copc.laz``, the longer counts."""
    known, last = extensions(kind), PurePath(shown(os.fspath(path)))
    longer = "".join(last.suffixes[-2:]).lower().removeprefix(".")
    return known.get(longer) or known.get(last.suffix.lower().removeprefix("."))


def hosted(type_name: str) -> type[Stage] | None:
    """The class of a stage that the first host which has it would run; None if none has it."""
    return next((found for host in hosts() if (found := host.stage_class(type_name)) is not None), None)


def stage_class(type_name: str) -> type[Stage]:
    """The class behind a JSON type. Raises `SpecError` for one that does not exist."""
    if type_name in _own():
        return _own_class(type_name)
    if type_name in _STAGES.names:
        return _STAGES.get(type_name)
    # Which host is there may change, and each remembers its own.
    if (found := hosted(type_name)) is not None:
        return found
    raise SpecError(why_unknown(type_name))


@cache
def _own_class(type_name: str) -> type[Stage]:
    module = whole_import(f"deburr.{type_name}")
    for member in vars(module).values():
        if isinstance(member, type) and issubclass(member, Stage) and vars(member).get("type_name") == type_name:
            return member
    raise SpecError(f"module deburr.{type_name} defines no stage of type_name '{type_name}'")


def why_unknown(type_name: str) -> str:
    """Why there is no stage of this type, and what to do."""
    for host in hosts():
        if host.version() is None and type_name in host.types():
            return f"'{type_name}' is a stage of {host.name}, {host.remedy()}"
    # What all filters have in common makes none of them near.
    kind, _, name = type_name.rpartition(".")
    known = {*stage_types(), *(one for host in hosts() if host.version() is not None for one in host.types())}
    names = {one.rpartition(".")[2]: one for one in sorted(known) if not kind or one.startswith(f"{kind}.")}
    if kind:
        hint = did_you_mean(name, names) and did_you_mean(type_name, names.values())
    else:
        # Of a bare name, that of a filter is meant, if there are a filter and others.
        names |= {one.rpartition(".")[2]: one for one in sorted(known) if one.startswith("filters.")}
        near = get_close_matches(name, sorted(names), n=1, cutoff=0.6)
        hint = f"; did you mean '{names[near[0]]}'?" if near else ""
    return f"unknown stage type '{type_name}'{hint or _LIST}"


_LIST = "; 'pipeline stages' lists all types"
