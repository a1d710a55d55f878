"""Points relaxed along a surface: evenly spaced, on the surface, and no further than they may go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from deburr.nn.deburr import relax as relaxing
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.planes import build_graph
from deburr.nn.deburr.relax import FARTHEST, relax
from deburr.train.scene import poisson_subset

Array = np.ndarray


def relaxed(points: Array, may: Array | None = None) -> tuple[Array, Array]:
    """The points at their new places, and the spacing around each, in the units of ``points``."""
    graph, every = build_graph(points), np.ones(len(points), np.bool_)
    way = relax(graph, every if may is None else may, Blocks(len(points), 512, compiled=False))
    return points + graph.unit * way, graph.unit * graph.spacing.double().numpy()


def sphere(count: int, seed: int = 0) -> Array:
    places = np.random.default_rng(seed).normal(size=(count, 3))
    return places / np.linalg.norm(places, axis=1, keepdims=True)


def square(count: int, seed: int = 0) -> Array:
    """Uniform at random on the unit square of z = 0."""
    return np.column_stack((np.random.default_rng(seed).uniform(0, 1, (count, 2)), np.zeros(count)))


def cube(count: int, seed: int = 0) -> Array:
    """Uniform at random on the faces of the unit cube."""
    random = np.random.default_rng(seed)
    places, face = random.uniform(0, 1, (count, 3)), random.integers(0, 6, count)
    places[np.arange(count), face % 3] = face // 3
    return places


def unevenness(points: Array) -> float:
    """How much distances to the nearest neighbour vary, as a share of their mean."""
    nearest = cKDTree(points).query(points, 2)[0][:, 1]
    return float(nearest.std() / nearest.mean())


def off_cube(points: Array) -> Array:
    """(N,) the distance to the surface of the unit cube."""
    q = np.abs(points - 0.5) - 0.5
    outside: Array = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)
    return np.abs(outside)


@pytest.mark.parametrize("points", [sphere(3000), square(3000), cube(3000)], ids=["sphere", "square", "cube"])
def test_random_points_become_even_within_half_a_spacing(points: Array) -> None:
    """A random sample has 0.52, a Poisson-disk sample that is as dense as can be 0.08."""
    now, spacing = relaxed(points)
    assert unevenness(points) > 0.5
    assert unevenness(now) < 0.29
    assert (np.linalg.norm(now - points, axis=1) <= FARTHEST * spacing * (1 + 1e-9)).all()


def test_points_stay_on_a_bent_surface() -> None:
    points = sphere(3000)
    now, spacing = relaxed(points)
    assert np.abs(np.linalg.norm(now, axis=1) - 1).max() < 0.05 * spacing.mean()
    assert np.sqrt(((np.linalg.norm(now, axis=1) - 1) ** 2).mean()) < 0.015 * spacing.mean()


def disks(dense: Array, radius: float) -> Array:
    """A maximal part of ``dense`` without two points within ``radius`` of each other."""
    return dense[poisson_subset(dense, radius, np.random.default_rng(0))]


def squares(side: int = 40) -> Array:
    plan = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) / side
    return np.column_stack((plan, np.zeros(len(plan))))


def triangles() -> Array:
    points = squares()
    points[:, 0] += 0.0125 * (np.rint(points[:, 1] * 40) % 2)
    return points * [1, 3**0.5 / 2, 1]


EVEN = {"squares": squares(), "triangles": triangles(), "disks": disks(sphere(30_000), 0.06)}


@pytest.mark.parametrize("points", EVEN.values(), ids=EVEN)
def test_an_even_sample_does_not_move(points: Array) -> None:
    assert (relaxed(points)[0] == points).all()


def test_no_point_leaves_an_open_surface() -> None:
    """Of 3000 random points in a square, 239 are within a spacing of its border; without bounds, 82 would leave it."""
    points = square(3000)
    now, spacing = relaxed(points)
    over = np.maximum(-now[:, :2], now[:, :2] - 1).max(axis=1) / spacing
    assert (over > 0).sum() <= 6
    assert over.max() < 0.25
    assert unevenness(now) < 0.29


def test_the_edges_of_a_cube_stay_sharp() -> None:
    points = cube(4000)
    now, spacing = relaxed(points)
    inner = np.sort(np.abs(points - 0.5), axis=1)[:, 1] < 0.5 - 8 * spacing
    off = off_cube(now) / spacing
    # Faces stay planes, and near edges a point is off by a small part of a spacing.
    assert off[inner].max() < 1e-6
    assert np.sqrt((off[~inner] ** 2).mean()) < 0.03
    assert off.max() < 0.2
    # On the edges themselves points move along the edge.
    edge = np.random.default_rng(3).uniform(0, 1, (60, 1)) * [1, 0, 0]
    both, _ = relaxed(np.concatenate((points, edge)))
    assert np.median(np.linalg.norm(both[4000:, 1:], axis=1)) < 0.1 * spacing.mean()


def test_nothing_depends_on_order_place_turn_or_unit() -> None:
    points = cube(2000)
    base, _ = relaxed(points)
    order = np.random.default_rng(1).permutation(len(points))
    assert relaxed(points[order])[0] == pytest.approx(base[order], abs=1e-6)
    turn = Rotation.from_euler("xyz", [0.3, -0.8, 2.0]).as_matrix()
    shift = np.array([100.0, -20.0, 5.0])
    assert relaxed(3.0 * points @ turn.T + shift)[0] == pytest.approx(3.0 * base @ turn.T + shift, abs=2e-5)
    mirrored = points * [-1, 1, 1]
    assert relaxed(mirrored)[0] == pytest.approx(base * [-1, 1, 1], abs=1e-6)


def test_who_may_not_move_stays_and_pushes() -> None:
    """A dense half of a square that is held pushes the points beside it away."""
    points = square(3000)
    held = points[:, 0] < 0.5
    now, _ = relaxed(points, ~held)
    assert (now[held] == points[held]).all()
    free = relaxed(points)[0]
    beside = ~held & (points[:, 0] < 0.51)
    assert np.abs(now[beside] - points[beside]).max() > 0.1 / 3000**0.5
    assert (now[beside] != free[beside]).any()
    # Of a pair, the one that may not move stays, and the other keeps away from it.
    lattice = np.concatenate((squares(), [[0.5025, 0.5, 0.0], [0.4975, 0.4025, 0.0]]))
    may = np.ones(len(lattice), np.bool_)
    may[-2] = False
    moved, _ = relaxed(lattice, may)
    assert (moved[-2] == lattice[-2]).all()
    near = np.flatnonzero((lattice[:-2] == [0.5, 0.5, 0.0]).all(axis=1))[0]
    assert np.linalg.norm(moved[near] - moved[-2]) > 2 * np.linalg.norm(lattice[near] - lattice[-2])


def test_lines_and_crowds_come_out_finite() -> None:
    random = np.random.default_rng(0)
    line = np.column_stack((np.sort(random.uniform(0, 9, 100)), np.zeros((100, 2))))
    now, spacing = relaxed(line)
    assert np.isfinite(now).all()
    assert np.abs(now[:, 1:]).max() < 1e-6 * spacing.max()
    ball = random.normal(size=(500, 3))
    now, spacing = relaxed(ball)
    assert np.isfinite(now).all()
    assert (np.linalg.norm(now - ball, axis=1) <= FARTHEST * spacing * (1 + 1e-9)).all()


def test_it_says_how_often_it_walks_over_the_points() -> None:
    points, told = square(1000), list[int]()
    graph = build_graph(points)
    relax(graph, np.ones(1000, np.bool_), Blocks(1000, 256, None, told.append, compiled=False))
    assert sum(told) == relaxing.WALKS * 1000


def test_blocks_leave_no_trace() -> None:
    points = cube(2000)
    graph, every = build_graph(points), np.ones(2000, np.bool_)
    one, other = (relax(graph, every, Blocks(2000, size, compiled=False)) for size in (2000, 300))
    assert one == pytest.approx(other, abs=1e-6)
    assert torch.is_grad_enabled()
