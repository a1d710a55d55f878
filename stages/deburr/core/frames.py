"""The frame that a whole cloud must be at hand for: the unit sphere."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import Frame


def unit_sphere_frame(points: Floats) -> Frame:
    """The frame in which ``points`` (N, 3) just fit the unit sphere around their bounding box's centre; scale 0 if
    they are none or all equal."""
    if len(points) == 0:
        return Frame("unit_sphere", 0.0, np.zeros(3))
    low = points.min(axis=0)
    centre = low + (points.max(axis=0) - low) / 2
    return Frame("unit_sphere", float(np.sqrt(((points - centre) ** 2).sum(axis=1).max())), centre)
