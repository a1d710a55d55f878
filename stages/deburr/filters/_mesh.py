"""The only door to Open3D: reads meshes and measures distances to them."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats
from deburr.core.errors import ReadError
from deburr.core.interrupts import whole_import
from deburr.core.progress import advance

#: Points measured at a time.
CHUNK = 1 << 18
#: Files that may hold a mesh; a PLY without faces is a cloud.
SUFFIXES = (".ply", ".obj", ".stl")


@dataclass(frozen=True, eq=False)
class Mesh:
    """``vertices`` (V, 3) float64 in world coordinates, ``triangles`` (T, 3) rows of them, T >= 1."""

    vertices: Floats
    triangles: npt.NDArray[np.int64]

    def distances(self, points: Floats) -> Floats:
        """(N,) float64: how far ``points`` (N, 3) lie from the surface, in world units.

        Open3D finds the nearest triangle in float32, relative to the mesh's centre and size; the distance to that
        triangle is then computed in float64.
        """
        o3d = _open3d()
        center, size = self._frame()
        scene = o3d.t.geometry.RaycastingScene()
        local = ((self.vertices - center) / size).astype(np.float32)
        scene.add_triangles(o3d.core.Tensor(local), o3d.core.Tensor(self.triangles.astype(np.uint32)))
        out = np.empty(len(points))
        for start in range(0, len(points), CHUNK):
            part = points[start : start + CHUNK]
            query = o3d.core.Tensor(((part - center) / size).astype(np.float32))
            nearest = scene.compute_closest_points(query)["primitive_ids"].numpy().astype(np.int64)
            out[start : start + len(part)] = _to_triangles(part, self.vertices[self.triangles[nearest]])
            advance("distances to the mesh", start + len(part), len(points))
        return out

    def sample(self, count: int) -> Floats:
        """(count, 3) float64: points spread evenly over the surface, the same ones every time."""
        corners = self.vertices[self.triangles]
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        random = np.random.default_rng(0)
        total = areas.sum()
        chosen = corners[random.choice(len(areas), count, p=areas / total if total > 0 else None)]
        u, v = random.random((2, count, 1))
        fold = u + v > 1
        u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
        sampled: Floats = chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])
        return sampled

    def _frame(self) -> tuple[Floats, float]:
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        return (low + high) / 2, float((high - low).max()) or 1.0


def read_mesh(path: str) -> Mesh | None:
    """The triangles in a PLY, OBJ or STL file; None for a PLY that holds points only. Raises `ReadError`."""
    if not Path(path).is_file():
        raise ReadError(f"{path}: does not exist or is no file; check the name of the reference")
    if path.lower().endswith(".ply") and not _has_faces(path):
        return None
    o3d = _open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        mesh = o3d.io.read_triangle_mesh(path)
    vertices, triangles = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.triangles, dtype=np.int64)
    if len(triangles) == 0:
        raise ReadError(f"{path}: holds no triangles; check that the reference is a mesh")
    if not np.isfinite(vertices).all() or triangles.min() < 0 or triangles.max() >= len(vertices):
        raise ReadError(f"{path}: has vertices that are not finite, or faces without vertices; repair the mesh")
    return Mesh(vertices.copy(), triangles.copy())


def _has_faces(path: str) -> bool:
    """Whether a PLY file's header announces faces; far cheaper than to read a cloud as a mesh."""
    with open(path, "rb") as stream:
        header = stream.read(1 << 20).split(b"end_header")[0]
    return re.search(rb"element\s+face\s+0*[1-9]", header) is not None


def _to_triangles(points: Floats, corners: Floats) -> Floats:
    """Distances (N,) of ``points`` (N, 3) to triangles (N, 3, 3), row by row."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    edges = [(a, b), (b, c), (c, a)]
    best = np.min([_to_segment(points, start, end) for start, end in edges], axis=0)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    # Where the foot on the plane falls inside all three edges, the plane is nearer than any edge.
    sides = [np.einsum("ni,ni->n", np.cross(end - start, points - start), normal) >= 0 for start, end in edges]
    inside = np.logical_and.reduce(sides) & (length > 0)
    height = np.abs(np.einsum("ni,ni->n", points - a, normal)) / np.where(length > 0, length, 1)
    return np.asarray(np.where(inside, height, best))


def _to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    along = end - start
    squared = np.einsum("ni,ni->n", along, along)
    t = np.einsum("ni,ni->n", points - start, along) / np.where(squared > 0, squared, 1)
    nearest = start + np.clip(t, 0, 1)[:, None] * along
    return np.asarray(np.linalg.norm(points - nearest, axis=1))


def _open3d() -> Any:
    """Open3D, with the libusb it links to loaded first: a bare machine has none."""
    with suppress(ImportError, OSError, TypeError):
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    try:
        return whole_import("open3d")
    except (ImportError, OSError) as error:
        raise ReadError(
            f"meshes need Open3D, which cannot be loaded ({error}); install what it names, "
            "on Debian: apt install libegl1 libgl1 libx11-6"
        ) from error
