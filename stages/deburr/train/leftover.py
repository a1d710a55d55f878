"""Fits what a denoiser leaves in points to what was seen there, by the errors of scenes whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from deburr.core.arrays import Floats, Ints
from deburr.nn.deburr.uncertainty import INPUTS, NINE_TENTHS, Regression, Singles

_HIDDEN = 16
_STEPS, _BATCH, _RATE = 2500, 4096, 5e-3
#: Errors below this share of the noise need not be told apart.
_SMALL = 1e-3


def fit(inputs: Singles, most: Floats, errors: Floats, classes: Ints) -> Regression:
    """The regression for points that were shown as ``inputs`` (N, I), with ``most`` (N,) noise there may be, whose
    ``errors`` (N,) after denoising, along one axis, are known. The same for the same points in the same order.

    The quantile is found by the pinball loss (Koenker & Bassett 1978). Of the ``classes`` (N,) 0, 1, ..., each counts
    as the root of how many it has: else few wires would be passed over for the many points on planes.
    """
    chance = torch.Generator().manual_seed(0)
    centre, scale = inputs.mean(0, np.float64), inputs.std(0, np.float64) + 1e-6
    shown = torch.from_numpy((inputs - centre) / scale).float()
    target = torch.from_numpy(np.log(np.maximum(errors / most / NINE_TENTHS, _SMALL))).float()
    many = np.bincount(classes)
    share = torch.from_numpy(np.cumsum(many[classes] ** -0.5))
    layers = _network(chance)
    optimizer = torch.optim.Adam([part for layer in layers for part in layer], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        drawn = torch.rand(_BATCH, generator=chance, dtype=torch.float64) * share[-1]
        rows = torch.searchsorted(share, drawn, right=True).clamp_max(len(shown) - 1)
        over = target[rows] - _told(layers, shown[rows])
        loss = torch.maximum(0.9 * over, -0.1 * over).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    found = [(weight.detach().double().numpy(), bias.detach().double().numpy()) for weight, bias in layers]
    first, offset = found[0]
    found[0] = (first / scale, offset - (first / scale) @ centre)
    return Regression(tuple(found))


def _network(chance: torch.Generator) -> list[tuple[nn.Parameter, nn.Parameter]]:
    widths = (INPUTS, _HIDDEN, _HIDDEN, 1)
    return [
        (nn.Parameter(torch.randn(out, into, generator=chance) / into**0.5), nn.Parameter(torch.zeros(out)))
        for into, out in itertools.pairwise(widths)
    ]


def _told(layers: list[tuple[nn.Parameter, nn.Parameter]], now: Tensor) -> Tensor:
    for number, (weight, bias) in enumerate(layers):
        now = (torch.tanh(now) if number else now) @ weight.t() + bias
    return now[:, 0]
