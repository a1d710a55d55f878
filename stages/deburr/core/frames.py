"""The frames there are: spacing (one unit is the point spacing) and unit sphere."""

from __future__ import annotations

import numpy as np

from deburr.core.cloud import Floats, Frame
from deburr.core.neighbors import cloud_spacing


def spacing_frame(points: Floats) -> Frame:
    """The frame in which the median spacing of ``points`` (N, 3) is 1, around their median; scale 0 without one."""
    # The median is a centre that a few far outliers do not move.
    offset = np.median(points, axis=0) if len(points) else np.zeros(3)
    return Frame("spacing", cloud_spacing(points), offset)


def unit_sphere_frame(points: Floats) -> Frame:
    """The frame in which ``points`` (N, 3) just fit the unit sphere around their bounding box's centre; scale 0 if
    they are none or all equal."""
    if len(points) == 0:
        return Frame("unit_sphere", 0.0, np.zeros(3))
    low = points.min(axis=0)
    centre = low + (points.max(axis=0) - low) / 2
    return Frame("unit_sphere", float(np.sqrt(((points - centre) ** 2).sum(axis=1).max())), centre)
