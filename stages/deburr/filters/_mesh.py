"""Meshes as a reference: reads them, and measures distances to them. The only door to libigl, which finds triangles."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.addresses import is_address, name_of
from deburr.core.arrays import Bools, Floats
from deburr.core.errors import ReadError
from deburr.core.interrupts import whole_import
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.core.reading import opened
from deburr.formats.mesh.obj import read_obj
from deburr.formats.mesh.ply import read_ply
from deburr.formats.mesh.polygons import triangulated
from deburr.formats.mesh.stl import read_stl

#: Points measured at a time: an interrupt waits for them, so they are as few as libigl still shares out among threads.
CHUNK = 10_000
#: Files that may hold a mesh; a PLY without faces is a cloud.
_FORMATS = {".ply": read_ply, ".obj": read_obj, ".stl": read_stl}
SUFFIXES = tuple(_FORMATS)
#: Triangles that are lower than this share of their longest edge count as that edge: their normals are rounding, and
#: libigl misses what is nearest on them from 1e-14 on.
_FLAT = 1e-11
#: Squares of the areas of larger meshes overflow.
_FAR = 1e70


@dataclass(frozen=True, eq=False)
class Mesh:
    """``vertices`` (V, 3) float64 in world coordinates, ``triangles`` (T, 3) rows of them, T >= 1."""

    vertices: Floats
    triangles: npt.NDArray[np.int64]

    def distances(self, points: Floats) -> Floats:
        """(N,) float64: how far ``points`` (N, 3) lie from the surface, in world units; infinite beyond all measure.

        All in float64, and the same for any number of threads. Raises `ReadError` where libigl cannot be loaded.
        """
        center, size = self._frame()
        local = (self.vertices - center) / size
        order = _along_a_curve(local[self.triangles].mean(axis=1))
        corners = _edges_where_flat(local, self.triangles)[order]
        tree = _igl().AABB()
        tree.init(local, corners)
        walk = _along_a_curve((points - center) / size)
        out = np.full(len(points), np.inf)
        for start in range(0, len(points), CHUNK):
            rows = walk[start : start + CHUNK]
            query = (points[rows] - center) / size
            # Squares of what lies farther overflow, and libigl would name no triangle.
            near = (np.abs(query) < 1e150).all(axis=1)
            found = order[tree.squared_distance(local, corners, query[near])[1]]
            out[rows[near]] = _to_triangles(points[rows[near]], self.vertices[self.triangles[found]])
            advance("distances to the mesh", start + len(rows), len(points))
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
    if not (is_address(path) or Path(path).is_file()):
        raise ReadError(f"{path}: does not exist or is no file; check the name of the reference")
    suffix = PurePath(name_of(path)).suffix.lower()
    if suffix == ".ply" and not _has_faces(path):
        return None
    vertices, faces = _FORMATS[suffix](path)
    rows = faces.values
    if not np.isfinite(vertices).all() or (rows < 0).any() or (rows >= len(vertices)).any():
        raise ReadError(f"{path}: has vertices that are not finite, or faces without vertices; repair the mesh")
    if np.abs(vertices).max(initial=0) > _FAR:
        raise ReadError(f"{path}: has vertices beyond {_FAR:g}, too far to measure; check the units of the mesh")
    triangles = triangulated(vertices, faces)
    if len(triangles) == 0:
        raise ReadError(f"{path}: holds no triangles; check that the reference is a mesh")
    return Mesh(vertices, triangles)


def _has_faces(path: str) -> bool:
    """Whether a PLY file's header announces faces; far cheaper than to read a cloud as a mesh."""
    with opened(path) as stream:
        header = stream.read(1 << 20).split(b"end_header")[0]
    return re.search(rb"element\s+face\s+0*[1-9]", header) is not None


def _along_a_curve(local: Floats) -> npt.NDArray[np.intp]:
    """Rows of ``local`` (N, 3), mostly within half a unit of the origin, on a Z-curve through 1024 cells a side.

    What is near in space is near in memory then: a search takes a third of the time.
    """
    cells = ((np.clip(local, -0.5, 0.5) + 0.5) * 1023).astype(np.int64)
    place = np.zeros(len(local), np.int64)
    for bit in range(9, -1, -1):
        for axis in range(3):
            place = place << 1 | (cells[:, axis] >> bit & 1)
    return np.argsort(place, kind="stable")


def _edges_where_flat(vertices: Floats, triangles: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``triangles`` (T, 3); those that are flat as their longest edge, whose end is named twice."""
    corners = vertices[triangles]
    flat = np.flatnonzero(~_spread(corners))
    lengths = np.linalg.norm(corners[flat] - corners[flat][:, [1, 2, 0]], axis=2)
    first = np.argmax(lengths, axis=1)
    edges = triangles.copy()
    edges[flat] = triangles[flat[:, None], np.stack((first, (first + 1) % 3, (first + 1) % 3), axis=1)]
    return edges


def _spread(corners: Floats) -> Bools:
    """(T,) whether triangles (T, 3, 3) are planes and not, within `_FLAT`, edges or points."""
    edges = corners[:, [1, 2, 0]] - corners
    longest = np.einsum("nij,nij->ni", edges, edges).max(axis=1)
    spread: Bools = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > _FLAT * longest
    return spread


def _to_triangles(points: Floats, corners: Floats) -> Floats:
    """Distances (N,) of ``points`` (N, 3) to triangles (N, 3, 3), row by row."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    edges = [(a, b), (b, c), (c, a)]
    best = np.min([_to_segment(points, start, end) for start, end in edges], axis=0)
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    # Where the foot on the plane falls inside all three edges, the plane is nearer than any edge.
    sides = [np.einsum("ni,ni->n", np.cross(end - start, points - start), normal) >= 0 for start, end in edges]
    inside = np.logical_and.reduce(sides) & _spread(corners)
    height = np.abs(np.einsum("ni,ni->n", points - a, normal)) / np.where(length > 0, length, 1)
    return np.asarray(np.where(inside, height, best))


def _to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    along = end - start
    squared = np.einsum("ni,ni->n", along, along)
    t = np.einsum("ni,ni->n", points - start, along) / np.where(squared > 0, squared, 1)
    nearest = start + np.clip(t, 0, 1)[:, None] * along
    return np.asarray(np.linalg.norm(points - nearest, axis=1))


def _igl() -> Any:
    """libigl, which asks for its number of threads once."""
    os.environ["IGL_NUM_THREADS"] = str(threads())
    try:
        return whole_import("igl")
    except (ImportError, OSError) as error:
        raise ReadError(
            f"distances to meshes need libigl, which cannot be loaded ({error}); pip install --force-reinstall libigl"
        ) from error
