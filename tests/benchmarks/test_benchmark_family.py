"""The benchmarks of uncertainty on strips and of learning on solids measure what they say."""

from __future__ import annotations

import matching
import numpy as np
import pytest
import uncertainty

from deburr.core.arrays import Floats
from deburr.nn.contract import Settings
from deburr.nn.deburr.default import Default
from deburr.nn.models import load
from deburr.train.scene import distances

NOISE = 0.03


def floor(seed: int, lift: float) -> Floats:
    """A level square of 20 m at the height ``lift``, with noise of 3 cm."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, 20, (6000, 2))
    return np.column_stack((plan, np.full(6000, lift))) + random.normal(0, NOISE, (6000, 3))


def test_heights_are_over_the_median_of_their_cell() -> None:
    cells = np.repeat([4, 7, 9], [11, 12, 3])
    heights = np.arange(26.0)
    found = uncertainty.level(heights, cells)
    assert (found[:11] == np.arange(-5, 6)).all()
    assert (found[11:23] == np.arange(12) - 5.5).all()
    assert np.isnan(found[23:]).all()


def test_of_two_floors_nine_tenths_lie_within_and_their_offset_is_no_error() -> None:
    half, most, _, told, apart = uncertainty.met(load("deburr", None), (floor(0, 0.0), floor(1, 0.2)), Settings())
    assert 0.4 < half < 0.9
    assert 0.85 < most < 1.0
    # Of the noise of both, 42 mm, most is gone; the offset of 200 mm is not in it.
    assert 2 < apart < 20
    assert 2 < told < 20


def test_a_solid_is_the_same_again_and_its_noise_is_what_is_said() -> None:
    solid, again = (matching.noisy_solid(3, 0.02) for _ in range(2))
    assert (solid.points == again.points).all()
    assert (solid.points - solid.clean).std() == pytest.approx(0.02, rel=0.02)
    assert np.linalg.norm(solid.clean, axis=1).max() == pytest.approx(1, abs=0.02)
    assert solid.surface is not None
    assert distances(solid.surface, solid.clean).max() < 1e-9
    # No two that are learnt from or judged are one.
    other = matching.noisy_solid(4, 0.02)
    assert other.clean.shape != solid.clean.shape or (other.clean != solid.clean).any()


def test_one_step_of_the_weights_takes_most_of_the_noise_away() -> None:
    model = load("deburr", None)
    assert isinstance(model, Default)
    points = floor(2, 0.0)
    assert matching.denoised(model, points, NOISE)[:, 2].std() < 0.3 * points[:, 2].std()
    found = matching.on_solids(model, [matching.noisy_solid(5, level) for level in matching.LEVELS])
    # Chamfer distance at both levels, of which unevenness along the surface is left, then that to the surface.
    assert all(0.2 < share < 0.8 for share in found[:2])
    assert all(0.01 < share < 0.4 for share in found[2:])
