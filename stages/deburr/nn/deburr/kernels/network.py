"""The score network by compiled kernels."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.inputs import COARSE, FINE, Scene
from deburr.nn.deburr.kernels import edges, layers, passes
from deburr.nn.deburr.kernels import scores as ends
from deburr.nn.deburr.kernels.products import WIDTH, packed
from deburr.nn.deburr.layer import Layer
from deburr.nn.deburr.network import ScoreNetwork


def scores(network: ScoreNetwork, scene: Scene, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """What ``network(scene, blocks)`` returns, but for rounding. On the processor alone, and without a gradient."""
    with torch.inference_mode():
        return _Run(network, scene, blocks).scores()


def fits(network: ScoreNetwork, scene: Scene) -> bool:
    """Whether the kernels are made for a network of these sizes, and for this scene."""
    sizes = network.sizes
    return (
        sizes.vectors == layers.VECTORS
        and sizes.heads % 2 == 0
        and sizes.channels % 8 == 0
        and scene.graph.neighbors.shape[1] == edges.NEAR
    )


class _Run:
    """One evaluation: the arrays of all points."""

    def __init__(self, network: ScoreNetwork, scene: Scene, blocks: Blocks) -> None:
        self.network, self.blocks = network, blocks
        graph, planes = scene.graph, scene.planes
        self.neighbors, self.points, self.window = graph.neighbors.numpy(), graph.points.numpy(), graph.window.numpy()
        self.noise, self.spacing = scene.noise.numpy(), graph.spacing.numpy()
        self.planes = tuple(part.numpy() for part in (planes.means, planes.normals, planes.variances))
        self.feet = np.ascontiguousarray(self.planes[1][:, (FINE, COARSE)])
        self.wider = log2(planes.wider)
        count, sizes = len(scene.noise), network.sizes
        self.features, self.arrows = _empty(count, sizes.channels), _empty(count, 3, sizes.vectors)
        self.heads, self.trust = _empty(count, sizes.heads, edges.NEAR), _empty(count, edges.NEAR)
        self.reach = _empty(count, 3, sizes.heads)

    def scores(self) -> tuple[Tensor, Tensor]:
        network, count = self.network, len(self.noise)
        rounds = [layer for layer in network.layers if isinstance(layer, Layer)]
        # Padded, so that rows are whole vectors of the processor.
        padded = -(-(network.sizes.values + 3 * network.sizes.vectors) // WIDTH) * WIDTH
        told, before = (np.zeros((count, padded), np.float32) for _ in range(2))
        self._enter(rounds[0], told)
        for layer, after in zip(rounds, [*rounds[1:], None], strict=True):
            told, before = before, told
            self._layer(layer, before, after, told)
        del told, before
        energy, own = _empty(count, 10), _empty(count, 4)
        leave, shown = _ends(network.leave), (self.planes, self.noise)
        self._each(lambda a, b: passes.leave(a, b, leave, self.features, self.arrows, *shown, energy, own))
        score, gate = torch.empty(count, 3), torch.empty(count)
        given = (self.neighbors, self.points, energy, own, self.trust, self.noise)
        self._each(lambda a, b: ends.ensemble(a, b, *given, score.numpy(), gate.numpy()))
        return score, gate

    def _enter(self, first: Layer, told: Any) -> None:
        """Features, vectors, what neighbours are ``told`` first, and the weights of the edges."""
        network, table = self.network, _empty(len(self.noise), 9)
        weights = (*_ends(network.enter), packed(_of(network.start.weight)))
        shown = (self.planes, self.noise, self.spacing, self.wider, weights)

        def work(start: int, stop: int) -> None:
            passes.enter(start, stop, *shown, self.features, self.arrows, table)
            self._tell(first, start, stop, told)

        self._each(work)
        linear = edges.weights(*(_of(p) for one in (network.edges, network.kernel) for p in (one.weight, one.bias)))
        seen = (self.neighbors, self.points, table, self.window, self.noise, *linear)
        self._each(lambda a, b: edges.edge_weights(a, b, *seen, self.heads, self.trust, self.reach))

    def _layer(self, layer: Layer, before: Any, after: Layer | None, told: Any) -> None:
        """One layer, in place, which reads what was told ``before``; then what neighbours are ``told`` next."""
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

        self._each(work)

    def _tell(self, layer: Layer, start: int, stop: int, told: Any) -> None:
        passes.tell(start, stop, layer.sizes.values, _packed(layer.value), self.features, self.arrows, told)

    def _each(self, work: Any) -> None:
        self.blocks.each(lambda rows: work(rows.start, rows.stop))


def _ends(block: nn.Sequential) -> tuple[Any, Any]:
    """The first and the last of a layer, SiLU and a layer, as kernels take them."""
    first, _, last = block
    return _packed(first), _packed(last)


def _packed(layer: nn.Module) -> Any:
    assert isinstance(layer, nn.Linear)
    return packed(_of(layer.weight), _of(layer.bias))


def _empty(*shape: int) -> Any:
    return np.empty(shape, np.float32)


def _of(weight: Any) -> Any:
    return weight.detach().numpy()
