"""The procedural shapes, their samples, and the classical rows."""

from __future__ import annotations

import numpy as np
import pytest
from classical import bilateral, classical, local_plane, moving_least_squares
from meshes import apart, bricks, even_sample, icosphere, polygon, skin, volume
from procedural import SHAPES, mesh, procedural
from protocol import chamfer, rms
from scipy.spatial.distance import pdist

from deburr.filters._mesh import Mesh


def test_volumes_of_known_bodies() -> None:
    ball = icosphere(5)
    assert volume(ball.vertices, ball.triangles) == pytest.approx(4 / 3 * np.pi, rel=2e-3)
    corner = np.array([[[1, 1], [1, 0]], [[1, 0], [0, 0]]], dtype=np.bool_)
    for fine in (1, 3):
        cells = bricks(corner, fine)
        assert volume(cells.vertices, cells.triangles) == pytest.approx(4)
        assert cells.vertices.max() == 2
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    tube = np.stack((1 + 0.2 * np.cos(angle[::4]), 0.2 * np.sin(angle[::4])), 1)
    loops = np.stack([np.stack((r * np.cos(angle), r * np.sin(angle), 0 * angle + z), 1) for r, z in tube], 1)
    ring = skin(loops, closed=True)
    assert volume(ring.vertices, ring.triangles) == pytest.approx(2 * np.pi**2 * 0.2**2, rel=5e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_closed_and_fills_its_unit_sphere(name: str) -> None:
    surface = mesh(name, 1)
    ways = surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    there, counts = np.unique(ways, axis=0, return_counts=True)
    back, counts_back = np.unique(ways[:, ::-1], axis=0, return_counts=True)
    assert (there == back).all()
    assert (counts == counts_back).all()
    assert volume(surface.vertices, surface.triangles) > 0.05
    assert np.linalg.norm(surface.vertices, axis=1).max() == pytest.approx(1)
    assert surface.vertices.min(0) == pytest.approx(-surface.vertices.max(0))


def test_samples_are_even_repeatable_and_on_the_surface() -> None:
    gear, again = next(procedural(2000, ("gear",))), next(procedural(2000, ("gear",)))
    assert gear.clean.tobytes() == again.clean.tobytes()
    assert gear.noisy(0.01).tobytes() == again.noisy(0.01).tobytes()
    assert gear.clean.shape == (2000, 3)
    assert gear.mesh.distances(gear.clean).max() < 1e-9
    corners = gear.mesh.vertices[gear.mesh.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert pdist(gear.clean).min() > 0.6 * np.sqrt(area / 2000)


def test_apart_keeps_what_greedy_search_keeps() -> None:
    points = np.random.default_rng(1).random((300, 3))
    kept: list[int] = []
    for i, point in enumerate(points):
        if not kept or np.linalg.norm(points[kept] - point, axis=1).min() > 0.15:
            kept.append(i)
    assert apart(points, 0.15).tolist() == kept


def test_polygon_keeps_its_corners() -> None:
    corners = np.array([(0.0, 0), (1, 0), (1, 0.55)])
    points = polygon(corners, 0.2)
    assert all((points == corner).all(1).any() for corner in corners)


def test_chamfer_and_rms_by_hand() -> None:
    a, b = np.array([(0.0, 0, 0), (1, 0, 0)]), np.array([(0.0, 0, 2), (1, 0, 0)])
    assert chamfer(a, b) == pytest.approx(1e4 * ((1 + 0) / 2 + (4 + 0) / 2))
    assert rms(np.array([(3.0, 4, 0), (0, 0, 0)])) == pytest.approx(np.sqrt(12.5))


def test_planes_stay_and_quadratic_surfaces_stay_under_moving_least_squares() -> None:
    xy = np.random.default_rng(2).uniform(-1, 1, (800, 2))
    flat = np.concatenate((xy, xy @ [[0.3], [-0.2]]), 1)
    for project in (local_plane, bilateral, moving_least_squares):
        assert np.abs(project(flat) - flat).max() < 1e-6
    ball = even_sample(icosphere(5), 1500, 0)
    planes, squares = (1 - np.linalg.norm(f(ball), axis=1).mean() for f in (local_plane, moving_least_squares))
    assert abs(squares) < 0.1 * planes


def test_every_classical_row_removes_noise_from_a_plane() -> None:
    rng = np.random.default_rng(3)
    noisy = np.concatenate((rng.uniform(0, 30, (900, 2)), rng.normal(0, 0.3, (900, 1))), 1)
    inner = (np.abs(noisy[:, :2] - 15) < 10).all(1)
    assert len(classical()) >= 10
    for name, denoise in classical().items():
        assert rms(denoise(noisy)[inner, 2]) < 0.75 * rms(noisy[inner, 2]), name


def test_distances_to_a_shape_are_exact() -> None:
    cube = bricks(np.ones((1, 1, 1), np.bool_))
    outside = np.array([(0.5, 0.5, 3.0), (2, 2, 1), (0.5, 0.25, 0.5)])
    assert Mesh(cube.vertices, cube.triangles).distances(outside) == pytest.approx([2, np.sqrt(2), 0.25])
