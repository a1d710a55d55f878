"""How noisy a cloud is: read off the same planes that the score network sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deburr.nn.blocks import Blocks
from deburr.nn.planes import NOISE_HOPS, Graph, Planes, spread

_INPUTS = len(NOISE_HOPS) * 5 + (len(NOISE_HOPS) - 1) * 2
#: What points find is averaged over this many hops, about 80 points, and then over as many as make about 320.
POOLING_HOPS = (8, 24)


class NoiseNetwork(nn.Module):
    """Per point log(noise / spacing) and the log of that guess's scale.

    One point's planes tell little where noise exceeds the spacing, and the best guess from little evidence is a timid
    one. So the evidence is averaged over the graph before it is judged; noise may still differ from place to place.
    """

    #: Block-wise walks over the points in `forward`.
    WALKS = sum(POOLING_HOPS) + 2

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Linear(_INPUTS, 32), nn.SiLU(), nn.Linear(32, width))
        self.judge = nn.Sequential(nn.Linear(3 * width, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, graph: Graph, planes: Planes, blocks: Blocks | None = None) -> tuple[Tensor, Tensor]:
        """Guesses (N,) and log scales (N,), of planes at `NOISE_HOPS`."""
        blocks = blocks or Blocks(len(graph.spacing))
        (seen,) = blocks.map(lambda rows: (self.look(noise_inputs(graph, planes, rows)),))
        near = spread(graph, seen, POOLING_HOPS[0], blocks)
        far = spread(graph, near, POOLING_HOPS[1], blocks)
        (both,) = blocks.map(lambda rows: (self.judge(torch.cat((seen[rows], near[rows], far[rows]), 1)),))
        guess, scale = both.unbind(1)
        return guess, scale.clamp(-4, 3)


def noise_inputs(graph: Graph, planes: Planes, rows: slice) -> Tensor:
    """(n, _INPUTS) float32: thickness and flatness of the planes against the spacing alone."""
    spacing, normals = graph.spacing[rows, None], planes.normals[rows]
    low, middle, high = planes.variances[rows].unbind(-1)
    height = (planes.means[rows] * normals).sum(-1).abs()
    thickness = low.sqrt()
    logs = torch.log(thickness / spacing + 1e-3)
    parts = [logs, low / (middle + 1e-12), middle / (high + 1e-12), torch.log(height / spacing + 1e-3)]
    parts += [high.sqrt() / spacing, logs[:, 1:] - logs[:, :-1]]
    parts += [(normals[:, 1:] * normals[:, :-1]).sum(-1).abs()]
    return torch.cat(parts, 1)


def pooled_noise(guess: Tensor, scale: Tensor, spacing: Tensor) -> float:
    """One noise level for the cloud: the median of the points' guesses, each weighted by its certainty."""
    levels = guess.double() + torch.log(spacing.double())
    order = torch.argsort(levels)
    weight = torch.exp(-2 * scale.double())[order].cumsum(0)
    middle = int(torch.searchsorted(weight, weight[-1] / 2))
    return float(torch.exp(levels[order[min(middle, len(order) - 1)]]))
