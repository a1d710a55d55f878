"""Beams that meet bodies at places computed by hand, and surfaces that hold what was met."""

from __future__ import annotations

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.train.casting import LEAF, Foliage, World, cast, surface_near
from deburr.train.ground import Ground, differences, rolling, self_affine
from deburr.train.patterns import Rays
from deburr.train.primitives import Body, Box, Cylinder, Ellipsoid, Implicit, Plate

ZERO, UP = np.zeros(3), np.array([0.0, 0.0, 1.0])
#: A box turned by 45 degrees about the upright: its edge points along x, sqrt(2) from the middle.
QUARTER = np.array([[1, -1, 0], [1, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
SLOPE = Ground(np.arange(5.0)[:, None] * 0.5 + np.zeros((5, 5)), 1.0)

MET: list[tuple[Body, list[float], list[float], float, list[float]]] = [
    (Box(np.array([5.0, 0, 0]), np.ones(3), np.eye(3)), [0, 0, 0.5], [1, 0, 0], 4.0, [-1, 0, 0]),
    (Box(np.array([5.0, 0, 0]), np.ones(3), QUARTER), [0, 0.5, 0], [1, 0, 0], 5.5 - np.sqrt(2), [-1, 1, 0]),
    (Box(ZERO, np.array([2.0, 3, 4]), np.eye(3), hollow=True), [0, 0, 0], [0, 1, 0], 3.0, [0, 1, 0]),
    (
        Plate(np.array([0, 0, 2.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0])),
        [0.9, 0.9, 0],
        [0, 0, 1],
        2.0,
        [0, 0, 1],
    ),
    (Ellipsoid(np.array([0, 0, 10.0]), np.array([1.0, 2, 3])), [0, 0, 0], [0, 0, 1], 7.0, [0, 0, -1]),
    (Cylinder(np.array([4.0, 0, -1]), np.array([4.0, 0, 1]), 0.5), [0, 0, 0], [1, 0, 0], 3.5, [-1, 0, 0]),
    (
        Implicit(np.array([9.0, 0, 0]), 2.0, lambda p: np.linalg.norm(p, axis=1) - 1),
        [0, 0, 0],
        [1, 0, 0],
        7.0,
        [-1, 0, 0],
    ),
    # z = 0.5 (x + 2) meets z = 4 - x / 2 - 2 at x = 1, half-way between two nodes in y.
    (SLOPE, [-2, 0.5, 3], [2, 0, -1], 1.5 * np.sqrt(5), [-1, 0, 2]),
]


@pytest.mark.parametrize("case", range(len(MET)))
def test_beams_meet_bodies_where_hand_computation_says(case: int) -> None:
    body, origin, along, distance, normal = MET[case]
    direction = np.array([along], dtype=np.float64) / np.linalg.norm(along)
    start = np.array([origin], dtype=np.float64)
    t = body.meet(start, direction)
    assert t == pytest.approx([distance], abs=2e-4)
    place, found = body.project(start + t[:, None] * direction)
    assert place == pytest.approx(start + distance * direction, abs=2e-4)
    assert np.abs(found[0] @ np.array(normal)) == pytest.approx(np.linalg.norm(normal), abs=1e-4)


@pytest.mark.parametrize(
    ("body", "origin", "along"),
    [
        (Box(np.array([5.0, 0, 0]), np.ones(3), np.eye(3)), [0, 1.01, 0], [1, 0, 0]),
        (Box(np.array([-5.0, 0, 0]), np.ones(3), np.eye(3)), [0, 0, 0], [1, 0, 0]),
        (Plate(2 * UP, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), round=True), [0.9, 0.9, 0], [0, 0, 1]),
        (Ellipsoid(np.array([0, 0, 10.0]), np.array([1.0, 2, 3])), [0, 2.1, 0], [0, 0, 1]),
        (Cylinder(np.array([4.0, 0, -1]), np.array([4.0, 0, 1]), 0.5), [0, 0, 1.1], [1, 0, 0]),
        (SLOPE, [-2, 2.5, 3], [2, 0, -1]),
    ],
)
def test_beams_pass_bodies_that_they_miss(body: Body, origin: list[float], along: list[float]) -> None:
    direction = np.array([along], dtype=np.float64) / np.linalg.norm(along)
    assert np.isinf(body.meet(np.array([origin], dtype=np.float64), direction)).all()


@pytest.mark.parametrize("case", range(len(MET)))
def test_what_is_led_to_a_surface_lies_on_it(case: int) -> None:
    body = MET[case][0]
    near = body.center + np.random.default_rng(case).normal(0, 1, (500, 3))
    on, normal = body.project(near)
    again, _ = body.project(on)
    assert np.abs(again - on).max() < 1e-3
    assert np.linalg.norm(normal, axis=1) == pytest.approx(1.0)


def test_ground_is_bilinear_between_its_nodes() -> None:
    ground = Ground(np.array([[0.0, 1.0], [2.0, 5.0]]), 2.0)
    height, slope = ground.at(np.array([[0.0, 0.0], [1.0, -1.0]]))
    assert height == pytest.approx([2.0, 2.0], abs=1e-5)
    assert slope == pytest.approx(np.array([[1.5, 1.0], [1.0, 1.5]]), abs=1e-5)


def test_a_beam_that_grazes_ground_meets_the_first_ridge() -> None:
    heights = np.zeros((65, 65))
    heights[40:44], heights[50] = 1.0, 3.0
    ground = Ground(heights, 0.5)
    t = ground.meet(np.array([[-15.0, 0, 0.5]]), np.array([[1.0, 0, 0]]))
    # The ridge at x = 4 rises from 3.5; it is half as high half-way.
    assert t == pytest.approx([18.75], abs=1e-6)


def test_self_affine_ground_grows_rougher_with_distance_by_its_exponent() -> None:
    heights = self_affine(512, 0.7, 512, np.random.default_rng(0))
    growth = np.log2(differences(heights, 32) / differences(heights, 4)) / 3
    assert growth == pytest.approx(0.7, abs=0.12)
    smooth = rolling(512, 64, np.random.default_rng(0))
    assert differences(smooth, 1) < 0.1 * differences(smooth, 16)


def rays(origins: Floats, along: Floats) -> Rays:
    return Rays(origins, along, np.zeros(len(along), dtype=np.int64))


def test_the_first_body_hides_the_others_and_says_how_the_beam_met_it() -> None:
    world = World([Plate(3 * UP, np.array([9.0, 0, 9]), np.array([0, 9.0, 0])), Ellipsoid(2 * UP, np.full(3, 0.5))])
    sent = rays(np.array([[0, 0, 0], [0.6, 0, 0], [0, 50, 0]], dtype=np.float64), np.tile(UP, (3, 1)))
    hits = cast(world, sent, np.random.default_rng(0))
    assert hits.ray.tolist() == [0, 1]
    assert hits.body.tolist() == [1, 0]
    assert hits.distance == pytest.approx([1.5, 3.6])
    assert hits.cosine == pytest.approx([1.0, np.sqrt(0.5)])


def test_leaves_stop_beams_at_exponential_depths() -> None:
    world = World(leaves=[Foliage(Ellipsoid(10 * UP, np.full(3, 5.0)), 0.5)])
    sent = rays(np.zeros((20_000, 3)), np.tile(UP, (20_000, 1)))
    hits = cast(world, sent, np.random.default_rng(0))
    assert (hits.body == LEAF).all()
    assert (hits.distance - 5).mean() == pytest.approx(0.5, rel=0.03)
    assert (hits.distance - 5).std() == pytest.approx(0.5, rel=0.05)
    # Most of a thin clump is passed: through one of a tenth of the depth, exp(-0.2) of the beams.
    thin = World(leaves=[Foliage(Ellipsoid(10 * UP, np.full(3, 0.05)), 0.5)])
    passed = 1 - len(cast(thin, sent, np.random.default_rng(0))) / 20_000
    assert passed == pytest.approx(np.exp(-0.2), rel=0.02)


def test_surface_samples_cover_what_was_hit_and_nothing_hidden() -> None:
    floor = Plate(ZERO, np.array([5.0, 0, 0]), np.array([0, 5.0, 0]))
    world = World([floor, Box(ZERO, np.ones(3), np.eye(3))])
    xy = np.random.default_rng(1).uniform(-3, 3, (2000, 2))
    sent = rays(np.c_[xy, np.full(2000, 9.0)], np.tile(-UP, (2000, 1)))
    hits = cast(world, sent, np.random.default_rng(0))
    surface = surface_near(world, hits, np.full(2000, 0.3), 10, np.random.default_rng(0))
    on_floor = surface.points[:, 2] == 0
    assert 15_000 < len(surface.points) <= 22_000
    assert (np.abs(surface.points[on_floor, :2]).max(1) >= 1).all()
    assert (np.abs(surface.points[~on_floor]).max(1) == 1).all()
    # Every hit is among them.
    kept = {tuple(p) for p in np.round(surface.points, 9)}
    assert all(tuple(p) in kept for p in np.round(hits.places, 9))
