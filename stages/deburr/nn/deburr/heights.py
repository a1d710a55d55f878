"""How points lie above and below the plane of their neighbourhood: spread as noise is, or in layers.

A wall that is thinner than a neighbourhood looks as thick as noise does. But its points lie on two sides, and those of
a noisy surface in the middle: values of the characteristic function of the heights tell one from the other, and from
an edge, of which they lie on one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deburr.nn.deburr.planes import Graph, products, smallest_axis

#: Where the characteristic function is read, in standard deviations. Of a normal distribution it is .61, .14 and .01
#: there, of two layers .54, -.42 and -.99.
_PLACES = (1.0, 2.0, 3.0)
#: Where its imaginary part is, which is 0 of whatever is as far up as it is down.
_LOPSIDED = 2.0
#: Columns of what is told of one neighbourhood.
PROFILE = len(_PLACES) + 1
#: Heights of this share of the spacing are none.
_FLAT = 1e-3
#: Hops along the graph to which a judge looks.
HOPS = (1, 2)
#: Judges that are looked at at once: two hops lead to three hundred neighbours.
_CHUNK = 1024


def profile(heights: Tensor, weight: Tensor) -> Tensor:
    """(..., PROFILE) of ``heights`` (..., k), in spacings, whose ``weight`` (..., k) sums to 1: the real part of their
    characteristic function, about their mean and in their standard deviations, and the size of its imaginary part."""
    away = heights - (weight * heights).sum(-1, keepdim=True)
    away = away / ((weight * away**2).sum(-1, keepdim=True) + _FLAT**2).sqrt()
    told = [(weight * (place * away).cos()).sum(-1) for place in _PLACES]
    return torch.stack((*told, (weight * (_LOPSIDED * away).sin()).sum(-1).abs()), -1)


def around(graph: Graph, rows: Tensor) -> Tensor:
    """(M, len(HOPS) * PROFILE) float64: the profiles of the neighbourhoods of ``rows`` (M,) that averages over the
    graph are taken of."""
    found = torch.empty(len(rows), len(HOPS) * PROFILE, dtype=torch.float64)
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
    moments = torch.bmm(weight[:, None], torch.cat((offsets, products(offsets)), 2))[:, 0]
    normal = smallest_axis(moments[:, 3:] - products(moments[:, :3]))[1]
    return (offsets @ normal[..., None])[..., 0]
