"""What the noise network reads off a cloud, or off a tile of it: the level at each judge, and from there everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats
from deburr.core.horizon import Known
from deburr.core.phases import phase
from deburr.nn import level
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.noise_network import FIELD_HOPS, POOLING_HOPS, NoiseNetwork, field
from deburr.nn.deburr.planes import HOPS, Graph, Planes, fit_planes
from deburr.nn.deburr.scope import Scope
from deburr.nn.deburr.thinned import LEAST, Thinned, look


@dataclass(frozen=True, eq=False)
class Reading:
    """Of N points and the M judges among them (see `deburr.nn.deburr.thinned`).

    graph, planes : what was looked at; the graph's unit is its median spacing.
    thinned : the judges.
    levels, odds : (M,) float64, logarithms of the noise level, in cloud units, and of the odds that it is right.
    sure : (N,) bool, in a tile: the points that tell what they would in the whole cloud; None: all.
    """

    graph: Graph
    planes: Planes
    thinned: Thinned
    levels: Tensor
    odds: Tensor
    sure: Tensor | None

    def guesses(self, rows: Bools) -> tuple[Floats, Floats]:
        """The levels, in cloud units, and the odds of the judges among the points ``rows`` (N,)."""
        chosen = torch.from_numpy(rows)[self.thinned.rows]
        return self.levels[chosen].exp().numpy(), self.odds[chosen].exp().numpy()

    def field(self, known: Known, blocks: Blocks) -> Field:
        """The level at every point: its judges' where any are near, else the cloud's; no more than the highest."""
        noise, most = known["noise"], known["most"]
        # Without a single judge there is no level, and nobody to be led.
        cloud = log(noise) if noise > 0 else 0.0
        told, odds = field(self.graph, self.thinned, self.levels, self.odds, cloud, known["evidence"], blocks)
        levels = told.exp().nan_to_num(nan=noise).clamp_max(most)
        sure = None if self.sure is None else self.graph.inner(self.sure, FIELD_HOPS, blocks)
        return Field(levels.numpy(), odds.nan_to_num(nan=-inf).numpy(), sure)


@dataclass(frozen=True, eq=False)
class Field:
    """The noise level at N points.

    levels : (N,) float64, cloud units.
    odds : (N,) float64, logarithms of the odds that it is right, -inf where nobody judged; None: it was given.
    sure : (N,) bool, in a tile: the points of which this is known; None: all.
    """

    levels: Floats
    odds: Floats | None = None
    sure: Tensor | None = None

    @property
    def evidence(self) -> Bools | None:
        """(N,) bool: where the level is more likely right than not."""
        return None if self.odds is None else self.odds > 0


def read(network: NoiseNetwork, graph: Graph, scope: Scope, blocks: Blocks) -> Reading:
    """Read the points of ``scope``, whose graph, in units of its median spacing, is ``graph``."""
    planes = fit_planes(graph, 1, blocks)
    thinned = look(graph, scope.points, scope.total, blocks)
    with torch.inference_mode(), phase("judging the noise"):
        levels, odds = network(graph, planes, thinned, blocks)
        levels = levels.double() + float(np.log(graph.unit))
    return Reading(graph, planes, thinned, levels, odds.double(), _sure(graph, thinned, scope, blocks))


def _sure(graph: Graph, thinned: Thinned, scope: Scope, blocks: Blocks) -> Tensor | None:
    """(N,) bool: the points of which it is known whether they judge, and if so, what."""
    members = scope.sure(graph.radii())
    if members is None:
        return None
    # What planes show to a judge and to those whose sights it averages.
    seen = graph.inner(members, level.seen(max(HOPS)) - 1 + level.seen(POOLING_HOPS), blocks)
    rows = thinned.rows
    judges = scope.sure_of(scope.points[rows.numpy()], thinned.radii, members) & seen[rows]
    # Whether a copy is large enough to be looked at must not hang on points whose lots nobody knows.
    large = thinned.copies.sum(0) >= LEAST
    if bool(((thinned.copies & members[:, None]).sum(0) < LEAST)[large].any()):
        judges &= False
    judges = judges[thinned.pool].all(1)  # what those near each see is averaged
    sure = members.clone()
    sure[rows] = judges[thinned.pool].all(1) & judges[thinned.wide].all(1)
    return sure
