"""Where the beams of scanners go, and what their errors are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deburr.train import patterns
from deburr.train.casting import Hits
from deburr.train.patterns import Rays
from deburr.train.ranging import TAILS, Ranging, mixed_pixels, on_lattice, sensed, unit_noise

PLACE = np.array([3.0, -2.0, 1.5])


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("rings", [16, 32, 64, 128])
def test_beams_of_a_standing_spinning_scanner_lie_on_its_cones(rings: int) -> None:
    elevations = patterns.ring_angles(rings, -25, 15, rng())
    rays = patterns.spinning(PLACE, elevations, 1.0, 0.2, 9600)
    assert len(rays.along) == 9600
    assert np.degrees(np.arcsin(rays.along[:, 2])) == pytest.approx(elevations[rays.line])
    assert (rays.origins == PLACE).all()
    azimuth = np.degrees(np.arctan2(rays.along[:, 1], rays.along[:, 0]))[rays.line == 0]
    assert np.diff(azimuth) == pytest.approx(0.2)


def test_a_turn_ends_after_a_turn_and_a_driven_scanner_moves_on() -> None:
    moving = np.array([2.0, 0, 0])
    rays = patterns.spinning(PLACE, np.array([0.0, 10.0]), 0.0, 1.0, 99_999, moving)
    assert len(rays.along) == 720
    x = rays.origins[rays.line == 0][:, 0]
    assert np.ptp(x) == pytest.approx(2 * 359 / 360)


def test_rays_through_a_ball_are_those_that_pass_it() -> None:
    y = np.array([-2.0, -0.5, 0.0, 0.9, 1.1])
    rays = Rays(np.c_[0 * y, y, 0 * y], np.tile([1.0, 0, 0], (5, 1)), np.arange(5))
    assert patterns.through(rays, np.array([5.0, 0, 0]), 1.0, 9).line.tolist() == [1, 2, 3]
    assert patterns.through(rays, np.array([5.0, 0, 0]), 1.0, 2).line.tolist() == [1, 2]
    assert len(patterns.through(rays, np.array([-5.0, 0, 0]), 1.0, 9).line) == 0


def test_tripod_lines_are_upright_and_as_far_apart_as_asked() -> None:
    rays = patterns.tripod(PLACE, 0.5, 0.0, 0.5, 4000, rng(), ratio=4.0)
    azimuth, elevation = np.arctan2(rays.along[:, 1], rays.along[:, 0]), np.arcsin(rays.along[:, 2])
    lines = [azimuth[rays.line == i] for i in range(rays.line.max() + 1)]
    assert max(np.ptp(line) for line in lines) < 1e-9
    assert np.median(np.diff([line[0] for line in lines])) == pytest.approx(np.radians(2.0), rel=0.05)
    assert np.diff(elevation[rays.line == 0]) == pytest.approx(np.radians(0.5))
    assert len(rays.along) == pytest.approx(4000, rel=0.1)


def test_pixels_of_a_depth_camera_are_a_lattice_in_its_picture() -> None:
    toward = np.array([1.0, 0.3, -0.4])
    rays = patterns.depth_camera(PLACE, toward, 500.0, 5000, rng())
    forward = toward / np.linalg.norm(toward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    u = 500 * (rays.along @ right) / (rays.along @ forward)
    assert np.diff(u[rays.line == 3]) == pytest.approx(1.0)


def test_stripes_are_parallel() -> None:
    rays = patterns.stripe(np.array([0.0, 0, -1]), 2.0, 0.05, 2.0, rng())
    assert rays.along == pytest.approx(np.broadcast_to([0, 0, -1.0], rays.along.shape))
    first = rays.origins[rays.line == 0]
    assert np.linalg.norm(np.diff(first, axis=0), axis=1) == pytest.approx(0.05)
    assert np.linalg.norm(rays.origins[rays.line == 1][0] - first[0]) == pytest.approx(0.1)


def on_the_ground(rays: Rays) -> np.ndarray:
    return (rays.origins - rays.origins[:, 2:] / rays.along[:, 2:] * rays.along)[:, :2]


@pytest.mark.parametrize("zigzag", [False, True])
def test_airborne_lines_cover_the_square(zigzag: bool) -> None:
    rays = patterns.push_broom(40, 0.5, 1.5, 300, 60, rng(), zigzag)
    xy = on_the_ground(rays)
    assert len(xy) == pytest.approx(40 * 40 / (0.5**2 * 1.5), rel=0.05)
    assert np.abs(xy).max() < 0.75 * 40
    one, two = (xy[rays.line == i] for i in range(2))
    aside = (one[-1] - one[0]) / np.linalg.norm(one[-1] - one[0])
    apart = two - one - ((two - one) @ aside)[:, None] * aside
    gap = np.linalg.norm(apart, axis=1)
    assert np.median(gap) == pytest.approx(0.75, abs=0.1)
    # Where the mirror swings back, two lines meet on one side and are twice as far apart on the other.
    assert gap[0] == pytest.approx(1.5 if zigzag else 0.75, abs=0.3)
    assert gap[-1] == pytest.approx(0.0 if zigzag else 0.75, abs=0.3)


def test_ellipses_are_seen_ahead_and_astern_under_one_angle() -> None:
    rays = patterns.palmer(40, 0.5, 1.5, 300, rng())
    down = -rays.along[:, 2]
    assert np.ptp(down) < 1e-9
    assert len(rays.along) > 2000


def test_lines_of_joined_patterns_are_not_mixed_up() -> None:
    one = patterns.spinning(PLACE, np.array([0.0, 1.0]), 0.0, 1.0, 20)
    assert np.unique(patterns.together([one, one, one]).line).tolist() == [0, 1, 2, 3, 4, 5]


def wall(count: int, distance: float = 10.0) -> tuple[Hits, Rays]:
    """Beams along x that meet a wall head-on."""
    along = np.broadcast_to([1.0, 0, 0], (count, 3)).copy()
    origins = np.c_[np.zeros(count), np.arange(count) * 0.01, np.zeros(count)]
    far = np.full(count, distance)
    hits = Hits(np.arange(count), far, np.zeros(count, dtype=np.int64), origins + far[:, None] * along, np.ones(count))
    return hits, Rays(origins, along, np.zeros(count, dtype=np.int64))


@pytest.mark.parametrize("tail", TAILS)
def test_noise_of_every_tail_has_variance_one(tail: str) -> None:
    assert unit_noise(tail, (400_000,), rng()).std() == pytest.approx(1.0, rel=0.02)


CASES = [
    Ranging(0.02),
    Ranging(0.02, tail="student"),
    Ranging(0.02, range_step=0.1),
    Ranging(0.0, range_step=0.1),
    Ranging(0.05, disparity_step=0.001),
    Ranging(0.02, along_beam=False),
    Ranging(0.02, growth=0.5, grazing=3, dark=4),
]


@pytest.mark.parametrize("ranging", CASES)
def test_levels_are_the_standard_deviation_along_the_beam(ranging: Ranging) -> None:
    hits, rays = wall(60_000)
    spread = rng().uniform(0, 2, len(hits))
    hits = replace(hits, distance=hits.distance + spread, places=hits.places + spread[:, None] * rays.along)
    hits = replace(hits, cosine=rng().uniform(0.1, 1, len(hits)))
    dark = rng().random(len(hits)) < 0.3
    points, level = sensed(hits, rays, None, dark, ranging, rng())
    error = (points - hits.places) @ np.array([1.0, 0, 0])
    assert np.std(error / level) == pytest.approx(1.0, rel=0.03)
    for some in (dark, ~dark, hits.cosine < 0.3, hits.distance > 11.5):
        assert np.std(error[some] / level[some]) == pytest.approx(1.0, rel=0.05)
    across = np.abs((points - hits.places)[:, 1:]).max()
    assert (across > 0.01) != ranging.along_beam


def test_levels_follow_range_incidence_and_darkness() -> None:
    hits, _ = wall(3)
    hits = replace(hits, distance=np.array([10.0, 10.0, 20.0]), cosine=np.array([1.0, 0.5, 0.01]))
    ranging = Ranging(0.1, growth=0.5, grazing=4, dark=3)
    assert ranging.levels(hits, np.array([True, False, False])) == pytest.approx([0.3, 0.2, 0.6])


def test_quantised_ranges_and_disparities_lie_on_their_lattice() -> None:
    hits, rays = wall(2000)
    points, _ = sensed(hits, rays, None, np.zeros(2000, dtype=np.bool_), Ranging(0.5, range_step=0.07), rng())
    assert points[:, 0] / 0.07 == pytest.approx(np.round(points[:, 0] / 0.07), abs=1e-6)
    points, _ = sensed(hits, rays, None, np.zeros(2000, dtype=np.bool_), Ranging(0.5, disparity_step=0.002), rng())
    disparity = 1 / points[:, 0] / 0.002
    assert disparity == pytest.approx(np.round(disparity), abs=1e-6)
    assert len(np.unique(np.round(disparity))) > 5
    assert on_lattice(np.array([[0.26, -0.26, 0.0]]), 0.1) == pytest.approx(np.array([[0.3, -0.3, 0.0]]))


def test_mixed_pixels_lie_between_the_two_bodies_of_an_edge() -> None:
    hits, rays = wall(1000)
    near = np.arange(1000) % 10 < 5
    distance = np.where(near, 5.0, 10.0)
    hits = replace(
        hits, distance=distance, body=near.astype(np.int64), places=rays.origins + distance[:, None] * rays.along
    )
    found, mixed = mixed_pixels(hits, rays, 1.0, 1.0, rng())
    edge = np.append(near[1:] != near[:-1], False)
    assert (mixed == edge).all()
    assert ((found.distance[mixed] > 5.2) & (found.distance[mixed] < 9.8)).all()
    assert (found.distance[~mixed] == distance[~mixed]).all()
    assert found.places[:, 0] == pytest.approx(found.distance)
    same = replace(hits, body=np.zeros(1000, dtype=np.int64))
    assert not mixed_pixels(same, rays, 1.0, 1.0, rng())[1].any()
