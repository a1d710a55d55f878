"""Blocks: parts of a cloud, each worked on by itself together with what lies around it.

They are the same however the cloud is cut into tiles. How many points lie in the cells of a grid is counted, and the
grid is cut where about as many lie on either side, until a block has no more than `MOST` points. What it sees besides
are the neighbours of its points, theirs, and so on. So what becomes of a block hangs on these points alone, and a tile
either has all of them or knows that it has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import ceil, inf, isfinite, log2, sqrt

import numpy as np
from scipy.spatial import cKDTree

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import Extent, PointCloud
from deburr.core.cut import cut
from deburr.core.horizon import Horizon, Known
from deburr.core.neighbors import SPACING_K, Neighbors
from deburr.core.stage import Reach
from deburr.core.sums import Histogram, Sum, Sums

#: Points of a block, at most, unless they lie denser than the grid can tell.
MOST = 24_000
#: How often the neighbours of what a block sees are added to it.
HOPS = 6
#: Cells of the grid along the longer side of a cloud, at most; their sides are powers of two, so that a bound that is
#: off by a last bit changes none.
_CELLS = 128
#: Bits that tell the numbers of all cells apart.
_BITS = 16
#: Neighbours at equal distances are all seen: so much further, as a share, one looks.
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of a cloud that a block has ``seen`` (S,), in the order of files and rows, and which of these, (O,)
    numbers from 0 to S, are its ``own``."""

    seen: Ints
    own: Ints


def count(cloud: PointCloud) -> Sums:
    """How many points of the core lie in each cell."""
    grid = _Grid.of(cloud.extent)
    cells = grid.cells(cloud.original[cloud.counted & cloud.active])
    return {"cells": Histogram.of((cells[:, 0] * grid.many[1] + cells[:, 1]).astype(np.float64), bits=_BITS)}


def asks(known: Known) -> bool:
    """Whether it is still to be counted."""
    return "cells" not in known


def learn(known: Known, sums: Sums) -> Known:
    """What `blocks` has to know of the whole cloud."""
    found: Sum | None = sums.get("cells")
    if not isinstance(found, Histogram):
        return {**known, "cells": [], "counts": []}
    return {**known, "cells": found.lows.astype(int).tolist(), "counts": found.weights.astype(int).tolist()}


def reach(known: Known, wide: float) -> Reach:
    """How far around a point that is: half a block, as a rule."""
    if asks(known):
        return Reach(hops=1)
    return Reach(length=wide, hops=HOPS + sqrt(MOST / SPACING_K) / 2)


def blocks(cloud: PointCloud, known: Known, wide: float) -> Iterator[Block]:
    """The blocks that have active points which are to be settled, as far as all that they see is settled. What lies far
    beyond the bounds of the cloud, as files told them, is in none.

    wide : how far around its points a block sees at least, cloud units.
    """
    active = np.flatnonzero(cloud.active)
    if not len(active):
        return
    active = active[_order(cloud)[active].argsort(kind="stable")]
    parts = _Parts.of(known, _Grid.of(cloud.extent))
    label = parts.labels(cloud.original[active])
    around = _Around(cloud, active)
    wanted = np.ones(len(active), np.bool_) if cloud.horizon is None else cloud.horizon.wanted[active]
    by_label = np.argsort(label, kind="stable")
    for some in np.split(by_label, np.flatnonzero(np.diff(label[by_label])) + 1):
        if label[some[0]] < 0 or not wanted[some].any() or not around.whole(*parts.box(int(label[some[0]]))):
            continue
        seen = around.seen(some, wide)
        if seen is not None:
            yield Block(active[seen], np.searchsorted(seen, some))


def without(cloud: PointCloud) -> Bools:
    """(N,) bool: the points that are in no block."""
    return np.asarray(~cloud.active | ~_Grid.of(cloud.extent).holds(cloud.original))


def _order(cloud: PointCloud) -> Ints:
    """(N,) where each point stands in the order of files and rows, which is the same in all tiles."""
    order = np.lexsort((cloud.rows,) if cloud.horizon is None else (cloud.rows, cloud.horizon.file))
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return place


@dataclass(frozen=True, eq=False)
class _Grid:
    """Square cells of this ``side`` in plan; ``first`` (2,) is the number of the first along each axis, ``many`` (2,)
    how many there are."""

    side: float
    first: Floats
    many: Ints

    @classmethod
    def of(cls, extent: Extent) -> _Grid:
        width = float((extent.high - extent.low)[:2].max())
        if not isfinite(width):
            return cls(1.0, np.zeros(2), np.ones(2, np.int64))
        side = 2.0 ** ceil(log2(width / _CELLS)) if width > 1e-140 else 1.0
        first = np.floor(extent.low[:2] / side)
        return cls(side, first, (np.floor(extent.high[:2] / side) - first).astype(np.int64) + 1)

    def cells(self, places: Floats) -> Ints:
        """(N, 2) the cells in which ``places`` (N, 3) lie, or the nearest to those beyond the grid."""
        return np.clip(self._numbers(places), 0, self.many - 1).astype(np.int64)

    def holds(self, places: Floats) -> Bools:
        """(N,) bool: those in the grid or the cells beside it: bounds that files tell may be a step off."""
        numbers = self._numbers(places)
        return np.asarray(((numbers >= -1) & (numbers <= self.many)).all(1))

    def _numbers(self, places: Floats) -> Floats:
        # To divide by a power of two rounds nothing.
        return np.asarray(np.floor(places[:, :2] / self.side) - self.first)


@dataclass(frozen=True, eq=False)
class _Parts:
    """How the cells of ``grid`` are shared out: ``of_cell`` (W, D) the number of the box of each, ``boxes`` (B, 2, 2)
    from which cell to which, and into how many strips along each axis one box that is a single cell is cut (B,)."""

    grid: _Grid
    of_cell: Ints
    boxes: Ints
    strips: Ints

    @classmethod
    def of(cls, known: Known, grid: _Grid) -> _Parts:
        counts = np.zeros(grid.many, np.int64)
        counts.ravel()[np.array(known["cells"], np.int64)] = known["counts"]
        x, y = (np.arange(many + 1, dtype=np.float64) for many in grid.many)
        boxes = np.array(cut(counts, x, y, MOST)).astype(np.int64)
        of_cell, strips = np.zeros_like(counts), np.ones(len(boxes), np.int64)
        for number, (low, high) in enumerate(boxes):
            some = (slice(low[0], high[0]), slice(low[1], high[1]))
            of_cell[some] = number
            strips[number] = ceil(sqrt(max(int(counts[some].sum()), 1) / MOST))
        return cls(grid, of_cell, boxes, strips)

    def labels(self, places: Floats) -> Ints:
        """(N,) the number of the block in which each of ``places`` (N, 3) lies; -1: in none."""
        cells = self.grid.cells(places)
        box = self.of_cell[cells[:, 0], cells[:, 1]]
        strips = self.strips[box]
        most = int(self.strips.max())
        within = places[:, :2] / self.grid.side - self.grid.first - cells
        part = np.clip(np.floor(within * strips[:, None]), 0, strips[:, None] - 1).astype(np.int64)
        return np.where(self.grid.holds(places), box * most * most + part[:, 0] * most + part[:, 1], -1)

    def box(self, label: int) -> tuple[Floats, Floats]:
        """From where to where, (2,) each, in plan, the block may have points."""
        low, high = self.boxes[label // int(self.strips.max()) ** 2]
        # The outermost have the cells beside the grid, too.
        low, high = low - (low == 0), high + (high == self.grid.many)
        return (low + self.grid.first) * self.grid.side, (high + self.grid.first) * self.grid.side


class _Around:
    """What lies around the ``active`` (A,) rows of a cloud, numbers of which are meant from here on."""

    def __init__(self, cloud: PointCloud, active: Ints) -> None:
        self._points = cloud.xyz[active]
        self._near, self._tree = Neighbors(self._points), cKDTree(self._points, balanced_tree=False)
        self._horizon: Horizon | None = cloud.horizon
        self._unsettled = cloud.original[~cloud.settled]

    def whole(self, low: Floats, high: Floats, moved: float = 0.0) -> bool:
        """Whether all points that were read within ``moved`` of the box are here, and settled."""
        if self._horizon is None:
            return True
        low, high = low - moved, high + moved
        if (low < self._horizon.low).any() or (high > self._horizon.high).any():
            return False
        doubtful = np.concatenate((self._horizon.hidden, self._unsettled))[:, :2]
        return not bool(((doubtful >= low) & (doubtful <= high)).all(1).any())

    def seen(self, own: Ints, wide: float) -> Ints | None:
        """The numbers, ascending, of what a block with the points ``own`` sees; None where not all of it is known."""
        seen = np.zeros(len(self._points), np.bool_)
        seen[own] = True
        if wide:
            plan = self._points[own, :2]
            low, high = plan.min(0) - wide, plan.max(0) + wide
            if not self.whole(low, high, 0.0 if self._horizon is None else self._horizon.moved):
                return None
            seen |= ((self._points[:, :2] >= low) & (self._points[:, :2] <= high)).all(1)
        front = np.flatnonzero(seen)
        for _ in range(HOPS):
            found = self._neighbours(front)
            if found is None:
                return None
            front = np.flatnonzero(found & ~seen)
            seen |= found
        return np.flatnonzero(seen)

    def _neighbours(self, front: Ints) -> Bools | None:
        """(A,) bool: those that lie no further from one of ``front`` than its 16th neighbour."""
        points, found = self._points[front], np.zeros(len(self._points), np.bool_)
        if not len(points):
            return found
        enough = self._near.different > SPACING_K
        radii = self._near.nearest_places(points, SPACING_K + 1)[0][:, -1] * (1 + _SLACK) if enough else inf
        radii = np.broadcast_to(radii, len(points))
        if self._horizon is not None and not self._horizon.sure(points, radii, self._unsettled).all():
            return None
        if not enough:
            return ~found
        each = self._tree.query_ball_point(points, radii)
        found[np.fromiter(chain.from_iterable(each), np.intp)] = True
        return found
