"""What filters.spd says of results that are hardly what was wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from deburr.core.arrays import Bools
from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import RunError
from deburr.filters._normals import NONE, STALE, carried

#: Noise given beyond this many spacings is nothing that the network was trained on; most likely it is in another unit.
MOST_NOISE = 5.0
#: An estimate below this many spacings means: nothing to do. That may surprise, so it is said.
LEAST_NOISE = 0.01
#: The noise is doubtful where less than this share of the points had a surface around them to read it from.
LEAST_EVIDENCE = 0.5
#: A cloud that is so many times as tall as it is wide is hardly one in metres: a degree is 111,000 of them.
_TALLER = 500
AGAIN = (
    "the cloud was denoised before, so the noise that is given is taken for the most that may be left, and what is "
    "left is estimated"
)


def refuse_wide(cloud: PointCloud, noise: float) -> None:
    """Raise `RunError` for a ``noise`` beyond all measure."""
    widest = float((cloud.extent.high - cloud.extent.low).max()) if cloud.extent.count else 0.0
    if 0 < widest < noise:
        raise RunError(
            f"noise {noise:.3g} is more than the whole cloud, which is {widest:.3g} wide; give it in the cloud's units"
        )


def of_noise(figures: Mapping[str, Any], estimated: bool) -> Iterator[str]:
    """Of the ``figures`` of a whole cloud, whose noise was ``estimated`` or given."""
    noise, spacing, evidence = (figures.get(name) for name in ("noise", "spacing", "evidence"))
    if noise is None or spacing is None:
        return
    if not estimated and noise > MOST_NOISE * spacing:
        yield (
            f"noise {noise:.3g} is {noise / spacing:.0f} times the point spacing, more than the network knows; "
            "check that it is in the cloud's units"
        )
    if estimated and noise < LEAST_NOISE * spacing:
        yield (
            f"the estimated noise, {noise:.2g}, is nearly nothing beside the point spacing, so points hardly move; "
            "if the cloud is noisy, give 'noise' (sparse scan lines can hide it)"
        )
    if estimated and evidence is not None and evidence < LEAST_EVIDENCE:
        yield (
            f"only {100 * evidence:.0f} % of the points have a surface around them to read the noise from, so it "
            "may be too low and points may hardly move; if the cloud is noisy, give 'noise'"
        )


def of_degrees(cloud: PointCloud) -> Iterator[str]:
    """Of coordinates that are no lengths."""
    if "degree" in (cloud.units or ""):
        yield "x and y are in degrees, z hardly: the result means little; project the cloud first"
    elif not cloud.units and _like_degrees(cloud.extent):
        yield (
            "x and y look like degrees, beside which z is very tall: if so, the result means little; project the cloud "
            "first"
        )


def _like_degrees(extent: Extent) -> bool:
    """Whether x and y may be longitudes and latitudes: there are no lengths of which a cloud is so much taller."""
    if not extent.count:
        return False
    (wide, deep, tall), within = extent.high - extent.low, np.array([180.0, 90.0])
    inside = bool((extent.low[:2] >= -within).all() and (extent.high[:2] <= within).all())
    return inside and 0 < _TALLER * max(wide, deep) < tall


def of_replaced(cloud: PointCloud, added: Set[str]) -> Iterator[str]:
    """Of dimensions of the input that those that are ``added`` take the place of."""
    for name in sorted(added & cloud.dims.keys()):
        yield f"the dimension '{name}' that the cloud had is replaced; it tells of this stage alone"


def of_normals(cloud: PointCloud, moved: Bools, recomputed: bool) -> Iterator[str]:
    """Of normals that are no longer true, since points were ``moved`` (N,), or of none that could be made anew."""
    there = carried(cloud)
    if not recomputed and (there & moved).any():
        yield STALE
    if recomputed and not there.any():
        yield NONE
