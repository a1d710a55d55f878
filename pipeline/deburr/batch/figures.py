"""One stage's figures over many tiles, made of what it noted in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deburr.core import figure
from deburr.core.cloud import Record
from deburr.core.errors import RunError
from deburr.core.stage import Filter
from deburr.core.sums import Sum, from_json, merge, to_json


def packed(stage: Filter, records: Sequence[Record]) -> dict[str, Any]:
    """What ``stage`` noted in the attempts at one tile, as JSON values that `merged` takes.

    Raises `RunError` for a figure of which the stage does not say how those of tiles make one of the whole.
    """
    figures, unknown = figure.merged([record.figures for record in records], stage.reports)
    if unknown:
        raise RunError(
            f"{stage.type_name}: notes '{unknown[0]}', and does not say how it is merged over tiles; declare it in "
            "'reports' of the stage, or run the files one by one with 'pipeline run'"
        )
    warnings = list(dict.fromkeys(warning for record in records for warning in record.warnings))
    sums = to_json(merge([record.sums for record in records if record.sums]))
    return {"figures": figures, "warnings": warnings, "sums": sums}


def noted(tiles: Sequence[Mapping[str, Any]]) -> dict[str, Sum]:
    """The sums that a stage noted in all tiles, each given as `packed`, together."""
    return merge([from_json(tile["sums"]) for tile in tiles if tile["sums"]])


def merged(stage: Filter, tiles: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Figures and warnings of ``stage`` over all tiles, be they of one cloud or of several; each given as `packed`."""
    figures, _ = figure.merged([tile["figures"] for tile in tiles], stage.reports)
    warnings = list(dict.fromkeys(warning for tile in tiles for warning in tile["warnings"]))
    sums = noted(tiles)
    figures |= stage.figures(sums) if sums else {}
    return figures, [*warnings, *stage.doubts(figures)]
