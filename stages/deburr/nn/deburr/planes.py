"""What the default network sees of a cloud: one kNN graph, and local planes at ever wider scales made on it.

Everything here is a continuous function of the points' places: each neighbour's weight falls to zero at the distance
of the last one, so it does not matter which of two equally far neighbours a search returns, and a small change of the
input makes a small change of the output. Nothing depends on the order of the points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import pi, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deburr.core.arrays import Floats
from deburr.core.errors import RunError
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.core.phases import phase
from deburr.nn.deburr import kernels
from deburr.nn.deburr.blocks import Blocks

#: Most units between neighbours: the products of such lengths still fit into float32.
MOST_UNITS = 1e18
#: Points whose neighbours are searched at once: their distances and rows need not all be held.
_SEARCHED = 16_384
#: Averaging hops after which a plane is taken; t hops weigh about 10 t points on a surface.
HOPS = (1, 2, 4, 8, 16)
#: The shares of the points that thinned copies keep. Behind the planes of `HOPS` there is one for each copy.
SHARES = (1 / 8, 1 / 64)
SCALES = len(HOPS) + len(SHARES)


@dataclass(frozen=True)
class Graph:
    """The kNN graph of N different points, in a frame of its own whose unit is about one spacing.

    unit : that unit's length in the coordinates handed over.
    points : (N, 3) float64, about the cloud's median.
    neighbors : (N, K) int32, each point's K nearest others.
    window : (N, K) float32, 1 - d^2 / r^2, which falls to 0 at the K-th neighbour.
    spacing : (N,) float32, r_16 sqrt(pi / 16), averaged over the neighbours.
    own : (N,) float64, the same not averaged, in the units of the coordinates handed over.
    """

    unit: float
    points: Tensor
    neighbors: Tensor
    window: Tensor
    spacing: Tensor
    own: Tensor

    def gather(self, values: Tensor, rows: slice) -> Tensor:
        """(n, K, ...): ``values`` (N, ...) of the neighbours of some rows."""
        neighbors = self.neighbors[rows]
        return values.index_select(0, neighbors.reshape(-1)).view(*neighbors.shape, *values.shape[1:])

    def offsets(self, rows: slice) -> Tensor:
        """(n, K, 3) float32, neighbour minus point."""
        return (self.gather(self.points, rows) - self.points[rows, None]).float()

    def radii(self) -> Floats:
        """(N,) float64: how far from each point the search of its neighbours looked, in the units handed over; infinite
        where there were too few."""
        k = self.neighbors.shape[1]
        own: Floats = self.own.numpy()
        return own / sqrt(pi / k) if k == SPACING_K else np.full(len(own), np.inf)

    def inner(self, sure: Tensor, hops: int, blocks: Blocks) -> Tensor:
        """(N,) bool: the points from which ``hops`` steps along the graph lead to nothing but ``sure`` (N,) points."""
        # Eight neighbours at a look: to ask each would take as long as a layer of the network.
        eight = torch.ones(8, dtype=torch.uint8).view(torch.int64)
        for _ in range(hops):
            now = sure.view(torch.uint8)

            def step(rows: slice, before: Tensor = now) -> tuple[Tensor]:
                near = self.gather(before, rows)
                if near.shape[1] % 8:
                    return (before[rows].bool() & near.bool().all(1),)
                return (before[rows].bool() & (near.view(torch.int64) == eight).all(1),)

            (after,) = blocks.map(step)
            if torch.equal(after, sure):
                break
            sure = after
        return sure

    def around(self, rows: slice | Tensor, hops: int) -> Tensor:
        """(M,) int64, ascending: ``rows`` and what is reached from there in ``hops`` steps along the graph."""
        every = torch.arange(len(self.spacing), device=self.spacing.device)
        return self.rings(every[rows], hops)[0].sort().values

    def rings(self, rows: Tensor, hops: int) -> tuple[Tensor, list[int]]:
        """(M,) int64: ``rows`` (R,) and behind them what each of ``hops`` steps along the graph reaches besides, each
        ascending; and how many these are after 0 to ``hops`` steps."""
        inside = torch.zeros(len(self.spacing), dtype=torch.bool, device=self.spacing.device)
        inside[rows] = True
        found, counts = [rows], [len(rows)]
        for _ in range(hops):
            reached = self.neighbors[found[-1]].reshape(-1)
            found.append(torch.unique(reached[~inside.index_select(0, reached)]).long())
            inside[found[-1]] = True
            counts.append(counts[-1] + len(found[-1]))
        return torch.cat(found), counts

    def part(self, rows: Tensor) -> Graph:
        """The graph of ``rows`` (M,) alone. Neighbours outside are replaced by any: who reads them gets nonsense."""
        place = torch.zeros(len(self.spacing), dtype=torch.int32, device=self.spacing.device)
        place[rows] = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        neighbors = place[self.neighbors[rows].long()]
        return Graph(self.unit, self.points[rows], neighbors, self.window[rows], self.spacing[rows], self.own[rows])


@dataclass(frozen=True)
class Planes:
    """Local planes at S scales: those of `HOPS`, and behind them those of `deburr.nn.deburr.far`.

    means : (N, S, 3) float32, weighted mean of the neighbourhood minus the point.
    normals : (N, S, 3) float32, unit vectors of least variance; their sign means nothing.
    variances : (N, S, 3) float32, ascending eigenvalues of the weighted covariance.
    wider : how often as many hops as `HOPS` were taken.
    """

    means: Tensor
    normals: Tensor
    variances: Tensor
    wider: int = 1

    def part(self, rows: Tensor) -> Planes:
        """The planes of ``rows`` alone."""
        return Planes(self.means[rows], self.normals[rows], self.variances[rows], self.wider)

    def heights(self, moved: Floats, blocks: Blocks) -> NDArray[np.float32]:
        """(N, S) float32: how far each point lies off its planes, on whichever side, once it is ``moved`` (N, 3)."""
        way = torch.from_numpy(moved)

        def work(rows: slice) -> tuple[Tensor]:
            away = self.means[rows] - way[rows].float()[:, None]
            return ((away * self.normals[rows]).sum(2).abs(),)

        return blocks.silent(len(moved)).map(work)[0].numpy()

    def extents(self, blocks: Blocks) -> NDArray[np.float32]:
        """(N, S, 3) float32: standard deviations along the axes of each plane, the shortest first."""

        def work(rows: slice) -> tuple[Tensor]:
            return (self.variances[rows].clamp_min(0).sqrt_(),)

        return blocks.silent(len(self.variances)).map(work)[0].numpy()

    def scale(self, factor: float) -> Planes:
        """All lengths become ``factor`` times as long, in place: copies would be a sixth of all that a cloud needs."""
        self.means.mul_(factor)
        self.variances.mul_(factor**2)
        return self


def build_graph(xyz: Floats, unit: float | None = None) -> Graph:
    """Search the neighbours of ``xyz`` (N, 3) float64, all different, N > 1.

    ``unit``: the length that becomes 1; the median point spacing if None.
    """
    return in_units(search(xyz), unit)


@phase("finding neighbours")
def search(xyz: Floats, blocks: Blocks | None = None) -> Graph:
    """The graph of ``xyz`` in the units handed over; its ``spacing`` is not averaged. ``blocks``: whose threads search,
    by compiled kernels if these are wanted."""
    # Not the bounding box's middle: one missing return at the origin would put that millions of spacings away, where
    # the moments of all other points drown in rounding.
    points = xyz - np.median(xyz, axis=0)
    k = min(SPACING_K, len(points) - 1)
    own = np.empty(len(points))
    neighbors = np.empty((len(points), k), dtype=np.int32)
    window = np.empty((len(points), k), dtype=np.float32)
    # Among the coordinates as they are: so distances are the same, to the last bit, in a tile and in the whole.
    tree, blocks = grown(xyz, blocks), blocks or Blocks(len(xyz), compiled=False)

    def work(rows: slice) -> None:
        distances, found = tree.nearest(xyz[rows], k + 1)
        own[rows] = point_spacing(distances[:, -1], k)
        neighbors[rows] = found[:, 1:]
        squared = distances[:, 1:] ** 2
        window[rows] = 1 - squared / squared[:, -1:]

    # SciPy's tree has threads of its own.
    (blocks.silent(len(points)) if kernels.loaded(blocks.compiled) else Blocks(len(points), _SEARCHED)).each(work)
    raw = torch.from_numpy(own)
    return Graph(1.0, torch.from_numpy(points), torch.from_numpy(neighbors), torch.from_numpy(window), raw.float(), raw)


def grown(points: Floats, blocks: Blocks | None) -> Any:
    """A search tree over ``points`` (N, 3): of the compiled kernels where ``blocks`` want them, else SciPy's."""
    fast = kernels.loaded(blocks is not None and blocks.compiled)
    return fast.Tree.of(points, blocks) if fast else Neighbors(points)


def in_units(graph: Graph, unit: float | None, blocks: Blocks | None = None) -> Graph:
    """What `search` found, in a frame in which ``unit`` is 1, with spacings averaged."""
    own = graph.own
    # Not torch's median, which takes the lower of the two middle ones.
    unit = float(np.median(own.numpy())) if unit is None else unit
    if float(own.max()) > MOST_UNITS * unit:
        raise RunError(
            f"a point lies {own.max():.3g} units from the others, {own.max() / unit:.0e} times the usual spacing; "
            "remove such points, or flag them with filters.outlier first"
        )
    graph = replace(graph, unit=unit, points=graph.points / unit)
    silent = blocks.silent(len(own)) if blocks else Blocks(len(own), compiled=False)
    return replace(graph, spacing=spread(graph, (own / unit)[:, None], 1, silent)[:, 0].float())


@phase("fitting planes")
def fit_planes(graph: Graph, wider: int = 1, blocks: Blocks | None = None, wanted: Tensor | None = None) -> Planes:
    """Weighted mean and covariance of ever wider neighbourhoods, by repeated averaging over the graph.

    One hop replaces the moments of every point by the window-weighted mean of its own and its neighbours'. The moments
    of wide neighbourhoods so cost a few additions a hop, and no wider search. They are sums of products of coordinates
    about the cloud's median, in float64: at 10^5 spacings from there the variances keep an error of 10^-5.

    The planes of thinned copies are those of the widest neighbourhood until `far.look_far` has found them.

    ``wanted`` (N,) bool: the points whose planes will be read; those of blocks without any are left undefined.
    """
    blocks = blocks or Blocks(len(graph.spacing))
    moments = torch.empty(len(graph.points), 9, dtype=torch.float64, device=graph.points.device)

    def begin(rows: slice) -> None:
        moments[rows, :3], moments[rows, 3:] = graph.points[rows], products(graph.points[rows])

    blocks.silent(len(moments)).each(begin)
    # All scales are written into one place: twice that would be most of what a large cloud needs.
    shape = (len(moments), SCALES, 3)
    means, normals, variances = (torch.empty(shape, device=moments.device) for _ in range(3))
    planes = Planes(means, normals, variances, wider)
    fast = kernels.loaded(blocks.compiled)
    averaged = averaging(graph, moments, blocks, [moments])
    put = fast.planes_at if fast else _planes_at
    done = 0
    for scale, hop in enumerate(HOPS):
        moments, done = averaged(moments, hop * wider - done), hop * wider
        scales = slice(scale, scale + 1 if hop < HOPS[-1] else SCALES)

        def work(rows: slice, moments: Tensor = moments, scales: slice = scales) -> None:
            if wanted is None or bool(wanted[rows].any()):
                put(planes, graph, moments, scales, rows)

        blocks.each(work)
    return planes


def _planes_at(planes: Planes, graph: Graph, moments: Tensor, scales: slice, rows: slice) -> None:
    """Put into ``planes`` those of ``scales`` at ``rows``, of ``moments`` (N, 9) float64, means and products."""
    mean = moments[rows, :3]
    variance, normal = smallest_axis(moments[rows, 3:] - products(mean))
    planes.variances[rows, scales], planes.normals[rows, scales] = variance[:, None].float(), normal[:, None].float()
    planes.means[rows, scales] = (mean - graph.points[rows])[:, None].float()


def spread(graph: Graph, values: Tensor, hops: int, blocks: Blocks) -> Tensor:
    """``values`` (N, C) averaged ``hops`` times over each point and its neighbours, weighted by the window."""
    return averaging(graph, values, blocks)(values, hops)


def averaging(
    graph: Graph, values: Tensor, blocks: Blocks, places: list[Tensor] | None = None
) -> Callable[[Tensor, int], Tensor]:
    """What `spread` does, prepared for more than one call with such ``values``: of what one call has returned, nothing
    is left after the next. ``places``: what is like the values and may be written into."""
    places = [] if places is None else places
    fast = kernels.loaded(blocks.compiled)
    if fast and fast.averages(values):
        return partial(fast.average, graph, blocks=blocks, places=places)
    matrices = {rows.start: averaging_matrix(graph, rows, values.dtype) for rows in blocks.rows()}

    def multiplied(values: Tensor) -> Callable[[slice, Tensor], object]:
        return lambda rows, out: torch.mm(matrices[rows.start], values, out=out)

    def apply(values: Tensor, hops: int) -> Tensor:
        with torch.inference_mode(blocks.size is not None):
            for _ in range(hops):
                values = blocks.write(multiplied(values), other(places, values))
        return values

    return apply


def other(places: list[Tensor], values: Tensor) -> Tensor:
    """One of two ``places`` like ``values`` that is not theirs; made where it is missing. So what was handed over first
    is not written into, and then the two take turns."""
    for place in places:
        if place.data_ptr() != values.data_ptr():
            return place
    places.append(torch.empty_like(values))
    return places[-1]


def average(values: Tensor, matrix: Tensor, back: Tensor, hops: int) -> Tensor:
    """``values`` (N, C) times ``matrix`` (N, N) as often as ``hops`` says, with a gradient for the values.

    ``back`` is the matrix transposed, which PyTorch would make anew in every backward pass.
    """
    for _ in range(hops):
        values = _Average.apply(values, matrix, back)  # type: ignore[no-untyped-call]
    return values


class _Average(torch.autograd.Function):
    """A sparse matrix times values (N, C), with a gradient for the values alone."""

    @staticmethod
    def forward(context: Any, values: Tensor, matrix: Tensor, back: Tensor) -> Tensor:
        context.save_for_backward(back)
        return matrix @ values

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return context.saved_tensors[0] @ gradient.contiguous(), None, None


def averaging_matrix(graph: Graph, rows: slice, dtype: torch.dtype) -> Tensor:
    """Some rows (n, N) of the sparse matrix of an averaging hop: they sum to 1, the point itself is a window of 1."""
    count, k = graph.neighbors[rows].shape
    device = graph.neighbors.device
    own = torch.arange(rows.start, rows.start + count, device=device, dtype=torch.int32)[:, None]
    columns = torch.cat((own, graph.neighbors[rows]), 1)
    weights = torch.cat((torch.ones_like(own, dtype=dtype), graph.window[rows].to(dtype)), 1)
    weights /= weights.sum(1, keepdim=True)
    starts = torch.arange(0, count * (k + 1) + 1, k + 1, device=device, dtype=torch.int32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        return torch.sparse_csr_tensor(
            starts, columns.reshape(-1), weights.reshape(-1), size=(count, len(graph.neighbors))
        )


def products(v: Tensor) -> Tensor:
    """(..., 3) to the six products xx, yy, zz, xy, xz, yz."""
    x, y, z = v.unbind(-1)
    return torch.stack((x * x, y * y, z * z, x * y, x * z, y * z), -1)


def smallest_axis(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (N, 3), ascending, and the unit eigenvector (N, 3) of the smallest.

    ``covariance`` (N, 6) float64: xx, yy, zz, xy, xz, yz of symmetric 3 x 3 matrices. The roots of the characteristic
    cubic by its cosine solution; the eigenvector as the longest cross product of two rows of C - l I.
    """
    a, b, c, e, f, g = covariance.t().contiguous()
    mean = (a + b + c) / 3
    a, b, c = a - mean, b - mean, c - mean
    norm = ((a * a + b * b + c * c) / 6 + (e * e + f * f + g * g) / 3).clamp_min_(1e-60).sqrt_()
    determinant = a * (b * c - g * g) - e * (e * c - g * f) + f * (e * g - b * f)
    angle = (determinant / (2 * norm**3)).clamp_(-1, 1).acos_() / 3
    high = 2 * norm * angle.cos()
    low = 2 * norm * (angle + 2 * pi / 3).cos()
    values = torch.stack((mean + low, mean - high - low, mean + high), -1).clamp_min_(0)
    x, y, z = a - low, b - low, c - low
    axis, squared = _cross((x, e, f), (e, y, g))
    for pair in (((x, e, f), (f, g, z)), ((e, y, g), (f, g, z))):
        other, length = _cross(*pair)
        longer = length > squared
        axis, squared = torch.where(longer, other, axis), torch.where(longer, length, squared)
    flat = squared > 1e-60
    up = torch.tensor([[0.0], [0.0], [1.0]], dtype=axis.dtype, device=axis.device)
    return values, torch.where(flat, axis * squared.clamp_min_(1e-60).rsqrt(), up).t()


def _cross(u: tuple[Tensor, ...], v: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """The product (3, N) of two vectors of (N,) coordinates, and its squared length (N,)."""
    product = torch.stack((u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]))
    return product, (product * product).sum(0)
