"""What random places are made of: boxes that stand, poles, wires, bushes, trees, ground. Lengths in metres, z up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from deburr.core.arrays import Floats
from deburr.train.casting import Foliage, World
from deburr.train.ground import Ground, differences, rolling, self_affine
from deburr.train.primitives import Body, Box, Cylinder, Ellipsoid

#: Share of bodies that give weak echoes.
_DARK = 0.15
UP = np.array([0.0, 0.0, 1.0])


def at(x: float, y: float, z: float = 0.0) -> Floats:
    """A place (3,)."""
    return np.array([x, y, z], dtype=np.float64)


def above(xy: Floats, z: float = 0.0) -> Floats:
    """The place (3,) at the height ``z`` over one in plan (2,)."""
    return np.append(xy, z)


def turned(angle: float) -> Floats:
    """(3, 3): turns by an angle in radians about the upright."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([(c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)])


def dark(rng: np.random.Generator) -> bool:
    """Whether the next body is dark."""
    return bool(rng.random() < _DARK)


def standing(foot: Floats, size: Floats, angle: float, rng: np.random.Generator) -> Box:
    """A box of full widths ``size`` that stands on ``foot``, turned about the upright."""
    size = np.asarray(size, dtype=np.float64)
    return Box(foot + size[2] / 2 * UP, size / 2, turned(angle), dark(rng))


def pole(foot: Floats, height: float, radius: float) -> Cylinder:
    """An upright bar."""
    return Cylinder(foot, foot + height * UP, radius)


def wire(start: Floats, end: Floats, sag: float, radius: float) -> list[Cylinder]:
    """A wire that hangs through, of straight pieces."""
    t = np.linspace(0, 1, 9)[:, None]
    knots = start + (end - start) * t - 4 * sag * t * (1 - t) * UP
    return [Cylinder(a, b, radius) for a, b in pairwise(knots)]


def bush(center: Floats, radii: Floats, rng: np.random.Generator, leaf: int = 1) -> list[Foliage]:
    """A thin ellipsoid of leaves and denser clumps in it; ``leaf``: how many beams meet one leaf, at most."""
    hull = [Foliage(Ellipsoid(center, radii), float(radii.mean() * rng.uniform(0.8, 4)))]
    for _ in range(int(rng.integers(3, 12))):
        away = rng.normal(size=3)
        place = center + radii * away / np.linalg.norm(away) * rng.uniform(0.3, 0.9)
        small = radii * rng.uniform(0.06, 0.4)
        hull.append(
            Foliage(
                Ellipsoid(place, small), float(small.mean() * rng.uniform(0.1, 1.0)), int(rng.integers(1, leaf + 1))
            )
        )
    return hull


def tree(world: World, foot: Floats, height: float, rng: np.random.Generator) -> None:
    """A trunk and a crown."""
    width = height * rng.uniform(0.12, 0.3)
    world.add(pole(foot, 0.6 * height, float(height * rng.uniform(0.01, 0.03))))
    crown = np.array([width, width, height * rng.uniform(0.25, 0.42)])
    world.leaves += bush(foot + (height - crown[2]) * UP, crown, rng)


def even_ground(half: float, waves: float, tilt: float, rng: np.random.Generator, nodes: int = 128) -> Ground:
    """Smooth ground: a slope of about ``tilt`` and waves of standard deviation ``waves``."""
    side = np.linspace(-half, half, nodes)
    slope = rng.normal(0, tilt, 2)
    heights = waves * rolling(nodes, nodes / rng.uniform(2, 8), rng)
    heights += slope[0] * side[:, None] + slope[1] * side[None]
    return Ground(heights, float(side[1] - side[0]), dark(rng))


def rough_ground(half: float, step: float, hurst: float, rough: float, rng: np.random.Generator) -> Ground:
    """Self-affine ground whose height differs by ``rough`` steps (root mean square) over one ``step`` of a scan."""
    nodes = 256
    cell = 2 * half / (nodes - 1)
    heights = self_affine(nodes, hurst, nodes * rng.uniform(0.1, 1), rng)
    apart = max(round(step / cell), 1)
    heights *= rough * step * (apart * cell / step) ** hurst / differences(heights, apart)
    heights += rolling(nodes, nodes / 2, rng) * half * rng.uniform(0, 0.1)
    return Ground(heights, cell, rough=rough > 0.5)


def height(ground: Body, xy: Floats) -> float:
    """That of the ground at a place in plan (2,)."""
    return float(ground.project(np.append(xy, 0.0)[None])[0][0, 2])
