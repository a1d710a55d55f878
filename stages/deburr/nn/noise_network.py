"""How noisy a cloud is: read off the same planes that the score network sees."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from deburr.nn.blocks import Blocks
from deburr.nn.level import APART
from deburr.nn.planes import HOPS, Graph, Planes, spread

_INPUTS = len(HOPS) * 5 + (len(HOPS) - 1) * 2 + 1
#: What points find is averaged over this many hops, about 80 points.
POOLING_HOPS = 8


class NoiseNetwork(nn.Module):
    """Per point log(noise / spacing) and the weight of that guess.

    One point's planes tell little where noise exceeds the spacing, and the best guess from little evidence is a timid
    one. So the evidence is averaged over the graph before it is judged, and the network is trained on the weighted mean
    of all guesses (`pooled_noise`), not on each of them.
    """

    #: Block-wise walks over the points in `forward`.
    WALKS = POOLING_HOPS + 2

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Linear(_INPUTS, 32), nn.SiLU(), nn.Linear(32, width))
        self.judge = nn.Sequential(nn.Linear(2 * width, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, graph: Graph, planes: Planes, blocks: Blocks | None = None) -> tuple[Tensor, Tensor]:
        """Guesses (N,) and weights (N,)."""
        blocks = blocks or Blocks(len(graph.spacing))
        (seen,) = blocks.map(lambda rows: (self.look(noise_inputs(graph, planes, rows)),))
        near = spread(graph, seen, POOLING_HOPS, blocks)
        (both,) = blocks.map(lambda rows: (self.judge(torch.cat((seen[rows], near[rows]), 1)),))
        guess, weight = both.unbind(1)
        return guess, weight.clamp(-8, 4).exp()


def noise_inputs(graph: Graph, planes: Planes, rows: slice) -> Tensor:
    """(n, _INPUTS) float32: thickness and flatness of the planes against the spacing alone."""
    spacing, normals = graph.spacing[rows, None], planes.normals[rows]
    low, middle, high = planes.variances[rows].unbind(-1)
    height = (planes.means[rows] * normals).sum(-1).abs()
    thickness = low.sqrt()
    logs = torch.log(thickness / spacing + 1e-3)
    parts = [logs, low / (middle + 1e-12), middle / (high + 1e-12), torch.log(height / spacing + 1e-3)]
    parts += [high.sqrt() / spacing, logs[:, 1:] - logs[:, :-1]]
    parts += [(normals[:, 1:] * normals[:, :-1]).sum(-1).abs(), torch.full_like(spacing, planes.wider).log2()]
    return torch.cat(parts, 1)


def pooled_noise(guess: Tensor, weight: Tensor, spacing: Tensor) -> Tensor:
    """The logarithm of one noise level for the cloud: the weighted mean of the points' guesses, float64.

    With a gradient, for training; `deburr.nn.level.pooled` is the same from sums that parts of a cloud add to. Guesses
    beyond a factor `APART` of their weighted median do not count: a point far from all others knows nothing.
    """
    levels, weight = guess.double() + torch.log(spacing.double()), weight.double()
    order = torch.argsort(levels)
    below = weight[order].cumsum(0)
    middle = order[torch.searchsorted(below, below[-1:] / 2).clamp_max(len(order) - 1)]
    weight = weight * ((levels - levels[middle]).abs() < log(APART))
    return (levels * weight).sum() / weight.sum()
