"""What is in a point cloud: count, bounds, density, spacing, estimated noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from deburr.core.addresses import shown
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.core.horizon import SPACING
from deburr.core.noise import EVIDENCE, MEDIAN, NOISE, SPREAD
from deburr.core.progress import advance
from deburr.core.registry import stage_class
from deburr.pipeline.execute import execute
from deburr.pipeline.plan import load
from deburr.show import words as summary

#: The stage of `denoise`, told to move no point by any way.
_LOOK = {"type": "filters.spd", "strength": 0.0}


def info(path: str) -> dict[str, Any]:
    """Read the file at ``path`` and measure it; JSON values, lengths in the file's units.

    Raises `SpecError` for an extension that no reader takes, `RunError` for a file that cannot be read or measured.
    """
    reader = load([path]).reader
    assert reader is not None, "a single file name is a reader"
    advance(f"reading {shown(path)}", 0, 0)
    return {"file": shown(path), **measure(reader.read())}


def outlined(path: str) -> dict[str, Any]:
    """What the head of the file at ``path`` tells; the figures that points tell are None. Raises as `info`."""
    reader = load([path]).reader
    assert reader is not None, "a single file name is a reader"
    told = reader.outline()
    found = measure(PointCloud(np.zeros((0, 3)), crs=told.crs))
    found |= {"points": told.extent.count, "points_left_out": 0}
    found["unit"] = crs.short(told.units) if told.units else found["unit"]
    found["dimensions"] = {name: str(kind.base) for name, kind in (told.kinds or {}).items()}
    if told.extent.count:
        found["bounds"] = {"min": told.extent.low.tolist(), "max": told.extent.high.tolist()}
    return {"file": shown(path), **found}


def measure(cloud: PointCloud) -> dict[str, Any]:
    """The figures of ``info``, of a cloud in memory.

    Spacing, noise and warnings are what `denoise` says of the cloud: the same stage finds them, and moves nothing.
    Density is that of the occupied cells, five spacings wide, of a grid over x and y: an outline's empty corners and
    courtyards do not thin it.
    """
    found: dict[str, Any] = {
        "points": len(cloud),
        "points_left_out": int(len(cloud) - cloud.active.sum()),
        "crs": crs.name(cloud.crs, crs.length_unit(cloud)),
        "unit": crs.length_unit(cloud),
        "height_unit": crs.height_unit(cloud),
        "dimensions": {name: str(column.dtype) for name, column in cloud.dims.items()},
        "bounds": None,
        "spacing": None,
        "density_per_square_unit": None,
        "estimated_noise": None,
        "warnings": [warning for record in cloud.history for warning in record.warnings],
    }
    if cloud.history:
        found["reader"] = {"type": cloud.history[0].stage, **cloud.history[0].figures}
    there = cloud.located
    if not there.all():
        found["points_without_coordinates"] = int((~there).sum())
    if not there.any():
        return found
    low, high = cloud.extent.low, cloud.extent.high
    found["bounds"] = {"min": low.tolist(), "max": high.tolist()}
    told = execute(load([_LOOK], reads=False), cloud).report["stages"][0]
    figures = told["figures"]
    found["warnings"] += [f"{_LOOK['type']}: {warning}" for warning in told["warnings"]]
    found["spacing"] = figures.get(SPACING)
    if found["spacing"]:
        found["density_per_square_unit"] = _density(cloud.xyz[cloud.active], found["spacing"])
        found["estimated_noise"] = figures[NOISE]
        found |= {name: figures[name] for name in (MEDIAN, *SPREAD, EVIDENCE) if name in figures}
    return found


def _density(points: Floats, spacing: float) -> float:
    """How many of ``points`` (N, 3) lie on a square unit."""
    cells = np.floor((points[:, :2] - points[:, :2].min(axis=0)) / (5 * spacing)).astype(np.int64)
    return float(len(points) / (len(np.unique(cells, axis=0)) * (5 * spacing) ** 2))


#: ``points per square unit``; symbols such as m have no plural.
_SINGULAR = {"units": "unit", "degrees": "degree"}


def _place(value: float, fine: float) -> str:
    """A coordinate with three decimals, or as many as show at least a tenth of ``fine``."""
    decimals = max(3, 1 - math.floor(math.log10(fine)))
    if decimals > 12 or abs(value) >= 1e15:
        return f"{value:.6g}"
    text = f"{value:,.{decimals}f}"
    return text if text.strip("-0.") else text.lstrip("-")  # what rounds to nothing has no sign


def table(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of the human table."""
    unit = found["unit"]

    def length(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g} {unit}"

    rows = [("file", found.get("file", "-")), ("points", f"{found['points']:,}"), ("CRS", found["crs"])]
    if found["points_left_out"]:
        rows.append(("of them left out", f"{found['points_left_out']:,} (noise, withheld, or without coordinates)"))
    if "reader" in found:
        rows += stage_class(found["reader"]["type"]).summary(found["reader"], unit) or []
    fine = found["spacing"] or 1.0
    units = {"x": unit, "y": unit, "z": found["height_unit"]}
    for axis, place in zip("xyz", range(3), strict=True):
        if found["bounds"] is not None:
            low, high = found["bounds"]["min"][place], found["bounds"]["max"][place]
            rows.append(
                (axis, f"{_place(low, fine)} to {_place(high, fine)}  ({_place(high - low, fine)} {units[axis]})")
            )
    density = found["density_per_square_unit"]
    return [
        *rows,
        ("spacing", length(found["spacing"])),
        ("density", "-" if density is None else f"{density:.4g} points per square {_SINGULAR.get(unit, unit)}"),
        ("estimated noise", summary.noise({**found, NOISE: found["estimated_noise"]}, unit)),
        *([(EVIDENCE, summary.evidence(found))] if EVIDENCE in found else []),
        ("dimensions", ", ".join(found["dimensions"]) or "none"),
    ]
