"""What the kernels are used for, in terms of clouds: averages, planes and scores. Imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Floats
from deburr.core.neighbors import Indices
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.far import FAR
from deburr.nn.deburr.heights import PROFILE
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.kernels import moments, profiles
from deburr.nn.deburr.kernels.network import Scores, fits
from deburr.nn.deburr.kernels.tree import Tree
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.planes import HOPS, SCALES, Graph, Planes, other, search

__all__ = ["Scores", "Tree", "around", "average", "averages", "far_planes", "fits", "planes_at", "shapes", "try_out"]


def averages(values: Tensor) -> bool:
    """Whether `average` is made for ``values`` (N, C): any in float64, features in float32."""
    width = values.shape[1]
    return values.dtype == torch.float64 or (values.dtype == torch.float32 and width % 8 == 0)


def average(graph: Graph, values: Tensor, hops: int, blocks: Blocks, places: list[Tensor]) -> Tensor:
    """``values`` (N, C) averaged ``hops`` times over the graph, in turn into two ``places``; see `planes.averaging`."""
    neighbors, window = graph.neighbors.numpy(), graph.window.numpy()
    kernel = moments.average_features
    if values.dtype == torch.float64:
        kernel = moments.average_nine if values.shape[1] == 9 else moments.average_few
    now = values.contiguous()
    for _ in range(hops):
        before, now = now, other(places, now)
        given = neighbors, window, before.numpy(), now.numpy()

        def step(rows: slice, given: Any = given) -> None:
            kernel(rows.start, rows.stop, *given)

        blocks.each(step)
    return now


def planes_at(planes: Planes, graph: Graph, values: Tensor, scales: slice, rows: slice) -> None:
    """Put into ``planes`` those of ``scales`` at ``rows``, of moments ``values`` (N, 9) float64."""
    into = (part.numpy() for part in (planes.means, planes.normals, planes.variances))
    moments.planes_of(rows.start, rows.stop, values.numpy(), graph.points.numpy(), scales.start, scales.stop, *into)


def far_planes(
    planes: Planes,
    graph: Graph,
    scale: int,
    rows: Indices,
    tree: Tree,
    members: Indices,
    radii: Floats,
    blocks: Blocks,
) -> None:
    """Put into ``planes`` those of ``scale`` at ``rows`` (R,), of the nearest of a copy, whose ``members`` (C,) the
    ``tree`` holds; see `moments.far_planes`."""
    into = [part.numpy() for part in (planes.means, planes.normals, planes.variances)]
    points = graph.points.numpy()

    def work(part: slice) -> None:
        some = rows[part]
        found = tree.nearest(points[some], FAR + 1)
        moments.far_planes(0, len(some), some, *found, members, points, scale, radii, *into)

    blocks.of(len(rows)).each(work)


def around(graph: Graph, rows: Tensor, found: Tensor, blocks: Blocks) -> None:
    """Put into ``found`` (M, 2 * PROFILE) how heights are spread around ``rows`` (M,); see `heights.around`."""
    seen = (part.numpy() for part in (graph.neighbors, graph.window, graph.points, graph.spacing))
    given = (rows.numpy(), *seen, found.numpy())
    blocks.of(len(rows)).each(lambda part: profiles.around(part.start, part.stop, *given))


def shapes(judges: Floats, *given: Any) -> None:
    """What judges (M, 3) see in a copy; see `profiles.shapes`, whose arguments these are."""
    profiles.shapes(0, len(judges), judges, *given)


def try_out() -> None:
    """Run all kernels once on a few points: so they are compiled, and whether they can be is known."""
    points = np.random.default_rng(0).normal(size=(40, 3))
    graph, blocks = search(points), Blocks(len(points), len(points))
    seen = average(graph, torch.zeros(len(points), 9, dtype=torch.float64), HOPS[0], blocks, [])
    average(graph, torch.zeros(len(points), 3, dtype=torch.float64), 1, blocks, [])
    average(graph, torch.zeros(len(points), 8), 1, blocks, [])
    means, normals, variances = (torch.zeros(len(points), SCALES, 3) for _ in range(3))
    planes = Planes(means, normals, variances)
    every = slice(0, len(points))
    planes_at(planes, graph, seen, slice(0, SCALES), every)
    rows = np.arange(len(points))
    tree = Tree.of(points, blocks)
    distances, near = tree.nearest(points, 3)
    far_planes(planes, graph, 0, rows, tree, rows, np.zeros(len(rows)), blocks)
    around(graph, torch.from_numpy(rows), torch.zeros(len(rows), 2 * PROFILE, dtype=torch.float64), blocks)
    shown = (np.zeros((len(rows), 1, width)) for width in (6, 3, PROFILE))
    shapes(points, np.ones(len(rows)), points, near, distances, np.array([3]), np.ones(1), *shown)
    scene = Scene(graph, planes, torch.ones(len(points)))
    Scores(ScoreNetwork(Sizes()), scene).of(torch.arange(len(points)), [len(points)] * (Sizes().layers + 2), blocks)
