"""Several draws of where points come from: their mean, and their spread across the surface."""

from __future__ import annotations

import numpy as np
import pytest

from deburr.core.errors import SpecError
from deburr.filters.spd import Spd
from deburr.nn.contract import Settings
from deburr.nn.deburr.chains import gathered
from deburr.nn.deburr.climb import Climbed, Lot
from deburr.nn.deburr.default import Default
from deburr.pipeline import load

COUNT = 500
ROWS = np.arange(COUNT)
UP = np.tile([0.0, 0.0, 1.0], (COUNT, 1))
#: Extents and heights.
SEEN = np.zeros((COUNT, 7, 3), np.float32), np.zeros((COUNT, 7), np.float32)


def _climbed(way: np.ndarray, doubt: float = 0.0, **more: object) -> Climbed:
    return Climbed(way, np.ones(COUNT), np.full(COUNT, doubt), *SEEN, UP, None, **more)  # type: ignore[arg-type]


def test_of_one_draw_nothing_lies_apart() -> None:
    one = gathered(lambda lot, first: _climbed(lot.of(1, ROWS)), 3, 1)
    assert one.spread is None
    assert (one.way == Lot(3).of(1, ROWS)).all()


def test_chance_is_gone_from_the_mean_and_its_size_is_told() -> None:
    """Normal of (0.1, 0.2, 0.3), and 0.16 more that no draw tells: across the surface sqrt(0.09 + 0.16)."""
    size, middle = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    found = gathered(lambda lot, first: _climbed(middle + size * lot.of(1, ROWS), 0.16), 3, 64)
    np.testing.assert_allclose(found.way, np.tile(middle, (COUNT, 1)), rtol=1e-12)
    assert found.spread is not None
    assert np.sqrt((found.spread**2).mean()) == pytest.approx(0.5, rel=0.02)


def test_a_pair_of_draws_is_chance_and_its_mirror_image_and_others_know_nothing_of_it() -> None:
    draws = [Lot(3, number).of(1, ROWS).ravel() for number in range(4)]
    assert (draws[0] == -draws[1]).all()
    assert (draws[2] == -draws[3]).all()
    assert abs(np.corrcoef(draws[0], draws[2])[0, 1]) < 0.1
    assert (Lot(4).of(1, ROWS).ravel() != draws[0]).all()


def test_what_hangs_on_no_chance_is_asked_of_the_first_draw_alone() -> None:
    asked = []

    def climb(lot: Lot, first: bool) -> Climbed:
        asked.append((lot.number, first))
        return _climbed(np.zeros((COUNT, 3)), energy=np.ones(COUNT) if first else None)

    assert (gathered(climb, 0, 4).energy == 1).all()
    assert asked == [(0, True), (1, False), (2, False), (3, False)]


def test_points_are_sure_that_are_in_every_draw() -> None:
    def climb(lot: Lot, first: bool) -> Climbed:
        return _climbed(np.zeros((COUNT, 3)), energy_sure=None)

    found = gathered(lambda lot, first: Climbed(**{**vars(climb(lot, first)), "sure": lot.number != ROWS}), 0, 4)
    assert (np.flatnonzero(~found.sure) == np.arange(4)).all()  # type: ignore[operator]


@pytest.mark.parametrize("samples", [4, 8])
def test_chains_know_a_plane_from_leaves(samples: int) -> None:
    random, noise = np.random.default_rng(1), 0.25
    plane = np.column_stack((random.uniform(0, 30, (900, 2)), np.zeros(900)))
    leaves = random.uniform((50, 0, 0), (62, 12, 12), (900, 3))
    noisy = np.concatenate((plane, leaves)) + random.normal(0, noise, (1800, 3))
    settings = Settings(sampler="langevin", samples=samples, steps=5, noise=noise)
    done = Default.load().denoise(noisy, settings)
    assert done.uncertainty is not None
    inside = np.all((plane[:, :2] > 3) & (plane[:, :2] < 27), axis=1)
    on, off = done.uncertainty[:900][inside], done.uncertainty[900:]
    assert np.median(on) < 0.3 * noise
    assert np.median(off) > 0.5 * noise
    assert (done.uncertainty <= noise).all()
    assert np.abs(done.xyz[:900, 2][inside]).mean() < 0.4 * noise * np.sqrt(2 / np.pi)


@pytest.mark.parametrize("sampler", ["ascent", "ddim"])
def test_samples_without_chance_are_refused(sampler: str) -> None:
    with pytest.raises(SpecError, match=f"'samples' has no effect on sampler '{sampler}'; remove it"):
        load(["a.ply", {"type": "filters.spd", "sampler": sampler, "samples": 4}, "b.ply"])


def test_an_odd_number_of_samples_is_refused() -> None:
    with pytest.raises(SpecError, match="samples"):
        load(["a.ply", {"type": "filters.spd", "sampler": "langevin", "samples": 3}, "b.ply"])


def test_uncertainty_is_there_even_of_weights_that_tell_none() -> None:
    model = Default.load()
    silent = Default(model.score, model.noise)
    points = np.random.default_rng(2).normal(size=(300, 3)) * [5, 5, 0.05]
    assert silent.denoise(points, Settings()).uncertainty is None
    assert silent.denoise(points, Settings(sampler="ancestral", samples=2, steps=2)).uncertainty is not None
    assert Spd(sampler="langevin").samples is None
