"""What the page of a batch tells: its tiles, where they lie and what was found in them, and what its stages did."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deburr.batch.prepare import Prepared
from deburr.pipeline.report import plain
from deburr.show.page.facts import of_stages
from deburr.show.words import length


def facts(
    prepared: Prepared, report: Mapping[str, Any], tiles: Sequence[Mapping[str, Any]], unit: str
) -> dict[str, Any]:
    """JSON values: of the ``report`` of a batch and the records of its ``tiles``."""
    written = {
        file.path: output.targets[0].path
        for output in prepared.outputs
        if len(output.files) == 1 and output.targets
        for file in prepared.job.store.files
        if file.number == output.files[0]
    }
    totals = report["totals"]
    told = f"{totals['points']:,} points in {len(tiles):,} tiles"
    if totals.get("displacement_max"):
        told += f", moved by {length(totals['displacement_max'], unit)} at most"
    failed = [f"{one['id']}: {one['error']}" for one in report["failed"]]
    rows = [_row(tile, written, prepared.job.independent) for tile in tiles]
    return dict(
        plain(
            {"headline": told, "unit": unit, "tiles": rows, **of_stages(report, unit, [*failed, *report["warnings"]])}
        )
    )


def _row(tile: Mapping[str, Any], written: Mapping[str, str], independent: bool) -> dict[str, Any]:
    alone = str(tile["files"][0]) if len(tile["files"]) == 1 else ""
    command = None
    if alone in written and not tile.get("error"):
        box = "" if independent else " --box " + ",".join(f"{edge:.10g}" for edge in tile["box"])
        command = f"pipeline view {shlex.join([alone, written[alone]])}{box}"
    return {"name": Path(str(tile["id"])).name, "points": tile["points"], "before": tile.get("noise_before"),
            "after": tile.get("noise_after"), "moved": tile.get("displacement_max"), "error": tile.get("error"),
            "box": None if independent else list(tile["box"]), "command": command}  # fmt: skip
