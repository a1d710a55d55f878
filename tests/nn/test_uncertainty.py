"""What a model that tells its uncertainty promises: a length, small on surfaces, large where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.filters.spd import Spd
from deburr.nn.contract import Settings
from deburr.nn.models import load

NOISE = 0.15


def ground_and_leaves() -> tuple[np.ndarray, np.ndarray]:
    """1500 points of a plane, then 600 that fill a crown above it; spacing about 1 on the ground; clean and noisy."""
    rng = np.random.default_rng(0)
    ground = np.column_stack([rng.uniform(0, 38, (1500, 2)), np.zeros(1500)])
    leaves = rng.uniform((15, 15, 6), (24, 24, 15), (600, 3))
    clean = np.concatenate([ground, leaves])
    return clean, clean + rng.normal(0, NOISE, clean.shape)


def test_it_lies_between_nothing_and_the_noise() -> None:
    noisy = ground_and_leaves()[1]
    twice = np.concatenate([noisy, noisy[:50]])
    told = load("deburr", None).denoise(twice, Settings(noise=NOISE)).uncertainty
    assert told is not None
    assert told.shape == (len(twice),)
    assert told.dtype == np.float64
    assert ((told >= 0) & (told <= NOISE * (1 + 1e-6))).all()
    assert (told[:50] == told[-50:]).all()


def test_it_scales_with_the_unit_and_knows_no_order() -> None:
    noisy = ground_and_leaves()[1]
    model = load("deburr", None)
    base = model.denoise(noisy, Settings()).uncertainty
    order = np.random.default_rng(1).permutation(len(noisy))
    other = model.denoise(1000 * noisy[order], Settings()).uncertainty
    assert base is not None
    assert other is not None
    assert other / 1000 == pytest.approx(base[order], rel=1e-3, abs=1e-5)


def test_it_is_smaller_on_ground_than_in_leaves_and_so_is_what_is_left() -> None:
    noisy = ground_and_leaves()[1]
    out = Spd(noise=NOISE, dimensions=["Uncertainty"]).run(PointCloud(noisy))
    told = out.dims["Uncertainty"]
    assert np.median(told[:1500]) < 0.5 * NOISE
    assert np.median(told[1500:]) > 1.5 * np.median(told[:1500])
    left = np.sqrt((out.xyz[:1500, 2] ** 2).mean())
    assert left < 3 * np.median(told[:1500]) + 0.1 * NOISE


def test_where_nothing_moves_all_noise_is_left() -> None:
    noisy = PointCloud(ground_and_leaves()[1])
    told = Spd(noise=NOISE, strength=0.0, dimensions=["Uncertainty"]).run(noisy).dims["Uncertainty"]
    np.testing.assert_allclose(told, NOISE, rtol=1e-5)
