"""What is in a point cloud: count, bounds, density, spacing, estimated noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from deburr.core.cloud import Floats, PointCloud
from deburr.core.neighbors import cloud_spacing
from deburr.core.progress import advance
from deburr.pipeline import crs
from deburr.pipeline.plan import load


def info(path: str) -> dict[str, Any]:
    """Read the file at ``path`` and measure it; JSON values, lengths in the file's units.

    Raises `SpecError` for an extension that no reader takes, `ReadError` for a file that cannot be read.
    """
    reader = load([path]).reader
    assert reader is not None, "a single file name is a reader"
    advance(f"reading {path}", 0, 0)
    return {"file": path, **measure(reader.read())}


def measure(cloud: PointCloud) -> dict[str, Any]:
    """The figures of ``info``, of a cloud in memory.

    Density is that of the occupied cells, five spacings wide, of a grid over x and y: an outline's empty corners and
    courtyards do not thin it.
    """
    found: dict[str, Any] = {
        "points": len(cloud),
        "points_left_out": int(len(cloud) - cloud.active.sum()),
        "crs": crs.name(cloud.crs),
        "unit": crs.length_unit(cloud),
        "dimensions": {name: str(column.dtype) for name, column in cloud.dims.items()},
        "bounds": None,
        "spacing": None,
        "density_per_square_unit": None,
        "estimated_noise": None,
    }
    if not len(cloud):
        return found
    low, high = cloud.xyz.min(axis=0), cloud.xyz.max(axis=0)
    found["bounds"] = {"min": low.tolist(), "max": high.tolist()}
    points = cloud.xyz[cloud.active]
    advance("measuring the spacing", 0, 0)
    spacing = cloud_spacing(points)
    if spacing > 0:
        found["spacing"] = spacing
        cells = np.floor((points[:, :2] - low[:2]) / (5 * spacing)).astype(np.int64)
        occupied = len(np.unique(cells, axis=0))
        found["density_per_square_unit"] = len(points) / (occupied * (5 * spacing) ** 2)
        advance("estimating the noise", 0, 0)
        found["estimated_noise"] = _noise(points)
    return found


def _noise(points: Floats) -> float | None:
    """The default model's own estimate; None where the points are too few for one."""
    from deburr.nn.default import estimate_noise
    from deburr.nn.models import KINDS
    from deburr.nn.points import count_distinct

    least = KINDS["deburr"].min_points
    return float(estimate_noise(points)) if count_distinct(points, least) >= least else None


#: ``points per square unit``; symbols such as m have no plural.
_SINGULAR = {"units": "unit", "degrees": "degree"}


def _place(value: float, fine: float) -> str:
    """A coordinate with three decimals, or as many as show at least a tenth of ``fine``."""
    decimals = max(3, 1 - math.floor(math.log10(fine)))
    if decimals > 12 or abs(value) >= 1e15:
        return f"{value:.6g}"
    return f"{value:,.{decimals}f}"


def table(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of the human table."""
    unit = found["unit"]

    def length(value: float | None) -> str:
        return "-" if value is None else f"{value:.4g} {unit}"

    rows = [("file", found.get("file", "-")), ("points", f"{found['points']:,}"), ("CRS", found["crs"])]
    if found["points_left_out"]:
        rows.append(("of them noise or withheld", f"{found['points_left_out']:,}"))
    fine = found["spacing"] or 1.0
    for axis, place in zip("xyz", range(3), strict=True):
        if found["bounds"] is not None:
            low, high = found["bounds"]["min"][place], found["bounds"]["max"][place]
            rows.append((axis, f"{_place(low, fine)} to {_place(high, fine)}  ({_place(high - low, fine)} {unit})"))
    density = found["density_per_square_unit"]
    return [
        *rows,
        ("spacing", length(found["spacing"])),
        ("density", "-" if density is None else f"{density:.4g} points per square {_SINGULAR.get(unit, unit)}"),
        ("estimated noise", length(found["estimated_noise"])),
        ("dimensions", ", ".join(found["dimensions"]) or "none"),
    ]
