"""The ascent along the score, in a few steps of falling noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.chance import drawn
from deburr.core.horizon import Known
from deburr.core.phases import phase
from deburr.nn import level
from deburr.nn.deburr import kernels
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.far import LEAST, look_far
from deburr.nn.deburr.inputs import NOISE_FLOOR, Scene
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.planes import HOPS, SCALES, SHARES, Graph, Planes, fit_planes, in_units, search
from deburr.nn.deburr.reading import Field
from deburr.nn.deburr.scope import Scope
from deburr.nn.deburr.thinned import copies
from deburr.nn.deburr.uncertainty import Singles
from deburr.nn.points import limited
from deburr.nn.schedule import FARTHEST, LIMIT, Step

#: Points whose scores are found at once, each part with some more around it.
PART = 100_000
#: Which of the scales of `HOPS` the normals are taken from.
NORMALS = 2
#: How often fitting planes walks over the points, and how often looking far does.
PLANES, FAR = max(HOPS) + len(HOPS), len(SHARES)


@dataclass(frozen=True)
class Climbed:
    """Where N points are led.

    way : (N, 3) float64, in the graph's units.
    gate : (N,) float64, the first step's gates.
    doubt : (N,) float64, the variance across the surface of the place that each came from, given where it was before
        the last step, in the graph's units squared.
    extents, heights : (N, `SCALES`, 3) and (N, `SCALES`) float32, of the last step's planes, in the graph's units; see
        `deburr.nn.deburr.uncertainty.Evidence`.
    normals : (N, 3) float64, unit vectors across the last step's planes; NaN in a tile where there was nothing to tell.
    sure : (N,) bool, in a tile: the points of which this is as in the whole cloud; None: all.
    energy : (N,) float64, nats, of the points as they came, if that was asked for.
    energy_sure : (N,) bool, the same as ``sure`` of their energies.
    spread : (N,) float64, the standard deviation across the surface of where chance leads, in the graph's units; None
        where it was not drawn from more than once (see `deburr.nn.deburr.chains`).
    """

    way: Floats
    gate: Floats
    doubt: Floats
    extents: Singles
    heights: Singles
    normals: Floats
    sure: Bools | None
    energy: Floats | None = None
    energy_sure: Bools | None = None
    spread: Floats | None = None


@dataclass(frozen=True)
class Lot:
    """What the chance of steps that have any is drawn from: the ``seed``, and the ``number`` of the draw. Draws 2 k and
    2 k + 1 are each other's mirror image, so that most of the chance is gone from their mean."""

    seed: int = 0
    number: int = 0

    def of(self, step: int, rows: Ints) -> Floats:
        """(N, 3) numbers of a normal distribution for the points of the source ``rows`` (N,)."""
        chance = drawn(rows, (self.seed, step, self.number // 2), _normal, "drawing chance", (3,))
        return limited(-chance if self.number % 2 else chance, FARTHEST)


def _normal(chance: np.random.Generator, count: int) -> Floats:
    return chance.standard_normal((count, 3))


@dataclass(frozen=True)
class Climb:
    """The ascent along the score; ``energy``: whether the points' energies are asked for; ``kept`` (N, C) bool: which
    points thinned copies keep, if that is known."""

    network: ScoreNetwork
    device: torch.device
    blocks: Blocks
    scope: Scope
    energy: bool = False
    kept: Bools | None = None

    def run(
        self, graph: Graph, planes: Planes | None, field: Field, known: Known, steps: Sequence[Step], lot: Lot
    ) -> Climbed:
        """The way of every point in ``steps``; of none, the energies alone. ``planes``: the first step's, if they are
        known."""
        # One thread feeds a GPU.
        fed = self.blocks if self.device.type == "cpu" else replace(self.blocks, helpers=None)
        start, unit = graph.points.numpy(), graph.unit
        now, sure, first, doubt = start, self.scope.sure(graph.radii()), np.zeros(len(start)), np.zeros(len(start))
        before = start
        energy = np.zeros(len(start)) if self.energy else None, None if sure is None else np.zeros(len(start), np.bool_)
        # By lot, which a step must not draw anew: the last bits of a coordinate would decide.
        kept, away = copies(graph, self.blocks) if self.kept is None else self.kept, 0.0
        world = self.scope.points
        for number, step in enumerate(steps or (Step(1.0),)):
            moved = away * known["most"]
            last = number >= len(steps) - 1
            told, wider = step.told * field.levels / unit, level.widening(step.told * known["noise"] / unit)
            if number:
                graph, planes = in_units(search(now, self.blocks), 1.0, self.blocks), None
                if sure is not None:
                    world = self.scope.points + unit * (now - start)
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
                    nothing, none = np.zeros_like(start), np.zeros(len(start))
                    unseen, unsure = np.zeros((len(start), SCALES, 3), np.float32), np.zeros(len(start), np.bool_)
                    return Climbed(nothing, none, none, unseen, unseen[..., 0], nothing * np.nan, unsure, *energy)
            floor = torch.maximum(NOISE_FLOOR * graph.spacing, torch.from_numpy(told).float())
            scene = Scene(graph, planes, floor)
            if self.energy and not number:
                energy = self._energies(scene, fed, wanted), None if wanted is None else wanted.numpy()
            if not steps:
                break
            score, gate = self._score(scene, fed, wanted)
            # What the network may do to points far from all others is more than the noise could.
            way, draw = limited(score, LIMIT * told[:, None]), partial(self._chance, lot, number, field.levels / unit)
            before = now
            now, first, doubt = step.taken(now, way, start, draw), first if number else gate, told**2 * (1 - gate)
            away = step.farthest(away)
        assert planes is not None
        normals = planes.normals[:, NORMALS].double().numpy()
        extents, heights = planes.extents(self.blocks), planes.heights(now - before, self.blocks)
        known_of = None if wanted is None else wanted.numpy()
        return Climbed(now - start, first, doubt, extents, heights, normals, known_of, *energy)

    def _chance(self, lot: Lot, step: int, levels: Floats) -> Floats:
        """(N, 3) numbers of normal distributions with the standard deviations ``levels`` (N,)."""
        return levels[:, None] * lot.of(step, self.scope.rows)

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

    @phase("scores")
    def _score(self, scene: Scene, blocks: Blocks, wanted: Tensor | None) -> tuple[Floats, Floats]:
        """Scores (N, 3) and gates (N,); 0 for points that are not ``wanted`` (N,)."""
        score, gate = torch.zeros(len(scene.noise), 3), torch.zeros(len(scene.noise))
        fast = kernels.loaded(blocks.compiled and self.device.type == "cpu")
        run = fast.Scores(self.network, scene) if fast and fast.fits(self.network, scene) else None
        for rows, seen, counts in self._parts(scene, wanted):
            some = blocks.of(len(seen))
            found = run.of(seen, counts, some) if run else self.network(scene.part(seen).to(self.device), some)
            score[rows], gate[rows] = (part.cpu()[: len(rows)] for part in found)
        return score.double().numpy(), gate.double().numpy()

    def _energies(self, scene: Scene, blocks: Blocks, wanted: Tensor | None) -> Floats:
        """Energies (N,), nats; 0 for points that are not ``wanted`` (N,). By plain torch: they are asked for seldom."""
        energy = torch.zeros(len(scene.noise))
        for rows, seen, _ in self._parts(scene, wanted):
            part = scene.part(seen).to(self.device)
            energy[rows] = self.network.energies(part, blocks.of(len(seen))).cpu()[: len(rows)]
        return energy.double().numpy()

    def _parts(self, scene: Scene, wanted: Tensor | None) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
        """The rows of the ``wanted`` (N,) points, `PART` at a time, and what they see; see `Graph.rings`.

        Part after part with what its points see, or memory would bound the cloud.
        """
        network, count = self.network.to(self.device), len(scene.noise)
        every = torch.arange(count) if wanted is None else wanted.nonzero()[:, 0]
        for rows in torch.split(every, PART):
            yield rows, *scene.graph.rings(rows, len(network.layers) + 1)
