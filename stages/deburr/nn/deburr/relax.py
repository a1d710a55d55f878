"""Points relaxed along the surface until they lie evenly on it.

Denoising leaves points where the noise has left them along the surface: in clumps with gaps between. Here each point is
pushed away from those near it, a few times, in the plane of the surface. What may not be lost bounds where it goes: it
moves across no edge, since normals disagree there; over no border, since all neighbours lie on one side; and where no
two points are nearer to each other than in an even sample, it does not move at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.planes import Graph, averaging, in_units, products, search, smallest_axis, spread
from deburr.nn.deburr.scope import Scope

#: How often points are pushed.
ROUNDS = 3
#: No point goes further than this share of the spacing around it.
FARTHEST = 0.5
#: Points push each other that are nearer than this many spacings.
NEAR = 1.5
#: Neighbours in an even sample are further apart than this many spacings: triangles 1.07, squares 1, Poisson disks 0.7.
CLOSE = 0.6
#: Where points are nearer than that, by this sum over the neighbours on average around, some push; and all push fully.
CLUMPED = (0.05, 0.2)
#: Averaging hops for normals, how they disagree, and clumps.
_NORMALS, _TENSOR, _AROUND = 2, 1, 3
#: Along a direction in which the normals' components have this mean square, a quarter of a push is left.
_BENT = 0.025
#: How many steps along the graph a point sees in all this.
HOPS = ROUNDS + max(_NORMALS + _TENSOR, 1 + _AROUND)
#: How often this walks over the points.
WALKS = _NORMALS + _TENSOR + _AROUND + 4 + ROUNDS


@dataclass(frozen=True, eq=False)
class _Ground:
    """Of N points: ``free`` (N, 3, 3) float32 makes of a push what the surface allows of it; ``reach`` (N, 1) float32,
    how far a push is felt; ``limit`` (N, 1) float64, how far the point may go; both in the graph's units."""

    free: Tensor
    reach: Tensor
    limit: Tensor


def relaxed(
    points: Floats, may: Bools, scope: Scope, unit: float, sure: Bools | None, moved: float, blocks: Blocks
) -> tuple[Floats, Bools | None]:
    """The ways (M, 3) float64 that spread ``points`` (M, 3) evenly, those of ``scope`` after a denoising, in their
    units; 0 for those that do not ``may`` (M,) move, which push all the same.

    unit : the spacing of the whole cloud.
    sure : (M,) bool, in a tile, the points that are where they would be in the whole cloud; None: all.
    moved : how far any point of the cloud was moved by then, at most.

    Also returns which of the ways (M,) are as in the whole cloud; None: all.
    """
    graph = in_units(search(points, blocks), unit, blocks)
    if sure is not None:
        seen = scope.sure_again(points, graph.radii(), torch.from_numpy(sure), moved)
        sure = graph.inner(seen, HOPS, blocks).numpy()
    return unit * relax(graph, may, blocks), sure


def relax(graph: Graph, may: Bools, blocks: Blocks) -> Floats:
    """(N, 3) float64, the ways of the points of ``graph``, whose unit is the cloud's spacing, in that unit; 0 for those
    that do not ``may`` (N,) move."""
    ground = _ground(graph, torch.from_numpy(may), blocks)
    start = now = graph.points
    for _ in range(ROUNDS):
        before = replace(graph, points=now)

        def push(rows: slice, before: Graph = before) -> tuple[Tensor]:
            return (_pushed(before, start, ground, rows),)

        (now,) = blocks.map(push)
    way: Floats = (now - start).numpy()
    return way


def _ground(graph: Graph, may: Tensor, blocks: Blocks) -> _Ground:
    moments = torch.cat((graph.points, products(graph.points)), 1)
    moments = averaging(graph, moments, blocks)(moments, _NORMALS)
    (normals,) = blocks.map(lambda rows: (_normals(moments, rows),))
    tensor = spread(graph, products(normals), _TENSOR, blocks)
    (overlap,) = blocks.map(lambda rows: (_overlap(graph, rows),))
    low, high = CLUMPED
    push = ((spread(graph, overlap, _AROUND, blocks) - low) / (high - low)).clamp(0, 1) * may[:, None]
    (free,) = blocks.map(lambda rows: (push[rows, :, None] * _free(tensor, rows),))
    spacing = graph.spacing[:, None]
    (room,) = blocks.map(lambda rows: (_room(graph, normals, rows),))
    return _Ground(free, NEAR * spacing, torch.minimum(FARTHEST * spacing.clamp_max(1.0), room).double())


def _normals(moments: Tensor, rows: slice) -> Tensor:
    """(n, 3) float32, unit vectors across the planes of averaged ``moments`` (N, 9) float64."""
    return smallest_axis(moments[rows, 3:] - products(moments[rows, :3]))[1].float()


def _overlap(graph: Graph, rows: slice) -> Tensor:
    """(n, 1): by how much neighbours are nearer than in an even sample, summed."""
    near = graph.offsets(rows).norm(dim=2) / (CLOSE * graph.spacing[rows, None])
    overlap: Tensor = (1 - near).clamp_min(0).sum(1, keepdim=True)
    return overlap


def _free(tensor: Tensor, rows: slice) -> Tensor:
    """(n, 3, 3): 1 along directions in which the surface does not bend, else towards 0."""
    xx, yy, zz, xy, xz, yz = tensor[rows].unbind(1)
    bent = torch.stack((xx, xy, xz, xy, yy, yz, xz, yz, zz), 1).view(-1, 3, 3)
    kept: Tensor = torch.linalg.inv(torch.eye(3) + bent / _BENT)
    return kept @ kept


def _room(graph: Graph, normals: Tensor, rows: slice) -> Tensor:
    """(n, 1): how far neighbours lie on the side of a point on which there are the fewest; at a border, nowhere."""
    offsets, window = graph.offsets(rows), graph.window[rows]
    aside = torch.bmm(window[:, None], offsets)[:, 0]
    aside = aside - (aside * normals[rows]).sum(1, keepdim=True) * normals[rows]
    ahead = -torch.bmm(offsets, aside[..., None])[..., 0] / aside.norm(dim=1, keepdim=True).clamp_min(1e-12)
    # In a cone of 53 degrees to all sides, of which 37 count in full: what lies along the border is not beyond it.
    inside = (5 * ahead / offsets.norm(dim=2).clamp_min(1e-12) - 3).clamp(0, 1)
    room: Tensor = (ahead * inside * _known(graph, rows)).amax(1, keepdim=True)
    return room


def _known(graph: Graph, rows: slice) -> Tensor:
    """(n, K): 1 for neighbours, and towards the last of them 0: that may be another as well."""
    return (4 * graph.window[rows]).clamp_max(1)


def _pushed(graph: Graph, start: Tensor, ground: _Ground, rows: slice) -> Tensor:
    """(n, 3) float64: where points are that were at ``start`` and now are at ``graph.points``, pushed once."""
    offsets = graph.offsets(rows)
    away = offsets.norm(dim=2)
    weight = (1 - away / ground.reach[rows]).clamp_min(0) / away.clamp_min(1e-12) * _known(graph, rows)
    # Neighbours that are hardly felt push hardly.
    heard = torch.maximum(weight.sum(1, keepdim=True), 1 / ground.reach[rows])
    push = -torch.bmm(weight[:, None], offsets)[:, 0] / heard
    way = graph.points[rows] + torch.bmm(ground.free[rows], push[..., None])[..., 0] - start[rows]
    share: Tensor = (ground.limit[rows] / way.norm(dim=1, keepdim=True).clamp_min(1e-300)).clamp_max(1)
    return start[rows] + way * share
