"""How points lie above and below the plane of their neighbourhood: spread as noise is, or in layers.

A wall that is thinner than a neighbourhood looks as thick as noise does. But its points lie on two sides, and those of
a noisy surface in the middle: values of the characteristic function of the heights tell one from the other, and from
an edge, of which they lie on one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deburr.nn.deburr import kernels
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.planes import Graph, smallest_axis

#: Columns of what is told of one neighbourhood.
PROFILE = 4
#: Heights of this share of the spacing are none.
FLAT = 1e-3
#: Hops along the graph to which a judge looks.
HOPS = (1, 2)
#: Judges that are looked at at once: two hops lead to three hundred neighbours.
_CHUNK = 1024


def profile(heights: Tensor, weight: Tensor) -> Tensor:
    """(..., PROFILE) of ``heights`` (..., k), in spacings, whose ``weight`` (..., k) sums to 1: the real part of their
    characteristic function at 1, 2 and 3, about their mean and in their standard deviations, and the size of its
    imaginary part at 2.

    Of a normal distribution the first three are .61, .14 and .01, of two layers .54, -.42 and -.99. The last is 0 of
    whatever is as far up as it is down.
    """
    away = heights - (weight * heights).sum(-1, keepdim=True)
    away = away / ((weight * away**2).sum(-1, keepdim=True) + FLAT**2).sqrt()
    once, sine = away.cos(), away.sin()
    # Chebyshev's polynomials: cosines are what takes time here.
    parts = torch.stack((once, 2 * once**2 - 1, (4 * once**2 - 3) * once, 2 * sine * once), -2)
    told = (parts @ weight[..., None])[..., 0]
    return torch.cat((told[..., :3], told[..., 3:].abs()), -1)


def around(graph: Graph, rows: Tensor, blocks: Blocks | None = None) -> Tensor:
    """(M, len(HOPS) * PROFILE) float64: the profiles of the neighbourhoods of ``rows`` (M,) that averages over the
    graph are taken of."""
    found = torch.empty(len(rows), len(HOPS) * PROFILE, dtype=torch.float64)
    if fast := kernels.loaded(blocks is not None and blocks.compiled):
        assert blocks is not None
        fast.around(graph, rows, found, blocks)
        return found
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        near, weight = _hop(graph, part)
        told = []
        for hop in HOPS:
            if hop > 1:
                further, share = _hop(graph, near.reshape(-1))
                near = further.view(len(part), -1)
                weight = (weight[..., None] * share.view(*weight.shape, -1)).flatten(1)
            offsets = (graph.points[near] - graph.points[part, None]) / graph.spacing[part, None, None].double()
            told.append(profile(_heights(offsets, weight), weight))
        found[start : start + _CHUNK] = torch.cat(told, 1)
    return found


def _hop(graph: Graph, rows: Tensor) -> tuple[Tensor, Tensor]:
    """What one hop leads to from ``rows`` (n,), (n, K + 1), themselves first; and its weights, which sum to 1."""
    weight = torch.cat((torch.ones(len(rows), 1), graph.window[rows]), 1).double()
    return torch.cat((rows[:, None], graph.neighbors[rows].long()), 1), weight / weight.sum(1, keepdim=True)


def _heights(offsets: Tensor, weight: Tensor) -> Tensor:
    """(n, k): how far ``offsets`` (n, k, 3) lie above the plane through them, whose ``weight`` (n, k) sums to 1."""
    away = offsets - weight[:, None] @ offsets
    xx, xy, xz, _, yy, yz, _, _, zz = (away.mT @ (weight[..., None] * away)).flatten(1).unbind(1)
    normal = smallest_axis(torch.stack((xx, yy, zz, xy, xz, yz), 1))[1]
    return (away @ normal[..., None])[..., 0]
