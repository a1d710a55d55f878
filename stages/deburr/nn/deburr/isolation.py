"""How far apart a point and those with it lie from all others: what floats alone, or with a few, is linked late.

Single linkage: lengths grow, and all points that are nearer than that to each other are linked. A point is isolated by
the length at which it first is in a group of a given size. On a surface that is about the spacing; along a wire, the
step from point to point, since the next one is enough; of a flock of outliers, the gap around the flock.
"""

from __future__ import annotations

from math import ceil, exp, log

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Indices, Neighbors
from deburr.nn.deburr.planes import Graph
from deburr.nn.deburr.scope import Scope

#: The logarithm of the ratio of two lengths that are tried one after the other.
_STEP = 1 / 32
#: Whoever is linked by so many of its nearest at the shortest length needs no more of them.
_FIRST = 4
#: Points whose neighbours are measured at once.
_MEASURED = 65_536

#: Pairs of points: either end, and how far they are apart.
_Links = tuple[Indices, Indices, Floats]


def isolation(scope: Scope, graph: Graph, fewest: int, shortest: float, longest: float) -> tuple[Floats, Bools]:
    """(M,) float64: from ``shortest`` to ``longest``, in steps of 3 %, the length at which each point of ``scope`` is
    one of at least ``fewest`` that are linked; and (M,) bool, whether that is so in the whole cloud.

    Linked are points and their nearest in ``graph``, whose unit is that of the scope; a group that is nobody else's
    neighbour is linked by the gap around it. Of few points, half are ``fewest``.
    """
    count, fewest = len(scope.points), min(fewest, scope.total // 2)
    known = np.ones(count, np.bool_) if scope.horizon is None else _numpy(scope.sure(graph.radii()))
    lengths, found = np.full(count, shortest), known.copy()
    groups = _linked(count, *_near(scope, graph, np.flatnonzero(known), _FIRST, shortest)[:2])
    single = np.flatnonzero(np.bincount(groups)[groups] < fewest)
    if len(single):
        found[single] = _alone(scope, single, np.full(len(single), shortest), groups[single], known)
        # Who is known to be in no group as yet, and so to link others by its neighbours.
        settled = found.copy()
        links = _near(scope, graph, single[settled[single]], graph.neighbors.shape[1], longest)
        lengths[single], at = _late(links, single, groups, fewest, shortest, longest)
        _close(scope, lengths, single, at, fewest, longest)
        found[single] &= _alone(scope, single, lengths[single], at, settled)
    return lengths, found


def _numpy(sure: torch.Tensor | None) -> Bools:
    assert sure is not None
    return np.asarray(sure.numpy())


def _near(scope: Scope, graph: Graph, rows: Indices, k: int, longest: float) -> _Links:
    """The pairs of the points ``rows`` and their ``k`` nearest, up to ``longest`` apart."""
    near, parts = graph.neighbors.numpy(), []
    for start in range(0, len(rows), _MEASURED):
        some = rows[start : start + _MEASURED]
        ends = near[some, :k]
        apart = np.linalg.norm(scope.points[ends] - scope.points[some, None], axis=2)
        which, column = np.nonzero(apart <= longest)
        parts.append((some[which], ends[which, column], apart[which, column]))
    one, other, apart = zip(*parts, strict=True) if parts else ([], [], [])
    none = np.empty(0, np.intp)
    return np.concatenate((none, *one)), np.concatenate((none, *other)), np.concatenate((np.empty(0), *apart))


def _linked(count: int, one: Indices, other: Indices) -> Indices:
    """(count,) the group of each point after the pairs were linked."""
    pairs = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(count, count))
    return np.asarray(connected_components(pairs, directed=False)[1], dtype=np.intp)


def _late(
    links: _Links, single: Indices, groups: Indices, fewest: int, shortest: float, longest: float
) -> tuple[Floats, Indices]:
    """Of the points ``single`` (S,), which are in too small ones of the ``groups`` (M,) yet: the length that changes
    that, and the group just before."""
    one, other, apart = links
    lengths, before = np.full(len(single), longest), np.empty(len(single), np.intp)
    # Groups are nodes; all that are large enough are one, the first.
    rows, mine = np.arange(len(single)), np.unique(groups[single], return_inverse=True)[1] + 1
    node = np.zeros(len(groups), np.intp)
    node[single] = mine
    one, other, size = node[one], node[other], np.concatenate(([fewest], np.bincount(mine)[1:]))
    given = 0
    for rung in range(1, ceil(log(longest / shortest) / _STEP) + 1):
        some = one != other
        one, other, apart = one[some], other[some], apart[some]
        if not len(one):
            break
        length = min(shortest * exp(rung * _STEP), longest)
        now = apart <= length
        merged = _linked(len(size), one[now], other[now])
        many = np.bincount(merged, weights=size)
        waits = many < fewest
        name = np.where(waits, np.cumsum(waits), 0)[merged]
        left = name[mine] > 0
        lengths[rows[~left]], before[rows[~left]] = length, given + mine[~left]
        given += len(size)
        rows, mine, one, other = rows[left], name[mine[left]], name[one], name[other]
        size = np.concatenate(([fewest], many[waits]))
    before[rows] = given + mine
    return lengths, before


def _close(scope: Scope, lengths: Floats, single: Indices, at: Indices, fewest: int, longest: float) -> None:
    """Of groups that are nobody's neighbours, the ``lengths`` (M,) become the gap around them, if that is shorter."""
    left = lengths[single] >= longest
    rows, group = single[left], at[left]
    if not len(rows):
        return
    place = np.full(len(scope.points), -1)
    place[rows] = group
    # Of so many, one at least is none of the group.
    distances, near = Neighbors(scope.points).nearest(scope.points[rows], min(fewest, len(scope.points)))
    distances = np.where(place[near] != group[:, None], distances, np.inf).min(1)
    names, which = np.unique(group, return_inverse=True)
    gap = np.full(len(names), longest)
    np.minimum.at(gap, which, distances)
    lengths[rows] = gap[which]


def _alone(scope: Scope, rows: Indices, lengths: Floats, group: Indices, members: Bools) -> Bools:
    """(R,) bool: whether of all points of the ``group`` (R,) of each of the ``rows`` everything within ``lengths`` (R,)
    is at hand and of ``members`` (M,), so that nobody else has linked it."""
    if scope.horizon is None:
        return np.ones(len(rows), np.bool_)
    sure = scope.sure_of(scope.points[rows], lengths, torch.from_numpy(members)).numpy() & members[rows]
    _, which = np.unique(group, return_inverse=True)
    return np.asarray(np.bincount(which, weights=~sure)[which] == 0)
