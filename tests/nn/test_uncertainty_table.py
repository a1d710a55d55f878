"""The table of what is left: fitted to errors, read between its marks, and told by the bundled weights truly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deburr.core.neighbors import cloud_spacing
from deburr.nn.contract import Settings
from deburr.nn.deburr.uncertainty import CLOSED, LEVELS, Table
from deburr.nn.models import load
from deburr.train.landscapes import landscape_scene
from deburr.train.scene import CleanScene, nearest_on_surface, scaled
from deburr.train.solids import solid_scene


def test_between_marks_it_is_interpolated_and_beyond_them_constant() -> None:
    shares = np.zeros((2, len(LEVELS), len(CLOSED)))
    shares[1] = np.arange(5)[:, None] / 10 + np.arange(5) / 100
    table = Table(shares)

    def left(level: float, closed: float) -> float:
        one = np.ones(1)
        return float(table.left(level * one, one, 1 - closed * one, None, 0.0)[0] / level)

    assert left(0.1, 1e-3) == pytest.approx(0.21)
    assert left(10**-0.75, 10**-2.5) == pytest.approx(0.25 + 0.015)
    assert left(1e-5, 0.0) == pytest.approx(0.0)
    assert left(100.0, 1.0) == pytest.approx(0.44)


def test_odds_weigh_the_layers() -> None:
    shares = np.stack((np.full((5, 5), 0.9), np.full((5, 5), 0.1)))
    one = np.ones(3)
    table, odds = Table(shares), np.array([-np.inf, 0.0, np.inf])
    assert table.left(2 * one, one, 0.5 * one, odds, 0.0) == pytest.approx([1.8, 1.0, 0.2])
    # Where nobody knows, the cloud's level is the likelier one if it is higher.
    assert table.left(2 * one, one, 0.5 * one, odds, 6.0) == pytest.approx([5.4, 2.8, 0.2])


def test_nine_of_ten_errors_lie_within_what_is_fitted() -> None:
    rng = np.random.default_rng(2)
    count = 40_000
    level, odds = 10 ** rng.uniform(-2, 0, count), rng.choice([-1.0, 1.0], count)
    gate = 1 - 10 ** rng.uniform(-4, 0, count)
    share = np.where(odds > 0, 0.2, 0.8)
    error = np.abs(rng.normal(0, share * level))
    cloud = np.where(odds > 0, 9.0, level)
    table = Table.fitted(level, np.ones(count), gate, odds, cloud, error)
    assert table.shares[0] == pytest.approx(np.full((5, 5), 0.8), rel=0.12)
    assert table.shares[1] == pytest.approx(np.full((5, 5), 0.2), rel=0.12)


def test_of_too_few_points_nothing_is_claimed() -> None:
    few = np.full(10, 0.1)
    assert (Table.fitted(few, few, few, few, few, few).shares == 1).all()


def test_errors_of_doubtful_places_are_shares_of_the_higher_level() -> None:
    one = np.ones(1000)
    errors = np.abs(np.random.default_rng(0).normal(0, 0.4, 1000))
    table = Table.fitted(0.1 * one, one, 0.5 * one, -one, 0.8 * one, errors)
    assert table.shares[0] == pytest.approx(np.full((5, 5), 0.5), rel=0.1)


@pytest.mark.parametrize(
    "told", [None, [], [[0.5]], "much", [[[0.5] * 5] * 5], [[[2.0] * 5] * 5] * 2, [[[float("nan")] * 5] * 5] * 2]
)
def test_a_card_without_a_sound_table_has_none(told: object) -> None:
    assert Table.of({"uncertainty": told}) is None


@pytest.mark.parametrize(
    ("make", "noise"), [(landscape_scene, 0.15), pytest.param(solid_scene, 0.5, marks=pytest.mark.slow)]
)
def test_nine_of_ten_points_on_surfaces_lie_within_the_interval(
    make: Callable[[int], CleanScene], noise: float
) -> None:
    """On scenes of seeds that neither training nor the table has seen."""
    scene = make(2**41 + 3)
    scene = scaled(scene, 1 / cloud_spacing(scene.points))
    noisy = scene.points + np.random.default_rng(1).normal(0, noise, scene.points.shape)
    found = load("deburr", None).denoise(noisy, Settings())
    assert found.uncertainty is not None
    on = ~scene.solitary
    error = np.linalg.norm(found.xyz[on] - nearest_on_surface(scene.surface, found.xyz[on]), axis=1)
    assert 0.8 < (error < 1.645 * found.uncertainty[on]).mean() < 0.98
