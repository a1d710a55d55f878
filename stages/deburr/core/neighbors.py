"""Every neighbour search of deburr, on SciPy's k-d tree, and what is measured with it: the point spacing."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from deburr.core.arrays import Floats
from deburr.core.errors import RunError
from deburr.core.sums import Histogram
from deburr.core.text import short

Indices = npt.NDArray[np.intp]

#: More threads than any machine has cores are a slip of the pen, and the system would not give them.
_MOST_THREADS = 1000
#: The neighbour whose distance defines the spacing.
SPACING_K = 16
#: Points at one place from which on places are searched instead of points.
_CROWD = 64
#: Distances that a thread searches before it looks whether it is to go on.
_PIECE = 1 << 15
#: Odd numbers without a pattern.
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


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


def check_extent(points: Floats) -> None:
    """Raises `deburr.core.errors.RunError` for ``points`` (N, 3) whose distances squared overflow or vanish: trees
    would answer nonsense."""
    # Column by column: along the other axis numpy takes several times as long.
    widest = max(float(np.ptp(axis)) for axis in points.T)
    if widest > 0 and not 1e-140 < widest < 1e140:
        raise RunError(f"the points lie up to {widest:.3g} apart, too far or too near to measure; check the units")


class Neighbors:
    """A search tree over points (N, 3) float64, or (N, 2), N >= 1.

    Equal distances are common (real LiDAR lies on a lattice). Callers must not depend on which of two equally far
    neighbours is found: averages of distances do not, and the networks weight the last neighbour with zero.
    An interrupted search ends all of its threads before it is left.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points
        check_extent(points)
        # No split separates points at one place: whoever comes near would look at each of them.
        self._places = _Places.of(points) if _crowded(points) else None
        self._tree = _grown(points if self._places is None else points[self._places.firsts])

    @property
    def different(self) -> int:
        """How many different places the points lie at."""
        return len(self._by_place().counts)

    def nearest(self, queries: Floats, k: int) -> tuple[Floats, Indices]:
        """Distances (M, k) float64 and rows (M, k) of the ``k`` nearest points, nearest first; k is cut to N."""
        k = min(k, len(self.points))
        # Far from all points a search sees most of them: once, not for each of a crowd.
        asked = _Places.of(queries) if _crowded(queries) else None
        if asked is not None:
            queries = queries[asked.firsts]
        distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.intp)

        def search(some: slice) -> None:
            found, at = self._query(queries[some], k)
            if self._places is not None:
                found, at = self._places.spread(found, at, k)
            distances[some], rows[some] = found, at

        _in_pieces(len(queries), k, search)
        return (distances, rows) if asked is None else (distances[asked.place], rows[asked.place])

    def nearest_places(self, queries: Floats, k: int) -> tuple[Floats, Floats, Indices]:
        """Of the ``k`` nearest different places, nearest first: distances (M, k) float64, coordinates (M, k, 3) float64
        and how many points lie at each (M, k); k is cut to `different`."""
        places = self._by_place()
        k = min(k, len(places.counts))
        distances, at = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.intp)

        def search(some: slice) -> None:
            distances[some], at[some] = self._query(queries[some], k)

        _in_pieces(len(queries), k, search)
        return distances, self.points[places.firsts[at]], places.counts[at]

    def nearest_within(self, queries: Floats, radius: float) -> Floats:
        """(M,) distance of each query to the nearest point; infinite where that is not nearer than ``radius``."""
        distances = np.empty(len(queries))

        def search(some: slice) -> None:
            distances[some], _ = self._tree.query(queries[some], k=1, distance_upper_bound=radius, workers=1)

        _in_pieces(len(queries), 1, search)
        return distances

    def _query(self, queries: Floats, k: int) -> tuple[Floats, Indices]:
        """(M, k') each, k' the lesser of ``k`` and how many the tree holds: distances, and rows of the tree."""
        k = min(k, self._tree.n)
        distances, rows = self._tree.query(queries, k=k, workers=1)
        return distances.reshape(len(queries), k), rows.reshape(len(queries), k)

    def _by_place(self) -> _Places:
        """The points by place; from here on the tree is one of different places."""
        if self._places is None:
            self._places = _Places.of(self.points)
            self._tree = _grown(self.points[self._places.firsts])
        return self._places


@dataclass(frozen=True)
class _Places:
    """N points by the U different places at which they lie.

    order : (N,), rows of the points; those at one place follow each other.
    starts : (U,), where in ``order`` each place begins.
    counts : (U,), how many points lie there.
    """

    order: Indices
    starts: Indices
    counts: Indices

    @classmethod
    def of(cls, points: Floats) -> _Places:
        """The places of ``points`` (N, 3), N >= 1."""
        order = np.lexsort(points.T)
        ordered = points[order]
        starts = np.flatnonzero(np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)))
        return cls(order, starts, np.diff(starts, append=len(points)))

    @property
    def firsts(self) -> Indices:
        """(U,) the row of one point at each place."""
        return self.order[self.starts]

    @property
    def place(self) -> Indices:
        """(N,) the number of each point's place."""
        place = np.empty_like(self.order)
        place[self.order] = np.repeat(np.arange(len(self.counts)), self.counts)
        return place

    def spread(self, distances: Floats, at: Indices, k: int) -> tuple[Floats, Indices]:
        """Distances and rows (M, k) of points, from those (M, K) of places that hold ``k`` points or more."""
        counts = self.counts[at]
        before = np.cumsum(counts, axis=1) - counts
        taken = np.clip(k - before, 0, counts).ravel()
        first = np.repeat((self.starts[at] - before).ravel(), taken).reshape(-1, k)
        return np.repeat(distances.ravel(), taken).reshape(-1, k), self.order[first + np.arange(k)]


def _grown(points: Floats) -> Any:
    # Median splits degenerate where many coordinates are equal; sliding midpoints do not.
    return cKDTree(points, balanced_tree=False)


def _crowded(points: Floats) -> bool:
    """Whether more than `_CROWD` points lie at one place; rarely also where they do not."""
    # Equal points have equal sums of their bits; zero has two signs.
    bits = np.ascontiguousarray(points + 0.0).view(np.uint64)
    sums = np.zeros(len(points), dtype=np.uint64)
    for axis in range(bits.shape[1]):
        sums += bits[:, axis] * _ODD[axis]
    sums.sort()
    return bool((sums[_CROWD:] == sums[:-_CROWD]).any())


def _in_pieces(count: int, k: int, work: Callable[[slice], None]) -> None:
    """``work`` on rows 0 to ``count`` of ``k`` values each, in pieces that take milliseconds, on all `threads`.

    The threads are ours, and each calls SciPy for itself: SciPy's own go on after an interrupt has left them, and
    write to arrays that are freed. These hold what they write to, and when the call is left all have ended.
    """
    size = max(_PIECE // k, 1)
    if count <= size:
        return work(slice(0, count))
    helpers = threads() - 1
    # As many pieces for each thread.
    pieces = -(-count // (size * (helpers + 1))) * (helpers + 1)
    size = -(-count // pieces)
    waiting = deque(slice(start, min(start + size, count)) for start in range(0, count, size))

    def take() -> None:
        while True:
            try:
                rows = waiting.popleft()
            except IndexError:  # another thread took the last
                return
            work(rows)

    if helpers == 0:
        return take()
    with ThreadPoolExecutor(helpers) as pool:
        tasks = []
        try:
            tasks += [pool.submit(take) for _ in range(min(helpers, len(waiting) - 1))]
            take()
        finally:
            waiting.clear()  # or an interrupted search would go on to its end
            for task in tasks:
                task.result()


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
