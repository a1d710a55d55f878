"""Weights that grow: the larger network computes what the smaller one did, and every new weight can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deburr.nn import weights
from deburr.nn.deburr import BUNDLED
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.default import sizes_of
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.planes import build_graph, fit_planes
from deburr.train.grown import as_large

LARGER = Sizes(channels=64, heads=8, layers=6)


@pytest.fixture
def scene() -> Scene:
    points = np.random.default_rng(0).normal(0, [1, 1, 0.02], (900, 3))
    graph = build_graph(points)
    return Scene(graph, fit_planes(graph), torch.full((len(points),), 0.1))


def _score(tensors: dict[str, torch.Tensor], sizes: Sizes) -> ScoreNetwork:
    network = ScoreNetwork(sizes)
    network.load_state_dict({k.removeprefix("score."): v for k, v in tensors.items() if k.startswith("score.")})
    return network


def _bundled() -> tuple[dict[str, torch.Tensor], Sizes]:
    tensors, card = weights.read(str(BUNDLED))
    return dict(tensors), sizes_of(str(BUNDLED), card)


def test_a_grown_network_computes_the_same(scene: Scene) -> None:
    tensors, sizes = _bundled()
    small, large = _score(tensors, sizes), _score(dict(as_large(tensors, sizes, LARGER)), LARGER)
    with torch.no_grad():
        for mine, theirs in zip(small(scene, Blocks(len(scene.noise))), large(scene), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=2e-5, rtol=1e-4)


def test_what_is_new_can_learn(scene: Scene) -> None:
    """New weights read at once have gradients at once, those of a layer that changes nothing after one step.

    Kernels' biases alone have none but rounding's: a softmax over neighbours is the same with a number more on each.
    """
    torch.manual_seed(0)
    tensors, sizes = _bundled()
    network = _score(dict(as_large(tensors, sizes, LARGER)), LARGER)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(scene)[0].square().mean().backward()
        optimizer.step()
    for name, weight in network.named_parameters():
        if name == "kernel.bias":
            continue
        assert weight.grad is not None, name
        rows = weight.grad.reshape(len(weight), -1).abs().sum(1)
        assert (rows > 0).float().mean() > 0.9, name


def test_what_cannot_grow_stays() -> None:
    tensors, sizes = _bundled()
    assert as_large(tensors, sizes, sizes) is tensors
    assert as_large(tensors, LARGER, sizes) is tensors
    assert as_large(tensors, sizes, Sizes(values=32)) is tensors
    assert all(as_large(tensors, sizes, LARGER)[name] is tensors[name] for name in tensors if "noise." in name[:6])
