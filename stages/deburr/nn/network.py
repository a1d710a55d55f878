"""The default network: a noise-conditional, rotation-equivariant score network over local planes.

Every point j gets a local score, the gradient of a local quadratic energy plus a free vector:

    S_j(x) = sum_k w_jk ((m_jk - x) . n_jk) n_jk + v_j,

with planes (m, n) at several scales and w, v from the network. The score at a point is the learned average of its
neighbours' scores there, e_i = sum_j a_ij S_j(x_i). As S is linear in x, that costs a few products a neighbour where
the published network evaluates a deep network.

All inputs are lengths and products of vectors, which no rotation changes; vectors are only weighted and added. So
turning the cloud turns the result. The noise level is an input, and the output is bounded in units of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deburr.nn.blocks import Blocks
from deburr.nn.planes import HOPS, Graph, Planes

#: Scales whose normals are compared along the graph's edges (rows of `planes.HOPS`).
_FINE, _COARSE = 1, 3
#: Noise below this share of the spacing is treated as this share: there is nothing left to gain.
NOISE_FLOOR = 0.005
#: No score is longer than this many standard deviations of the noise.
LIMIT = 4.0

_NODE_INPUTS = len(HOPS) * 8 + (len(HOPS) - 1) * 3 + 1
_EDGE_INPUTS = 14


@dataclass(frozen=True)
class Sizes:
    """What the weights' card records of the architecture."""

    channels: int = 48
    heads: int = 6
    layers: int = 4
    values: int = 24
    vectors: int = 4


@dataclass(frozen=True)
class Scene:
    """A cloud as the network takes it: its graph, planes, and noise level (N,) float32 in the frame's units."""

    graph: Graph
    planes: Planes
    noise: Tensor

    def to(self, device: torch.device) -> Scene:
        """The same on ``device``, but for ``graph.points``, which the network does not read."""
        graph, planes = self.graph, self.planes
        names = ("neighbors", "offsets", "window", "spacing")
        graph = replace(graph, **{name: getattr(graph, name).to(device) for name in names})
        planes = Planes(planes.means.to(device), planes.normals.to(device), planes.variances.to(device))
        return Scene(graph, planes, self.noise.to(device))


def _squash(x: Tensor) -> Tensor:
    """Lengths in units of the noise run from 0 to thousands; their order of magnitude is what matters."""
    return torch.log1p(x)


def _lengths(v: Tensor) -> Tensor:
    """Lengths of vectors (..., 3), with a gradient at 0."""
    return ((v * v).sum(-1) + 1e-6).sqrt()


def node_inputs(scene: Scene, rows: slice) -> Tensor:
    """(n, _NODE_INPUTS) float32: how thick, flat and far the planes at each scale are, against noise and spacing."""
    planes = scene.planes
    noise, spacing = scene.noise[rows, None], scene.graph.spacing[rows, None]
    scales = slice(len(HOPS))
    variances, normals, means = (p[rows, scales] for p in (planes.variances, planes.normals, planes.means))
    low, middle, high = variances.unbind(-1)
    height = (means * normals).sum(-1)
    foot = height[..., None] * normals
    thickness = low.sqrt()
    parts = [
        _squash(thickness / noise),
        torch.log(thickness / spacing + 1e-3),
        low / (middle + 1e-12),
        middle / (high + 1e-12),
        high.sqrt() / spacing,
        _squash(height.abs() / noise),
        height.abs() / (thickness + 0.1 * noise),
        _lengths(means - foot) / spacing,
        (foot[:, 1:] * foot[:, :-1]).sum(-1).clamp_min(0).sqrt() / (noise + spacing),
        (normals[:, 1:] * normals[:, :-1]).sum(-1).abs(),
        _squash((foot[:, 1:] - foot[:, :-1]).norm(dim=-1) / noise),
        torch.log(noise / spacing),
    ]
    return torch.cat(parts, 1)


def edge_inputs(scene: Scene, rows: slice) -> Tensor:
    """(n, K, _EDGE_INPUTS) float32: how neighbours lie to each other's planes at two scales."""
    graph, planes = scene.graph, scene.planes
    noise, spacing = scene.noise[rows, None], graph.spacing[rows, None]
    neighbors, offsets, window = graph.neighbors[rows], graph.offsets[rows], graph.window[rows]
    parts = [window, graph.spacing[neighbors] / spacing]
    for scale in (_FINE, _COARSE):
        own = planes.normals[rows, scale]
        theirs = planes.normals[:, scale][neighbors]
        above_own = (offsets @ own[..., None]).squeeze(-1).abs()
        above_theirs = (offsets * theirs).sum(-1).abs()
        parts += [(theirs @ own[..., None]).squeeze(-1).abs()]
        parts += [_squash(above_own / noise), _squash(above_theirs / noise)]
        parts += [above_own / spacing, above_theirs / spacing]
        parts += [_squash(planes.variances[:, scale, 0].sqrt()[neighbors] / noise)]
    return torch.stack(parts, -1)


class Layer(nn.Module):
    """One round of averaging values and vectors over the graph with the edge kernels, then a point-wise update."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        mixed = 2 * sizes.vectors
        found = sizes.heads * (sizes.vectors + 1) + sizes.vectors
        self.value = nn.Linear(sizes.channels, sizes.values)
        self.mix = nn.Linear(found, mixed, bias=False)
        inputs = sizes.channels + sizes.heads * sizes.values + 3 * mixed + mixed // 2
        self.update = nn.Sequential(
            nn.Linear(inputs, sizes.channels), nn.SiLU(), nn.Linear(sizes.channels, sizes.channels + sizes.vectors)
        )
        self.carry = nn.Linear(mixed, sizes.vectors, bias=False)

    def forward(
        self, own: Tensor, gathered: Tensor, arrows: Tensor, kernels: Tensor, reach: Tensor, feet: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New features (n, C) and vectors (n, V, 3).

        own (n, C) features; gathered (n, K, values + 3 V) the neighbours' values and vectors; arrows (n, V, 3) own
        vectors; kernels (n, heads, K); reach (n, heads, 3) kernel-weighted offsets; feet (n, 2, 3) unit normals.
        """
        count, width = len(own), self.value.out_features
        averaged = kernels @ gathered
        vectors = torch.cat((averaged[..., width:].reshape(count, -1, 3), reach, arrows), 1)
        mixed = self.mix(vectors.transpose(1, 2)).transpose(1, 2)
        half = mixed.shape[1] // 2
        invariants = torch.cat(
            (
                _lengths(mixed),
                (mixed[:, :half] * mixed[:, half:]).sum(-1),
                (mixed @ feet.transpose(1, 2)).abs().reshape(count, -1),
            ),
            1,
        )
        out = self.update(torch.cat((own, averaged[..., :width].reshape(count, -1), invariants), 1))
        features, gates = out.split((own.shape[1], arrows.shape[1]), 1)
        moved = arrows + torch.tanh(gates)[..., None] * self.carry(mixed.transpose(1, 2)).transpose(1, 2)
        return own + features, moved


class ScoreNetwork(nn.Module):
    """Planes and noise level in, the score times the noise's variance out: the way to the surface."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        super().__init__()
        self.sizes = sizes
        channels, scales = sizes.channels, len(HOPS)
        self.enter = nn.Sequential(nn.Linear(_NODE_INPUTS, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.start = nn.Linear(2 * scales, sizes.vectors, bias=False)
        self.kernel = nn.Sequential(nn.Linear(_EDGE_INPUTS, 32), nn.SiLU(), nn.Linear(32, sizes.heads + 1))
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.leave = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, scales + 1 + sizes.vectors + 2)
        )

    #: How often `forward` walks over the points, besides once a layer.
    WALKS = 4

    def forward(self, scene: Scene, blocks: Blocks | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores at the points (N, 3); and each neighbour's score there (N, K + 1, 3) with its weight, for training.

        Without ``blocks`` all points are computed at once, as training needs it.
        """
        blocks = blocks or Blocks(len(scene.noise))
        features, arrows = blocks.map(lambda rows: self._enter(scene, rows))
        kernels, reach, trust = blocks.map(lambda rows: self._kernels(scene, rows))
        for layer in self.layers:
            assert isinstance(layer, Layer)
            features, arrows = self._advance(layer, scene, features, arrows, kernels, reach, blocks)
        (local,) = blocks.map(lambda rows: (self._local(scene, features, arrows, rows),))
        return self._ensemble(scene, local, trust, blocks)

    def _enter(self, scene: Scene, rows: slice) -> tuple[Tensor, Tensor]:
        scales = slice(len(HOPS))
        means, normals = scene.planes.means[rows, scales], scene.planes.normals[rows, scales]
        feet = (means * normals).sum(-1, keepdim=True) * normals
        vectors = torch.cat((means, feet), 1) / scene.graph.spacing[rows, None, None]
        return self.enter(node_inputs(scene, rows)), self.start(vectors.transpose(1, 2)).transpose(1, 2)

    def _kernels(self, scene: Scene, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.kernel(edge_inputs(scene, rows)).clamp(-12, 12)
        weights = logits.exp() * scene.graph.window[rows, :, None]
        heads = weights[..., :-1].transpose(1, 2)
        heads = heads / (heads.sum(-1, keepdim=True) + 1e-6)
        reach = heads @ scene.graph.offsets[rows] / scene.graph.spacing[rows, None, None]
        return heads, reach, weights[..., -1]

    def _advance(
        self,
        layer: Layer,
        scene: Scene,
        features: Tensor,
        arrows: Tensor,
        kernels: Tensor,
        reach: Tensor,
        blocks: Blocks,
    ) -> tuple[Tensor, ...]:
        (values,) = blocks.map(lambda rows: (torch.cat((layer.value(features[rows]), arrows[rows].flatten(1)), 1),))

        def advance(rows: slice) -> tuple[Tensor, Tensor]:
            gathered = values[scene.graph.neighbors[rows]]
            normals = scene.planes.normals[rows][:, (_FINE, _COARSE)]
            result: tuple[Tensor, Tensor] = layer(
                features[rows], gathered, arrows[rows], kernels[rows], reach[rows], normals
            )
            return result

        return blocks.map(advance)

    def _local(self, scene: Scene, features: Tensor, arrows: Tensor, rows: slice) -> Tensor:
        """(n, 11): S_j(x) = b + A (x_j - x) as A (6, symmetric) and b (3), the point's weight and its gate."""
        scales, vectors = len(HOPS), self.sizes.vectors
        mix, free, rest = self.leave(features[rows]).split((scales + 1, vectors, 2), 1)
        share = mix.softmax(1)[:, :scales]
        normals, noise = scene.planes.normals[rows, :scales], scene.noise[rows, None]
        height = (scene.planes.means[rows, :scales] * normals).sum(-1)
        pull = ((share * height)[..., None] * normals).sum(1) + noise * (free[:, None] @ arrows[rows]).squeeze(1)
        x, y, z = normals.unbind(-1)
        products = torch.stack((x * x, y * y, z * z, x * y, x * z, y * z), -1)
        matrix = (share[..., None] * products).sum(1)
        return torch.cat((matrix, pull, rest[:, :1].clamp(-12, 12).exp(), torch.sigmoid(rest[:, 1:] + 2)), 1)

    def _ensemble(self, scene: Scene, local: Tensor, trust: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
        def ensemble(rows: slice) -> tuple[Tensor, ...]:
            theirs, own = local[scene.graph.neighbors[rows]], local[rows]
            scored = torch.cat((own[:, None, 6:9], theirs[..., 6:9] + _apply(theirs, scene.graph.offsets[rows])), 1)
            weight = torch.cat((own[:, None, 9], trust[rows] * theirs[..., 9]), 1)
            weight = weight / weight.sum(1, keepdim=True)
            score = own[:, 10:] * (weight[:, None] @ scored).squeeze(1)
            limit = LIMIT * scene.noise[rows, None]
            score = score * limit / torch.maximum(_lengths(score / limit)[:, None] * limit, limit)
            # What training learns from is 200 bytes a point, which a large cloud need not keep.
            return (score, scored, weight) if torch.is_grad_enabled() else (score, scored[:, :0], weight[:, :0])

        score, scored, weight = blocks.map(ensemble)
        return score, scored, weight


def _apply(local: Tensor, offsets: Tensor) -> Tensor:
    """A d for symmetric A in the first six columns of ``local`` (..., 11) and d (..., 3)."""
    xx, yy, zz, xy, xz, yz = local[..., :6].unbind(-1)
    x, y, z = offsets.unbind(-1)
    return torch.stack((xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z), -1)
