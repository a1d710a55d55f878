"""Test shapes of the benchmarks' own: closed meshes that no training generator makes; the seeds are frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from meshes import bricks, capped, even_sample, icosphere, outward, polygon, skin, split, star, tube

from deburr.core.arrays import Floats
from deburr.filters._mesh import Mesh

#: Frozen before any network was tuned on these shapes; change neither it nor the order of `SHAPES`.
SEED = 71_503


@dataclass(frozen=True, eq=False)
class Shape:
    """A named surface in its unit sphere, and ``clean`` (N, 3) points on it."""

    name: str
    mesh: Mesh
    clean: Floats
    seed: int

    def noisy(self, level: float) -> Floats:
        """The points with Gaussian noise of standard deviation ``level`` per coordinate."""
        return self.clean + np.random.default_rng([self.seed, 1]).normal(0, level, self.clean.shape)


def _supershape(m: float, n1: float, n2: float, n3: float, squash: float) -> Callable[[int], Mesh]:
    """The superformula of Gielis (American Journal of Botany 90, 2003) in longitude and, with m = 4, in latitude."""

    def radius(angle: Floats, m: float) -> Floats:
        cosine, sine = np.abs(np.cos(m * angle / 4)), np.abs(np.sin(m * angle / 4))
        return np.asarray((cosine**n2 + sine**n3) ** (-1 / n1))

    def place(d: Floats) -> Floats:
        longitude, latitude = np.arctan2(d[:, 1], d[:, 0]), np.arcsin(np.clip(d[:, 2], -1, 1))
        flat = radius(longitude, m) * radius(latitude, 4) * np.cos(latitude)
        z = radius(latitude, 4) * np.sin(latitude) * squash
        return np.stack((flat * np.cos(longitude), flat * np.sin(longitude), z), 1)

    return lambda fine: star(place, 3 + fine)


def _bumps(fine: int) -> Mesh:
    rng = np.random.default_rng(SEED)
    at = rng.normal(size=(25, 3))
    at /= np.linalg.norm(at, axis=1, keepdims=True)
    height, sharp = rng.uniform(-0.25, 0.45, 25), rng.uniform(10, 80, 25)
    return star(lambda d: d * (1 + (height * np.exp(sharp * (d @ at.T - 1))).sum(1))[:, None], 3 + fine)


def _spikes(fine: int) -> Mesh:
    solid = icosphere(0)
    count = len(solid.vertices)
    tips = solid.vertices[solid.triangles].mean(1)
    tips *= 1.7 / np.linalg.norm(tips, axis=1, keepdims=True)
    a, b, c = solid.triangles.T
    top = np.arange(len(tips)) + count
    faces = np.concatenate([np.stack(part, 1) for part in ((a, b, top), (b, c, top), (c, a, top))])
    points = np.concatenate((solid.vertices, tips))
    for _ in range(2 + fine):
        points, faces = split(points, faces)
    return Mesh(points, faces)


def _knot(p: int, q: int, section: Floats, turns: float) -> Callable[[int], Mesh]:
    def build(fine: int) -> Mesh:
        t = np.linspace(0, 2 * np.pi, 75 * 2**fine, endpoint=False)
        ring = 1 + 0.45 * np.cos(q * t)
        curve = np.stack((ring * np.cos(p * t), ring * np.sin(p * t), 0.45 * np.sin(q * t)), 1)
        return skin(tube(curve, polygon(section, 0.3 / 2**fine), True, turns), True)

    return build


def _circle(radius: float, corners: int) -> Floats:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return radius * np.stack((np.cos(angle), np.sin(angle)), 1)


def _round(radius: Floats, angle: Floats, z: Floats) -> Floats:
    """(L, M, 3) loops in cylinder coordinates, which are broadcast to (L, M)."""
    return np.stack(np.broadcast_arrays(radius * np.cos(angle), radius * np.sin(angle), z), -1)


def _gear(fine: int) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, 17 * 4 * 2**fine, endpoint=False)
    phase = np.abs((17 * angle / (2 * np.pi)) % 1 - 0.5)
    outer = 0.82 + 0.18 * np.clip((phase - 0.17) / 0.12, 0, 1)
    base = polygon(np.array([(0.0, -0.2), (1, -0.2), (1, 0.2), (0, 0.2)]), 0.2 / 2**fine)
    r = 0.38 + base[None, :, 0] * (outer[:, None] - 0.38)
    return skin(_round(r, angle[:, None], base[None, :, 1]), True)


def _screw(fine: int) -> Mesh:
    z = np.linspace(0, 1.5, 24 * 2**fine)[:, None]
    angle = np.linspace(0, 2 * np.pi, 16 * 2**fine, endpoint=False)[None]
    thread = 0.2 + 0.22 * np.abs((z / 0.22 - angle / (2 * np.pi)) % 1 - 0.5)
    shaft = _round(thread, angle, z)
    # A hexagon seen from its centre, over the same angles.
    hexagon = 0.5 * np.cos(np.pi / 6) / np.cos((angle + np.pi / 6) % (np.pi / 3) - np.pi / 6)
    levels = np.linspace(-0.3, 0, 5 * 2**fine)[:, None]
    head = _round(hexagon, angle, levels)
    rings = 5 * 2**fine
    share = np.arange(1, rings)[:, None, None] / rings
    under = head[-1] + (shaft[0] - head[-1]) * share
    return skin(capped(np.concatenate((head, under, shaft)), 5 * 2**fine))


def _vase(fine: int) -> Mesh:
    height = np.linspace(-1, 1, 20 * 2**fine)
    outer = 0.55 + 0.2 * np.sin(2.2 * height) + 0.06 * np.sin(9 * height)
    wall = np.concatenate((np.stack((outer, height), 1), np.stack((outer - 0.06, height), 1)[::-1]))
    angle = np.linspace(0, 2 * np.pi, 36 * 2**fine, endpoint=False)
    return skin(_round(wall[None, :, 0], angle[:, None], wall[None, :, 1]), True)


def _twisted_star(fine: int) -> Mesh:
    corners = _circle(1.0, 10) * np.where(np.arange(10) % 2, 0.45, 1.0)[:, None]
    section = polygon(corners, 0.3 / 2**fine)
    z = np.linspace(-1, 1, 20 * 2**fine)
    turn, size = 0.9 * z, 0.6 - 0.2 * z
    x = size[:, None] * (np.cos(turn)[:, None] * section[:, 0] - np.sin(turn)[:, None] * section[:, 1])
    y = size[:, None] * (np.sin(turn)[:, None] * section[:, 0] + np.cos(turn)[:, None] * section[:, 1])
    return skin(capped(np.stack((x, y, np.broadcast_to(z[:, None], x.shape)), -1), 5 * 2**fine))


def _spring(fine: int) -> Mesh:
    t = np.linspace(0, 1, 120 * 2**fine)
    angle = 2 * np.pi * 4.5 * t
    curve = np.stack((0.6 * np.cos(angle), 0.6 * np.sin(angle), 1.8 * t), 1)
    return skin(capped(tube(curve, _circle(0.1, 5 * 2**fine), False), 2 * 2**fine))


def _corrugated(fine: int) -> Mesh:
    x = np.linspace(-1, 1, 40 * 2**fine)
    section = polygon(np.array([(-0.7, -0.035), (0.7, -0.035), (0.7, 0.035), (-0.7, 0.035)]), 0.12 / 2**fine)
    y = np.broadcast_to(section[None, :, 0], (len(x), len(section)))
    z = 0.12 * np.sin(11 * x)[:, None] + section[None, :, 1]
    return skin(capped(np.stack((np.broadcast_to(x[:, None], y.shape), y, z), -1), 1))


_LETTERS = (
    "....................",
    ".###..####.####..##.",
    ".#..#.#....#..#..##.",
    ".#..#.###..####..##.",
    ".#..#.#....#..#.....",
    ".###..####.####..##.",
    "....................",
)


def _text(fine: int) -> Mesh:
    raised = np.array([[mark == "#" for mark in line] for line in _LETTERS]).T
    return bricks(np.stack((np.ones_like(raised), raised, raised), 2), 2**fine)


def _lattice(fine: int) -> Mesh:
    thick = np.arange(13) % 4 == 0
    x, y, z = np.meshgrid(thick, thick, thick, indexing="ij")
    return bricks((x & y) | (y & z) | (z & x), 2**fine)


def _shelf(fine: int) -> Mesh:
    filled = np.zeros((16, 8, 20), np.bool_)
    filled[:, :, ::6] = True
    filled[[0, 15]] = True
    filled[:, 7] = True
    filled[4:6, 1:5, 7:11] = True
    filled[9, 1:6, 13:17] = True
    return bricks(filled, 2**fine)


_SQUARE = np.array([(-0.16, -0.16), (0.16, -0.16), (0.16, 0.16), (-0.16, 0.16)])

#: Name to a function of the fineness (0 coarse: one to three thousand vertices) that builds the mesh.
SHAPES: dict[str, Callable[[int], Mesh]] = {
    "supershape petals": _supershape(6, 1.2, 2.5, 2.5, 0.7),
    "supershape pillow": _supershape(4, 8, 8, 8, 1.0),
    "supershape cog": _supershape(10, 3.0, 5.0, 5.0, 0.5),
    "bumps": _bumps,
    "spikes": _spikes,
    "trefoil": _knot(2, 3, _circle(0.2, 24), 0.0),
    "square knot": _knot(2, 5, _SQUARE, 0.25),
    "gear": _gear,
    "screw": _screw,
    "vase": _vase,
    "twisted star": _twisted_star,
    "spring": _spring,
    "corrugated": _corrugated,
    "text": _text,
    "lattice": _lattice,
    "shelf": _shelf,
}


@cache
def mesh(name: str, fine: int = 2) -> Mesh:
    """The shape ``name`` in its unit sphere: bounding-box centre at the origin, farthest vertex at 1."""
    built = SHAPES[name](fine)
    centred = built.vertices - (built.vertices.min(0) + built.vertices.max(0)) / 2
    return outward(Mesh(centred / np.linalg.norm(centred, axis=1).max(), built.triangles))


def procedural(count: int, names: tuple[str, ...] = tuple(SHAPES)) -> Iterator[Shape]:
    """The shapes with ``count`` points each."""
    for name in names:
        seed = SEED + list(SHAPES).index(name)
        yield Shape(name, mesh(name), even_sample(mesh(name), count, seed), seed)
