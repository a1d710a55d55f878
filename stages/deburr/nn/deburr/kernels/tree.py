"""A k-d tree: what SciPy's finds, in a fraction of the time.

It is balanced, so that only boxes are kept, of the points that there are: on surfaces, these lie far apart. A search
begins with what the one before has found, which for points along a curve leaves little to look for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.neighbors import Indices, check_extent
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.kernels.arithmetic import exact

#: Most points of a leaf.
LEAF = 32
#: Levels that are grown by one thread, before others go on with a part each.
_TOP = 4
#: More levels than any cloud has, of each of which one node waits to be looked at.
_DEEP = 64
#: How many more than are wanted are sorted first where the one before was far off: by so much, as a share of its reach.
_FEW, _APART = 8, 1.8
#: How much further one looks than the points found before are: rounding must not hide them.
_MORE, _LEAST = 1 + 1e-9, 1e-300


@dataclass(frozen=True, eq=False)
class Tree:
    """A search tree over points, as `deburr.core.neighbors.Neighbors`; see `grow` for what is kept. ``blocks``: whose
    threads search, too."""

    depth: int
    places: Floats
    order: Any
    boxes: Floats
    blocks: Blocks

    @classmethod
    def of(cls, points: Floats, blocks: Blocks) -> Tree:
        """The tree of ``points`` (N, 3) float64, N >= 1. Raises `deburr.core.errors.RunError`."""
        check_extent(points)
        count = len(points)
        depth = max(math.ceil(math.log2(count / LEAF)), 0)
        places, order = np.ascontiguousarray(points.T), np.arange(count, dtype=np.int32)
        boxes, top = np.empty((2 ** (depth + 1) - 1, 6)), min(_TOP, depth)
        grow(0, 0, top, places, order, boxes)
        blocks.silent(2**top, 1).each(lambda part: grow(part.start, top, depth, places, order, boxes))
        return cls(depth, places, order, boxes, blocks)

    def nearest(self, queries: Floats, k: int) -> tuple[Floats, Indices]:
        """See `deburr.core.neighbors.Neighbors.nearest`."""
        k = min(k, len(self.order))
        distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), np.intp)
        where = self.depth, self.places, self.order, self.boxes

        def search(part: slice) -> None:
            nearest(part.start, part.stop, queries, *where, distances, rows)

        self.blocks.silent(len(queries)).each(search)
        return distances, rows


@exact
def _boxed(start: int, stop: int, places: Any, box: Any) -> int:
    """Put the lowest and highest coordinates of ``places`` (3, N), columns ``start`` to ``stop``, into ``box`` (6,);
    returns the axis along which these are furthest apart."""
    widest, axis = -1.0, 0
    for c in range(3):
        low = high = places[c, start]
        for i in range(start + 1, stop):
            low, high = min(low, places[c, i]), max(high, places[c, i])
        box[c], box[3 + c] = low, high
        if high - low > widest:
            widest, axis = high - low, c
    return axis


@exact
def _parted(start: int, stop: int, middle: int, axis: int, places: Any, order: Any) -> None:
    """Reorder columns ``start`` to ``stop`` so that none before ``middle`` is further along ``axis`` than any behind
    (Hoare 1961)."""
    low, high = start, stop - 1
    while low < high:
        pivot = places[axis, (low + high) // 2]
        i, j = low, high
        while i <= j:
            while places[axis, i] < pivot:
                i += 1
            while places[axis, j] > pivot:
                j -= 1
            if i <= j:
                for c in range(3):
                    places[c, i], places[c, j] = places[c, j], places[c, i]
                order[i], order[j] = order[j], order[i]
                i, j = i + 1, j - 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@exact
def grow(root: int, above: int, depth: int, places: Any, order: Any, boxes: Any) -> None:
    """Nodes ``root`` of level ``above`` and all below it, down to level ``depth``.

    Node j of level d holds the columns N j / 2^d to N (j + 1) / 2^d of ``places`` (3, N) float64, which become sorted
    for that, as does ``order`` (N,); its box is row 2^d - 1 + j of ``boxes`` (2^(depth + 1) - 1, 6).
    """
    count = len(order)
    for level in range(above, depth + 1):
        first = root << (level - above)
        for j in range(first, first + (1 << (level - above))):
            start, stop = (count * j) >> level, (count * (j + 1)) >> level
            axis = _boxed(start, stop, places, boxes[(1 << level) - 1 + j])
            if level < depth:
                _parted(start, stop, (count * (2 * j + 1)) >> (level + 1), axis, places, order)


@exact
def _away(x: float, y: float, z: float, boxes: Any, node: int) -> float:
    """The squared distance to a box; rounded, it is no more than that to any point inside."""
    p = max(max(boxes[node, 0] - x, x - boxes[node, 3]), 0.0)
    q = max(max(boxes[node, 1] - y, y - boxes[node, 4]), 0.0)
    r = max(max(boxes[node, 2] - z, z - boxes[node, 5]), 0.0)
    return float(p * p + q * q + r * r)


@exact
def _sorted(count: int, k: int, found: Any, who: Any, rank: Any, ties: Any, best: Any, them: Any) -> int:
    """Sort the first ``count`` of ``found`` and ``who``, and keep ``k`` at most; returns how many are left.

    Each one's place is how many are less: on a processor, to compare all is quicker than to choose whom to compare.
    """
    for i in range(count):
        d, less = found[i], 0
        for j in range(count):
            less += found[j] < d
        rank[i], ties[i] = less, 0
    for i in range(count):
        place = rank[i] + ties[rank[i]]
        ties[rank[i]] += 1
        best[place], them[place] = found[i], who[i]
    for i in range(min(count, k)):
        found[i], who[i] = best[i], them[i]
    return min(count, k)


@exact
def nearest(  # noqa: C901 - one loop: calls would take as long as what they do
    start: int, stop: int, queries: Any, depth: int, places: Any, order: Any, boxes: Any, distances: Any, rows: Any
) -> None:
    """Rows ``start`` to ``stop`` of ``distances`` (M, k) float64 and ``rows`` (M, k) int64: the k nearest, nearest
    first, to ``queries`` (M, 3) float64, in a tree that `grow` made; k is at most N."""
    count, k, inner = len(order), rows.shape[1], (1 << depth) - 1
    room = 3 * k + 2 * LEAF
    few, many = k + _FEW, room - LEAF
    found, who, best, them = np.empty(room), np.empty(room, np.int64), np.empty(room), np.empty(room, np.int64)
    rank, ties = np.empty(room, np.int64), np.empty(room, np.int64)
    waiting, far = np.empty(_DEEP, np.int64), np.empty(_DEEP)
    for i in range(start, stop):
        x, y, z = queries[i, 0], queries[i, 1], queries[i, 2]
        most, full = np.inf, few
        if i > start:
            p, q, r = x - queries[i - 1, 0], y - queries[i - 1, 1], z - queries[i - 1, 2]
            reach = distances[i - 1, k - 1] + math.sqrt(p * p + q * q + r * r)
            most = reach * reach * _MORE + _LEAST
            # Far from the one before there are many, of whom to sort some soon shows who is too far away.
            full = many if reach < _APART * distances[i - 1, k - 1] else few
        held = 0
        waiting[0], far[0], top = 0, 0.0, 1
        while top:
            top -= 1
            node = waiting[top]
            if far[top] >= most:
                continue
            while node < inner:
                left, right = 2 * node + 1, 2 * node + 2
                a, b = _away(x, y, z, boxes, left), _away(x, y, z, boxes, right)
                if b < a:
                    left, right, a, b = right, left, b, a
                if b < most:
                    waiting[top], far[top] = right, b
                    top += 1
                node = left
                if a >= most:
                    break
            if node < inner:
                continue
            j = node - inner
            first, last = (count * j) >> depth, (count * (j + 1)) >> depth
            for n in range(first, last):
                p, q, r = x - places[0, n], y - places[1, n], z - places[2, n]
                d = p * p + q * q + r * r
                found[held], who[held] = d, order[n]
                held += d < most
            if held > full:
                held = _sorted(held, k, found, who, rank, ties, best, them)
                if held == k:
                    most = found[k - 1]
        _sorted(held, k, found, who, rank, ties, best, them)
        for n in range(k):
            distances[i, n], rows[i, n] = math.sqrt(found[n]), who[n]
