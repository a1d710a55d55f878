"""What is left in points: fitted to errors, at most all noise, and told by the bundled weights truly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.nn.contract import Settings
from deburr.nn.deburr.planes import SCALES
from deburr.nn.deburr.uncertainty import INPUTS, Evidence, Regression, Singles
from deburr.nn.models import load
from deburr.train.landscapes import landscape_scene
from deburr.train.leftover import fit
from deburr.train.scene import CleanScene, NoisyScene, distances, scaled
from deburr.train.solids import solid_scene
from deburr.train.validate import left_over


def seen(
    level: Floats, gate: float = 0.9, thick: float = 1.0, odds: Floats | None = None, cloud: float = 1.0
) -> Evidence:
    """Points of spacing 1, on planes ``thick`` times as thick as their noise, twice and three times as broad."""
    one = np.ones(len(level))
    size: Singles = np.float32(thick) * level[:, None, None].astype(np.float32) * np.tile([1, 2, 3], (SCALES, 1))
    return Evidence(level, one, gate * one, size, 0 * size[..., 0], odds, cloud)


def constant(share: float) -> Regression:
    return Regression(((np.zeros((1, INPUTS)), np.log([share])),))


def test_what_it_is_shown() -> None:
    shown = seen(np.array([0.1, 1e-9]), gate=0.99, thick=10.0, cloud=0.1).inputs()
    sizes = [1, *np.log10([20, 30])] * SCALES
    # No height is told apart from a tenth of the noise.
    assert shown[0] == pytest.approx([-1, -2, 0, *sizes, *[-1] * SCALES], abs=1e-5)
    # Beyond what can be told apart, nothing more is told.
    assert shown[1] == pytest.approx([-2, -2, 2, *sizes, *[-1] * SCALES], abs=1e-5)


def test_heights_are_told_in_noise() -> None:
    flat = seen(np.array([0.2]))
    shown = replace(flat, heights=np.full((1, SCALES), 0.6, np.float32)).inputs()[0, -SCALES:]
    assert shown == pytest.approx(np.log10(np.hypot(3, 0.1)))


def test_parts_tell_what_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    some = seen(rng.uniform(0.1, 1, 50), odds=rng.normal(size=50), cloud=0.5)
    one = Regression(((rng.normal(0, 0.1, (1, INPUTS)), np.array([-1.0])),))
    whole = one.left(some)
    monkeypatch.setattr("deburr.nn.deburr.uncertainty._PART", 7)
    assert one.left(some) == pytest.approx(whole, rel=1e-6)


def test_the_share_is_what_the_layers_compute() -> None:
    weight, bias = np.zeros((2, INPUTS)), np.array([0.5, 0.0])
    weight[0, 0] = 1.0
    two = Regression(((weight, bias), (np.array([[2.0, 0.0]]), np.array([-1.5]))))
    assert two.left(seen(np.array([0.1])))[0] == pytest.approx(0.1 * np.exp(2 * np.tanh(-1 + 0.5) - 1.5))


def test_no_more_is_left_than_there_was() -> None:
    assert constant(7.0).left(seen(np.array([0.1, 0.2]))) == pytest.approx([0.1, 0.2])


def test_where_nobody_knows_the_level_the_clouds_is_likelier_if_it_is_higher() -> None:
    odds = np.array([-np.inf, 0.0, np.inf])
    assert constant(0.1).left(seen(np.full(3, 2.0), odds=odds, cloud=0.0)) == pytest.approx([0.2, 0.2, 0.2])
    assert constant(0.1).left(seen(np.full(3, 2.0), odds=odds, cloud=6.0)) == pytest.approx([0.6, 0.4, 0.2])


def test_nine_of_ten_errors_lie_within_what_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where planes are as thick as the noise a fifth of it is left, where they are thicker four fifths."""
    monkeypatch.setattr("deburr.train.leftover._STEPS", 700)
    rng = np.random.default_rng(2)
    count = 40_000
    level = 10 ** rng.uniform(-2, 0, count)
    shares, thick = (0.2, 0.8), (1.0, 10.0)
    points = [seen(level, thick=one) for one in thick]
    errors = [np.abs(rng.normal(0, share * level)) for share in shares]
    found = fit(
        np.concatenate([one.inputs() for one in points]),
        np.concatenate([one.most() for one in points]),
        np.concatenate(errors),
        np.zeros(2 * count, np.int64),
    )
    for one, share, error in zip(points, shares, errors, strict=True):
        told = found.left(one)
        assert np.quantile(np.abs(told / (share * level) - 1), 0.999) < 0.15
        assert (error < 1.645 * told).mean() == pytest.approx(0.9, abs=0.02)


def test_it_comes_back_from_the_card() -> None:
    rng = np.random.default_rng(0)
    layers = ((rng.normal(size=(16, INPUTS)), rng.normal(size=16)), (rng.normal(size=(1, 16)), np.array([-3.0])))
    first = Regression(layers)
    again = Regression.of({"uncertainty": first.figures()})
    assert again is not None
    some = seen(np.array([0.1, 0.3]))
    assert again.left(some) == pytest.approx(first.left(some), rel=1e-2)


@pytest.mark.parametrize(
    "layers",
    [None, [], "much", [[[0.5] * INPUTS], [0.0]], [[[[0.5] * 3], [0.0]]], [[[[float("nan")] * INPUTS], [0.0]]],
     [[[[0.5] * INPUTS] * 2, [0.0, 0.0]]], [[[[0.5] * INPUTS], 0.0]]],
)  # fmt: skip
def test_a_card_without_a_sound_one_has_none(layers: object) -> None:
    assert Regression.of({"uncertainty": {"layers": layers}}) is None
    assert Regression.of({"uncertainty": layers}) is None
    assert Regression.of({}) is None


def test_few_points_of_a_class_of_their_own_are_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing tells 400 points that keep all noise from 40,000 that keep a hundredth. As one in 101 they let the
    latter's 0.909 quantile be told, 1.69 / 1.645 hundredths; as one in 11, by roots, the 0.988 one, 2.51 / 1.645."""
    monkeypatch.setattr("deburr.train.leftover._STEPS", 300)
    rng = np.random.default_rng(2)
    classes = (rng.permutation(40_400) < 400).astype(np.int64)
    points = seen(np.ones(len(classes)))
    errors = np.abs(rng.normal(0, np.where(classes == 1, 1.0, 0.01)))
    some = [fit(points.inputs(), points.most(), errors, one).left(points)[0] for one in (0 * classes, classes)]
    # So few say it roughly: it takes one more or less of them to be a tenth off.
    assert some == pytest.approx([0.0103, 0.0153], rel=0.2)


@pytest.mark.slow
def test_nine_of_ten_points_of_each_stratum_lie_within_the_interval() -> None:
    """On open country of seeds that neither training nor the regression has seen; in single scenes it varies more."""
    model, within = load("deburr", None), [np.empty(0, np.bool_) for _ in range(4)]
    for number in range(24):
        scene = landscape_scene(2**41 + number, largest=6000)
        scene = scaled(scene, 1 / cloud_spacing(scene.points))
        noise = (0.04, 0.08, 0.15, 0.3)[number % 4]
        noisy = scene.points + np.random.default_rng(number).normal(0, noise, scene.points.shape)
        found = model.denoise(noisy, Settings())
        error, kinds = left_over(NoisyScene(scene, noisy, np.full(len(noisy), noise)), found.xyz)
        assert found.uncertainty is not None
        for stratum, kept in enumerate(within):
            rows = kinds == stratum
            within[stratum] = np.append(kept, error[rows] < 1.645 * found.uncertainty[rows])
    assert min(len(kept) for kept in within) > 500
    plane, edge, thin, leaf = (kept.mean() for kept in within)
    assert [plane, edge, leaf] == pytest.approx([0.9] * 3, abs=0.05)
    # Wires differ most from scene to scene.
    assert 0.8 < thin < 0.95


@pytest.mark.parametrize(
    ("make", "noise"), [(landscape_scene, 0.15), pytest.param(solid_scene, 0.5, marks=pytest.mark.slow)]
)
def test_nine_of_ten_points_on_surfaces_lie_within_the_interval(
    make: Callable[[int], CleanScene], noise: float
) -> None:
    """On scenes of seeds that neither training nor the regression has seen."""
    scene = make(2**41 + 3)
    scene = scaled(scene, 1 / cloud_spacing(scene.points))
    noisy = scene.points + np.random.default_rng(1).normal(0, noise, scene.points.shape)
    found = load("deburr", None).denoise(noisy, Settings())
    assert found.uncertainty is not None
    on = ~scene.solitary
    error = distances(scene.surface, found.xyz[on])
    assert 0.8 < (error < 1.645 * found.uncertainty[on]).mean() < 0.98
