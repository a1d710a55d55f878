"""filters.upsample with max_gap: holes up to a width are closed, on the surface, and none that are wider."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.filters.upsample import Upsample

#: Middles in x and y of round holes, and their radii.
HOLES = np.array([(9.0, 9.0, 2.0), (27.0, 9.0, 3.0), (10.0, 29.0, 4.0), (33.0, 31.0, 7.0)])


def plane(count: int, width: float, seed: int = 0) -> Floats:
    return np.column_stack((np.random.default_rng(seed).uniform(0, width, (count, 2)), np.zeros(count)))


def holed(points: Floats, holes: Any = HOLES) -> Floats:
    for x, y, radius in holes:
        points = points[np.hypot(points[:, 0] - x, points[:, 1] - y) > radius]
    return points


def closed(points: Floats, **options: Any) -> Floats:
    """The new points' places; the old ones are as they were."""
    done = Upsample(**options).run(PointCloud(points))
    assert done.xyz[: len(points)].tobytes() == points.tobytes()
    assert done.dims["Synthetic"].tolist() == [0] * len(points) + [1] * (len(done) - len(points))
    return done.xyz[len(points) :]


def inside(new: Floats) -> list[int]:
    return [int((np.hypot(new[:, 0] - x, new[:, 1] - y) < radius).sum()) for x, y, radius in HOLES]


@pytest.mark.parametrize(("gap", "filled"), [(4.0, 1), (6.0, 2), (8.0, 3), (14.0, 4)])
def test_round_holes_up_to_that_width_are_closed_and_none_wider(gap: float, filled: int) -> None:
    new = closed(holed(plane(1764, 42)), max_gap=gap)
    found, areas = inside(new), np.pi * HOLES[:, 2] ** 2
    # A point for each square of side 1, less those that others on the rim stand for.
    assert (np.array(found[:filled]) > 0.55 * areas[:filled]).all()
    assert (np.array(found[:filled]) < 1.3 * areas[:filled]).all()
    assert found[filled:] == [0] * (4 - filled)
    assert np.abs(new[:, 2]).max() < 1e-3
    assert ((new[:, :2] > 0) & (new[:, :2] < 42)).all()


def test_what_is_closed_is_as_dense_as_asked_and_even() -> None:
    points = holed(plane(1764, 42))
    for options, dense in (({"factor": 4.0}, 4.0), ({"spacing": 0.5}, 4.0), ({}, 1.0)):
        new = closed(points, max_gap=8.0, **options)
        apart = np.linalg.norm(new[:, None] - new[None], axis=2) + 9 * np.eye(len(new))
        assert apart.min() > 0.5 / np.sqrt(dense), options
        # Where no more is asked for than lies around, those on the rim stand for a good part of the hole.
        assert inside(new)[2] == pytest.approx(dense * np.pi * 16, rel=0.2 if options else 0.4), options
        assert inside(new)[3] < 0.1 * dense * np.pi * 49, options
    without = closed(points, factor=4.0)
    assert inside(without)[2] < 0.6 * 4 * np.pi * 16


def test_on_a_sphere_the_hole_is_closed_by_the_sphere() -> None:
    points = np.random.default_rng(3).normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    spacing = np.sqrt(4 * np.pi / 4000)
    away = np.arccos(points[:, 2])
    new = closed(points[away > 0.2], max_gap=0.4)
    in_hole = new[new[:, 2] > np.cos(0.2)]
    assert len(in_hole) > 0.6 * 0.04 / 4 * 4000
    # A chord across the hole would be half a spacing below.
    assert np.abs(np.linalg.norm(in_hole, axis=1) - 1).max() < 0.15 * spacing


@pytest.mark.parametrize("height", [1.5, 3.0, 6.0])
def test_eaves_are_not_bridged(height: float) -> None:
    """A roof over the border of the ground, seen from above: where it ends nothing goes on. A chance hole below its
    border may be closed by a surface that bulges."""
    off, beyond = list[float](), list[bool]()
    for seed in (0, 12, 16, 20):
        ground, roof = plane(2500, 50, seed), plane(1250, 50, seed + 1) * [0.5, 1, 1] + [0, 0, height]
        new = closed(np.concatenate((ground[ground[:, 0] > 24], roof)), max_gap=10.0)
        off += np.minimum(np.abs(new[:, 2]), np.abs(new[:, 2] - height)).tolist()
        beyond += np.where(new[:, 2] > height / 2, new[:, 0] > 25.2, new[:, 0] < 23.8).tolist()
    assert np.mean(beyond) < 0.02
    assert np.max(off) < 0.75
    assert np.mean(np.array(off) > 0.2) < (0.06 if height < 2 else 0.03)


@pytest.mark.parametrize("height", [0.6, 3.2], ids=["a bush", "a tree"])
def test_vegetation_does_not_grow_and_the_ground_below_a_tree_is_closed(height: float) -> None:
    rng = np.random.default_rng(4)
    leaves = rng.uniform(0, 13, (2000, 3))
    assert len(closed(leaves, max_gap=5.0)) == 0
    ground = holed(plane(1764, 42), [(21, 21, 3)])
    crown = [21, 21, height] + rng.uniform(0, 1, (500, 3)) * [2.7, 2.7, 4]
    new = closed(np.concatenate((ground, crown)), max_gap=7.0)
    assert np.abs(new[:, 2]).max() < 0.01
    if height > 3:  # nothing stands in the hole
        assert (np.hypot(new[:, 0] - 21, new[:, 1] - 21) < 3).sum() > 0.5 * np.pi * 9


def test_wires_that_hang_beside_each_other_are_no_surface() -> None:
    rng = np.random.default_rng(5)
    wires = [np.column_stack((rng.uniform(0, 60, 900), np.full(900, y), 0.002 * 900 * np.ones(900))) for y in (0, 2, 4)]
    assert len(closed(np.concatenate(wires), max_gap=5.0)) == 0


def test_neither_order_nor_turn_nor_unit_matters() -> None:
    points = holed(plane(900, 30), [(14, 15, 3)])
    new = closed(points, max_gap=7.0)
    order = np.random.default_rng(6).permutation(len(points))
    again = closed(points[order], max_gap=7.0)
    # New points come in the order of the old ones.
    assert np.abs(again[np.lexsort(again.T)] - new[np.lexsort(new.T)]).max() < 1e-9
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.4]).as_matrix()
    turned = (closed(1000 * points @ turn.T + [5e5, 4e6, 100], max_gap=7000.0) - [5e5, 4e6, 100]) @ turn / 1000
    # Turned, the network rounds otherwise, and of two places as good as each other another is taken.
    assert len(turned) == pytest.approx(len(new), rel=0.15)
    assert np.abs(turned[:, 2]).max() < 1e-3


def test_what_makes_no_sense_is_refused() -> None:
    assert "or 'max_gap'" in Upsample().check(())[0]
    assert Upsample(max_gap=2).check(()) == []
    assert Upsample(max_gap=2, factor=2).check(()) == []
    assert "either 'factor'" in Upsample(max_gap=2, factor=2, spacing=1).check(())[0]
