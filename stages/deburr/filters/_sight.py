"""What filters hand over to a network of the points that it is to see."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import PointCloud
from deburr.core.horizon import Known
from deburr.core.sample import Sample
from deburr.core.sums import Sums
from deburr.nn import level
from deburr.nn.contract import Seen
from deburr.nn.points import count_distinct


def seen_of(cloud: PointCloud, active: Bools, known: Known, chosen: Sample | None) -> Seen:
    """Of ``cloud`` the ``active`` (N,) points, of which ``chosen`` is a sample, if any."""
    places = cloud.original[active]
    return Seen(
        counted=cloud.core[active],
        places=places,
        sampled=None if chosen is None else chosen.holds(places),
        horizon=None if cloud.horizon is None else cloud.horizon.select(active, cloud.original),
        known=known,
        total=cloud.extent.count,
        rows=cloud.rows[active],
    )


def too_few(points: Floats, groups: Ints | None = None, least: int = level.LEAST) -> bool:
    """Whether none of the ``groups`` (N,) of ``points`` (N, 3) has ``least`` different ones; None: all are one."""
    if groups is None:
        return count_distinct(points, least) < least
    return all(count_distinct(points[groups == one], least) < least for one in np.unique(groups))


def nothing(cloud: PointCloud, guesses: bool) -> tuple[Sums, Bools]:
    """What a survey counts of a tile with too few points, and (N,) bool, of which points it is sure; ``guesses``:
    whether the noise is counted."""
    sure = cloud.settled.copy()
    sure &= cloud.horizon is None or not cloud.horizon.bounded
    none = (np.zeros(0), np.zeros(0)) if guesses else None
    return level.count(np.zeros(0), none, int((cloud.core & cloud.active & sure).sum()), False), sure
