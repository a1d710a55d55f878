"""How far links must go: against single linkage over all pairs, and in tiles as in the whole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist

from deburr.core.arrays import Bools, Floats
from deburr.core.horizon import Horizon
from deburr.nn.contract import Seen
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.isolation import isolation
from deburr.nn.deburr.planes import search
from deburr.nn.deburr.scope import Scope

#: Lengths are tried in steps of this ratio, and the first that is long enough is told.
RATIO = np.exp(1 / 32)


def isolated(xyz: Floats, fewest: int, limits: tuple[float, float], seen: Seen | None = None) -> tuple[Floats, Bools]:
    scope = Scope.of(xyz, seen)
    graph = search(scope.points, Blocks(len(scope.points)))
    lengths, sure = isolation(scope, graph, fewest, *limits)
    return lengths[scope.back], sure[scope.back]


def linked(xyz: Floats, fewest: int) -> Floats:
    """(N,): the same, by the whole tree of single linkage over all pairs."""
    members: list[list[int]] = [[row] for row in range(len(xyz))]
    lengths = np.full(len(xyz), np.nan)
    for one, other, length, size in linkage(pdist(xyz), "single"):
        members.append(members[int(one)] + members[int(other)])
        if size >= fewest:
            both = np.array(members[-1])
            lengths[both] = np.where(np.isnan(lengths[both]), length, lengths[both])
    return lengths


def street() -> Floats:
    """A plane, a wire over it, flocks of 5, 20 and 40, and points in the air."""
    draw = np.random.default_rng(3)
    plane = np.column_stack((draw.uniform(0, 30, (900, 2)), draw.normal(0, 0.1, 900)))
    wire = np.column_stack((np.arange(70) * 2.5 - 60, np.full(70, 15.0), draw.normal(8, 0.05, 70)))
    flocks = [
        draw.uniform(0, 30, 3) * [1, 1, 0] + [0, 0, high] + draw.normal(0, 0.6, (size, 3))
        for size, high in ((5, 15.0), (20, 25.0), (40, 40.0))
    ]
    air = draw.uniform((0, 0, 12), (30, 30, 60), (40, 3))
    return np.concatenate((plane, wire, *flocks, air))


@pytest.mark.parametrize("fewest", [10, 50])
def test_it_is_single_linkage(fewest: int) -> None:
    xyz = street()
    found, sure = isolated(xyz, fewest, (1.0, 25.0))
    exact = np.clip(linked(xyz, fewest), 1.0, 25.0)
    assert sure.all()
    # A step more at most; along the shortest, the four nearest stand for all.
    assert (found >= exact * (1 - 1e-9)).all()
    near = found <= np.minimum(exact * RATIO * (1 + 1e-9), 25.0)
    assert near.mean() > 0.99
    assert near[exact > 1].mean() > 0.97


def test_of_a_wire_it_is_the_step_and_of_a_flock_the_gap() -> None:
    draw = np.random.default_rng(4)
    plan = np.stack(np.meshgrid(np.arange(30.0), np.arange(30.0)), -1).reshape(-1, 2)
    plane = np.column_stack((plan, draw.normal(0, 0.01, 900)))
    wire = np.column_stack((3.0 * np.arange(60), np.full(60, -50.0), np.zeros(60)))
    # Closer together than the plane's points, so that none of these has them among its nearest.
    flock = np.array([15.0, 15.0, 10.0]) + draw.uniform(-0.2, 0.2, (30, 3))
    found, _ = isolated(np.concatenate((plane, wire, flock)), 50, (1.0, 25.0))
    assert found[:900].max() <= RATIO
    assert found[900:960] == pytest.approx(np.full(60, 3.0), rel=0.035)
    below = float(flock[:, 2].min())
    assert found[960] == pytest.approx(below, rel=0.02)
    assert np.ptp(found[960:]) == 0


def test_of_few_points_half_are_enough_and_none_is_linked_beyond_the_longest() -> None:
    two = np.random.default_rng(5).normal(0, 0.3, (40, 3))
    two[20:] += 100.0
    found, _ = isolated(two, 50, (1.0, 25.0))
    assert found.max() < 2
    found, _ = isolated(np.concatenate((two[:39], [[900.0, 0, 0]])), 50, (1.0, 25.0))
    assert found[39] == 25.0


def test_neither_order_nor_unit_matters() -> None:
    xyz = street()
    order = np.random.default_rng(6).permutation(len(xyz))
    found, _ = isolated(xyz, 50, (1.0, 25.0))
    assert (isolated(xyz[order], 50, (1.0, 25.0))[0] == found[order]).all()
    assert isolated(xyz / 1024, 50, (1 / 1024, 25 / 1024))[0] * 1024 == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_tile_is_sure_of_is_so_in_the_whole_cloud(seed: int) -> None:
    draw = np.random.default_rng(seed)
    xyz = street() + draw.normal(0, 0.05, (1075, 3))
    whole, _ = isolated(xyz, 50, (1.0, 25.0))
    low, high = draw.uniform(-60, 5, 2), draw.uniform(25, 90, 2)
    inside = ((xyz[:, :2] > low) & (xyz[:, :2] < high)).all(1)
    settled = draw.random(inside.sum()) < 0.999
    count, rows = int(inside.sum()), np.flatnonzero(inside)
    horizon = Horizon(low, high, np.ones(count, np.bool_), settled, np.zeros(count, np.int32), moved=0.7)
    seen = Seen(np.ones(count, np.bool_), xyz[inside], horizon=horizon, total=len(xyz), rows=rows)
    # Who is not settled may be elsewhere in the whole cloud: here it is not where it was read.
    here = xyz[inside] + np.where(settled, 0.0, 0.4)[:, None]
    found, sure = isolated(here, 50, (1.0, 25.0), seen)
    assert (found[sure] > 1.5).sum() > 3
    assert sure.sum() > 0.15 * count
    assert not sure.all()
    assert (found[sure] == whole[inside][sure]).all()
