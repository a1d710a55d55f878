"""Points without coordinates: they are kept as withheld points are, or left out, and counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from deburr.core.cloud import PointCloud, extent_of

Fate = Literal["keep", "drop"]
DESCRIPTION = "what becomes of points whose coordinates are NaN or infinite: they stay as they are, or go"
_FATE = {
    "keep": "they stay as they are, as withheld points do; option 'missing': 'drop' leaves them out",
    "drop": "they are left out",
}


def sorted_out(cloud: PointCloud, missing: Fate, path: str) -> tuple[PointCloud, list[str]]:
    """``cloud``, without its points that have no coordinates if ``missing`` says so, and what must be said of them."""
    there = cloud.located
    if there.all():
        return cloud, []
    said = (
        f"{path}: {int((~there).sum()):,} of {len(there):,} points have no coordinates (NaN or infinite), the first in "
        f"row {int(cloud.rows[there.argmin()])} (counted from 0); {_FATE[missing]}"
    )
    if missing == "drop":
        cloud = replace(cloud.select(there), extent=extent_of(cloud.xyz[there]))
    return cloud, [said]
