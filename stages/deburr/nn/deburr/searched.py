"""The neighbours of a cloud that was looked at once, for whoever looks at it, or at most of it, again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import SPACING_K, Indices, Neighbors, point_spacing
from deburr.nn.deburr.isolation import isolation
from deburr.nn.deburr.planes import Graph
from deburr.nn.deburr.scope import Scope


@dataclass(frozen=True, eq=False)
class Searched:
    """The ``graph``, in the units handed over, of the points of ``scope``."""

    scope: Scope
    graph: Graph

    def isolation(self, fewest: int, shortest: float, longest: float) -> tuple[Floats, Bools]:
        """See `deburr.nn.contract.Searched.isolation`."""
        lengths, sure = isolation(self.scope, self.graph, fewest, shortest, longest)
        return lengths[self.scope.back], sure[self.scope.back]

    def of(self, scope: Scope, rows: Indices) -> Graph:
        """The graph of ``scope``, whose points are the ``rows`` (M,) of those that were handed over for this one.

        What a search would find, but for which of equally far neighbours: who has lost none of his neighbours keeps
        them all, and the others are searched anew.
        """
        before = np.empty(len(scope.points), np.intp)
        before[scope.back] = self.scope.back[rows]
        now = np.full(len(self.scope.points), -1, np.int32)
        now[before] = np.arange(len(before), dtype=np.int32)
        graph = self.graph
        neighbors, window, own = (part.numpy()[before] for part in (graph.neighbors, graph.window, graph.own))
        neighbors = now[neighbors]
        lost = np.flatnonzero((neighbors < 0).any(1))
        if len(lost):
            distances, found = Neighbors(scope.points).nearest(scope.points[lost], SPACING_K + 1)
            neighbors[lost], own[lost] = found[:, 1:], point_spacing(distances[:, -1], SPACING_K)
            squared = distances[:, 1:] ** 2
            window[lost] = 1 - squared / squared[:, -1:]
        raw = torch.from_numpy(own)
        points = torch.from_numpy(scope.points - np.median(scope.points, axis=0))
        return replace(
            graph,
            points=points,
            neighbors=torch.from_numpy(neighbors),
            window=torch.from_numpy(window),
            spacing=raw.float(),
            own=raw,
        )
