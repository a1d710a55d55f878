"""The steps of the samplers, on densities whose answer is known: a Gaussian and a plane."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.nn import schedule
from deburr.nn.schedule import Sampler, abar, sigma, steps_of, time_of

KNOWN = {"noise": 0.6, "spacing": 1.0, "most": 0.6}
NOISE = 0.6
SAMPLERS: tuple[Sampler, ...] = ("ascent", "ddim", "ancestral", "langevin")


def _walked(sampler: Sampler, count: int, start: Floats, spread: float) -> Floats:
    """Where a walk from ``start`` leads whose clean places are normal with the standard deviation ``spread``."""
    chance = np.random.default_rng(1)
    now = start
    for step in steps_of(KNOWN, sampler, count):
        told = step.told * NOISE
        # sigma^2 times the gradient of the log of the density of N(0, spread^2 + sigma^2).
        way = -now * told**2 / (spread**2 + told**2)
        now = step.taken(now, way, start, lambda: NOISE * chance.standard_normal(start.shape))
    return now


def test_the_forward_process_in_closed_form_equals_its_steps() -> None:
    """Variances step by step: beta of it noise, the rest kept."""
    signal, noise = 1.0, 0.0
    for time, beta in enumerate(schedule.BETA, 1):
        signal, noise = (1 - beta) * signal, (1 - beta) * noise + beta
        if time % 250 == 0:
            assert abar(np.array([time]))[0] == pytest.approx(signal, rel=1e-9)
            assert sigma(np.array([time]))[0] == pytest.approx(np.sqrt(noise / signal), rel=1e-9)
    assert abar(np.array([0]))[0] == 1


@pytest.mark.parametrize("noise", [0.001, 0.05, 0.6, 3.2, 100])
def test_the_time_of_a_noise_has_that_noise(noise: float) -> None:
    assert sigma(np.array([time_of(noise)]))[0] == pytest.approx(noise, rel=1e-9)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_walk_begins_with_the_clouds_noise_and_ends_without_chance(sampler: Sampler, count: int) -> None:
    steps = steps_of(KNOWN, sampler, count)
    assert len(steps) == count
    assert steps[0].told == pytest.approx(1)
    assert (steps[-1].gone, steps[-1].shaken, steps[-1].pulled) == pytest.approx((1, 0, 0))
    told = [step.told for step in steps]
    assert all(before > after > 0 for before, after in pairwise(told if sampler != "langevin" else told[:2]))


def test_one_step_of_each_is_the_same() -> None:
    assert {steps_of(KNOWN, sampler, 1) for sampler in SAMPLERS} == {(schedule.Step(1.0),)}


def test_one_step_leads_to_the_mean_of_the_places_that_a_point_may_come_from() -> None:
    """Tweedie: x tau^2 / (tau^2 + sigma^2)."""
    start = np.array([[1.0, -2.0, 0.5]])
    np.testing.assert_allclose(_walked("ascent", 1, start, 0.8), start * 0.64 / (0.64 + 0.36))


def test_the_ascent_takes_more_steps_the_more_noise_there_is() -> None:
    """One up to a quarter of a spacing of noise, two up to a half, three above; each told 0.4 of the one before."""
    told = [
        [step.told for step in steps_of({"spacing": 2.0, "noise": 2 * noise}, "ascent", None)]
        for noise in (0.24, 0.26, 0.49, 0.51)
    ]
    assert told == [[1], [1, 0.4], [1, 0.4], pytest.approx([1, 0.4, 0.16])]


def test_many_steps_without_chance_keep_the_order_of_a_gaussian() -> None:
    """The flow maps N(0, tau^2 + sigma^2) onto N(0, tau^2): x tau / sqrt(tau^2 + sigma^2)."""
    start = np.array([[1.0, -2.0, 0.5]])
    np.testing.assert_allclose(_walked("ddim", 400, start, 0.8), start * 0.8, rtol=3e-3)


def test_many_steps_with_chance_draw_from_the_places_that_a_point_may_come_from() -> None:
    """The posterior: mean x tau^2 / (tau^2 + sigma^2), variance tau^2 sigma^2 / (tau^2 + sigma^2)."""
    found = _walked("ancestral", 200, np.full((40_000, 1), 1.5), 0.8)
    assert found.mean() == pytest.approx(1.5 * 0.64, abs=0.01)
    assert found.std() == pytest.approx(0.8 * 0.6, rel=0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_plane_is_reached(sampler: Sampler) -> None:
    """A Gaussian of no thickness: whatever the way, its end is the plane."""
    start = np.random.default_rng(2).normal(0, NOISE, (100, 1))
    assert np.abs(_walked(sampler, 4, start, 0.0)).max() < 1e-12


def _chained(monkeypatch: pytest.MonkeyPatch, start: Floats, spread: float) -> Floats:
    """A long Langevin chain of small steps."""
    monkeypatch.setattr(schedule, "PACE", 0.05)
    return _walked("langevin", 150, start, spread)


def test_a_chain_ends_in_means_whose_mean_and_variance_are_the_posteriors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean is x tau^2 / (tau^2 + sigma^2), tau the density's own; the variance that of the posterior without what
    is open behind the chain's last place, whose noise is r sigma."""
    found = _chained(monkeypatch, np.full((40_000, 1), 1.5), 0.8)
    assert found.mean() == pytest.approx(1.5 * 0.64, abs=0.01)
    last = (schedule.TAU * NOISE) ** 2
    whole, behind = 0.64 * 0.36 / (0.64 + 0.36), 0.64 * last / (0.64 + last)
    assert found.var() == pytest.approx(whole - behind, rel=0.04)


def test_the_longer_steps_of_the_default_draw_a_little_wide() -> None:
    """A chain of steps 1 - h has h eps^2 / 2 / (1 - (1 - h)^2) / h of the variance: 1 / (1 - h / 2)."""
    found = _walked("langevin", 60, np.full((40_000, 1), 1.5), 0.8)
    last = (schedule.TAU * NOISE) ** 2
    middle = steps_of(KNOWN, "langevin", 60)[1]
    pace = middle.pulled + middle.gone * last / (0.64 + last)
    whole, behind = 0.64 * 0.36 / (0.64 + 0.36), 0.64 * last / (0.64 + last)
    assert found.mean() == pytest.approx(1.5 * 0.64, abs=0.01)
    assert found.var() == pytest.approx((whole - behind) / (1 - pace / 2), rel=0.04)


def test_a_plane_whose_place_nobody_knows_is_drawn_as_well_as_its_points_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of n points of a plane the score leads each to their mean, which is all that is known of the plane. Its place,
    given them, is normal about their mean with the variance sigma^2 / n: of that all but r^2 sigma^2 / n is drawn."""
    monkeypatch.setattr(schedule, "PACE", 0.05)
    chance, n = np.random.default_rng(3), 10
    start = np.tile(chance.normal(0, NOISE, n), (8000, 1))
    now = start
    for step in steps_of(KNOWN, "langevin", 200):
        way = now.mean(1, keepdims=True) - now
        now = step.taken(now, way, start, lambda: NOISE * chance.standard_normal(start.shape))
    assert np.ptp(now, axis=1).max() < 1e-12
    assert now[:, 0].mean() == pytest.approx(start[0].mean(), abs=0.01)
    assert now[:, 0].var() == pytest.approx((1 - schedule.TAU**2) * NOISE**2 / n, rel=0.05)


def test_no_step_leads_further_than_it_says() -> None:
    for sampler in SAMPLERS:
        now, bound, start = np.zeros((1, 1)), 0.0, np.zeros((1, 1))
        for step in steps_of(KNOWN, sampler, 5):
            way, chance = np.full((1, 1), schedule.LIMIT * step.told), np.full((1, 1), schedule.FARTHEST)
            now, bound = step.taken(now, way, start, lambda far=chance: far), step.farthest(bound)
            assert now[0, 0] == pytest.approx(bound)
