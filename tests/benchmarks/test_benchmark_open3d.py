"""Distances to meshes against Open3D, which finds the nearest triangle in its own way, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from meshes import icosphere

from deburr.core.arrays import Floats
from deburr.filters._mesh import Mesh, read_mesh

UTM = np.array([500_000.0, 5_400_000.0, 100.0])


def soup(seed: int) -> Mesh:
    random = np.random.default_rng(seed)
    return Mesh(random.uniform(-50, 50, (300, 3)) + UTM, random.integers(0, 300, (500, 3)))


def ball() -> Mesh:
    found = icosphere(4)
    return Mesh(found.vertices * [30, 20, 10] + UTM, found.triangles)


@pytest.mark.parametrize("mesh", [soup(0), soup(1), ball()], ids=["soup", "another", "ball"])
def test_nearest_points_and_distances_are_those_of_open3d(o3d: Any, mesh: Mesh) -> None:
    points = np.random.default_rng(9).uniform(-60, 60, (20_000, 3)) + UTM
    found = mesh.distances(points)
    # Open3D in float32 needs the mesh near the origin; one rounding there is 4e-6.
    answer = _closest(o3d, mesh, points)
    theirs = np.linalg.norm(points - UTM - answer, axis=1)
    assert np.abs(found - theirs).max() < 2e-5
    assert np.abs(found / theirs - 1)[theirs > 1].max() < 1e-5
    # In float64 no triangle is nearer than the one found: Open3D's point lies on the surface but for its rounding.
    assert (found <= theirs + 1e-5).all()
    assert mesh.distances(answer + UTM).max() < 2e-5


def test_nearest_points_are_as_near_as_open3d_puts_them_on_its_own_triangles(o3d: Any) -> None:
    """The distance to the triangle that Open3D names, in float64: the same but where two are equally near to it."""
    mesh = soup(2)
    points = np.random.default_rng(9).uniform(-60, 60, (20_000, 3)) + UTM
    rows = _scene(o3d, mesh).compute_closest_points(_tensor(o3d, points - UTM))["primitive_ids"].numpy()
    random = np.random.default_rng(0).permutation(len(points))[:300]
    theirs = np.array([Mesh(mesh.vertices, mesh.triangles[[rows[i]]]).distances(points[[i]])[0] for i in random])
    assert mesh.distances(points[random]) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl"])
def test_files_of_open3d_are_read_as_it_reads_them(o3d: Any, tmp_path: Path, suffix: str) -> None:
    found = icosphere(3)
    vertices = found.vertices * [3, 2, 1]
    theirs = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(found.triangles)
    )
    theirs.compute_vertex_normals()
    path = str(tmp_path / f"ball{suffix}")
    assert o3d.io.write_triangle_mesh(path, theirs)
    mesh = read_mesh(path)
    again = o3d.io.read_triangle_mesh(path)
    assert mesh is not None
    assert len(mesh.triangles) == len(again.triangles) == len(found.triangles)
    corners = np.asarray(again.vertices)[np.asarray(again.triangles)]
    np.testing.assert_allclose(mesh.vertices[mesh.triangles], corners, atol=1e-6)


def _scene(o3d: Any, mesh: Mesh) -> Any:
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(_tensor(o3d, mesh.vertices - UTM), o3d.core.Tensor(mesh.triangles.astype(np.uint32)))
    return scene


def _closest(o3d: Any, mesh: Mesh, points: Floats) -> Floats:
    found: npt.NDArray[np.float32] = (
        _scene(o3d, mesh).compute_closest_points(_tensor(o3d, points - UTM))["points"].numpy()
    )
    return found.astype(np.float64)


def _tensor(o3d: Any, points: Floats) -> Any:
    return o3d.core.Tensor(points.astype(np.float32))
