"""What the optimiser takes from a checkpoint, and what it does not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from deburr.core.errors import RunError
from deburr.train.checkpoint import load_optimizer


def stepped() -> tuple[torch.optim.Optimizer, torch.nn.Parameter]:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], lr=0.01)
    parameter.grad = torch.ones(3)
    optimizer.step()
    return optimizer, parameter


def test_the_learning_rate_and_the_moments_go_on() -> None:
    optimizer, _ = stepped()
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 0.003
    other, parameter = stepped()
    other.step()
    load_optimizer(Path("x.ckpt"), other, state)
    assert other.param_groups[0]["lr"] == 0.003
    assert float(other.state[parameter]["step"]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", torch.zeros(0)),
        ("lr", torch.tensor(0.01)),
        ("lr", float("nan")),
        ("lr", -1.0),
        ("lr", "0.01"),
        ("weight_decay", torch.zeros(0)),
        ("weight_decay", torch.tensor(0.01)),
        ("betas", (torch.tensor(0.9), 0.999)),
        ("eps", 1e-3),
        ("betas", None),
    ],
)
def test_other_settings_are_refused(name: str, value: Any) -> None:
    """``None``: it is missing."""
    optimizer, _ = stepped()
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0][name] = value
    if value is None:
        del state["param_groups"][0][name]
    with pytest.raises(RunError, match=r"x\.ckpt: a damaged checkpoint .*; start without --resume"):
        load_optimizer(Path("x.ckpt"), stepped()[0], state)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp_avg_sq", None),
        ("exp_avg", torch.tensor(0.5)),
        ("exp_avg", torch.full((3,), float("nan"))),
        ("step", torch.ones(3)),
        ("more", torch.ones(3)),
    ],
)
def test_other_moments_are_refused(name: str, value: Any) -> None:
    """``None``: it is missing."""
    optimizer, _ = stepped()
    state = copy.deepcopy(optimizer.state_dict())
    moments = state["state"][0]
    moments[name] = value
    if value is None:
        del moments[name]
    with pytest.raises(RunError, match=r"x\.ckpt: a damaged checkpoint"):
        load_optimizer(Path("x.ckpt"), stepped()[0], state)
