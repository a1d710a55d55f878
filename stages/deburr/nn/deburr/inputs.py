"""What the score network is shown of a point and of the edges of the graph: lengths, ratios and angles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deburr.nn.deburr.planes import SCALES, Graph, Planes

#: Scales whose normals are compared along the graph's edges (rows of `planes.HOPS`).
FINE, COARSE = 1, 3
#: Noise below this share of the spacing is treated as this share: there is nothing left to gain.
NOISE_FLOOR = 0.005

NODE_INPUTS = SCALES * 8 + (SCALES - 1) * 3 + 2
EDGE_INPUTS = 14


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
        points, neighbors, window, spacing, own = (
            part.to(device) for part in (graph.points, graph.neighbors, graph.window, graph.spacing, graph.own)
        )
        means, normals, variances = (part.to(device) for part in (planes.means, planes.normals, planes.variances))
        return Scene(
            Graph(graph.unit, points, neighbors, window, spacing, own),
            Planes(means, normals, variances, planes.wider),
            self.noise.to(device),
        )


def _squash(x: Tensor) -> Tensor:
    """Lengths in units of the noise run from 0 to thousands; their order of magnitude is what matters."""
    return torch.log1p(x)


def lengths(v: Tensor) -> Tensor:
    """Lengths of vectors (..., 3), with a gradient at 0."""
    return ((v * v).sum(-1) + 1e-6).sqrt()


def node_inputs(scene: Scene, rows: slice) -> Tensor:
    """(n, NODE_INPUTS) float32: how thick, flat and far the planes at each scale are, against noise and spacing."""
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
        lengths(means - foot) / spacing,
        (foot[:, 1:] * foot[:, :-1]).sum(-1).clamp_min(0).sqrt() / (noise + spacing),
        (normals[:, 1:] * normals[:, :-1]).sum(-1).abs(),
        _squash((foot[:, 1:] - foot[:, :-1]).norm(dim=-1) / noise),
        torch.log(noise / spacing),
        torch.full_like(noise, planes.wider).log2(),
    ]
    return torch.cat(parts, 1)


def edge_table(scene: Scene, rows: slice) -> Tensor:
    """(n, 9) float32: what neighbours read of a point, its spacing, and thickness and normal at two scales."""
    planes, scales = scene.planes, (FINE, COARSE)
    thickness, normals = planes.variances[rows][:, scales, 0].sqrt(), planes.normals[rows][:, scales]
    return torch.cat((scene.graph.spacing[rows, None], thickness, normals.flatten(1)), 1)


def edge_inputs(scene: Scene, table: Tensor, offsets: Tensor, rows: slice) -> Tensor:
    """(EDGE_INPUTS, n, K) float32: how neighbours lie to each other's planes at two scales.

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
