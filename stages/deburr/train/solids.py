"""Random closed solids as signed-distance functions: sharp and smooth unions, cuts, thin plates, small cylinders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from deburr.core.arrays import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.train.scene import CleanScene, Surface, poisson_subset

#: (N, 3) places to (N,) signed distances, negative inside.
Distance = Callable[[Floats], Floats]
#: Walls of hollow solids, of which unit spheres are the largest.
_WALL = (0.025, 0.15)


def _box(half: Floats, rounding: float) -> Distance:
    def distance(p: Floats) -> Floats:
        q = np.abs(p) - (half - rounding)
        outside = np.linalg.norm(np.maximum(q, 0), axis=1)
        return np.asarray(outside + np.minimum(q.max(axis=1), 0) - rounding)

    return distance


def _cylinder(radius: float, half: float, rounding: float) -> Distance:
    def distance(p: Floats) -> Floats:
        q = np.stack((np.hypot(p[:, 0], p[:, 1]) - radius + rounding, np.abs(p[:, 2]) - half + rounding), 1)
        outside = np.linalg.norm(np.maximum(q, 0), axis=1)
        return np.asarray(outside + np.minimum(q.max(axis=1), 0) - rounding)

    return distance


def _ellipsoid(radii: Floats) -> Distance:
    def distance(p: Floats) -> Floats:
        scaled = np.linalg.norm(p / radii, axis=1)
        slope = np.linalg.norm(p / radii**2, axis=1)
        return np.asarray(scaled * (scaled - 1) / np.maximum(slope, 1e-9))

    return distance


def _torus(ring: float, tube: float) -> Distance:
    def distance(p: Floats) -> Floats:
        return np.asarray(np.hypot(np.hypot(p[:, 0], p[:, 1]) - ring, p[:, 2]) - tube)

    return distance


def _cone(radius: float, half: float) -> Distance:
    slope = np.array([2 * half, radius]) / np.hypot(2 * half, radius)

    def distance(p: Floats) -> Floats:
        side = np.hypot(p[:, 0], p[:, 1]) * slope[0] + (p[:, 2] - half) * slope[1]
        return np.asarray(np.maximum(side, -p[:, 2] - half))

    return distance


def _capsule(radius: float, half: float) -> Distance:
    def distance(p: Floats) -> Floats:
        q = p.copy()
        q[:, 2] -= np.clip(q[:, 2], -half, half)
        return np.asarray(np.linalg.norm(q, axis=1) - radius)

    return distance


def _primitive(rng: np.random.Generator) -> Distance:
    kind = rng.choice(["box", "plate", "cylinder", "rod", "ellipsoid", "torus", "cone", "capsule"])
    size = float(rng.uniform(0.25, 0.7))
    rounding = float(rng.choice([0.0, rng.uniform(0.01, 0.1)])) * size
    if kind == "box":
        return _box(size * rng.uniform(0.3, 1.0, 3), rounding * 0.3)
    if kind == "plate":
        half = size * np.array([1.0, rng.uniform(0.4, 1.0), 0.0])
        half[2] = rng.uniform(0.02, 0.06)
        return _box(half, min(rounding, float(half[2])))
    if kind == "cylinder":
        return _cylinder(size * float(rng.uniform(0.3, 0.9)), size * float(rng.uniform(0.3, 1.2)), rounding * 0.3)
    if kind == "rod":
        return _cylinder(float(rng.uniform(0.03, 0.09)), size * float(rng.uniform(0.8, 1.5)), 0.0)
    if kind == "ellipsoid":
        return _ellipsoid(size * rng.uniform(0.35, 1.0, 3))
    if kind == "torus":
        return _torus(size, size * float(rng.uniform(0.1, 0.45)))
    if kind == "cone":
        return _cone(size * float(rng.uniform(0.4, 1.0)), size * float(rng.uniform(0.4, 1.0)))
    return _capsule(float(rng.uniform(0.06, 0.3)), size)


def _placed(inner: Distance, rng: np.random.Generator) -> Distance:
    turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    shift = rng.uniform(-0.45, 0.45, 3)
    return lambda p: inner((p - shift) @ turn)


def _joined(a: Distance, b: Distance, blend: float) -> Distance:
    def distance(p: Floats) -> Floats:
        u, v = a(p), b(p)
        if blend == 0:
            return np.asarray(np.minimum(u, v))
        h = np.clip(0.5 + 0.5 * (v - u) / blend, 0, 1)
        return np.asarray(v + (u - v) * h - blend * h * (1 - h))

    return distance


def _cut(a: Distance, b: Distance) -> Distance:
    return lambda p: np.asarray(np.maximum(a(p), -b(p)))


def _rippled(a: Distance, rng: np.random.Generator) -> Distance:
    """Waves along one or two directions, down to the finest that a scan can tell from noise."""
    waves = int(rng.integers(1, 3))
    length = np.exp(rng.uniform(np.log(0.08), np.log(0.6), waves))
    vector = rng.normal(size=(waves, 3))
    vector *= (2 * np.pi / (length * np.linalg.norm(vector, axis=1)))[:, None]
    # The slope stays below 0.7, so that the surface does not fold.
    height = length * rng.uniform(0.02, 0.11, waves) / waves
    return lambda p: np.asarray(a(p) + (height * np.sin(p @ vector.T)).sum(1))


def solid(rng: np.random.Generator) -> Distance:
    """A random solid of one to seven primitives, about inside the unit sphere; some are rippled."""
    whole = _placed(_primitive(rng), rng)
    for _ in range(int(rng.integers(0, 7))):
        part = _placed(_primitive(rng), rng)
        if rng.random() < 0.2:
            whole = _cut(whole, part)
        else:
            whole = _joined(whole, part, float(rng.choice([0.0, rng.uniform(0.02, 0.2)])))
    return _rippled(whole, rng) if rng.random() < 0.3 else whole


def hollowed(a: Distance, rng: np.random.Generator) -> Distance:
    """A vessel: the walls of ``a``, a few spacings thick, cut open by a plane."""
    half = float(np.exp(rng.uniform(*np.log(_WALL)))) / 2
    along = rng.normal(size=3)
    along /= np.linalg.norm(along)
    height = float(rng.uniform(-0.1, 0.4))
    return lambda p: np.asarray(np.maximum(np.abs(a(p)) - half, p @ along - height))


def _gradient(distance: Distance, p: Floats, step: float = 1e-5) -> Floats:
    columns = []
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = step
        columns.append((distance(p + shift) - distance(p - shift)) / (2 * step))
    return np.stack(columns, 1)


#: Thickness of the shell that surface samples come from, and of the cells that are searched for it.
_SHELL, _CELL = 0.02, 0.07


def _cells_at(distance: Distance) -> Floats:
    """(C, 3): the corners of all cells of a grid around the unit sphere that the shell may pass through."""
    side = np.arange(-1.4, 1.4, _CELL)
    corners = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    # A distance changes by no more than the way; 1.3 covers the blended solids, which are not quite distances.
    return np.asarray(corners[np.abs(distance(corners + _CELL / 2)) < 1.3 * _CELL * np.sqrt(0.75) + _SHELL])


def sample_surface(distance: Distance, count: int, rng: np.random.Generator) -> Surface:
    """About ``count`` places uniformly on the surface of a solid near the unit sphere, with outward normals.

    Uniform in a thin shell, then led to the surface by Newton's method; what does not arrive is left out.
    """
    shell, found, total = _SHELL, [np.empty((0, 3))], 0
    cells = _cells_at(distance)
    for _ in range(50 if len(cells) else 0):
        p = cells[rng.integers(len(cells), size=100_000)] + rng.uniform(0, _CELL, (100_000, 3))
        p = p[np.abs(distance(p)) < shell]
        found.append(p)
        total += len(p)
        if total >= 1.1 * count:
            break
    points = np.concatenate(found)[: int(1.1 * count)]
    for _ in range(4):
        slope = _gradient(distance, points)
        steepness = np.maximum((slope**2).sum(1, keepdims=True), 1e-2)
        points = points - np.clip(distance(points)[:, None] / steepness, -shell, shell) * slope
    slope = _gradient(distance, points)
    length = np.linalg.norm(slope, axis=1)
    good = (np.abs(distance(points)) < 1e-4) & (length > 0.3)
    return Surface(points[good], slope[good] / length[good, None])


def solid_scene(seed: int, smallest: int = 1500, largest: int = 7000, hollow: bool = False) -> CleanScene:
    """A scanned solid: 1500-7000 points, or 20,000-50,000; of Poisson-disk, uniform or uneven density.

    hollow : whether nothing is left of it but walls.
    """
    rng = np.random.default_rng([seed, 1])
    many = rng.random() < 0.4
    surface = Surface(np.empty((0, 3)), np.empty((0, 3)))
    while len(surface.points) < (60_000 if many else 20_000):
        body = solid(rng)
        surface = sample_surface(hollowed(body, rng) if hollow else body, 150_000 if many else 50_000, rng)
    dense = surface.points
    low, high = (20_000, 50_000) if many else (smallest, largest)
    count = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    kind = rng.random()
    if kind < 0.6:
        # A maximal Poisson-disk set owns about 1 / 0.82^2 of a radius squared a point.
        radius = cloud_spacing(dense) * np.sqrt(len(dense) / count) * 0.82
        chosen = np.flatnonzero(poisson_subset(dense, float(radius), rng))
    else:
        weight = np.ones(len(dense))
        if kind > 0.85:
            weight = np.exp(1.2 * (dense @ rng.normal(size=3)))
        chosen = rng.choice(len(dense), size=count, replace=False, p=weight / weight.sum())
    return CleanScene(dense[chosen], np.zeros(len(chosen), dtype=np.bool_), surface)
