"""Closed triangle meshes for the benchmarks: stars, tubes, skins over loops, bricks; their volume and even samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, cKDTree

from deburr.core.arrays import Floats
from deburr.filters._mesh import Mesh

Ints = npt.NDArray[np.int64]


def icosphere(level: int) -> Mesh:
    """The unit sphere: an icosahedron whose triangles are split in four ``level`` times; normals point outwards."""
    golden = (1 + 5**0.5) / 2
    corners = np.array([(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)], dtype=np.float64)
    points = np.concatenate([np.roll(corners, turn, axis=1) for turn in range(3)])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices.astype(np.int64)
    a, b, c = points[faces].swapaxes(0, 1)
    inward = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    for _ in range(level):
        points, faces = split(points, faces)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return Mesh(points, faces)


def split(points: Floats, faces: Ints) -> tuple[Floats, Ints]:
    """Every triangle in four; the middle of an edge that two triangles share is one vertex."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    middle = place.reshape(-1, 3) + len(points)
    a, b, c = faces.T
    ab, bc, ca = middle.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate((points, points[unique].mean(1))), np.concatenate([np.stack(part, 1) for part in parts])


def star(place: Callable[[Floats], Floats], level: int) -> Mesh:
    """The sphere's vertices (V, 3), unit directions, led to ``place(directions)`` (V, 3)."""
    ball = icosphere(level)
    return Mesh(place(ball.vertices), ball.triangles)


def skin(loops: Floats, closed: bool = False) -> Mesh:
    """The surface over closed loops (L, M, 3), each joined to the next; the ends meet, or end in fans to their means.

    Outward normals need loops that turn left around the direction of travel; `outward` mends the other case.
    """
    count, around = loops.shape[:2]
    points = loops.reshape(-1, 3)
    row = np.arange(count if closed else count - 1)[:, None] * around
    column = np.arange(around)[None]
    a, b = row + column, row + (column + 1) % around
    c, d = (a + around) % len(points), (b + around) % len(points)
    faces = [np.stack((a, b, c), -1).reshape(-1, 3), np.stack((b, d, c), -1).reshape(-1, 3)]
    if not closed:
        first, last = np.arange(around), np.arange(around) + (count - 1) * around
        first_mean, last_mean = np.full(around, len(points)), np.full(around, len(points) + 1)
        faces += [
            np.stack((np.roll(first, -1), first, first_mean), -1),
            np.stack((last, np.roll(last, -1), last_mean), -1),
        ]
        points = np.concatenate((points, loops[:1].mean(1), loops[-1:].mean(1)))
    return outward(Mesh(points, np.concatenate(faces).astype(np.int64)))


def capped(loops: Floats, rings: int) -> Floats:
    """``loops`` with ``rings`` ever smaller copies of the first and last at the ends: flat, evenly filled."""
    share = (np.arange(rings) + 1)[:, None, None] / (rings + 1)
    ends = [loops[i].mean(0) + (loops[i] - loops[i].mean(0)) * share for i in (0, -1)]
    return np.concatenate((ends[0], loops, ends[1][::-1]))


def tube(curve: Floats, section: Floats, closed: bool, turns: float = 0.0) -> Floats:
    """Loops (L, M, 3): ``section`` (M, 2) carried along ``curve`` (L, 3), twisted by ``turns`` on the way."""
    ahead = np.roll(curve, -1, 0) - np.roll(curve, 1, 0) if closed else np.gradient(curve, axis=0)
    tangent = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.empty_like(curve)
    now = np.cross(tangent[0], np.eye(3)[np.argmin(np.abs(tangent[0]))])
    for i, along in enumerate(tangent):
        now = now - (now @ along) * along
        now /= np.linalg.norm(now)
        side[i] = now
    other = np.cross(tangent, side)
    missing = 0.0
    if closed:  # what the frame has turned by when it comes round is spread over the way
        back = side[-1] - (side[-1] @ tangent[0]) * tangent[0]
        missing = -np.arctan2(back @ other[0], back @ side[0])
    angle = np.linspace(0, 1, len(curve), endpoint=not closed) * (missing + 2 * np.pi * turns)
    c, s = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    u, v = section[None, :, :1], section[None, :, 1:]
    loops: Floats = curve[:, None] + (c * u - s * v) * side[:, None] + (s * u + c * v) * other[:, None]
    return loops


def polygon(corners: Floats, step: float) -> Floats:
    """The closed polygon through ``corners`` (C, D) with points about ``step`` apart, all corners among them."""
    parts = []
    for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
        count = max(round(float(np.linalg.norm(end - start)) / step), 1)
        parts.append(start + (end - start) * np.arange(count)[:, None] / count)
    return np.concatenate(parts)


def bricks(filled: npt.NDArray[np.bool_], fine: int = 1) -> Mesh:
    """The boundary of the unit cells that are ``filled`` (X, Y, Z), each cut into ``fine`` a side."""
    mask = np.pad(np.kron(filled, np.ones((fine, fine, fine), np.bool_)), 1)
    corners = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (1, -1):
            cells = np.argwhere(mask & ~np.roll(mask, -sign, axis)).astype(np.float64)
            base = cells + (np.eye(3)[axis] if sign > 0 else 0)
            square = [base, base + np.eye(3)[u], base + np.eye(3)[u] + np.eye(3)[v], base + np.eye(3)[v]]
            corners.append(np.stack(square[::sign], 1))
    quads = np.concatenate(corners)
    points, place = np.unique(quads.reshape(-1, 3), axis=0, return_inverse=True)
    quad = place.reshape(-1, 4)
    return Mesh((points - 1) / fine, np.concatenate((quad[:, [0, 1, 2]], quad[:, [0, 2, 3]])).astype(np.int64))


def volume(vertices: Floats, triangles: Ints) -> float:
    """The volume that a closed mesh with outward normals encloses (divergence theorem)."""
    a, b, c = vertices[triangles].swapaxes(0, 1)
    return float((np.cross(a, b) * c).sum() / 6)


def outward(mesh: Mesh) -> Mesh:
    """The mesh with its triangles turned so that its volume is positive."""
    if volume(mesh.vertices, mesh.triangles) < 0:
        return Mesh(mesh.vertices, mesh.triangles[:, ::-1].copy())
    return mesh


def even_sample(mesh: Mesh, count: int, seed: int) -> Floats:
    """(count, 3): points on the surface, none nearer to another than about 0.7 of the mean spacing (Poisson disk)."""
    corners = mesh.vertices[mesh.triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    rng = np.random.default_rng(seed)
    chosen = corners[rng.choice(len(areas), 6 * count, p=areas / areas.sum())]
    u, v = rng.random((2, 6 * count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    dense = chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])
    radius = (0.5 * areas.sum() / count) ** 0.5
    kept = apart(dense, radius)
    while len(kept) < count:
        radius *= 0.98
        kept = apart(dense, radius)
    return np.asarray(dense[np.sort(rng.permutation(kept)[:count])])


def apart(points: Floats, radius: float) -> Ints:
    """Rows of a maximal set of points further than ``radius`` apart; earlier rows go first."""
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    first, second = pairs.min(1), pairs.max(1)
    kept = np.zeros(len(points), np.bool_)
    while len(first):
        waiting = np.zeros(len(points), np.bool_)
        waiting[second] = True
        winners = np.zeros(len(points), np.bool_)
        winners[first] = True
        winners &= ~waiting
        kept |= winners
        lost = np.zeros(len(points), np.bool_)
        lost[second[winners[first]]] = True
        alone = ~(lost[first] | lost[second] | winners[first])
        # A point whose rivals have all lost is kept; it vanishes from the pairs, so it is noted here.
        freed = np.zeros(len(points), np.bool_)
        freed[first], freed[second] = True, True
        first, second = first[alone], second[alone]
        freed[first], freed[second] = False, False
        kept |= freed & ~lost
    touched = np.zeros(len(points), np.bool_)
    touched[pairs.ravel()] = True
    return np.flatnonzero(kept | ~touched)
