"""Thinned copies: which points they keep, and that they see across scan lines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deburr.nn.deburr.planes import SHARES, build_graph
from deburr.nn.deburr.thinned import ALL_JUDGE, NEAR, POOL, look, lots

Array = np.ndarray


def sheet(count: int, seed: int = 0) -> Array:
    """Random points of a square, one to a unit of area, with a little height."""
    rng = np.random.default_rng(seed)
    return np.column_stack((rng.uniform(0, np.sqrt(count), (count, 2)), rng.normal(0, 0.1, count)))


def lines(noise: float, apart: float = 20.0, seed: int = 0) -> Array:
    """Thirty scan lines of a flat floor, 600 points each, ``apart`` spacings from each other, noisy in height and along
    the line."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(600.0), apart * np.arange(30.0))
    along = x.ravel() + rng.uniform(-0.3, 0.3, x.size)
    return np.column_stack((along, y.ravel(), rng.normal(0, noise, x.size)))


def test_lots_are_even_and_the_same_however_the_cloud_is_turned_moved_and_ordered() -> None:
    points, rng = sheet(6000), np.random.default_rng(1)
    drawn = lots(build_graph(points))
    assert np.histogram(drawn, 8, (0, 1))[0] == pytest.approx(750, abs=120)
    order, turn = rng.permutation(len(points)), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    other = lots(build_graph(7 * points[order] @ turn + 1000))
    away = np.abs(other - drawn[order])
    assert (np.minimum(away, 1 - away) < 0.01).mean() > 0.999


def test_lots_know_nothing_of_the_place() -> None:
    """Or a copy would have holes."""
    points = sheet(20_000)
    kept = points[lots(build_graph(points)) < SHARES[0]]
    side = np.sqrt(20_000)
    counts = np.histogram2d(kept[:, 0], kept[:, 1], 10, [[0, side], [0, side]])[0].ravel()
    # Twenty-five each, as at random: a variance of the same size, neither clumps nor a lattice.
    assert counts.mean() == pytest.approx(25, rel=0.1)
    assert 0.5 < counts.var() / counts.mean() < 1.7


def test_small_clouds_judge_at_every_point_large_ones_at_the_first_copy() -> None:
    points = sheet(ALL_JUDGE)
    graph = build_graph(points)
    assert look(graph, points, len(points)).rows.tolist() == list(range(ALL_JUDGE))
    some = look(graph, points, 10 * ALL_JUDGE)
    assert some.rows.tolist() == np.flatnonzero(lots(graph) < SHARES[0]).tolist()
    # Each pools its own guess first, and at full weight.
    assert some.pool[:, 0].tolist() == list(range(len(some.rows)))
    assert bool((some.window[:, 0] == 1).all())


def test_what_is_seen_lies_within_the_radii() -> None:
    """Points beyond change nothing: that is what tiles rely on."""
    points = sheet(12_000)
    whole = look(build_graph(points), points, len(points))
    middle = np.linalg.norm(points[:, :2] - np.sqrt(12_000) / 2, axis=1)
    part = points[middle < 50]
    cut = look(build_graph(part), part, len(points))
    places = {tuple(points[row]): number for number, row in enumerate(whole.rows.tolist())}
    inside = 50 - middle[middle < 50][cut.rows.numpy()] - 6 > cut.radii
    assert inside.sum() > 20
    for number in np.flatnonzero(inside):
        same = places[tuple(part[cut.rows[number]])]
        assert cut.radii[number] == whole.radii[same]
        assert cut.shapes[number].numpy() == pytest.approx(whole.shapes[same].numpy(), abs=1e-5)
        for heard, weights in (("pool", "window"), ("wide", "reach")):
            there, here = (points[whole.rows[getattr(whole, heard)[same]]], part[cut.rows[getattr(cut, heard)[number]]])
            assert (there == here).all()
            assert torch.equal(getattr(cut, weights)[number], getattr(whole, weights)[same])


def test_copies_see_the_noise_of_a_floor_whose_lines_are_flat() -> None:
    points = lines(0.3)
    graph = build_graph(points)
    seen = look(graph, points, len(points))
    spacing = graph.spacing.numpy()[seen.rows] * graph.unit
    columns = len(NEAR) * 6 + 2
    first, last = seen.shapes[:, 0].exp().numpy(), seen.shapes[:, columns + 6].exp().numpy()
    # Sixteen neighbours of the whole cloud lie on one line and its plane; of every 64th point, 48 span the floor.
    assert np.median(last * spacing) == pytest.approx(0.3, rel=0.15)
    assert np.median(first * spacing) < 0.3


def test_a_copy_that_is_too_small_shows_nothing_and_says_so() -> None:
    points = sheet(200)
    seen = look(build_graph(points), points, len(points))
    columns = len(NEAR) * 6 + 2
    assert bool((seen.shapes[:, columns : 2 * columns] == 0).all())
    assert bool(np.isinf(seen.radii).all())


def test_alike_neighbourhoods_are_drawn_alike() -> None:
    """On a lattice without noise nothing tells one point from another: all judge, or none."""
    grid = np.stack(np.meshgrid(np.arange(80.0), np.arange(80.0), [0.0]), -1).reshape(-1, 3)
    drawn = lots(build_graph(grid))
    inner = ((grid[:, :2] > 5) & (grid[:, :2] < 74)).all(1)
    assert np.ptp(drawn[inner]) < 1e-9


def test_each_judge_listens_to_those_far_around_and_to_itself_first() -> None:
    points = sheet(12_000)
    graph = build_graph(points)
    seen = look(graph, points, len(points))
    assert seen.wide.shape == seen.reach.shape == (len(seen.rows), 1 + POOL)
    assert seen.wide[:, 0].tolist() == list(range(len(seen.rows)))
    assert bool((seen.reach[:, 0] == 1).all())
    assert bool((seen.reach[:, -1] == 0).all())
    others = seen.rows.numpy()[seen.wide[:, 1:].numpy()]
    assert (lots(graph)[others] < SHARES[-1]).all()
    # The 24th of every 64th point lies about sqrt(24 * 64 / pi) away, where one is to a unit of area.
    away = np.linalg.norm(points[others[:, -1]] - points[seen.rows.numpy()], axis=1)
    middle = (np.abs(points[seen.rows.numpy(), :2] - np.sqrt(12_000) / 2) < 25).all(1)
    assert np.median(away[middle]) == pytest.approx(np.sqrt(24 * 64 / np.pi), rel=0.2)


def test_without_enough_judges_far_around_each_hears_itself_alone() -> None:
    points = sheet(2000)
    seen = look(build_graph(points), points, len(points))
    assert seen.pool.shape[1] == 1 + POOL
    assert seen.wide.tolist() == [[number] for number in range(len(seen.rows))]
