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
from deburr.nn.deburr.kernels.arithmetic import NONE, exact
from deburr.nn.deburr.kernels.lanes import RANKED, ranks

#: Most points of a leaf.
LEAF = 16
#: Levels that are grown by one thread, before others go on with a part each.
_TOP = 4
#: More levels than any cloud has, of each of which one node waits to be looked at.
_DEEP = 64
#: How many more than are wanted are sorted first where the one before was far off: by so much, as a share of its reach.
_FEW, _APART = 8, 1.8
#: Queries at most that look at the leaves around one, and those leaves.
_GROUP, _LEAVES = 32, 128
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
    ranks(found, count, rank)
    for i in range(count):
        ties[i] = 0
    for i in range(count):
        place = rank[i] + ties[rank[i]]
        ties[rank[i]] += 1
        best[place], them[place] = found[i], who[i]
    for i in range(min(count, k)):
        found[i], who[i] = best[i], them[i]
    return min(count, k)


@exact
def _looked(
    first: int, last: int, x: float, y: float, z: float, most: float, held: int, places: Any, order: Any, away: Any,
    found: Any, who: Any,
) -> int:  # fmt: skip
    """Append those of the points ``first`` to ``last`` that are nearer than ``most``, a squared distance, to the
    ``held`` that are found; returns how many there are then. ``away`` (LEAF,): room to work."""
    # In two loops: distances are computed side by side, what is near is written down one by one.
    for n in range(first, last):
        p, q, r = x - places[0, n], y - places[1, n], z - places[2, n]
        away[n - first] = p * p + q * q + r * r
    for n in range(first, last):
        found[held], who[held] = away[n - first], order[n]
        held += away[n - first] < most
    return held


@exact
def _leaves(
    x: float, y: float, z: float, most: float, depth: int, count: int, boxes: Any, waiting: Any, near: Any, ends: Any
) -> int:
    """The boxes of the leaves that are nearer than ``most``, a squared distance, into the columns of ``near`` (6, L),
    and which points these hold into ``ends`` (2, L); returns how many they are, or -1 where they are too many."""
    inner, kept = (1 << depth) - 1, 0
    waiting[0], top = 0, 1
    while top:
        top -= 1
        node = waiting[top]
        if _away(x, y, z, boxes, node) >= most:
            continue
        if node < inner:
            waiting[top], waiting[top + 1] = 2 * node + 2, 2 * node + 1
            top += 2
            continue
        if kept == _LEAVES:
            return -1
        for c in range(6):
            near[c, kept] = boxes[node, c]
        j = node - inner
        ends[0, kept], ends[1, kept] = (count * j) >> depth, (count * (j + 1)) >> depth
        kept += 1
    return kept


@exact
def _apart(queries: Any, i: int, j: int) -> float:
    p, q, r = queries[i, 0] - queries[j, 0], queries[i, 1] - queries[j, 1], queries[i, 2] - queries[j, 2]
    return math.sqrt(p * p + q * q + r * r)


@exact
def nearest(
    start: int, stop: int, queries: Any, depth: int, places: Any, order: Any, boxes: Any, distances: Any, rows: Any
) -> None:
    """Rows ``start`` to ``stop`` of ``distances`` (M, k) float64 and ``rows`` (M, k) int64: the k nearest, nearest
    first, to ``queries`` (M, 3) float64, in a tree that `grow` made; k is at most N.

    One query walks through the tree; the leaves around it are all that those need which follow close by.
    """
    count, k = len(order), rows.shape[1]
    room = (3 * k + 2 * LEAF + RANKED) // RANKED * RANKED
    found, who, best, them = np.zeros(room), np.zeros(room, np.int64), np.empty(room), np.empty(room, np.int64)
    rank, ties, away = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(LEAF)
    waiting, far = np.empty(_DEEP, np.int64), np.empty(_DEEP)
    near, ends, apart = np.empty((6, _LEAVES)), np.empty((2, _LEAVES), np.int64), np.empty(_LEAVES)
    i = start
    while i < stop:
        most, full = np.inf, k + _FEW
        if i > start:
            reach = distances[i - 1, k - 1] + _apart(queries, i, i - 1)
            most = reach * reach * _MORE + _LEAST
            # Far from the one before there are many, of whom to sort some soon shows who is too far away.
            full = room - LEAF - RANKED if reach < _APART * distances[i - 1, k - 1] else full
        held = _walked(
            queries[i, 0], queries[i, 1], queries[i, 2], most, full, k, depth, places, order, boxes, found, who, rank,
            ties, best, them, away, waiting, far,
        )  # fmt: skip
        _told(i, k, held, found, who, rank, ties, best, them, distances, rows)
        end, radius, furthest = i + 1, distances[i, k - 1], 0.0
        while end < min(i + _GROUP, stop):
            aside = _apart(queries, end, i)
            if aside > radius:
                break
            furthest = max(furthest, aside)
            end += 1
        # All that may be wanted by one that is so far from here; rounding must not hide it.
        around = (radius + 2 * furthest) * _MORE
        leaves = -1
        if end > i + 1:
            leaves = _leaves(
                queries[i, 0], queries[i, 1], queries[i, 2], around * around * _MORE + _LEAST, depth, count, boxes,
                waiting, near, ends,
            )  # fmt: skip
        if leaves < 0:
            i += 1
            continue
        for j in range(i + 1, end):
            x, y, z = queries[j, 0], queries[j, 1], queries[j, 2]
            reach = min(distances[j - 1, k - 1] + _apart(queries, j, j - 1), radius + _apart(queries, j, i))
            most, held = reach * reach * _MORE + _LEAST, NONE
            for leaf in range(leaves):
                p = max(max(near[0, leaf] - x, x - near[3, leaf]), 0.0)
                q = max(max(near[1, leaf] - y, y - near[4, leaf]), 0.0)
                r = max(max(near[2, leaf] - z, z - near[5, leaf]), 0.0)
                apart[leaf] = p * p + q * q + r * r
            for leaf in range(leaves):
                if apart[leaf] >= most:
                    continue
                held = _looked(ends[0, leaf], ends[1, leaf], x, y, z, most, held, places, order, away, found, who)
                if held > room - LEAF - RANKED:
                    held = _sorted(held, k, found, who, rank, ties, best, them)
                    most = found[k - 1]
            _told(j, k, held, found, who, rank, ties, best, them, distances, rows)
        i = end


@exact
def _told(
    i: int, k: int, held: int, found: Any, who: Any, rank: Any, ties: Any, best: Any, them: Any, distances: Any,
    rows: Any,
) -> None:  # fmt: skip
    _sorted(held, k, found, who, rank, ties, best, them)
    for n in range(k):
        distances[i, n], rows[i, n] = math.sqrt(found[n]), who[n]


@exact
def _walked(
    x: float, y: float, z: float, most: float, full: int, k: int, depth: int, places: Any, order: Any, boxes: Any,
    found: Any, who: Any, rank: Any, ties: Any, best: Any, them: Any, away: Any, waiting: Any, far: Any,
) -> int:  # fmt: skip
    """Find the k nearest of the tree, which are nearer than ``most``, a squared distance, among those ``found``;
    returns how many these are. They are sorted whenever they are more than ``full``."""
    count, inner = len(order), (1 << depth) - 1
    held: int = NONE
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
        held = _looked(
            (count * j) >> depth, (count * (j + 1)) >> depth, x, y, z, most, held, places, order, away, found, who
        )
        if held > full:
            held = _sorted(held, k, found, who, rank, ties, best, them)
            if held == k:
                most = found[k - 1]
    return held
