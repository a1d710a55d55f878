"""One stage's figures over many tiles, made of what it noted in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deburr.core.cloud import Record
from deburr.core.stage import Filter, Stage
from deburr.core.sums import Sum, from_json, merge, to_json


def packed(records: Sequence[Record]) -> dict[str, Any]:
    """What a stage noted in the attempts at one tile, as JSON values that `merged` takes."""
    figures = _added([record.figures for record in records], set())
    warnings = list(dict.fromkeys(warning for record in records for warning in record.warnings))
    sums = to_json(merge([record.sums for record in records if record.sums]))
    return {"figures": figures, "warnings": warnings, "sums": sums}


def noted(tiles: Sequence[Mapping[str, Any]]) -> dict[str, Sum]:
    """The sums that a stage noted in all tiles, each given as `packed`, together."""
    return merge([from_json(tile["sums"]) for tile in tiles if tile["sums"]])


def merged(stage: Stage, tiles: Sequence[Mapping[str, Any]], one: bool = True) -> tuple[dict[str, Any], list[str]]:
    """Figures and warnings of ``stage`` over all tiles, each given as `packed`; ``one``: they are tiles of one cloud.

    Of several, a figure that is neither counted nor summed is only told where it is the same in all.
    """
    parts, options = [tile["figures"] for tile in tiles], set(type(stage).model_fields)
    figures = _added(parts, options)
    if not one:
        differ = {name for name, value in figures.items() if any(part.get(name) != value for part in parts)}
        figures = {k: v for k, v in figures.items() if k not in differ or _adds_up(k, v, options)}
    warnings = list(dict.fromkeys(warning for tile in tiles for warning in tile["warnings"]))
    sums = noted(tiles)
    if not isinstance(stage, Filter):
        return figures, warnings
    if sums:
        figures |= stage.figures(sums)
    return figures, [*warnings, *stage.doubts(figures)]


def _added(parts: Sequence[Mapping[str, Any]], options: set[str]) -> dict[str, Any]:
    """Whole numbers are counts and add up, unless they repeat an option; of ``*_max`` the largest; else the first."""
    found: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            before = found.get(name)
            if before is None:
                found[name] = value
            elif value is not None and _adds_up(name, value, options):
                found[name] = max(before, value) if name.endswith("_max") else before + value
    return found


def _adds_up(name: str, value: Any, options: set[str]) -> bool:
    """Whether parts' figures of this name make one of the whole."""
    return name.endswith("_max") or (type(value) is int and _is_count(name, options))


def _is_count(name: str, options: set[str]) -> bool:
    return name not in options and name not in ("steps", "neighbors", "seed", "size", "class")
