"""The score network by compiled kernels."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.kernels import edges, layers, passes
from deburr.nn.deburr.kernels import scores as ends
from deburr.nn.deburr.kernels.products import WIDTH, packed, room
from deburr.nn.deburr.layer import Layer
from deburr.nn.deburr.network import ScoreNetwork


def fits(network: ScoreNetwork, scene: Scene) -> bool:
    """Whether the kernels are made for a network of these sizes, and for this scene."""
    sizes = network.sizes
    return (
        sizes.vectors == layers.VECTORS
        and sizes.heads % 2 == 0
        and sizes.channels % 8 == 0
        and scene.graph.neighbors.shape[1] == edges.NEAR
    )


class Scores:
    """``network`` on the points of a ``scene``, or some of them after others, without a gradient.

    What is needed for that is kept for the next: where much memory is new, a system takes as long to hand it out as
    kernels take to fill it.
    """

    def __init__(self, network: ScoreNetwork, scene: Scene) -> None:
        self.network, self.scene, self._kept = network, scene, dict[str, Any]()
        graph, planes = scene.graph, scene.planes
        self.window, self.wider = graph.window.numpy(), log2(planes.wider)
        self.planes = tuple(part.numpy() for part in (planes.means, planes.normals, planes.variances))
        self.place = np.zeros(len(scene.noise), np.int32)

    def of(self, seen: Tensor, counts: list[int], blocks: Blocks) -> tuple[Tensor, Tensor]:
        """Scores (R, 3) and gates (R,) of the first R of the points ``seen`` (M,) int64, which see no others: those of
        ``network(scene.part(seen), blocks)``, but for rounding. What lies further away is computed as far as it is
        seen: ``counts``, how many they are after each step along the graph, as `Graph.rings` tells."""
        with torch.inference_mode():
            self.blocks, self.rows, self.counts = blocks, seen.numpy(), counts
            return self._scores()

    def _scores(self) -> tuple[Tensor, Tensor]:
        network, sizes, rows = self.network, self.network.sizes, self.rows
        self.noise, self.spacing = self.scene.noise.numpy()[rows], self.scene.graph.spacing.numpy()[rows]
        self.features, self.arrows = self._room("features", sizes.channels), self._room("arrows", 3, sizes.vectors)
        self.heads, self.trust = self._room("heads", sizes.heads, edges.NEAR), self._room("trust", edges.NEAR)
        self.reach = self._room("reach", 3, sizes.heads)
        self._seek()
        rounds = [layer for layer in network.layers if isinstance(layer, Layer)]
        # Padded, so that rows are whole vectors of the processor.
        padded = -(-(sizes.values + 3 * sizes.vectors) // WIDTH) * WIDTH
        told, before = self._room("told", padded), self._room("before", padded)
        self._enter(rounds[0], told)
        for number, (layer, after) in enumerate(zip(rounds, [*rounds[1:], None], strict=True)):
            told, before = before, told
            self._layer(layer, before, after, told, len(rounds) - number)
        energy, own = self._room("energy", 10), self._room("own", 4)
        leave, shown = _ends(network.leave), (self.planes, self.noise)
        self._each(lambda a, b: passes.leave(a, b, rows, leave, self.features, self.arrows, *shown, energy, own), 1)
        score, gate = torch.empty(self.counts[0], 3), torch.empty(self.counts[0])
        given = (self.neighbors, self.points, energy, own, self.trust, self.noise)
        self._each(lambda a, b: ends.ensemble(a, b, *given, score.numpy(), gate.numpy()), 0)
        return score, gate

    def _room(self, name: str, *shape: int, dtype: Any = np.float32) -> Any:
        """(M, ...) of what is kept by that name; what nobody writes is 0."""
        count, kept = len(self.rows), self._kept.get(name)
        if kept is None or len(kept) < count:
            # The next may see more. What is not written needs no memory.
            kept = self._kept[name] = room(count + count // 4, *shape, dtype=dtype)
        return kept[:count]

    def _seek(self) -> None:
        """The neighbours of the points, as numbers among them, and what else is read of others."""
        graph, rows = self.scene.graph, self.rows
        self.neighbors = self._room("neighbors", edges.NEAR, dtype=np.int32)
        self.points, self.feet = self._room("points", 3, dtype=np.float64), self._room("feet", 2, 3)
        self.place[rows] = np.arange(len(rows), dtype=np.int32)
        seen = (self.planes[1], graph.points.numpy(), graph.neighbors.numpy(), self.place)
        self._each(lambda a, b: passes.sought(a, b, rows, *seen, self.feet, self.points, self.neighbors))
        # Whoever is not there has any place, but one that there is.
        self.place[rows] = 0

    def _enter(self, first: Layer, told: Any) -> None:
        """Features, vectors, what neighbours are ``told`` first, and the weights of the edges."""
        network, table = self.network, self._room("table", 9)
        weights = (*_ends(network.enter), packed(_of(network.start.weight)))
        shown = (self.rows, self.planes, self.noise, self.spacing, self.wider, weights)

        def work(start: int, stop: int) -> None:
            passes.enter(start, stop, *shown, self.features, self.arrows, table)
            self._tell(first, start, stop, told)

        self._each(work, -1)
        linear = edges.weights(*(_of(p) for one in (network.edges, network.kernel) for p in (one.weight, one.bias)))
        seen = (self.rows, self.neighbors, self.points, table, self.window, self.noise, *linear)
        self._each(lambda a, b: edges.edge_weights(a, b, *seen, self.heads, self.trust, self.reach), -2)

    def _layer(self, layer: Layer, before: Any, after: Layer | None, told: Any, steps: int) -> None:
        """One layer, in place, which reads what was told ``before``; then what neighbours are ``told`` next. Of what
        is seen so many ``steps`` away."""
        channels, heads, kinds = layer.sizes.channels, layer.sizes.heads, layer.sizes.vectors
        values = layer.sizes.values
        mine, theirs, kept = torch.split(layer.look.weight, [channels, heads * values, layers.INVARIANTS], 1)
        norms, inner, above = torch.split(kept, [2 * kinds, kinds, 4 * kinds], 1)
        look = torch.cat((theirs, mine, norms, above[:, 0::2], above[:, 1::2], inner), 1)
        mixed = torch.split(layer.mix.weight, [heads * kinds, heads, kinds], 1)
        carry = functional.pad(layer.carry.weight, (0, 0, 0, kinds))
        small = tuple(part.t().contiguous().numpy() for part in (*mixed, carry))
        weights = (packed(look.numpy(), _of(layer.look.bias)), _packed(layer.update), small)
        near = (self.neighbors, self.heads, before, self.reach, self.feet)

        def work(start: int, stop: int) -> None:
            passes.layer(start, stop, values, *near, *weights, self.features, self.arrows)
            if after is not None:
                self._tell(after, start, stop, told)

        self._each(work, steps)

    def _tell(self, layer: Layer, start: int, stop: int, told: Any) -> None:
        passes.tell(start, stop, layer.sizes.values, _packed(layer.value), self.features, self.arrows, told)

    def _each(self, work: Any, steps: int | None = None) -> None:
        """``work`` on the points up to so many ``steps`` away; without a number on all, of which nobody is told."""
        blocks = self.blocks.silent(len(self.rows)) if steps is None else self.blocks.of(self.counts[steps])
        blocks.each(lambda rows: work(rows.start, rows.stop))


def _ends(block: nn.Sequential) -> tuple[Any, Any]:
    """The first and the last of a layer, SiLU and a layer, as kernels take them."""
    first, _, last = block
    return _packed(first), _packed(last)


def _packed(layer: nn.Module) -> Any:
    assert isinstance(layer, nn.Linear)
    return packed(_of(layer.weight), _of(layer.bias))


def _of(weight: Any) -> Any:
    return weight.detach().numpy()
