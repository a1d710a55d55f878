"""Score matching on noisy points alone, of which no clean place is known, nor guessed.

The score s of the density q that points are a sample of needs no density to be learnt (Hyvarinen 2005, "Estimation of
Non-Normalized Statistical Models by Score Matching"): E_q |s - grad log q|^2 = E_q [|s|^2 + 2 div s] + const. Near one
point, under a weight w that falls to 0 at the border of its window, nothing is lost at the border either:

    E_q [w |s - grad log q|^2] = E_q [w |s|^2 + 2 w div s + 2 s . grad w] + const.

Every point j of the network has a score of its own there, linear in the place x (`deburr.nn.deburr.network`), so that
div s = -tr A is no derivative of the network. By Tweedie's formula sigma^2 s is the way to the clean places' mean.

At a point that the network saw, the score is sharp for nothing: it leads to the point. So a random part of the cloud is
held out, and that is where the scores of the others are judged.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import SPACING_K, Neighbors
from deburr.nn.deburr.planes import Graph

#: Range of the share of the points that is held out. The context thins by as much, and noise is less of its spacing
#: than in the whole cloud, which the network is for.
_HELD = (0.05, 0.15)
#: Places nearest to a point at which its score is judged.
_PLACES = 16


def hold_out(count: int, rng: np.random.Generator) -> Bools:
    """(N,) bool: a random part of ``count`` points."""
    return np.asarray(rng.random(count) < rng.uniform(*_HELD))


def places_around(points: Floats, held: Floats) -> Tensor:
    """(N, `_PLACES`, 3) float32: the places ``held`` (M, 3) that are nearest to each of ``points`` (N, 3), minus it."""
    found = Neighbors(held).nearest(points, min(_PLACES, len(held)))[1]
    return torch.from_numpy(held[found] - points[:, None]).float()


def windows(graph: Graph) -> Tensor:
    """(N,) float32: the radius of each point's window, to the last of its neighbours, in the graph's units."""
    return (graph.own / sqrt(pi / SPACING_K)).float()


def loss(way: tuple[Tensor, Tensor], around: Tensor, radius: Tensor, level: Tensor) -> Tensor:
    """What is above, times sigma^2, averaged over points and places, and 3; least where the way is sigma^2 grad log q.

    With the 3 it is above 0, if the points are evenly judged: noisy points tell no more of their place than their noise
    does, and E_q [sigma^2 |grad log q|^2] is at most 3.

    way : A (N, 6; xx, yy, zz, xy, xz, yz) and b (N, 3): at d from point j it is b_j - A_j d.
    around : (N, P, 3) the places minus the point; radius : (N,) of the window; level : (N,) sigma.
    """
    (matrix, begin), squared = way, radius[:, None] ** 2
    weight = (1 - (around**2).sum(2) / squared).clamp_min(0)
    steep = torch.where(weight[..., None] > 0, -2 * around / squared[..., None], 0.0)
    xx, yy, zz, xy, xz, yz = matrix.unbind(1)
    rows = torch.stack((xx, xy, xz, xy, yy, yz, xz, yz, zz), 1).view(-1, 3, 3)
    ways = begin[:, None] - around @ rows
    square = (ways**2).sum(2) / level[:, None] ** 2
    trace = (xx + yy + zz)[:, None]
    judged = weight * (square - 2 * trace) + 2 * (ways * steep).sum(2)
    return 3 + judged.sum() / weight.sum().clamp_min(1e-6)
