"""Planes in thinned copies: of neighbours on all sides, however the points lie on lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deburr.nn.deburr.far import FAR, LEAST, look_far
from deburr.nn.deburr.planes import HOPS, SCALES, SHARES, Graph, Planes, build_graph, fit_planes
from deburr.nn.deburr.thinned import copies

Array = np.ndarray

FIRST = len(HOPS)


def rings(noise: float) -> Array:
    """Forty lines of 200 points on a floor, 15 steps apart, with ``noise`` in height."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(200.0), 15 * np.arange(40.0))
    along = x.ravel() + rng.uniform(-0.3, 0.3, x.size)
    return np.column_stack((along, y.ravel(), rng.normal(0, noise, x.size)))


def looked(points: Array) -> tuple[Graph, Planes, Array]:
    graph = build_graph(points, unit=1.0)
    planes = fit_planes(graph)
    return graph, planes, look_far(planes, graph, copies(graph))


def test_neighbours_on_one_line_span_no_plane_but_those_of_copies_do() -> None:
    """A line's plane may stand in any way; a floor's is flat, for a hundredth of the distance between the lines."""
    _, planes, _ = looked(rings(0.15))
    upright = planes.normals[..., 2].abs().quantile(0.1, dim=0)
    assert upright[1] < 0.7
    assert (upright[FIRST:] > 0.99).all()
    width = planes.variances[..., 1].sqrt().median(0).values
    assert width[1] < 1
    assert (width[FIRST:] > 5).all()


def test_a_point_is_no_neighbour_of_its_own() -> None:
    """So all of its height above the others' plane is seen, 3, where hops count it in."""
    points = np.random.default_rng(1).uniform(0, 60, (3600, 3)) * [1, 1, 0]
    kept = copies(build_graph(points, unit=1.0))
    # A point of the first copy, far from the border.
    inside = (np.abs(points[:, :2] - 30).max(1) < 10) & kept[:, 0]
    row = int(np.flatnonzero(inside)[0])
    points[row, 2] = 3.0
    graph = build_graph(points, unit=1.0)
    planes = fit_planes(graph)
    look_far(planes, graph, kept)
    height = (planes.means[row] * planes.normals[row]).sum(1).abs()
    assert height[FIRST] == pytest.approx(3, rel=1e-6)
    assert planes.variances[row, FIRST, 0] == pytest.approx(0, abs=1e-9)
    assert height[1] < 2.9


def test_a_plane_is_that_of_the_nearest_of_the_copy_by_their_windows() -> None:
    """Against weights, mean and covariance written out for one point."""
    points = np.random.default_rng(2).normal(size=(2500, 3)) * [20, 20, 1]
    graph, planes, radii = looked(points)
    member = np.flatnonzero(copies(graph)[:, 1])
    row = int(np.setdiff1d(np.arange(2500), member)[7])
    away = np.linalg.norm(points[member] - points[row], axis=1)
    near = np.argsort(away)[:FAR]
    window = 1 - (away[near] / away[near[-1]]) ** 2 + 1e-6
    offsets = points[member[near]] - points[row]
    mean = np.average(offsets, axis=0, weights=window)
    values, axes = np.linalg.eigh(np.cov(offsets.T, aweights=window, ddof=0))
    assert planes.means[row, -1].numpy() == pytest.approx(mean, rel=1e-5)
    assert planes.variances[row, -1].numpy() == pytest.approx(values, rel=1e-4)
    assert abs(planes.normals[row, -1].numpy() @ axes[:, 0]) == pytest.approx(1, abs=1e-5)
    assert radii[row] == pytest.approx(away[near[-1]])


def test_nothing_beyond_the_radii_changes_a_plane() -> None:
    points = np.random.default_rng(3).normal(size=(4000, 3)) * [30, 30, 1]
    graph, planes, radii = looked(points)
    row = int(np.argmin(np.linalg.norm(points, axis=1)))
    outside = np.linalg.norm(points - points[row], axis=1) > radii[row]
    kept = copies(graph)
    moved = np.where(outside[:, None], points * 1.1, points)
    other = build_graph(moved, unit=1.0)
    again = fit_planes(other)
    look_far(again, other, kept)
    assert again.normals[row, FIRST:].equal(planes.normals[row, FIRST:]) or torch.allclose(
        again.normals[row, FIRST:].abs(), planes.normals[row, FIRST:].abs(), atol=1e-5
    )
    assert torch.allclose(again.variances[row, FIRST:], planes.variances[row, FIRST:], rtol=1e-5)


def test_a_copy_that_is_too_small_leaves_the_widest_neighbourhoods_plane_and_says_so() -> None:
    """Of 400 points the first copy keeps about 50, the second about 6."""
    points = np.random.default_rng(5).normal(size=(400, 3)) * [9, 9, 0.3]
    graph, planes, radii = looked(points)
    sizes = copies(graph).sum(0)
    assert sizes[0] >= LEAST > sizes[1]
    assert planes.variances[:, -1].equal(planes.variances[:, FIRST - 1])
    assert planes.normals[:, -1].equal(planes.normals[:, FIRST - 1])
    assert not planes.variances[:, FIRST].equal(planes.variances[:, FIRST - 1])
    assert np.isinf(radii).all()


def test_where_nobody_asks_nothing_is_looked_at() -> None:
    points = rings(0.1)
    graph = build_graph(points, unit=1.0)
    planes, whole = fit_planes(graph), fit_planes(graph)
    wanted = torch.from_numpy(points[:, 0] < 50)
    radii = look_far(planes, graph, copies(graph), wanted)
    everywhere = look_far(whole, graph, copies(graph))
    assert planes.means[wanted].equal(whole.means[wanted])
    assert planes.means[~wanted, FIRST].equal(planes.means[~wanted, FIRST - 1])
    assert (radii[~wanted.numpy()] == 0).all()
    assert (radii[wanted.numpy()] == everywhere[wanted.numpy()]).all()
    assert planes.means.shape[1] == SCALES == FIRST + len(SHARES)
