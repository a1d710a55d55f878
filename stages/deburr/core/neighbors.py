"""Every neighbour search of deburr, on SciPy's k-d tree, and what is measured with it: the point spacing."""

from __future__ import annotations

import os
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from deburr.core.cloud import Floats
from deburr.core.errors import RunError
from deburr.core.sums import Histogram
from deburr.core.text import short

Indices = npt.NDArray[np.intp]

#: More threads than any machine has cores are a slip of the pen, and the system would not give them.
_MOST_THREADS = 1000
#: The neighbour whose distance defines the spacing.
SPACING_K = 16


def threads() -> int:
    """How many threads neighbour searches and networks may use: ``DEBURR_THREADS``, or the cores this process has.

    Raises `deburr.core.errors.RunError` for a ``DEBURR_THREADS`` that is no number of threads.
    """
    asked = os.environ.get("DEBURR_THREADS", "")
    if asked:
        if not (asked.isascii() and asked.isdigit() and len(asked) <= 9 and 0 < int(asked) <= _MOST_THREADS):
            raise RunError(
                f"DEBURR_THREADS: must be a whole number from 1 to {_MOST_THREADS}, not '{short(asked, 40)}'; "
                "set it or unset it"
            )
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Neighbors:
    """A search tree over points (N, 3) float64, N >= 1.

    Equal distances are common (real LiDAR lies on a lattice). Callers must not depend on which of two equally far
    neighbours is found: averages of distances do not, and the networks weight the last neighbour with zero.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points
        # Distances are squared on the way: beyond this they overflow or vanish, and the tree answers nonsense.
        widest = float(np.ptp(points, axis=0).max())
        if widest > 0 and not 1e-140 < widest < 1e140:
            raise RunError(f"the points lie up to {widest:.3g} apart, too far or too near to measure; check the units")
        # Median splits degenerate where many coordinates are equal; sliding midpoints do not.
        self._tree: Any = cKDTree(points, balanced_tree=False)

    def nearest(self, queries: Floats, k: int) -> tuple[Floats, Indices]:
        """Distances (M, k) float64 and rows (M, k) of the ``k`` nearest points, nearest first; k is cut to N."""
        k = min(k, len(self.points))
        distances, rows = self._tree.query(queries, k=k, workers=threads())
        return distances.reshape(len(queries), k), rows.reshape(len(queries), k)

    def nearest_within(self, queries: Floats, radius: float) -> Floats:
        """(M,) distance of each query to the nearest point; infinite where that is not nearer than ``radius``."""
        distances, _ = self._tree.query(queries, k=1, distance_upper_bound=radius, workers=threads())
        return np.asarray(distances, dtype=np.float64)

    def within(self, queries: Floats, radius: float) -> Indices:
        """(M,) how many points lie within ``radius`` (inclusive) of each query."""
        counts = self._tree.query_ball_point(queries, radius, workers=threads(), return_length=True)
        return np.asarray(counts, dtype=np.intp)


def point_spacing(distances: Floats, k: int) -> Floats:
    """s = r_k sqrt(pi / k): the side of the square that a point owns on a surface.

    ``distances`` (M,) float64: each point's distance to its ``k``-th neighbour, itself not counted.
    """
    return distances * sqrt(pi / k)


def spacing_of_each(points: Floats, of: Any = None) -> tuple[Floats, Floats]:
    """The spacings of ``points`` (N, 3), in their units, and how far each looked for it; of all, or of those in a mask.

    Neighbours that a cloud lacks are done without, and then one looked infinitely far. A single point has no spacing.
    """
    queries = points if of is None else points[of]
    if len(points) < 2 or not len(queries):
        return np.zeros(0), np.full(len(queries), np.inf)
    k = min(SPACING_K, len(points) - 1)
    distances, _ = Neighbors(points).nearest(queries, k + 1)
    last = np.ascontiguousarray(distances[:, -1])
    return point_spacing(last, k), last if k == SPACING_K else np.full(len(last), np.inf)


def cloud_spacing(points: Floats) -> float:
    """The median point spacing, in the points' units; 0 for fewer than two points, or where most have many twins.

    Every point counts, in a histogram as tiles of a cloud are counted: the median is that of the whole to 0.1 %.
    """
    return Histogram.of(spacing_of_each(points)[0]).quantile(0.5) or 0.0
