"""filters.noise: the spread it promises, the same every time, and nothing else touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deburr.core.chance import BLOCK
from deburr.core.cloud import PointCloud
from deburr.core.horizon import Horizon
from deburr.filters.noise import Noise

ORIGIN = PointCloud(np.zeros((60_000, 3)))


def kurtosis(values: np.ndarray) -> float:
    return float((values**4).mean() / (values**2).mean() ** 2)


@pytest.mark.parametrize(
    ("kind", "spread", "fourth"),
    [
        ("gaussian", (1, 1, 1), 3.0),
        ("laplace", (1, 1, 1), 6.0),
        ("uniform", (1, 1, 1), 1.8),
        ("anisotropic", (0.5**0.5, 0.5**0.5, 2**0.5), 3.0),
    ],
)
def test_each_kind_has_its_spread_and_shape(kind: str, spread: tuple[float, ...], fourth: float) -> None:
    moves = Noise(kind=kind, sigma=0.25, seed=4).run(ORIGIN).xyz  # type: ignore[arg-type]
    np.testing.assert_allclose(moves.std(axis=0), 0.25 * np.array(spread), rtol=0.02)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=0.006)
    np.testing.assert_allclose((moves**2).sum(axis=1).mean(), 3 * 0.25**2, rtol=0.02)
    assert kurtosis(moves[:, 2]) == pytest.approx(fourth, rel=0.08)
    np.testing.assert_allclose(np.corrcoef(moves.T), np.eye(3), atol=0.02)


def test_the_seed_decides() -> None:
    first, again, other = (Noise(sigma=1, seed=seed).run(ORIGIN).xyz for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not (first == other).any()


def test_a_tile_gets_the_noise_of_the_whole() -> None:
    cloud = PointCloud(np.random.default_rng(0).random((BLOCK + 500, 3)))
    noise = Noise(sigma=0.1)
    keep = np.r_[BLOCK + 7, 3, BLOCK - 1]
    assert noise.run(cloud.select(keep)).xyz.tobytes() == noise.run(cloud).xyz[keep].tobytes()


def test_points_that_do_not_count_stay() -> None:
    cloud = PointCloud(np.ones((3, 3)), {"Classification": np.array([2, 18, 7], np.uint8)})
    result = Noise(sigma=1).run(cloud)
    assert result.moved.tolist() == [True, False, False]
    assert result.history[-1].figures["points_left_out"] == 2


def test_no_noise_moves_nothing() -> None:
    assert Noise(sigma=0).run(ORIGIN).xyz is ORIGIN.xyz


def tile(cloud: PointCloud) -> PointCloud:
    ones = np.ones(len(cloud), np.bool_)
    return replace(cloud, horizon=Horizon(np.zeros(2), np.ones(2), ones, ones, np.zeros(len(cloud), np.int32)))


@pytest.mark.parametrize("kind", ["gaussian", "laplace", "uniform", "anisotropic"])
def test_a_tile_is_told_how_far_points_may_have_gone(kind: str) -> None:
    stage = Noise(kind=kind, sigma=0.25, seed=4)  # type: ignore[arg-type]
    cloud = tile(PointCloud(np.full((200_000, 3), 5_400_000.0)))
    result = stage.run(cloud)
    assert result.horizon is not None
    farthest = np.linalg.norm(result.xyz - cloud.xyz, axis=1).max()
    # Twelve sigma are allowed for, and no more than that is needed for any kind but Laplace's.
    assert farthest <= result.horizon.moved < 0.25 * 3**0.5 * (26 if kind == "laplace" else 12.4)
    assert result.settled.all()
    # The others are moved all the same where these are not.
    still = stage.run(tile(PointCloud(np.ones((3, 3)), {"Withheld": np.ones(3, np.uint8)})))
    assert still.horizon is not None
    assert still.horizon.moved == pytest.approx(result.horizon.moved)
    none = Noise(sigma=0).run(cloud).horizon
    assert none is not None
    assert none.moved == 0
