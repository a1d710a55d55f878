"""Which points of a tile a filter can be sure of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud


def sure_of(cloud: PointCloud, points: Floats, radii: Floats) -> Bools:
    """(M,) bool: whether ``cloud`` has all there is in the balls of ``radii`` (M,) around ``points`` (M, 3), as it is
    in the whole cloud."""
    if cloud.horizon is None:
        return np.ones(len(points), dtype=np.bool_)
    return cloud.horizon.sure(points, radii, cloud.original[~cloud.settled])


def sure_as_read(cloud: PointCloud, places: Floats, radii: Floats) -> Bools:
    """The same of the cloud as it was read, ``places`` (M, 3) too."""
    if cloud.horizon is None:
        return np.ones(len(places), dtype=np.bool_)
    # Places are known of all points, but not what has become of their attributes.
    unmoved = replace(cloud, horizon=replace(cloud.horizon, moved=0.0))
    return sure_of(unmoved, places, radii)
