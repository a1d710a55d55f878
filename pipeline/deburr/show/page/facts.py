"""What stands beside the points: what was done and what came of it, in words, numbers and two small pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.show.page.scene import FRAMES, upwards
from deburr.show.section import choose
from deburr.show.sight import drawable
from deburr.show.words import headline, lines, moved_words

#: Bars of the histogram of movements; cells of the map along its longer side, at most, and points in one on average.
_BARS, _CELLS, _POINTS = 40, 96, 25
#: Characters of a pipeline that are shown, at most.
_SPEC = 20_000


def of_run(report: Mapping[str, Any], cloud: PointCloud) -> dict[str, Any]:
    """JSON values: of the report of a run and the cloud that it left."""
    return {**of_stages(report, crs.length_unit(cloud)), **of_cloud(cloud)}


def of_stages(report: Mapping[str, Any], unit: str, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """What each stage of a ``report`` did, the pipeline as it ran, and what is to be warned of besides."""
    stages = [
        {"name": stage["type"], "lines": lines(stage, unit), "warnings": list(stage["warnings"])}
        for stage in report["stages"]
    ]
    text = json.dumps(report["spec"], indent=2, ensure_ascii=False)
    spec = text if len(text) <= _SPEC else text[:_SPEC] + "\n..."
    told = [stage for stage in stages if stage["lines"] or stage["warnings"]]
    return {"stages": told, "warnings": list(warnings), "spec": spec}


def of_cloud(cloud: PointCloud) -> dict[str, Any]:
    """Of a cloud alone: one line, the unit of its lengths, how far points moved and where, where to cut it."""
    unit = crs.length_unit(cloud)
    there = drawable(cloud)
    before, after = cloud.original[there], cloud.xyz[there]
    away = np.linalg.norm(after - before, axis=1)
    found: dict[str, Any] = {"headline": headline(cloud.select(there), unit), "unit": unit}
    if len(before):
        found["up"] = upwards(before)
        frame = FRAMES[found["up"]]
        active = cloud.active[there] if cloud.active[there].any() else np.ones(len(before), np.bool_)
        section = choose(before[active] @ frame.T, after[active] @ frame.T)
        found["section"] = {"center": (section.center @ frame).tolist(), "along": (section.along @ frame).tolist(),
                            "width": section.width, "thickness": section.thickness}  # fmt: skip
        if (away > 0).any():
            found |= {"moved": _histogram(away, unit), "map": _map(before @ frame.T, away)}
    return found


def _histogram(away: Floats, unit: str) -> dict[str, Any]:
    """How many points moved how far: up to what 99.5 % stay below, and how many go further."""
    moved = away[away > 0]
    most = float(np.quantile(moved, 0.995))
    counts, edges = np.histogram(moved, _BARS, (0.0, most))
    median, p95 = (float(one) for one in np.quantile(moved, [0.5, 0.95]))
    return {"counts": counts.tolist(), "most": float(edges[-1]), "further": int((moved > most).sum()),
            "still": int((away == 0).sum()), "words": moved_words(median, p95, float(moved.max()), unit)}  # fmt: skip


def _map(before: Floats, away: Floats) -> dict[str, Any]:
    """How far points moved by place in plan, on average: cells row by row from the nearest; None where none lies.

    ``before`` (N, 3): to the right, ahead, up.
    """
    low, high = before[:, :2].min(axis=0), before[:, :2].max(axis=0)
    cells = np.clip(np.sqrt(len(before) / _POINTS), 1, _CELLS)
    side = max(float((high - low).max()) / cells, 1e-300)
    columns, rows = (np.maximum(np.ceil((high - low) / side), 1)).astype(int).tolist()
    column, row = np.minimum(((before[:, :2] - low) / side).astype(np.int64), [columns - 1, rows - 1]).T
    number = row * columns + column
    counts = np.bincount(number, minlength=columns * rows)
    sums = np.bincount(number, away, minlength=columns * rows)
    means: Sequence[float | None] = [
        None if not count else float(f"{total / count:.3g}") for count, total in zip(counts, sums, strict=True)
    ]
    return {"low": low.tolist(), "side": side, "columns": columns, "rows": rows, "means": list(means)}
