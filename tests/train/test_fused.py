"""The compiled network gives the figures and the gradients of the plain one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from deburr.core.errors import RunError
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.train import fused
from deburr.train.prepared import see

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

SIZES = [
    Sizes(layers=2),
    Sizes(channels=16, heads=2, layers=2),
    Sizes(channels=20, heads=3, layers=1, values=9, vectors=5),
]


def bowl(count: int) -> Scene:
    """Points on a noisy bowl, of levels that differ; their number is no multiple of what is computed side by side."""
    rng = np.random.default_rng(1)
    plan = rng.uniform(0, np.sqrt(count), (count, 2))
    points = np.column_stack([plan, 0.02 * ((plan - 10) ** 2).sum(1)]) + rng.normal(0, 0.2, (count, 3))
    return see(points, rng.uniform(0.05, 0.5, count))


@pytest.mark.parametrize("sizes", SIZES)
def test_it_agrees_with_the_plain_network_and_its_gradients(sizes: Sizes) -> None:
    torch.manual_seed(0)
    scene, plain, fast = bowl(403), ScoreNetwork(sizes), fused.FusedNetwork(sizes)
    # Logits of a head and of the trust on both sides of where they are cut off.
    with torch.no_grad():
        plain.kernel.bias[0], plain.kernel.bias[-1] = 12, -12
    fast.load_state_dict(plain.state_dict())
    out, found = plain.parts(scene), fast.parts(scene)
    pulls = [torch.randn_like(part) for part in out]
    for one, other in zip(out, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    torch.autograd.backward(out, pulls)
    torch.autograd.backward(found, pulls)
    for name, module in plain.named_modules():
        its = fast.get_submodule(name)
        ours = [(p.grad, q.grad) for p, q in zip(module.parameters(False), its.parameters(False), strict=True)]
        # Weights and biases together: a bias that all edges share changes little, and is a sum of what cancels.
        largest = max((one.abs().max() for one, _ in ours if one is not None), default=torch.tensor(1.0))
        for one, again in ours:
            assert one is not None
            assert again is not None
            assert (one - again).abs().max() < 4e-5 * largest, name


def test_scores_without_gradient_agree_too() -> None:
    torch.manual_seed(0)
    scene, plain, fast = bowl(200), ScoreNetwork(), fused.FusedNetwork()
    fast.load_state_dict(plain.state_dict())
    with torch.no_grad():
        for one, other in zip(plain(scene), fast(scene), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(RunError, match="no C compiler"):
        fused.library(Sizes(channels=8))


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/bin/false")
    with pytest.raises(RunError, match="false fails"):
        fused.library(Sizes(channels=8))
