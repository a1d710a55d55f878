"""The energy of a point's place: its gradient is the score, and under noise alone it follows its chi-square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from deburr.nn.contract import Settings
from deburr.nn.deburr import climb
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.default import Default
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.network import ScoreNetwork, local_energies
from deburr.nn.deburr.planes import build_graph, fit_planes
from deburr.nn.models import load

NOISE = 0.25


def bent(count: int = 600) -> np.ndarray:
    """(N, 3) a bent surface of spacing 1, with noise."""
    random = np.random.default_rng(3)
    plan = random.uniform(0, count**0.5, (count, 2))
    return np.column_stack((plan, np.sin(plan[:, 0] / 4))) + random.normal(0, 0.1, (count, 3))


def energies(xyz: np.ndarray, **settings: Any) -> np.ndarray:
    found = load("deburr", None).denoise(xyz, Settings(energy=True, **settings)).energy
    assert found is not None
    return found


def test_its_gradient_is_minus_the_local_score() -> None:
    """In float64, at places anywhere around: S_j(x) = b + A (x_j - x)."""
    torch.manual_seed(4)
    points = bent()
    graph = build_graph(points)
    network = ScoreNetwork()
    with torch.inference_mode():
        scene = Scene(graph, fit_planes(graph), torch.full((len(points),), 0.1))
        local, own, _ = network._walk(scene, Blocks(len(points), 100))
    told = torch.cat((local, own[:, 4:]), 1).double().clone()
    away = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (len(points), 3))).requires_grad_()
    local_energies(told, away).sum().backward()  # type: ignore[no-untyped-call]
    xx, yy, zz, xy, xz, yz = told[:, :6].t()
    matrix = torch.stack((xx, xy, xz, xy, yy, yz, xz, yz, zz), 1).view(-1, 3, 3)
    score = told[:, 6:9] - (matrix @ away.detach()[..., None])[..., 0]
    assert away.grad is not None
    assert float((away.grad + score).norm(dim=1).max()) < 1e-5 * float(score.norm(dim=1).max())
    assert float(score.norm(dim=1).min()) > 0


def test_of_one_plane_it_is_half_the_squared_height() -> None:
    """A plane z = 0.5 below x_j, of weight 1: at height h above the plane E_j = h^2 / 2."""
    normal, height = np.array([0.0, 0.0, 1.0]), -0.5
    told = torch.tensor([0, 0, 1, 0, 0, 0, *(height * normal), 1, height**2 / 2], dtype=torch.float64)
    away = torch.tensor([[0, 0, -0.5], [7, -3, 0.0], [1, 1, 1.5]], dtype=torch.float64)
    assert local_energies(told.expand(3, -1), away).tolist() == pytest.approx([0, 0.125, 2.0])


@pytest.mark.parametrize("noise", [0.1, NOISE])
def test_on_a_plane_it_is_half_a_chi_square(noise: float) -> None:
    random, side = np.random.default_rng(0), 80
    plan = random.uniform(0, side, (side**2, 2))
    xyz = np.column_stack((plan, np.zeros(len(plan)))) + random.normal(0, noise, (len(plan), 3))
    found = energies(xyz, noise=noise)[((plan > 6) & (plan < side - 6)).all(1)]
    assert (found >= 0).all()
    # Chances that thresholds are made of are true to a few percent; a small energy is a small difference.
    for chance, rel in ((0.5, 0.2), (0.1, 0.06), (0.01, 0.06)):
        assert np.quantile(found, 1 - chance) == pytest.approx(chi2.isf(chance, 1) / 2, rel=rel), chance


def test_a_point_off_the_plane_pays_for_its_height() -> None:
    random = np.random.default_rng(1)
    xyz = np.column_stack((random.uniform(0, 40, (1600, 2)), random.normal(0, NOISE, 1600)))
    height = np.array([1.5, 3.0, 6.0])
    off = np.column_stack((np.array([[10.0, 10], [20, 30], [30, 12]]), height))
    found = energies(np.concatenate((xyz, off)), noise=NOISE)[-3:]
    assert found == pytest.approx((height / NOISE) ** 2 / 2, rel=0.3)


def test_it_is_the_same_in_any_order_place_unit_and_turn() -> None:
    points = bent(1500)
    base, random = energies(points), np.random.default_rng(2)
    order, turn = random.permutation(len(points)), np.linalg.qr(random.normal(size=(3, 3)))[0]
    assert energies(points[order]) == pytest.approx(base[order], rel=1e-4, abs=1e-5)
    assert energies(1000 * points @ turn.T + [4e5, 5e6, 100]) == pytest.approx(base, rel=2e-3, abs=2e-4)


@pytest.mark.parametrize("noise", [None, 0.6], ids=["one step", "two steps"])
def test_it_hangs_on_no_blocks_and_changes_nothing_else(noise: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    points, model = bent(1500), Default.load()
    base, plain = (
        model.denoise(points, Settings(energy=True, noise=noise)),
        model.denoise(points, Settings(noise=noise)),
    )
    assert base.xyz.tobytes() == plain.xyz.tobytes()
    assert plain.energy is None
    still = model.denoise(points, Settings(energy=True, noise=noise, strength=0.0))
    assert still.energy is not None
    assert base.energy is not None
    assert still.xyz.tobytes() == points.tobytes()
    assert still.energy.tobytes() == base.energy.tobytes()
    monkeypatch.setattr(climb, "PART", 400)
    assert energies(points, noise=noise) == pytest.approx(base.energy, rel=1e-4, abs=1e-5)


def test_who_sees_too_few_has_none() -> None:
    """Of a group with fewer different points than a neighbourhood has, nothing is told."""
    points = np.concatenate((bent(300), bent(10) + 50))
    found = energies(points, groups=np.repeat([1, 2], [300, 10]))
    assert np.isnan(found[300:]).all()
    assert np.isfinite(found[:300]).all()
