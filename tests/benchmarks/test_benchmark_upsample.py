"""The benchmark of new points measures what it says."""

from __future__ import annotations

import numpy as np
import pytest
import upsample
from meshes import bricks, even_sample
from procedural import Shape


def test_places_beside_a_plane_are_put_on_it() -> None:
    points = np.column_stack((np.random.default_rng(0).uniform(0, 9, (400, 2)), np.full(400, 2.0)))
    moved = upsample.on_planes(points + np.array([0.1, 0.2, 0.3]), points)
    assert np.abs(moved[:, 2] - 2).max() < 1e-9
    assert np.abs(moved[:, :2] - points[:, :2] - np.array([0.1, 0.2])).max() < 1e-9


def test_the_truth_scores_nothing_but_what_a_surface_off_by_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsample, "NEW", 3 * 500)
    mesh = bricks(np.ones((1, 1, 1), np.bool_))
    true = even_sample(mesh, 2000, 1)
    shape = Shape("brick", mesh, true[:500], 0)
    found = upsample.scored(shape, true[500:], true)
    assert found[:3] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found[3] == pytest.approx(2000 / upsample.POINTS)
    # One point of 2000 that stands 0.3 above: its square both ways in one, a share of it in the means.
    off = true[500:].copy()
    off[0] = true.max(0) + np.array([0, 0, 0.3])
    chamfer, hausdorff, surface, _ = upsample.scored(shape, off, true)
    assert surface == pytest.approx(1e3 * 0.3 / 2000)
    assert 90 <= hausdorff < 150
    assert hausdorff / 2000 <= chamfer < 2 * hausdorff / 2000 + 0.1


def test_midpoints_lie_between_neighbours_and_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsample, "NEW", 9)
    line = np.column_stack((np.arange(14.0), np.zeros((14, 2))))
    middles = upsample.midpoints(line)
    # Halves between neighbours are the furthest from all; whole numbers are there already.
    assert (middles[:, 0] % 1 == 0.5).all()
    assert len(np.unique(middles[:, 0])) == 9
