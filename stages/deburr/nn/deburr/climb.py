"""The ascent along the score, in a few steps of falling noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats
from deburr.core.horizon import Known
from deburr.nn import level
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.far import LEAST, look_far
from deburr.nn.deburr.inputs import NOISE_FLOOR, Scene
from deburr.nn.deburr.network import LIMIT, ScoreNetwork
from deburr.nn.deburr.planes import HOPS, SHARES, Graph, Planes, fit_planes, in_units, search
from deburr.nn.deburr.reading import Field
from deburr.nn.deburr.scope import Scope
from deburr.nn.deburr.thinned import copies
from deburr.nn.points import limited

#: Points whose scores are found at once, each part with some more around it.
PART = 200_000
#: Which of the scales of `HOPS` the normals are taken from.
NORMALS = 2
#: How often fitting planes walks over the points; and how often a step does besides, and besides once a layer.
PLANES = max(HOPS) + len(HOPS)
WALKS = ScoreNetwork.WALKS + len(SHARES)


@dataclass(frozen=True)
class Climbed:
    """Where N points are led.

    way : (N, 3) float64, in the graph's units.
    gate : (N,) float64, the first step's gates.
    normals : (N, 3) float64, unit vectors across the last step's planes; NaN in a tile where there was nothing to tell.
    sure : (N,) bool, in a tile: the points of which this is as in the whole cloud; None: all.
    """

    way: Floats
    gate: Floats
    normals: Floats
    sure: Bools | None


@dataclass(frozen=True)
class Climb:
    """The ascent along the score."""

    network: ScoreNetwork
    device: torch.device
    blocks: Blocks
    scope: Scope

    def run(self, graph: Graph, planes: Planes | None, field: Field, known: Known, steps: int) -> Climbed:
        """The way of every point in ``steps`` steps, at least one. ``planes``: the first step's, if they are known."""
        # One thread feeds a GPU.
        fed = self.blocks if self.device.type == "cpu" else replace(self.blocks, helpers=None)
        start, unit = graph.points.numpy(), graph.unit
        now, first, sure = start, np.empty(0), self.scope.sure(graph.radii())
        # By lot, which a step must not draw anew: the last bits of a coordinate would decide.
        kept, moved = copies(graph), 0.0
        world = self.scope.points
        for step in range(steps):
            share, last = level.STEP_LEVEL**step, step == steps - 1
            told, wider = share * field.levels / unit, level.widening(share * known["noise"] / unit)
            if step:
                graph, planes = in_units(search(now), 1.0), None
                if sure is not None:
                    world = self.scope.points + unit * (now - start)
                    moved = LIMIT * known["most"]
                    sure = self.scope.sure_again(world, unit * graph.radii(), sure, moved)
            wanted = members = seen = None
            # The last step serves the points that are wanted; steps before it all that these may see.
            asked = torch.as_tensor(self.scope.wanted) if last else torch.tensor(True)
            if sure is not None:
                members, sure = sure, self._shown(graph, sure, field.sure, wider)
                seen = self._seen(graph, self._inner(graph, sure) & asked)
            planes = planes or fit_planes(graph, wider, self.blocks, seen)
            radii = look_far(planes, graph, kept, seen, self.blocks)
            if sure is not None:
                assert members is not None
                assert seen is not None
                sure = self._inner(graph, sure & self._far(kept, seen, world, unit * radii, members, moved))
                wanted = sure & asked
                if not bool(wanted.any()):
                    # Nothing can be told from what is seen here, and more is to be read.
                    nothing = np.zeros_like(start)
                    return Climbed(nothing, np.zeros(len(start)), nothing * np.nan, np.zeros(len(start), np.bool_))
            floor = torch.maximum(NOISE_FLOOR * graph.spacing, torch.from_numpy(told).float())
            score, gate = (part.double().numpy() for part in self._score(Scene(graph, planes, floor), fed, wanted))
            # What the network may do to points far from all others is more than the noise could.
            now, first = now + limited(score, LIMIT * told[:, None]), first if step else gate
        assert planes is not None
        normals = planes.normals[:, NORMALS].double().numpy()
        return Climbed(now - start, first, normals, None if wanted is None else wanted.numpy())

    def _shown(self, graph: Graph, sure: Tensor, told: Tensor | None, wider: int) -> Tensor:
        """(N,) bool: the points that see none but ``sure`` (N,) ones through the planes of hops, and are ``told`` (N,)
        their level as in the whole cloud."""
        sure = graph.inner(sure, level.seen(max(HOPS) * wider) - 1, self.blocks)
        return sure if told is None else sure & told

    def _inner(self, graph: Graph, sure: Tensor) -> Tensor:
        """(N,) bool: the points that see none but ``sure`` (N,) ones through layers and ensemble."""
        return graph.inner(sure, len(self.network.layers) + 1, self.blocks)

    def _far(self, kept: Bools, seen: Tensor, world: Floats, radii: Floats, members: Tensor, moved: float) -> Tensor:
        """(N,) bool: the ``seen`` (N,) points in whose ``radii`` (N,) around ``world`` (N, 3), cloud units, there are
        none but ``members`` (N,): those whose place and lot are those in the whole cloud, up to ``moved`` away from
        where they were read."""
        far = torch.zeros_like(seen)
        # Whether a copy is large enough to be looked at must not hang on points whose lots nobody knows.
        if ((kept.sum(0) >= LEAST) & (kept[members.numpy()].sum(0) < LEAST)).any():
            return far
        rows = seen.numpy().nonzero()[0]
        far[rows] = self.scope.sure_of(world[rows], radii[rows], members, moved)
        return far

    def _seen(self, graph: Graph, wanted: Tensor) -> Tensor:
        """(N,) bool: the points whose planes the scores of the ``wanted`` (N,) ones are made of."""
        seen = torch.zeros_like(wanted)
        seen[graph.around(wanted.nonzero()[:, 0], len(self.network.layers) + 1)] = True
        return seen

    def _score(self, scene: Scene, blocks: Blocks, wanted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scores (N, 3) and gates (N,); 0 for points that are not ``wanted`` (N,).

        Part after part with what its points see, or memory would bound the cloud.
        """
        network, count = self.network.to(self.device), len(scene.noise)
        score, gate = torch.zeros(count, 3), torch.zeros(count)
        every = torch.arange(count) if wanted is None else wanted.nonzero()[:, 0]
        for rows in torch.split(every, PART):
            seen = scene.graph.around(rows, len(network.layers) + 1)
            inner = torch.searchsorted(seen, rows)
            found = network(scene.part(seen).to(self.device), blocks.of(len(seen)))
            score[rows], gate[rows] = (part.cpu()[inner] for part in found)
        return score, gate
