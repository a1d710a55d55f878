"""The coordinates that a file holds, as its writer tells of them under fixed names, whatever the format is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deburr.core.arrays import Floats

#: Of a lattice ``n * scale + offset``: (x, y, z) each, cloud units.
SCALE, OFFSET = "scale", "offset"
#: The furthest that a coordinate was moved by being stored as a float32.
ROUNDING = "coordinate_rounding_max"


def stored(xyz: Floats, figures: Mapping[str, Any]) -> Floats:
    """Where the points ``xyz`` (N, 3) lie in the file whose writer noted these ``figures``; the same array where it
    holds them as they are."""
    if {SCALE, OFFSET} <= figures.keys():
        scale, offset = np.array(figures[SCALE]), np.array(figures[OFFSET])
        return np.asarray(np.rint((xyz - offset) / scale) * scale + offset)
    return xyz.astype(np.float32).astype(np.float64) if figures.get(ROUNDING) else xyz


def steps(figures: Mapping[str, Any]) -> Sequence[float] | None:
    """The smallest steps (x, y, z) between coordinates in the file, cloud units; None where it has no lattice."""
    found: Sequence[float] | None = figures.get(SCALE)
    return found
