"""How heights are spread: the characteristic functions of distributions that have one in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from deburr.nn.deburr.heights import HOPS, PROFILE, around, profile
from deburr.nn.deburr.planes import build_graph

Array = np.ndarray


def profile_of(heights: Array) -> Array:
    weight = torch.full((len(heights),), 1 / len(heights), dtype=torch.float64)
    return profile(torch.from_numpy(heights), weight).numpy()


def test_noise_layers_and_slopes_have_their_closed_forms() -> None:
    rng, count = np.random.default_rng(0), 400_000
    place = np.array([1.0, 2.0, 3.0])
    normal = [*np.exp(-(place**2) / 2), 0.0]
    assert profile_of(5 + 0.3 * rng.normal(size=count)) == pytest.approx(normal, abs=0.01)
    assert profile_of(np.repeat([2.0, 3.0], 50)) == pytest.approx([*np.cos(place), 0.0], abs=1e-4)
    even = np.sqrt(3) * place
    assert profile_of(rng.uniform(-1, 1, count)) == pytest.approx([*np.sin(even) / even, 0.0], abs=0.01)
    # An exponential distribution, about its mean: exp(-it) / (1 - it).
    one_sided = np.exp(-1j * place) / (1 - 1j * place)
    assert profile_of(-rng.exponential(size=count)) == pytest.approx(
        [*one_sided.real, abs(one_sided[1].imag)], abs=0.01
    )


def test_weights_count_as_often_as_they_say() -> None:
    heights, often = np.array([0.0, 1.0, 4.0]), np.array([1, 2, 5])
    weighted = profile(torch.from_numpy(heights), torch.from_numpy(often / 8)).numpy()
    assert weighted == pytest.approx(profile_of(np.repeat(heights, often)), abs=1e-12)


def test_flat_is_flat() -> None:
    assert profile_of(np.full(9, 3.0) + 1e-9 * np.arange(9)) == pytest.approx([1, 1, 1, 0], abs=1e-9)


def wall(thick: float) -> Array:
    """Two noisy layers, one point to a unit of area of each."""
    rng = np.random.default_rng(1)
    sides = [np.column_stack((rng.uniform(0, 60, (3600, 2)), rng.normal(z, 0.1, 3600))) for z in (0, thick)]
    return np.concatenate(sides)


def test_a_thin_wall_is_told_from_a_noisy_floor() -> None:
    """Where as many neighbours are on either side the function is below 0 three deviations out; in a thicker wall most
    are on the point's own side, which is lopsided."""
    rng = np.random.default_rng(2)
    floor = np.column_stack((rng.uniform(0, 60, (7200, 2)), rng.normal(0, 0.5, 7200)))
    third, lopsided = [], []
    for points in (floor, wall(0.6), wall(1.6)):
        inside = np.flatnonzero(((points[:, :2] > 6) & (points[:, :2] < 54)).all(1))[:800]
        told = np.median(around(build_graph(points), torch.from_numpy(inside)).numpy(), 0)[-PROFILE:]
        third.append(told[2])
        lopsided.append(told[3])
    assert third[0] == pytest.approx(np.exp(-4.5), abs=0.05)
    assert third[1] < -0.25
    assert lopsided[0] < 0.15
    assert lopsided[2] > 0.3


def test_it_is_the_same_turned_scaled_and_in_another_order() -> None:
    points, rng = wall(1.6), np.random.default_rng(3)
    order = rng.permutation(len(points))
    turned = 3 * points[order] @ Rotation.random(random_state=4).as_matrix() + 1e4
    told = around(build_graph(points), torch.from_numpy(order)).numpy()
    assert told.shape == (len(points), len(HOPS) * PROFILE)
    away = np.abs(around(build_graph(turned), torch.arange(len(points))).numpy() - told).max(1)
    # Where a neighbourhood is as thick as it is broad, rounding decides which way is up.
    assert np.quantile(away, 0.995) < 1e-4
