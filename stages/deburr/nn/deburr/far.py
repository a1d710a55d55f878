"""Planes that no scan line fills: those of the nearest points in thinned copies of the cloud.

On a spinning scanner all neighbours of a point lie on its own ring, and hops along the graph stay there. Of every
eighth point, and of every sixty-fourth, the nearest lie on either side. See `thinned` for what copies keep.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Indices
from deburr.core.phases import phase
from deburr.nn.deburr import kernels
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.planes import HOPS, Graph, Planes, grown, products, smallest_axis
from deburr.nn.deburr.thinned import others

#: The neighbours in a copy that a plane is fitted to.
FAR = 16
#: Fewest points of a copy that is looked at: else a neighbourhood would be most of it, whatever lies there.
LEAST = 2 * FAR
#: Points looked at at once.
_CHUNK = 16_384
#: Where xx, yy, zz, xy, xz, yz stand in a matrix of 3 x 3.
_SIX = [0, 4, 8, 1, 2, 5]


@phase("fitting planes in thinned copies")
def look_far(
    planes: Planes, graph: Graph, kept: Bools, wanted: Tensor | None = None, blocks: Blocks | None = None
) -> Floats:
    """Put into ``planes`` the planes in the copies that are ``kept`` (N, len(SHARES)), at the ``wanted`` (N,) points or
    at all; of a copy with fewer than `LEAST` points they stay those of the widest neighbourhood.

    A point is no neighbour of its own. Returns radii (N,) float64 in the graph's unit, within which all points must be
    known for that: 0 at points that are not wanted, infinite where a copy has too few.
    """
    rows, blocks = np.arange(len(kept)) if wanted is None else wanted.numpy().nonzero()[0], blocks or Blocks(len(kept))
    points, radii = graph.points.numpy(), np.zeros(len(kept))
    fast = kernels.loaded(blocks.compiled)
    for scale, copy in enumerate(kept.T, len(HOPS)):
        members = np.flatnonzero(copy)
        if len(members) < LEAST:
            radii[rows] = np.inf
            blocks.tick(len(rows))
            continue
        tree = grown(points[members], blocks)
        if fast:
            fast.far_planes(planes, graph, scale, rows, tree, members, radii, blocks)
            continue
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            distances, near = others(tree, members, points[some], some, FAR)
            radii[some] = np.maximum(radii[some], distances[:, -1])
            _fit(planes, scale, some, tree.points[near] - points[some, None], distances, blocks)
    return radii


def _fit(planes: Planes, scale: int, rows: Indices, offsets: Floats, distances: Floats, blocks: Blocks) -> None:
    """Planes of neighbours at ``offsets`` (n, FAR, 3), ``distances`` (n, FAR) away."""
    into, away, offset = torch.from_numpy(rows), torch.from_numpy(distances), torch.from_numpy(offsets)

    def plane(part: slice) -> tuple[Tensor, ...]:
        # The least keeps a plane where all are equally far.
        weight = 1 - (away[part] / away[part, -1:].clamp_min(1e-150)) ** 2 + 1e-6
        weight /= weight.sum(1, keepdim=True)
        mean = torch.bmm(weight[:, None], offset[part])[:, 0]
        squares = torch.bmm((weight[..., None] * offset[part]).transpose(1, 2), offset[part]).flatten(1)
        variance, normal = smallest_axis(squares[:, _SIX] - products(mean))
        here = into[part]
        planes.means[here, scale] = mean.float()
        planes.normals[here, scale], planes.variances[here, scale] = normal.float(), variance.float()
        return ()

    blocks.of(len(rows)).map(plane)
