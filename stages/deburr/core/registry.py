"""Finds stages: the JSON type is the module. Third parties add theirs by the entry point group ``deburr.stages``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from deburr.core.errors import SpecError, did_you_mean
from deburr.core.stage import Stage

_KINDS = ("readers", "filters", "writers")


@cache
def _own() -> tuple[str, ...]:
    names: list[str] = []
    for kind in _KINDS:
        package = importlib.import_module(f"deburr.{kind}")
        found = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
        names += [f"{kind}.{name}" for name in found]
    return tuple(names)


@cache
def _foreign() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="deburr.stages") if point.name not in _own()}


def stage_types() -> tuple[str, ...]:
    """Every stage type there is: readers, filters, writers, then third parties'. Imports no stage."""
    return (*_own(), *sorted(_foreign()))


@cache
def stage_class(type_name: str) -> type[Stage]:
    """The class behind a JSON type. Raises `SpecError` for one that does not exist."""
    if type_name in _foreign():
        loaded: type[Stage] = _foreign()[type_name].load()
        return loaded
    if type_name not in _own():
        raise SpecError(f"unknown stage type '{type_name}'{did_you_mean(type_name, stage_types())}")
    module = importlib.import_module(f"deburr.{type_name}")
    for member in vars(module).values():
        if isinstance(member, type) and issubclass(member, Stage) and vars(member).get("type_name") == type_name:
            return member
    raise SpecError(f"module deburr.{type_name} defines no stage of type_name '{type_name}'")
