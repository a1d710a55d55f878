"""What a told level would leave, and what the noise network is held to by it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import log

import numpy as np
import pytest
import torch

from deburr.nn.deburr.planes import Graph, build_graph, fit_planes
from deburr.train.examples import Example
from deburr.train.level import Judged, from_arrays, judged, losses, to_arrays
from deburr.train.outcome import Outcome, applied, outcome
from deburr.train.scene import CleanScene, Surface

_NOISE = 0.3


def test_between_two_levels_and_beyond_them_it_goes_straight_on() -> None:
    tried = Outcome(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([[0.0, -2.0, 2.0], [0.0, -1.0, -1.0]]))
    level = torch.tensor([1.5, -1.0], requires_grad=True)
    left = tried.at(level)
    assert left.tolist() == pytest.approx([-1.0, 1.0])
    left.sum().backward()  # type: ignore[no-untyped-call]
    assert level.grad is not None
    assert level.grad.tolist() == pytest.approx([2.0, -1.0])
    assert tried.at(torch.tensor([4.0, 9.0])).tolist() == pytest.approx([4.0, -1.0])


@cache
def _tried(tall: float) -> tuple[Graph, Judged]:
    """A floor, or a thicket as high as ``tall``, about a spacing between points, that every level was tried on."""
    rng, count = np.random.default_rng(1), 2500
    volume = count if tall else 0
    side = (volume / tall) ** 0.5 if tall else count**0.5
    clean = np.column_stack((rng.uniform(0, side, (count, 2)), rng.uniform(0, tall, count)))
    truth = CleanScene(clean, np.full(count, tall > 0), Surface(clean, np.tile([0.0, 0.0, 1.0], (count, 1))))
    points, level = clean + rng.normal(0, _NOISE, clean.shape), np.full(count, _NOISE)
    graph = build_graph(points, unit=1.0)
    seen = judged(points, graph, fit_planes(graph), truth, level)
    return graph, replace(seen, outcome=outcome(Example(truth, points, level), graph, seen.thinned.rows, 3))


def _mean(tall: float, level: float) -> float:
    """What is left on average where ``level`` is told, as a share of the noise."""
    tried = _tried(tall)[1].outcome
    assert tried is not None
    told = torch.full((len(tried.left),), log(level))
    return float(tried.at(told).mean().div(2).exp())


def test_a_floor_is_best_told_its_noise_or_more_and_little_leaves_it_as_it_is() -> None:
    """What no level takes away is along the floor, which is no error there: all of what it started with is across."""
    assert _mean(0, 0.01) == pytest.approx(1, abs=0.1)
    assert _mean(0, _NOISE) < 0.3
    assert _mean(0, _NOISE / 4) > 2 * _mean(0, _NOISE)
    assert _mean(0, 1.5 * _NOISE) == pytest.approx(_mean(0, _NOISE), abs=0.1)


def test_a_thicket_is_best_told_nothing() -> None:
    start, much = _mean(8.0, 0.01), _mean(8.0, 3 * _NOISE)
    assert start == pytest.approx(3**0.5, abs=0.1)  # by a coordinate's noise: it errs along three
    assert much > 1.05 * start


def test_levels_are_tried_between_nothing_and_three_spacings() -> None:
    tried = _tried(0)[1].outcome
    assert tried is not None
    assert bool((tried.levels.diff() > 0).all())
    assert tried.levels[1].exp().item() <= 0.012
    assert 1.2 <= tried.levels[-1].exp().item() <= 3.0


def test_the_loss_is_what_the_applied_levels_leave_to_the_power_of_a_half() -> None:
    class Says(torch.nn.Module):
        def __init__(self, level: float) -> None:
            super().__init__()
            self._level = log(level)

        def look(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs[:, :1]

        def judged(self, seen: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.full((len(seen),), self._level), torch.full((len(seen),), 2.0)

    graph, given = _tried(0)
    assert given.outcome is not None
    for level in (0.05, _NOISE):
        found = losses(Says(level), graph, given)["outcome"]  # type: ignore[arg-type]
        share = given.outcome.at(torch.full((2500,), log(level))).div(2).exp()  # of the RMS
        assert found.item() == pytest.approx((share**0.5).mean().item() / 0.5, abs=1e-4)
    assert "outcome" not in losses(Says(0.1), graph, replace(given, outcome=None))  # type: ignore[arg-type]


def test_what_is_applied_is_the_mean_of_those_near_by_their_odds() -> None:
    """Judges of even odds; those on one half say e times as much as the others: in between, both count."""
    graph, given = _tried(0)
    rows, far = given.thinned.rows, graph.points[:, 0]
    middle = float(far.median())
    level, odds = (far > middle).float(), torch.full((len(rows),), 6.0)
    told = applied(level, odds, 0.5, 1.0, rows, graph)
    assert told[far < middle - 8].max() == pytest.approx(0, abs=0.01)
    assert told[far > middle + 8].min() == pytest.approx(1, abs=0.01)
    beside = (far - middle).abs() < 0.5
    assert told[beside].mean() == pytest.approx(0.5, abs=0.05)
    # Who knows nothing says what the cloud does.
    careless = applied(level, torch.full_like(odds, -6.0), 0.0, 1.0, rows, graph)
    assert careless.max() < 0.05


def test_it_goes_through_a_file() -> None:
    _, given = _tried(0)
    back = from_arrays(to_arrays(given))
    assert back is not None
    assert back.outcome is not None
    assert given.outcome is not None
    assert torch.equal(back.outcome.levels, given.outcome.levels)
    assert torch.equal(back.outcome.left, given.outcome.left)
