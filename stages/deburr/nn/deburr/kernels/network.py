"""The score network by compiled kernels: each layer is four products and a few loops over what the cache holds."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.inputs import COARSE, FINE, NODE_INPUTS, Scene
from deburr.nn.deburr.kernels import edges, layers
from deburr.nn.deburr.kernels import scores as ends
from deburr.nn.deburr.layer import Layer
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.planes import SCALES

#: Points computed at once: what lies between two products of a layer then stays in the cache.
_AT_ONCE = 512


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
    """One evaluation: the arrays of all points, and of the weights what the kernels read."""

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
        # Padded, so that rows are whole vectors of the processor.
        self.told = np.zeros((count, _padded(network)), np.float32)
        self.heads, self.trust = _empty(count, sizes.heads, edges.NEAR), _empty(count, edges.NEAR)
        self.reach = _empty(count, 3, sizes.heads)

    def scores(self) -> tuple[Tensor, Tensor]:
        network, count = self.network, len(self.noise)
        self._enter()
        told = np.zeros_like(self.told)
        rounds = [layer for layer in network.layers if isinstance(layer, Layer)]
        energy, own = _empty(count, 10), _empty(count, 4)
        for number, layer in enumerate(rounds):
            after = rounds[number + 1] if number + 1 < len(rounds) else None
            self._layer(layer, after, told, energy, own)
            told, self.told = self.told, told
        score, gate = torch.empty(count, 3), torch.empty(count)
        into = score.numpy(), gate.numpy()

        def work(rows: slice) -> None:
            ends.ensemble(
                rows.start, rows.stop, self.neighbors, self.points, energy, own, self.trust, self.noise, *into
            )

        self.blocks.each(work)
        return score, gate

    def _enter(self) -> None:
        """Features, vectors, what neighbours are told first, and the weights of the edges."""
        network, table = self.network, _empty(len(self.noise), 9)
        first, last = _ends(network.enter)
        told_first = network.layers[0]
        assert isinstance(told_first, Layer)

        def work(rows: slice) -> None:
            for start, stop in _parts(rows):
                inputs = np.empty((stop - start, NODE_INPUTS), np.float32)
                vectors = np.empty((stop - start, 3, 2 * SCALES), np.float32)
                shown = (self.noise, self.spacing, self.wider, inputs, vectors, table)
                ends.shown(start, stop, *self.planes, *shown)
                hidden = torch.from_numpy(inputs) @ first.weight.t()
                layers.silu(hidden.numpy(), _of(first.bias))
                torch.addmm(last.bias, hidden, last.weight.t(), out=torch.from_numpy(self.features[start:stop]))
                arrows = functional.linear(torch.from_numpy(vectors), network.start.weight)
                self.arrows[start:stop] = arrows.numpy()
                self._tell(told_first, start, stop, self.told)

        self.blocks.each(work)
        weights = [_of(part) for layer in (network.edges, network.kernel) for part in (layer.weight, layer.bias)]

        def edge(rows: slice) -> None:
            seen = (self.neighbors, self.points, table, self.window, self.noise)
            edges.edge_weights(rows.start, rows.stop, *seen, *weights, self.heads, self.trust, self.reach)

        self.blocks.each(edge)

    def _layer(self, layer: Layer, after: Layer | None, told: Any, energy: Any, own: Any) -> None:
        """One layer, in place; then what neighbours are told next, or, after the last, what the network leaves."""
        channels, heads, kinds = layer.sizes.channels, layer.sizes.heads, layer.sizes.vectors
        values, padded = layer.sizes.values, self.told.shape[1]
        mine, theirs, kept = torch.split(layer.look.weight, [channels, heads * values, layers.INVARIANTS], 1)
        # As long as the rows that it is multiplied by, of which the vectors are read elsewhere.
        from_values = functional.pad(theirs.t().view(heads, values, channels), (0, 0, 0, padded - values)).flatten(0, 1)
        norms, inner, above = torch.split(kept, [2 * kinds, kinds, 4 * kinds], 1)
        look = torch.cat((mine, norms, above[:, 0::2], above[:, 1::2], inner), 1).t()
        mixed = torch.split(layer.mix.weight, [heads * kinds, heads, kinds], 1)
        carry = functional.pad(layer.carry.weight, (0, 0, 0, kinds))
        small = [part.t().contiguous().numpy() for part in (*mixed, carry)]
        look_bias, update_bias = _of(layer.look.bias), _of(layer.update.bias)
        first, last = _ends(self.network.leave)

        def work(rows: slice) -> None:
            for start, stop in _parts(rows):
                count = stop - start
                averaged = torch.empty(count, heads, padded)
                layers.sums(start, stop, self.neighbors, self.heads, self.told, averaged.numpy())
                seen, carried = torch.empty(count, channels + layers.INVARIANTS), _empty(count, 3, 2 * kinds)
                state = (self.features, self.arrows)
                layers.looked(
                    start, stop, averaged.numpy(), values, *state, self.reach, self.feet, *small, seen.numpy(), carried
                )
                hidden = torch.addmm(averaged.flatten(1) @ from_values, seen, look)
                layers.silu(hidden.numpy(), look_bias)
                change = hidden @ layer.update.weight.t()
                layers.stepped(start, change.numpy(), update_bias, carried, *state, *state)
                if after is not None:
                    self._tell(after, start, stop, told)
                    continue
                hidden = torch.from_numpy(self.features[start:stop]) @ first.weight.t()
                layers.silu(hidden.numpy(), _of(first.bias))
                left = torch.addmm(last.bias, hidden, last.weight.t()).numpy()
                ends.local(start, stop, left, self.arrows, *self.planes[:2], self.noise, energy, own)

        self.blocks.each(work)

    def _tell(self, layer: Layer, start: int, stop: int, told: Any) -> None:
        values = torch.from_numpy(self.features[start:stop]) @ layer.value.weight.t()
        layers.telling(start, values.numpy(), _of(layer.value.bias), self.arrows, told)


def _ends(block: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """The first and the last of a layer, SiLU and a layer."""
    first, _, last = block
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return first, last


def _parts(rows: slice) -> Iterator[tuple[int, int]]:
    for start in range(rows.start, rows.stop, _AT_ONCE):
        yield start, min(start + _AT_ONCE, rows.stop)


def _empty(*shape: int) -> Any:
    return np.empty(shape, np.float32)


def _of(weight: Any) -> Any:
    return weight.detach().numpy()


def _padded(network: ScoreNetwork) -> int:
    """The length of a row of what is told."""
    return -(-(network.sizes.values + 3 * network.sizes.vectors) // layers.WIDTH) * layers.WIDTH
