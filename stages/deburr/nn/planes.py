"""What the default network sees of a cloud: one kNN graph, and local planes at five scales made on it.

Everything here is a continuous function of the points' places: each neighbour's weight falls to zero at the distance
of the last one, so it does not matter which of two equally far neighbours a search returns, and a small change of the
input makes a small change of the output. Nothing depends on the order of the points.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor

from deburr.core.cloud import Floats
from deburr.core.errors import RunError
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.nn.blocks import Blocks

#: Most units between neighbours: the products of such lengths still fit into float32.
MOST_UNITS = 1e18
#: Averaging hops after which a plane is taken; t hops weigh about 10 t points on a surface.
HOPS = (1, 2, 4, 8, 16)
#: The noise level is read at one scale more: noise above the spacing fills the smaller ones.
NOISE_HOPS = (*HOPS, 32)


@dataclass(frozen=True)
class Graph:
    """The kNN graph of N different points, in a frame of its own whose unit is about one spacing.

    unit : that unit's length in the coordinates handed over.
    points : (N, 3) float64, about the cloud's median.
    neighbors : (N, K) int64, each point's K nearest others.
    offsets : (N, K, 3) float32, neighbour minus point.
    window : (N, K) float32, 1 - d^2 / r^2, which falls to 0 at the K-th neighbour.
    spacing : (N,) float32, r_16 sqrt(pi / 16), averaged over the neighbours.
    """

    unit: float
    points: Tensor
    neighbors: Tensor
    offsets: Tensor
    window: Tensor
    spacing: Tensor


@dataclass(frozen=True)
class Planes:
    """Local planes at S scales; whoever needs fewer reads the first.

    means : (N, S, 3) float32, weighted mean of the neighbourhood minus the point.
    normals : (N, S, 3) float32, unit vectors of least variance; their sign means nothing.
    variances : (N, S, 3) float32, ascending eigenvalues of the weighted covariance.
    """

    means: Tensor
    normals: Tensor
    variances: Tensor


def build_graph(xyz: Floats, unit: float | None = None) -> Graph:
    """Search the neighbours of ``xyz`` (N, 3) float64, all different, N > 1.

    ``unit``: the length that becomes 1; the median point spacing if None.
    """
    # Not the bounding box's middle: one missing return at the origin would put that millions of spacings away, where
    # the moments of all other points drown in rounding.
    points = xyz - np.median(xyz, axis=0)
    k = min(SPACING_K, len(points) - 1)
    distances, rows = Neighbors(points).nearest(points, k + 1)
    own = point_spacing(distances[:, -1], k)
    unit = float(np.median(own)) if unit is None else unit
    if own.max() > MOST_UNITS * unit:
        raise RunError(
            f"a point lies {own.max():.3g} units from the others, {own.max() / unit:.0e} times the usual spacing; "
            "remove such points, or flag them with filters.outlier first"
        )
    offsets = torch.from_numpy(((points[rows[:, 1:]] - points[:, None, :]) / unit).astype(np.float32))
    neighbors = torch.from_numpy(rows[:, 1:].copy())
    squared = distances[:, 1:] ** 2
    window = torch.from_numpy((1 - squared / squared[:, -1:]).astype(np.float32))
    spacing = torch.from_numpy((own / unit).astype(np.float32))
    spacing = (spacing + (window * spacing[neighbors]).sum(1)) / (1 + window.sum(1))
    return Graph(unit, torch.from_numpy(points / unit), neighbors, offsets, window, spacing)


def fit_planes(graph: Graph, hops: tuple[int, ...] = HOPS, blocks: Blocks | None = None) -> Planes:
    """Weighted mean and covariance of ever wider neighbourhoods, by repeated averaging over the graph.

    One hop replaces the moments of every point by the window-weighted mean of its own and its neighbours'. The moments
    of wide neighbourhoods so cost a few additions a hop, and no wider search. They are sums of products of coordinates
    about the cloud's median, in float64: at 10^5 spacings from there the variances keep an error of 10^-5.
    """
    blocks = blocks or Blocks(len(graph.spacing))
    moments = torch.cat((graph.points, _products(graph.points)), 1)
    found: list[tuple[Tensor, ...]] = []

    def plane(rows: slice) -> tuple[Tensor, ...]:
        mean = moments[rows, :3]
        values, axis = smallest_axis(moments[rows, 3:] - _products(mean))
        return (mean - graph.points[rows]).float(), axis.float(), values.float()

    done = 0
    for hop in hops:
        moments, done = spread(graph, moments, hop - done, blocks), hop
        found.append(blocks.map(plane))
    means, normals, variances = (torch.stack([f[part] for f in found], 1) for part in range(3))
    return Planes(means, normals, variances)


def spread(graph: Graph, values: Tensor, hops: int, blocks: Blocks) -> Tensor:
    """``values`` (N, C) averaged ``hops`` times over each point and its neighbours, weighted by the window."""
    averages = {rows.start: _averaging(graph, rows, values) for rows in blocks.rows()}
    for _ in range(hops):
        (values,) = blocks.map(lambda rows, last=values: (averages[rows.start] @ last,))  # type: ignore[misc]
    return values


def _averaging(graph: Graph, rows: slice, like: Tensor) -> Tensor:
    """Some rows (n, N) of the sparse matrix of an averaging hop: they sum to 1, the point itself is a window of 1."""
    count, k = graph.neighbors[rows].shape
    device = graph.neighbors.device
    own = torch.arange(rows.start, rows.stop, device=device)[:, None]
    columns = torch.cat((own, graph.neighbors[rows]), 1)
    weights = torch.cat((torch.ones_like(own, dtype=like.dtype), graph.window[rows].to(like.dtype)), 1)
    weights /= weights.sum(1, keepdim=True)
    starts = torch.arange(0, count * (k + 1) + 1, k + 1, device=device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(
            starts, columns.reshape(-1), weights.reshape(-1), size=(count, len(graph.neighbors))
        )


def _products(v: Tensor) -> Tensor:
    """(..., 3) to the six products xx, yy, zz, xy, xz, yz."""
    x, y, z = v.unbind(-1)
    return torch.stack((x * x, y * y, z * z, x * y, x * z, y * z), -1)


def smallest_axis(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., 3), ascending, and the unit eigenvector (..., 3) of the smallest.

    ``covariance`` (..., 6) float64: xx, yy, zz, xy, xz, yz of symmetric 3 x 3 matrices. The roots of the characteristic
    cubic by its cosine solution; the eigenvector as the longest cross product of two rows of C - l I.
    """
    c = covariance
    mean = c[..., :3].sum(-1) / 3
    a, b, d = (c[..., i] - mean for i in range(3))
    e, f, g = c[..., 3], c[..., 4], c[..., 5]
    norm = ((a * a + b * b + d * d) / 6 + (e * e + f * f + g * g) / 3).clamp_min(1e-60).sqrt()
    determinant = a * (b * d - g * g) - e * (e * d - g * f) + f * (e * g - b * f)
    angle = (determinant / (2 * norm**3)).clamp(-1, 1).acos() / 3
    high = mean + 2 * norm * angle.cos()
    low = mean + 2 * norm * (angle + 2 * pi / 3).cos()
    values = torch.stack((low, 3 * mean - high - low, high), -1).clamp_min(0)
    x, y, z = c[..., 0] - low, c[..., 1] - low, c[..., 2] - low
    rows = [torch.stack(r, -1) for r in ((x, e, f), (e, y, g), (f, g, z))]
    crosses = torch.stack([torch.linalg.cross(rows[i], rows[j]) for i, j in ((0, 1), (0, 2), (1, 2))], -2)
    lengths = (crosses * crosses).sum(-1)
    longest = lengths.argmax(-1, keepdim=True)
    axis = torch.take_along_dim(crosses, longest[..., None], -2).squeeze(-2)
    squared = lengths.gather(-1, longest)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=axis.dtype).expand_as(axis)
    return values, torch.where(squared > 1e-60, axis / squared.clamp_min(1e-60).sqrt(), up)
