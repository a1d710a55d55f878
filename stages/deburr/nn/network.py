"""The default network: a noise-conditional, rotation-equivariant score network over local planes.

Every point j gets a local score, the gradient of a local quadratic energy plus a free vector:

    S_j(x) = sum_k w_jk ((m_jk - x) . n_jk) n_jk + v_j,

with planes (m, n) at several scales and w, v from the network. The score at a point is the learned average of its
neighbours' scores there, and a vector of its own along the surface, where regular samples tell more than planes do,

    e_i = g_i (sum_j a_ij S_j(x_i) + u_i),

gated by how much is known. As S is linear in x, that costs a few products a neighbour where the published network
evaluates a deep network.

All inputs are lengths and products of vectors, which no rotation changes; vectors are only weighted and added. So
turning the cloud turns the result. The noise level is an input, and the output is bounded in units of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.blocks import Blocks
from deburr.nn.planes import HOPS, Graph, Planes

#: Scales whose normals are compared along the graph's edges (rows of `planes.HOPS`).
_FINE, _COARSE = 1, 3
#: Noise below this share of the spacing is treated as this share: there is nothing left to gain.
NOISE_FLOOR = 0.005
#: No score is longer than this many standard deviations of the noise.
LIMIT = 4.0

_NODE_INPUTS = len(HOPS) * 8 + (len(HOPS) - 1) * 3 + 2
_EDGE_INPUTS = 14
_EDGE_HIDDEN = 24

#: A layer's new features and vectors for some rows.
Pass = Callable[[slice], tuple[Tensor, Tensor]]


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

    def part(self, rows: Tensor) -> Scene:
        """The scene of ``rows`` (M,) alone; see `Graph.part`."""
        return Scene(self.graph.part(rows), self.planes.part(rows), self.noise[rows])

    def to(self, device: torch.device) -> Scene:
        """The same on ``device``."""

        graph, planes = self.graph, self.planes
        points, neighbors, window, spacing = (
            part.to(device) for part in (graph.points, graph.neighbors, graph.window, graph.spacing)
        )
        means, normals, variances = (part.to(device) for part in (planes.means, planes.normals, planes.variances))
        return Scene(
            Graph(graph.unit, points, neighbors, window, spacing),
            Planes(means, normals, variances, planes.wider),
            self.noise.to(device),
        )


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
    variances, normals, means = planes.variances[rows], planes.normals[rows], planes.means[rows]
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
        torch.full_like(noise, planes.wider).log2(),
    ]
    return torch.cat(parts, 1)


def edge_table(scene: Scene, rows: slice) -> Tensor:
    """(n, 9) float32: what neighbours read of a point, its spacing, and thickness and normal at two scales."""
    planes, scales = scene.planes, (_FINE, _COARSE)
    thickness, normals = planes.variances[rows][:, scales, 0].sqrt(), planes.normals[rows][:, scales]
    return torch.cat((scene.graph.spacing[rows, None], thickness, normals.flatten(1)), 1)


def edge_inputs(scene: Scene, table: Tensor, offsets: Tensor, rows: slice) -> Tensor:
    """(_EDGE_INPUTS, n, K) float32: how neighbours lie to each other's planes at two scales.

    table (N, 9) from `edge_table`, offsets (3, n, K). Vectors are taken apart into coordinates: long rows of them are
    what processors are fast at.
    """
    by_noise, by_spacing = 1 / scene.noise[rows, None], 1 / scene.graph.spacing[rows, None]
    mine, theirs = table[rows].t()[..., None], scene.graph.gather(table, rows).permute(2, 0, 1).contiguous()
    parts = [scene.graph.window[rows], theirs[0] * by_spacing]
    for scale in (0, 1):
        normals = slice(3 + 3 * scale, 6 + 3 * scale)
        above_mine, above_theirs = _dot(offsets, mine[normals]).abs(), _dot(offsets, theirs[normals]).abs()
        parts += [_dot(theirs[normals], mine[normals]).abs()]
        parts += [_squash(above_mine * by_noise), _squash(above_theirs * by_noise)]
        parts += [above_mine * by_spacing, above_theirs * by_spacing, _squash(theirs[1 + scale] * by_noise)]
    return torch.stack(parts)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Products of vectors (3, ...), their coordinates first."""
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])


def weighted_sums(graph: Graph, values: Tensor, kernels: list[Tensor], rows: slice) -> Tensor:
    """(n, heads C): sums of the neighbours' ``values`` (N, C), weighted by each head's ``kernels`` (n, K)."""
    if torch.is_grad_enabled():
        return (torch.stack(kernels, 1) @ graph.gather(values, rows)).flatten(1)
    # The same without writing the neighbours' values out; its backward pass is slow.
    neighbors = graph.neighbors[rows]
    sums = [functional.embedding_bag(neighbors, values, mode="sum", per_sample_weights=kernel) for kernel in kernels]
    return torch.cat(sums, 1)


class Layer(nn.Module):
    """One round of averaging values and vectors over the graph with the edge kernels, then a point-wise update."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        mixed = 2 * sizes.vectors
        found = sizes.heads * (sizes.vectors + 1) + sizes.vectors
        self.value = nn.Linear(sizes.channels, sizes.values)
        self.mix = nn.Linear(found, mixed, bias=False)
        inputs = sizes.channels + sizes.heads * sizes.values + 3 * mixed + mixed // 2
        self.look = nn.Linear(inputs, sizes.channels)
        self.update = nn.Linear(sizes.channels, sizes.channels + sizes.vectors)
        self.carry = nn.Linear(mixed, sizes.vectors, bias=False)

    def told(self, features: Tensor, arrows: Tensor) -> Tensor:
        """(n, values + 3 V): what neighbours are told of points with ``features`` (n, C) and ``arrows`` (n, 3, V)."""
        return torch.cat((self.value(features), arrows.flatten(1)), 1)

    def forward(
        self, own: Tensor, averaged: Tensor, arrows: Tensor, reach: Tensor, feet: list[Tensor], from_neighbors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New features (n, C) and vectors (n, 3, V).

        own (n, C) features; averaged (n, heads (values + 3 V)) what the neighbours told; arrows (n, 3, V) own vectors;
        reach (n, 3, heads) kernel-weighted offsets; feet, unit normals (n, 3) at two scales; from_neighbors as named.
        """
        channels, heads, kinds = self.sizes.channels, self.sizes.heads, self.sizes.vectors
        parts = [channels, heads * self.sizes.values, 7 * kinds]
        from_own, _, from_invariants = torch.split(self.look.weight, parts, 1)
        _, from_reach, from_arrows = torch.split(self.mix.weight, [heads * kinds, heads, kinds], 1)
        both = averaged @ from_neighbors
        hidden, mixed = both[:, :channels], both[:, channels:].view(-1, 3, 2 * kinds)
        mixed = mixed + functional.linear(reach, from_reach) + functional.linear(arrows, from_arrows)
        # Coordinate by coordinate: sums over an axis of three are slow.
        x, y, z = (along.contiguous() for along in mixed.unbind(1))
        above = [(x * foot[:, :1] + y * foot[:, 1:2] + z * foot[:, 2:]).abs() for foot in feet]
        invariants = torch.cat(
            (
                (x * x + y * y + z * z + 1e-6).sqrt(),
                x[:, :kinds] * x[:, kinds:] + y[:, :kinds] * y[:, kinds:] + z[:, :kinds] * z[:, kinds:],
                torch.stack(above, 2).flatten(1),
            ),
            1,
        )
        hidden = hidden + torch.addmm(self.look.bias, own, from_own.t()) + invariants @ from_invariants.t()
        features, gates = torch.split(self.update(functional.silu(hidden)), [channels, kinds], 1)
        return own + features, arrows + torch.tanh(gates).repeat(1, 3).view(-1, 3, kinds) * self.carry(mixed)

    def from_neighbors(self) -> Tensor:
        """(heads (values + 3 V), C + 6 V): the parts of `look` and `mix` that read what neighbours told, as one.

        One product with the averages as they come is half the work of sorting them into values and vectors first.
        """
        channels, heads, values, kinds = self.sizes.channels, self.sizes.heads, self.sizes.values, self.sizes.vectors
        look = self.look.weight[:, channels : channels + heads * values].reshape(channels, heads, values)
        mix = self.mix.weight[:, : heads * kinds].reshape(2 * kinds, heads, kinds)
        turned = torch.einsum("cd,mhv->cmhdv", torch.eye(3, device=mix.device), mix)
        turned = turned.reshape(6 * kinds, heads, 3 * kinds)
        upper = torch.cat((look, look.new_zeros(channels, heads, 3 * kinds)), 2)
        lower = torch.cat((turned.new_zeros(6 * kinds, heads, values), turned), 2)
        return torch.cat((upper, lower)).flatten(1).t().contiguous()


class ScoreNetwork(nn.Module):
    """Planes and noise level in, the score times the noise's variance out: the way to where the point came from."""

    def __init__(self, sizes: Sizes = Sizes()) -> None:
        super().__init__()
        self.sizes = sizes
        channels, scales = sizes.channels, len(HOPS)
        self.enter = nn.Sequential(nn.Linear(_NODE_INPUTS, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.start = nn.Linear(2 * scales, sizes.vectors, bias=False)
        self.edges = nn.Linear(_EDGE_INPUTS, _EDGE_HIDDEN)
        self.kernel = nn.Linear(_EDGE_HIDDEN, sizes.heads + 1)
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.leave = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, scales + 1 + 2 * sizes.vectors + 2)
        )

    #: How often `forward` walks over the points, besides once a layer.
    WALKS = 3

    def forward(self, scene: Scene, blocks: Blocks | None = None) -> tuple[Tensor, Tensor]:
        """Scores at the points (N, 3) and gates (N,): the share of the way that the evidence allows to go, 0 to 1.

        Without ``blocks`` all points are computed at once.
        """
        blocks = blocks or Blocks(len(scene.noise))
        local, own, trust = self._walk(scene, blocks)
        score, gate = blocks.map(lambda rows: self._ensemble(scene, local, own, trust, rows))
        return score, gate

    def parts(self, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
        """What training holds to targets: the two parts of each score (N, 3), from the neighbours and the point's own;
        and every neighbour's score there (N, K + 1, 3)."""
        rows = slice(0, len(scene.noise))
        local, own, trust = self._walk(scene, Blocks(rows.stop))
        scored, weight = self._scored(scene, local, trust, rows)
        gate = own[:, 3:]
        return gate * (weight[..., None] * scored).sum(1), gate * own[:, :3], scored

    def _walk(self, scene: Scene, blocks: Blocks) -> tuple[Tensor, Tensor, Tensor]:
        table, features, arrows, told = blocks.map(lambda rows: self._enter(scene, rows))
        *kernels, trust, reach = blocks.map(lambda rows: self._kernels(scene, table, rows))
        spare = torch.empty_like(told)
        for layer, after in pairwise(self.layers):
            assert isinstance(layer, Layer)
            assert isinstance(after, Layer)
            work = self._pass(layer, scene, (features, arrows, told), kernels, reach)

            def advance(rows: slice, work: Pass = work, after: Layer = after) -> tuple[Tensor, ...]:
                now = work(rows)
                return (*now, after.told(*now))

            spare, (features, arrows, told) = told, blocks.map(advance, (features, arrows, spare))
        last = self._pass(self.layers[-1], scene, (features, arrows, told), kernels, reach)  # type: ignore[arg-type]
        local, own = blocks.map(lambda rows: self._local(scene, *last(rows), rows))
        return local, own, trust

    def _enter(self, scene: Scene, rows: slice) -> tuple[Tensor, ...]:
        """The edge table, features, vectors, and what neighbours are told first."""
        means, normals = scene.planes.means[rows], scene.planes.normals[rows]
        feet = (means * normals).sum(-1, keepdim=True) * normals
        vectors = torch.cat((means.transpose(1, 2), feet.transpose(1, 2)), 2) / scene.graph.spacing[rows, None, None]
        features, arrows = self.enter(node_inputs(scene, rows)), self.start(vectors)
        return edge_table(scene, rows), features, arrows, self.layers[0].told(features, arrows)  # type: ignore[operator]

    def _kernels(self, scene: Scene, table: Tensor, rows: slice) -> tuple[Tensor, ...]:
        """Each head's weights (n, K), the trust in the neighbours' scores (n, K), and (n, 3, heads) the heads' reach.

        Edges are the last axes here: so the products run over long rows, and every head's weights are contiguous.
        """
        offsets = scene.graph.offsets(rows).permute(2, 0, 1).contiguous()
        inputs = edge_inputs(scene, table, offsets, rows)
        shape = inputs.shape[1:]
        hidden = torch.addmm(self.edges.bias[:, None], self.edges.weight, inputs.view(_EDGE_INPUTS, -1))
        logits = torch.addmm(self.kernel.bias[:, None], self.kernel.weight, functional.silu(hidden))
        weights = logits.clamp(-12, 12).exp().view(-1, *shape) * scene.graph.window[rows]
        heads = weights[:-1]
        heads = heads / (heads.sum(-1, keepdim=True) + 1e-6)
        reach = torch.einsum("hnk,cnk->nch", heads, offsets) / scene.graph.spacing[rows, None, None]
        return (*heads, weights[-1], reach)

    def _pass(
        self, layer: Layer, scene: Scene, state: tuple[Tensor, Tensor, Tensor], kernels: list[Tensor], reach: Tensor
    ) -> Pass:
        """What makes of features (N, C), vectors (N, 3, V) and what neighbours are told the next, for some rows."""
        features, arrows, told = state
        from_neighbors = layer.from_neighbors()

        def work(rows: slice) -> tuple[Tensor, Tensor]:
            averaged = weighted_sums(scene.graph, told, [kernel[rows] for kernel in kernels], rows)
            feet = [scene.planes.normals[rows, scale] for scale in (_FINE, _COARSE)]
            now: tuple[Tensor, Tensor] = layer(
                features[rows], averaged, arrows[rows], reach[rows], feet, from_neighbors
            )
            return now

        return work

    def _local(self, scene: Scene, features: Tensor, arrows: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """(n, 10): S_j(x) = b + A (x_j - x) as A (6, symmetric) and b (3), and its weight; (n, 4): what concerns the
        point alone, a vector and its gate."""
        scales, vectors = len(HOPS), self.sizes.vectors
        mix, free, rest = self.leave(features).split((scales + 1, 2 * vectors, 2), 1)
        share = mix.softmax(1)[:, :scales]
        normals, noise = scene.planes.normals[rows], scene.noise[rows, None]
        height = (scene.planes.means[rows] * normals).sum(-1)
        shared, own = (noise * (arrows * one[:, None]).sum(2) for one in free.split(vectors, 1))
        pull = ((share * height)[..., None] * normals).sum(1) + shared
        x, y, z = normals.unbind(-1)
        products = torch.stack((x * x, y * y, z * z, x * y, x * z, y * z), -1)
        matrix = (share[..., None] * products).sum(1)
        gate = torch.sigmoid(rest[:, 1:] + 2)
        return torch.cat((matrix, pull, rest[:, :1].clamp(-12, 12).exp()), 1), torch.cat((own, gate), 1)

    def _scored(self, scene: Scene, local: Tensor, trust: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Every neighbour's score at the points, the point's own first, (n, K + 1, 3), and its weight (n, K + 1)."""
        mine, theirs = local[rows], scene.graph.gather(local, rows).permute(2, 0, 1).contiguous()
        x, y, z = scene.graph.offsets(rows).permute(2, 0, 1).contiguous()
        xx, yy, zz, xy, xz, yz, *pull, certain = theirs
        turned = (xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z)
        scored = [torch.cat((mine[:, 6 + i, None], pull[i] + turned[i]), 1) for i in range(3)]
        weight = torch.cat((mine[:, 9:], trust[rows] * certain), 1)
        return torch.stack(scored).permute(1, 2, 0), weight / weight.sum(1, keepdim=True)

    def _ensemble(self, scene: Scene, local: Tensor, own: Tensor, trust: Tensor, rows: slice) -> tuple[Tensor, ...]:
        scored, weight = self._scored(scene, local, trust, rows)
        shared = torch.linalg.vecdot(weight, scored.permute(2, 0, 1)).t()
        gate = own[rows, 3]
        score = gate[:, None] * (shared + own[rows, :3])
        limit = LIMIT * scene.noise[rows, None]
        return score * limit / torch.maximum(_lengths(score / limit)[:, None] * limit, limit), gate
