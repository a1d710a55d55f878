"""Whole scenes: what every kind holds to, and what some kinds are about."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from deburr.core.neighbors import Neighbors, cloud_spacing
from deburr.train.plans import KINDS
from deburr.train.scans import LEAST, _displacement, scan_kind, scan_scene
from deburr.train.scene import NoisyScene, nearest_on_surface

#: The first four seeds of every kind; any four of one that chance never makes.
SEEDS = {
    kind: [seed for seed in range(400) if scan_kind(seed) == kind or not share][:4]
    for kind, (share, _) in KINDS.items()
}
MOST = 2000


@cache
def scenes(kind: str) -> list[NoisyScene]:
    return [scan_scene(seed, MOST, kind=kind) for seed in SEEDS[kind]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_valid_scenes(kind: str) -> None:
    for scene in scenes(kind):
        truth, count = scene.truth, len(scene.points)
        assert LEAST <= count <= MOST
        assert scene.points.shape == truth.points.shape == (count, 3)
        assert scene.level.shape == truth.solitary.shape == (count,)
        for numbers in (scene.points, scene.level, truth.points, truth.surface.points, truth.surface.normals):
            assert np.isfinite(numbers).all()
        assert (scene.level >= 0).all()
        assert len(np.unique(scene.points, axis=0)) == count
        assert np.abs(scene.points.mean(0)).max() < 1e-6 * np.abs(scene.points).max()
        assert np.linalg.norm(truth.surface.normals, axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_clean_places_lie_on_the_surface(kind: str) -> None:
    for scene in scenes(kind):
        on = scene.truth.points[~scene.truth.solitary]
        if len(on):
            away = np.linalg.norm(nearest_on_surface(scene.truth.surface, on) - on, axis=1)
            assert away.max() < 5e-3 * cloud_spacing(scene.truth.points)
            assert len(scene.truth.surface.points) > 8 * len(on)


def test_equal_seeds_give_equal_scenes() -> None:
    for seed in range(4):
        one, two, other = scan_scene(seed, 1000), scan_scene(seed, 1000), scan_scene(seed + 100, 1000)
        assert (one.points == two.points).all()
        assert (one.level == two.level).all()
        assert (one.truth.surface.points == two.truth.surface.points).all()
        assert one.points.shape != other.points.shape or (one.points != other.points).any()


@pytest.fixture(scope="module")
def some() -> list[NoisyScene]:
    """Four of each kind."""
    return [scene for kind in KINDS for scene in scenes(kind)]


def test_levels_are_those_of_the_errors(some: list[NoisyScene]) -> None:
    shares, still = [], 0
    for scene in some:
        error = np.linalg.norm(scene.points - scene.truth.points, axis=1)
        if not scene.level.any():
            still += 1
            assert (error == 0).all()
            continue
        shares.append(float(np.sqrt(np.mean((error / scene.level) ** 2))))
    # One direction has the level; the others none (along the beam), or as much. Displaced layers have their own truth.
    assert np.quantile(shares, 0.05) > 0.9
    assert np.quantile(shares, 0.95) < 1.85
    assert np.median(shares) == pytest.approx(1.0, abs=0.05)
    assert 0 < still < 10


def test_noise_spans_the_range_that_users_have(some: list[NoisyScene]) -> None:
    scale = [float(np.median(scene.level)) / cloud_spacing(scene.truth.points) for scene in some]
    assert np.quantile(scale, 0.2) < 0.05
    assert np.quantile(scale, 0.9) > 0.5
    assert max(scale) < 3.5


def test_layers_are_displaced_by_less_than_their_noise_or_so_far_that_it_shows() -> None:
    rng = np.random.default_rng(0)
    loud = [np.full(10, 0.02), np.full(10, 0.05)]
    shifts = np.array([_displacement(loud, 0.1, rng) for _ in range(400)])
    assert ((shifts < 0.05) | (shifts >= 0.15)).all()
    assert 0.3 < (shifts == 0).mean() < 0.7
    assert (shifts >= 0.15).mean() > 0.2
    assert _displacement(loud[:1], 0.1, rng) == 0


def flatness(points: np.ndarray) -> np.ndarray:
    """The share of the smallest eigenvalue of each point's 16 neighbours."""
    near = points[Neighbors(points).nearest(points, 16)[1]]
    away = near - near.mean(1, keepdims=True)
    values = np.linalg.eigvalsh(np.einsum("nki,nkj->nij", away, away))
    return np.asarray(values[:, 0] / values.sum(1))


def test_dark_places_are_noisier_by_what_is_asked_for() -> None:
    """The same scene but for the noise of its dark places: about a third of all, broad ones."""
    for seed in SEEDS["town"][:3]:
        even, dark = (scan_scene(seed, MOST, dark=factor) for factor in (1.0, 6.0))
        assert len(even.points) == len(dark.points)
        ratio = dark.level[even.level > 0] / even.level[even.level > 0]
        ratio /= ratio.min()
        assert ((ratio < 1.01) | (ratio > 2)).mean() > 0.99, "a place is dark or it is not"
        assert 0.05 < (ratio > 2).mean() < 0.7


def test_a_kind_can_be_asked_for() -> None:
    seed = SEEDS["town"][0]
    leaves = scan_scene(seed, MOST, kind="leaves")
    assert leaves.truth.solitary.all()
    assert not scan_scene(seed, MOST).truth.solitary.all()


def test_forests_have_hardly_a_plane_and_streets_have_many() -> None:
    forest = np.concatenate([flatness(scene.truth.points) for scene in scenes("forest")])
    street = np.concatenate([flatness(scene.truth.points) for scene in scenes("street")])
    assert (forest < 0.01).mean() < 0.25
    assert (street < 0.01).mean() > 0.5


def test_heath_is_low_growth_close_above_smooth_ground() -> None:
    """Most leaves lie within a few spacings of the nearest points of the ground."""
    growth = []
    for scene in scenes("heath"):
        truth, spacing = scene.truth, cloud_spacing(scene.truth.points)
        leaves, ground = truth.points[truth.solitary], truth.points[~truth.solitary]
        assert len(leaves) > 50
        assert len(ground) > 50
        _, near = Neighbors(ground[:, :2] @ np.eye(2, 3)).nearest(leaves[:, :2] @ np.eye(2, 3), 1)
        growth.append((leaves[:, 2] - ground[near[:, 0], 2]) / spacing)
    assert np.median(np.abs(np.concatenate(growth))) < 4
    assert not any(scan_kind(seed) == "heath" for seed in range(400))


def test_leaves_alone_have_no_surface() -> None:
    for scene in scenes("leaves"):
        assert scene.truth.solitary.all()
        assert len(scene.truth.surface.points) == 0


def test_lines_of_swept_and_spinning_scanners_are_far_apart() -> None:
    for kind, below in (("street", 0.5), ("sweep", 0.5)):
        nearest = []
        for scene in scenes(kind):
            steps, _ = Neighbors(scene.truth.points).nearest(scene.truth.points, 2)
            nearest.append(float(np.median(steps[:, 1])) / cloud_spacing(scene.truth.points))
        assert np.median(nearest) < below
