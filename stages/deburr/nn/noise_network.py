"""How noisy a cloud is: read off the same planes that the score network sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deburr.nn.blocks import Blocks
from deburr.nn.planes import HOPS, Graph, Planes


class NoiseNetwork(nn.Module):
    """Reads the noise level off the planes: per point log(noise / spacing) and the log of that guess's scale."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(len(HOPS) * 5 + (len(HOPS) - 1) * 2, 32),
            nn.SiLU(),
            nn.Linear(32, 32),
            nn.SiLU(),
            nn.Linear(32, 2),
        )

    def forward(self, graph: Graph, planes: Planes, blocks: Blocks | None = None) -> tuple[Tensor, Tensor]:
        """Guesses (N,) and log scales (N,)."""
        blocks = blocks or Blocks(len(graph.spacing))
        (both,) = blocks.map(lambda rows: (self.net(noise_inputs(graph, planes, rows)),))
        guess, scale = both.unbind(1)
        return guess, scale.clamp(-4, 3)


def noise_inputs(graph: Graph, planes: Planes, rows: slice) -> Tensor:
    """(n, 33) float32: thickness and flatness of the planes against the spacing alone."""
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
