"""The default network: a noise-conditional, rotation-equivariant score network over local planes.

Every point j gets a local score, the gradient of a local quadratic energy plus a free vector:

    S_j(x) = sum_k w_jk ((m_jk - x) . n_jk) n_jk + v_j,

with planes (m, n) at several scales and w, v from the network: minus the gradient of

    E_j(x) = 1/2 sum_k w_jk ((x - m_jk) . n_jk)^2 - v_j . (x - x_j).

The score at a point is the learned average of its
neighbours' scores there, and a vector of its own along the surface, where regular samples tell more than planes do,

    e_i = g_i (sum_j a_ij S_j(x_i) + u_i),

gated by how much is known. As S is linear in x, that costs a few products a neighbour where the published network
evaluates a deep network. What a place costs (`ScoreNetwork.energies`) is the mean of the neighbours' energies there
over the noise's variance, in nats, the point's own left out: an outlier explains itself.

All inputs are lengths and products of vectors, which no rotation changes; vectors are only weighted and added. So
turning the cloud turns the result. The noise level is an input, and the output is bounded in units of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.inputs import (
    COARSE,
    EDGE_INPUTS,
    FINE,
    NODE_INPUTS,
    Scene,
    edge_inputs,
    edge_table,
    lengths,
    node_inputs,
)
from deburr.nn.deburr.layer import Layer, Sizes, weighted_sums
from deburr.nn.deburr.planes import SCALES, products
from deburr.nn.schedule import LIMIT

#: What the last neighbour weighs in the mean of energies, or the mean would be of nothing where all are equally far.
_LAST = 1e-6

EDGE_HIDDEN = 24

#: A layer's new features and vectors for some rows.
Pass = Callable[[slice], tuple[Tensor, Tensor]]


class ScoreNetwork(nn.Module):
    """Planes and noise level in, the score times the noise's variance out: the way to where the point came from."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        channels, scales = sizes.channels, SCALES
        self.enter = nn.Sequential(nn.Linear(NODE_INPUTS, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.start = nn.Linear(2 * scales, sizes.vectors, bias=False)
        self.edges = nn.Linear(EDGE_INPUTS, EDGE_HIDDEN)
        self.kernel = nn.Linear(EDGE_HIDDEN, sizes.heads + 1)
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
        gate = own[:, 3:4]
        return gate * (weight[..., None] * scored).sum(1), gate * own[:, :3], scored

    def fields(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """What training without truth judges, every point's own score around it: A (N, 6; xx, yy, zz, xy, xz, yz) and
        b (N, 3) of g_j (S_j(x) + u_j) = b_j - A_j (x - x_j)."""
        local, own, _ = self._walk(scene, Blocks(len(scene.noise)))
        gate = own[:, 3:4]
        return gate * local[:, :6], gate * (local[:, 6:9] + own[:, :3])

    def energies(self, scene: Scene, blocks: Blocks | None = None) -> Tensor:
        """(N,) nats, at least 0: what the place of each point costs, by what its neighbours know of it.

        On a plane under Gaussian noise of the level that was told, half a chi-square of one degree of freedom.
        """
        blocks = blocks or Blocks(len(scene.noise))
        local, own, _ = self._walk(scene, blocks)
        told = torch.cat((local, own[:, 4:]), 1)
        (energy,) = blocks.map(lambda rows: (self._energy(scene, told, rows),))
        return energy

    def _energy(self, scene: Scene, told: Tensor, rows: slice) -> Tensor:
        weight = scene.graph.window[rows] + _LAST
        energy = local_energies(scene.graph.gather(told, rows), -scene.graph.offsets(rows))
        mean = (weight * energy).sum(1) / weight.sum(1)
        # The free vector's part, which no square bounds, may be below 0.
        return mean.clamp_min(0) / scene.noise[rows] ** 2

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
        hidden = torch.addmm(self.edges.bias[:, None], self.edges.weight, inputs.view(EDGE_INPUTS, -1))
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
            feet = [scene.planes.normals[rows, scale] for scale in (FINE, COARSE)]
            now: tuple[Tensor, Tensor] = layer(
                features[rows], averaged, arrows[rows], reach[rows], feet, from_neighbors
            )
            return now

        return work

    def _local(self, scene: Scene, features: Tensor, arrows: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """(n, 10): S_j(x) = b + A (x_j - x) as A (6, symmetric) and b (3), and its weight; (n, 5): what concerns the
        point alone, a vector and its gate, and E_j(x_j)."""
        scales, vectors = SCALES, self.sizes.vectors
        mix, free, rest = self.leave(features).split((scales + 1, 2 * vectors, 2), 1)
        share = mix.softmax(1)[:, :scales]
        normals, noise = scene.planes.normals[rows], scene.noise[rows, None]
        height = (scene.planes.means[rows] * normals).sum(-1)
        shared, own = (noise * (arrows * one[:, None]).sum(2) for one in free.split(vectors, 1))
        pull = ((share * height)[..., None] * normals).sum(1) + shared
        matrix = (share[..., None] * products(normals)).sum(1)
        gate, here = torch.sigmoid(rest[:, 1:] + 2), (share * height**2).sum(1, keepdim=True) / 2
        return torch.cat((matrix, pull, rest[:, :1].clamp(-12, 12).exp()), 1), torch.cat((own, gate, here), 1)

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
        return score * limit / torch.maximum(lengths(score / limit)[:, None] * limit, limit), gate


def local_energies(local: Tensor, away: Tensor) -> Tensor:
    """E_j (...) at ``away`` (..., 3) from x_j, a squared length; ``local`` (..., 11): A, b, a weight, E_j(x_j)."""
    xx, yy, zz, xy, xz, yz, a, b, c, _, here = local.unbind(-1)
    x, y, z = away.unbind(-1)
    square = xx * x * x + yy * y * y + zz * z * z + 2 * (xy * x * y + xz * x * z + yz * y * z)
    return here + square / 2 - (a * x + b * y + c * z)
