"""Scores at points: those of a plane under Gaussian noise are known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deburr.core.errors import ReadError, SpecError
from deburr.nn import estimate_noise, scores

NOISE = 0.05


def plane(count: int = 4000) -> np.ndarray:
    """(N, 3) a horizontal plane of spacing 0.16 far from the origin, with noise."""
    random = np.random.default_rng(5)
    flat = np.column_stack([random.uniform(0, 10, (count, 2)), np.zeros(count)])
    return flat + random.normal(0, NOISE, flat.shape) + [500_000, 5_400_000, 100]


def inside(xyz: np.ndarray) -> np.ndarray:
    local = xyz[:, :2] - [500_000, 5_400_000]
    return np.asarray(((local > 1) & (local < 9)).all(axis=1))


@pytest.mark.parametrize("noise", [NOISE, None])
def test_of_a_plane_it_is_minus_the_height_over_the_variance(noise: float | None) -> None:
    xyz = plane()
    found, height = scores(xyz, noise=noise)[inside(xyz)], (xyz[:, 2] - 100)[inside(xyz)]
    slope = (found[:, 2] * height).sum() / (height**2).sum()
    # The variance goes with the square of the level, which is found within 15 %.
    assert slope == pytest.approx(-1 / NOISE**2, rel=0.15 if noise else 0.3)
    assert np.corrcoef(found[:, 2], -height)[0, 1] > 0.95
    assert estimate_noise(xyz) == pytest.approx(NOISE, rel=0.15)


def test_one_step_along_it_is_the_denoising_of_one_step() -> None:
    """A point that lies further than the default limit goes all the way."""
    xyz = plane()
    there = xyz + NOISE**2 * scores(xyz, noise=NOISE)
    before, after = (np.sqrt(((one[:, 2] - 100)[inside(xyz)] ** 2).mean()) for one in (xyz, there))
    assert after < 0.3 * before


def test_units_cancel() -> None:
    xyz = plane(1000)
    local = xyz - xyz[0]
    found, wanted = scores(1000 * local, noise=1000 * NOISE), scores(local, noise=NOISE) / 1000
    # Along the plane some coordinates are next to nothing: there rounding is what differs.
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"xyz": np.zeros((40, 2))}, r"must be an \(N, 3\) array"),
        ({"xyz": np.full((40, 3), np.nan)}, "finite"),
        ({"xyz": np.zeros((40, 3))}, "fewer than 32 different"),
        ({"xyz": plane(100), "noise": 0.0}, "must be above 0"),
    ],
)
def test_what_is_wrong_is_a_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        scores(**given)


def test_weights_that_are_not_there() -> None:
    with pytest.raises(ReadError, match=r"missing\.safetensors"):
        scores(plane(100), weights="missing.safetensors")
