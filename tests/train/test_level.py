"""What the noise network learns from, and what it is held to."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from deburr.nn.deburr.noise_network import NoiseNetwork
from deburr.nn.deburr.planes import Graph, build_graph, fit_planes
from deburr.train.level import Judged, from_arrays, judged, losses, pooled, to_arrays
from deburr.train.scene import CleanScene, Surface

Array = np.ndarray


def scene(noise: float, tall: float = 0.0, count: int = 3000) -> tuple[Array, CleanScene, Array]:
    """A floor with a point to a unit of area, or a thicket as high as ``tall``; levels of the noise."""
    rng = np.random.default_rng(1)
    clean = np.column_stack((rng.uniform(0, np.sqrt(count), (count, 2)), rng.uniform(0, tall, count)))
    surface = Surface(clean, np.tile([0.0, 0.0, 1.0], (count, 1)))
    solitary = np.full(count, tall > 0)
    return clean + rng.normal(0, noise, clean.shape), CleanScene(clean, solitary, surface), np.full(count, noise)


def seen(noise: float, tall: float = 0.0) -> tuple[Graph, Judged]:
    points, truth, level = scene(noise, tall)
    graph = build_graph(points)
    return graph, judged(points, graph, fit_planes(graph), truth, level)


def test_floors_tell_their_noise_and_thickets_tell_none() -> None:
    graph, floor = seen(0.2)
    assert bool(floor.readable.all())
    assert floor.target.exp().numpy() * graph.unit == pytest.approx(0.2, rel=1e-5)
    assert not bool(seen(0.2, tall=8.0)[1].readable.any())


def test_rough_ground_tells_nothing_of_noise_that_is_less_than_its_roughness() -> None:
    points, truth, level = scene(0.02)
    rough = np.random.default_rng(2).normal(0, 0.2, len(points))
    bumpy = CleanScene(truth.points + rough[:, None] * [0, 0, 1], truth.solitary, truth.surface)
    points = bumpy.points + np.random.default_rng(3).normal(0, 0.02, points.shape)
    graph = build_graph(points)
    found = judged(points, graph, fit_planes(graph), bumpy, level)
    assert float(found.readable.float().mean()) < 0.02


class _Says(NoiseNetwork):
    """A network that finds all levels ``factor`` times too high, and is as sure as ``odds`` say."""

    def __init__(self, judged: Judged, factor: float, odds: float) -> None:
        super().__init__()
        self._level = judged.target + log(factor)
        self._odds = torch.full_like(judged.target, odds)

    def judged(self, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        return self._level, self._odds


def test_on_surfaces_too_little_costs_more_than_too_much_and_elsewhere_less() -> None:
    """Quantiles 0.55 and 0.15, hand-computed: a factor 2 beyond costs 1 - q, short of it q, in units of log 2; where
    nothing tells the noise, three times that."""
    for (graph, given), q, weight in ((seen(0.5), 0.55, 1), (seen(0.5, tall=8.0), 0.15, 3)):
        over, under = (losses(_Says(given, factor, 0.0), graph, given)["level"].item() for factor in (2.0, 0.5))
        assert over == pytest.approx(weight * (1 - q) * log(2), rel=0.05)
        assert under == pytest.approx(weight * q * log(2), rel=0.08)


def test_a_cloud_without_surfaces_had_better_be_told_too_little() -> None:
    """0.6 of the quantile loss, 0.5 for a floor's level and 0.15 for a thicket's, of a factor 2."""
    for (graph, given), q in ((seen(0.5), 0.5), (seen(0.5, tall=8.0), 0.15)):
        over, under = (losses(_Says(given, factor, 0.0), graph, given)["cloud"].item() for factor in (2.0, 0.5))
        assert over == pytest.approx(0.6 * (1 - q) * log(2), rel=0.05)
        assert under == pytest.approx(0.6 * q * log(2), rel=0.05)


def test_odds_are_held_to_how_often_the_level_is_right() -> None:
    graph, given = seen(0.5)
    right, wrong = (losses(_Says(given, factor, 3.0), graph, given)["odds"].item() for factor in (1.2, 2.0))
    assert right == pytest.approx(0.3 * np.log1p(np.exp(-3.0)), rel=1e-4)
    assert wrong == pytest.approx(0.3 * np.log1p(np.exp(3.0)), rel=1e-4)


def test_a_cloud_pools_its_judges_by_their_odds_without_those_far_off() -> None:
    level = torch.tensor([0.0, 0.0, 0.2, 5.0]).log1p()
    odds = torch.tensor([1.0, 1.0, 2.0, 0.5]).log()
    assert pooled(level, odds).item() == pytest.approx(2 * log(1.2) / 4)


def test_what_was_seen_goes_through_a_file() -> None:
    _, given = seen(0.3)
    back = from_arrays(to_arrays(given))
    assert back is not None
    for name in ("inputs", "spacing", "target", "readable"):
        assert torch.equal(getattr(back, name), getattr(given, name))
    for name in ("rows", "shapes", "pool", "window", "wide", "reach"):
        assert torch.equal(getattr(back.thinned, name), getattr(given.thinned, name))
    assert from_arrays({}) is None


def test_a_scene_in_which_nobody_judges_teaches_nothing() -> None:
    """On a lattice without noise all lots are alike, and here none is drawn."""
    from deburr.train.lattices import lattice_scene

    scan = lattice_scene(96, largest=24_000)
    graph = build_graph(scan.points)
    given = judged(scan.points, graph, fit_planes(graph), scan.truth, scan.level)
    assert len(given.thinned.rows) == 0
    assert losses(NoiseNetwork(), graph, given) == {}
