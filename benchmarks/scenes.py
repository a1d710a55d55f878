"""Seven simulated scans with frozen seeds: airborne, from a drone, from tripods, from a vehicle. Lengths in metres."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scanners import airborne, mobile, terrestrial, together
from scipy.ndimage import gaussian_filter
from simulator import SURFACE, THIN, Scan, World, scan

from deburr.core.arrays import Floats

#: Frozen before any network was tuned on these scenes; change neither it nor the order of `SCENES`.
SEED = 90_210

Rng = np.random.Generator


def _rolling(extent: float, step: float, height: float, smooth: float, rng: Rng) -> Floats:
    """Random ground: ``height`` is its standard deviation, ``smooth`` its width of correlation, both in metres."""
    count = int(extent / step) + 1
    wild = gaussian_filter(rng.normal(size=(count, count)), smooth / step, mode="wrap")
    return np.asarray(height * wild / wild.std())


def _at(*place: float) -> Floats:
    """(3,): x and y, and z unless it is 0."""
    return np.array([*place, 0.0][:3], dtype=np.float64)


YARD_STATIONS = (_at(-1, -0.5, 1.6), _at(2, 0, 1.7))


def _straight(start: Floats, end: Floats) -> Floats:
    return np.linspace(start, end, 5)


def _tree(world: World, foot: Floats, height: float, width: float, rng: Rng, trunk: int = THIN) -> None:
    world.bar(_straight(foot, foot + _at(0, 0, 0.6 * height)), 0.03 * height, trunk)
    world.leaves(
        foot + _at(0, 0, 0.65 * height), np.array([width, width, 0.4 * height]), int(400 * width**2) + 400, 0.12, rng
    )


def suburb(seed: int, rng: Rng) -> Scan:
    """Gabled houses, garages, gardens with trees, hedges and fences, cars, a wire on poles: 40 cm, 3 cm noise."""
    world = World()
    world.ground(_rolling(100, 2, 0.4, 12, rng), (-50, -50), 2)
    for i in range(9):
        foot = _at(24 * (i % 3 - 1) + rng.uniform(-3, 3), 26 * (i // 3 - 1) + rng.uniform(-3, 3), -1)
        turn, size = rng.uniform(0, np.pi), np.array([rng.uniform(9, 14), rng.uniform(7, 9), rng.uniform(4, 7)])
        world.box(foot, size, turn, ridge=rng.uniform(2, 4))
        world.box(foot + _at(*rng.choice([-9, 9], 2)), np.array([6, 3.5, 3.6]), turn)
        world.box(foot + _at(1, 0.6, size[2] + 1), np.array([0.9, 0.9, 3]), turn)
        world.box(foot + _at(0, 11), np.array([11, 0.06, 2.4]), turn, THIN)
    for _ in range(14):
        _tree(world, _at(*rng.uniform(-38, 38, 2), -0.5), rng.uniform(5, 11), rng.uniform(1.5, 3.5), rng)
    for _ in range(8):
        world.box(_at(*rng.uniform(-38, 38, 2), -0.3), np.array([4.2, 1.8, 1.7]), rng.uniform(0, 3))
        world.leaves(_at(*rng.uniform(-38, 38, 2), 0.6), np.array([3, 0.6, 0.8]), 1500, 0.1, rng)
    for x in (-36, -12, 12, 36):
        world.bar(_straight(_at(x, 13, -1), _at(x, 13, 8)), 0.12, THIN, 6)
    for x in (-36, -12, 12):
        for y in (12, 13, 14):
            world.wire(_at(x, y, 8), _at(x + 24, y, 8), 0.6, 0.06)
    rays = airborne(76, 350, 0.375, 0.4, 60, rng)
    return scan("suburb, airborne", world, rays, 0.03, seed, returns=3)


def town(seed: int, rng: Rng) -> Scan:
    """Flat roofs with parapets, sheds on them, a dome, steps, trees; two crossing strips: 25 cm, 5 cm noise."""
    world = World()
    world.ground(_rolling(70, 2, 0.15, 15, rng), (-35, -35), 2)
    for i in range(6):
        foot, turn = _at(19 * (i % 3 - 1), 24 * (i // 3) - 12, -1), rng.uniform(-0.1, 0.1)
        size = np.array([rng.uniform(11, 14), rng.uniform(14, 18), rng.uniform(6, 16)])
        world.box(foot, size, turn)
        world.box(foot + _at(1, -1), size * _at(0.6, 0.5, 1) + _at(0, 0, rng.uniform(1, 4)), turn)
        for _ in range(6):
            at = foot + _at(*(rng.uniform(-0.4, 0.4, 2) * size[:2]))
            world.box(at, np.array([*rng.uniform(0.8, 2.5, 2), size[2] + rng.uniform(0.6, 2)]), turn)
        for side in (-1, 1):
            world.box(foot + _at(0, side * (size[1] / 2 - 0.15)), np.array([size[0], 0.3, size[2] + 0.9]))
            world.box(foot + _at(side * (size[0] / 2 - 0.15), 0), np.array([0.3, size[1], size[2] + 0.9]))
        world.bar(_straight(foot + _at(2, 3), foot + _at(2, 3, size[2] + 6)), 0.05, THIN, 6)
    for y in (-1, 1):
        world.wire(_at(-30, y, 7), _at(30, y, 7), 0.5, 0.06)
    world.ball(_at(19, 12, 14), np.array([5.0, 5.0, 6.0]))
    for _ in range(9):
        _tree(world, _at(rng.uniform(-30, 30), rng.choice([-27, 0, 27]) + rng.uniform(-2, 2)), 7, 2, rng)
    rays = together(airborne(48, 500, 0.335, 0.2, 90, rng, 2.0), airborne(48, 500, 0.335, 1.8, -120, rng, 2.0))
    return scan("town, airborne", world, rays, 0.05, seed, returns=2)


def forest(seed: int, rng: Rng) -> Scan:
    """Broken ground under trees, boulders, logs, a hut: 12 cm, 2 cm noise."""
    world = World()
    world.ground(_rolling(30, 0.25, 0.5, 2.5, rng), (-15, -15), 0.25)
    for _ in range(20):
        _tree(world, _at(*rng.uniform(-12, 12, 2), -0.5), rng.uniform(5, 11), rng.uniform(0.8, 1.8), rng, SURFACE)
    for _ in range(25):
        world.ball(_at(*rng.uniform(-11, 11, 2)), rng.uniform(0.3, 1.2, 3), 3)
    for _ in range(6):
        at = _at(*rng.uniform(-10, 10, 2), 0.4)
        world.bar(_straight(at, at + _at(*rng.uniform(-5, 5, 2))), 0.3, SURFACE)
        world.leaves(_at(*rng.uniform(-10, 10, 2), 0.4), np.array([1, 1, 0.6]), 500, 0.04, rng)
    for x in range(-10, 11):
        world.bar(_straight(_at(x, -7, -1), _at(x, -7, 1.6)), 0.04, THIN, 6)
    for z in (0.9, 1.4):
        world.wire(_at(-10, -7, z), _at(10, -7, z), 0.1, 0.025)
    world.box(_at(3, -4, -1), np.array([5, 4, 3.4]), 0.5, ridge=1.5)
    rays = together(airborne(20, 60, 0.15, 0.9, 10, rng), airborne(20, 60, 0.15, 2.4, -25, rng))
    return scan("forest, drone", world, rays, 0.02, seed, returns=3)


def yard_world(rng: Rng) -> World:
    """A facade with windows, columns, stairs, a railing, a bench, a shrub, cables."""
    world = World()
    world.ground(_rolling(24, 0.5, 0.02, 2, rng), (-12, -12), 0.5)
    for x in np.arange(-6.0, 6.1, 1.5):
        world.box(_at(x, 5, -0.5), np.array([0.8, 0.4, 5.5]))
    for z in (-0.5, 2.4, 4.4):
        world.box(_at(0, 5, z), np.array([13, 0.4, 1.4 if z < 0 else 0.8]))
    world.box(_at(0, 5.3, -0.5), np.array([13, 0.2, 6]))
    for i in range(6):
        world.box(_at(-4, 4.6 - 0.3 * i, -0.5), np.array([2.4, 0.3, 1.5 - 0.17 * i]))
    for x in (1.0, 3.5, 6.0):
        world.bar(_straight(_at(x, 3, -0.2), _at(x, 3, 3.2)), 0.22, SURFACE, 32)
    world.box(_at(3.5, 3, 3.2), np.array([6, 0.7, 0.5]))
    for x in np.arange(-6, -2.4, 0.3):
        world.bar(_straight(_at(x, 2.5), _at(x, 2.5, 1)), 0.012, THIN, 6)
    world.bar(_straight(_at(-6, 2.5, 1), _at(-2.5, 2.5, 1)), 0.02, THIN, 8)
    world.box(_at(0.5, -3, 0.42), np.array([1.8, 0.45, 0.06]), 0.3)
    world.box(_at(0.5, -3, -0.1), np.array([0.2, 0.4, 0.52]), 0.3)
    world.leaves(_at(-4, -2, 0.7), np.array([0.9, 0.9, 0.7]), 2500, 0.025, rng)
    _tree(world, _at(4, -3), 4.5, 1.2, rng, SURFACE)
    for z in (3.6, 4.1):
        world.wire(_at(-6, 4.5, z), _at(6, -3, z + 0.3), 0.3, 0.012)
    return world


def yard(seed: int, rng: Rng) -> Scan:
    """That, by two tripods: 5 cm, 1 cm noise."""
    world = yard_world(rng)
    rays = together(*(terrestrial(place, 0.42, -60, 60, rng) for place in YARD_STATIONS))
    return scan("yard, tripod", world, rays, 0.01, seed, reach=9, cell=0.05)


def street_world(rng: Rng) -> World:
    """Carriageway and kerbs between facades, poles, signs, parked cars, trees, overhead wires."""
    world = World()
    x, y = np.meshgrid(np.arange(-20, 20.5, 0.5), np.arange(-10, 10.5, 0.5), indexing="ij")
    world.ground(-0.02 * np.abs(y) + 0.01 * x, (-20, -10), 0.5)
    for side in (-1, 1):
        world.box(_at(0, side * 6.5, -0.7), np.array([40, 3, 0.75]))
        for i in range(4):
            size = np.array([9.8, 3, rng.uniform(5, 8)])
            world.box(_at(10 * i - 15, side * (9.5 + rng.uniform(0, 0.5)), -0.5), size)
            world.box(_at(10 * i - 15 + rng.uniform(-2, 2), side * 8.2, -0.5), np.array([2, 0.6, 3.2]))
        for at in (-7.0, 1.0, 8.0):
            world.bar(_straight(_at(at, side * 5.2, -0.2), _at(at, side * 5.2, 6)), 0.06, THIN, 8)
        for at in (-4.0, 5.0):
            _tree(world, _at(at, side * 6.3, -0.2), 5, 1.2, rng)
            world.box(_at(at - 3, side * 5.4, 1.8), np.array([0.02, 0.7, 0.7]), 0.2, THIN)
    for at in (-9.0, -2.0, 6.0):
        world.box(_at(at, 3.9, 0.15), np.array([4.3, 1.8, 0.65]))
        world.box(_at(at - 0.2, 3.9, 0.7), np.array([2.2, 1.6, 0.6]))
    world.wire(_at(-12, 0.5, 5.6), _at(12, 0.3, 5.7), 0.2)
    world.wire(_at(-12, -1.2, 5.6), _at(12, -1.0, 5.7), 0.2)
    return world


def street(seed: int, rng: Rng) -> Scan:
    """That, by a vehicle there and back: 10 cm, 3 cm noise."""
    world = street_world(rng)
    there, back = (_at(-9, -2, 2), _at(9, -2, 2)), (_at(9, 1.2, 2), _at(-9, 1.2, 2))
    rays = together(*(mobile(*way, 12, 16, 250, 12, rng) for way in (there, back)))
    return scan("street, vehicle", world, rays, 0.03, seed, reach=14)


def plant(seed: int, rng: Rng) -> Scan:
    """Tanks, pipes, beams, gratings, stairs on a floor; two tripods; noise of half the spacing: 8 cm, 4 cm noise."""
    world = World()
    world.box(_at(0, 0, -1), np.array([24, 24, 1]))
    world.box(_at(0, 8, -1), np.array([24, 0.3, 8]))
    for at in (-6.0, 0.5, 6.5):
        world.bar(_straight(_at(at, 4.5, -0.5), _at(at, 4.5, rng.uniform(3, 5))), 1.8, SURFACE, 96)
        world.ball(_at(at, -6, 1.6), np.array([1.5, 1.5, 1.5]))
    for z in (2.2, 2.7, 3.2):
        world.bar(_straight(_at(-9, 1.5, z), _at(9, 1.7, z)), 0.15, SURFACE, 24)
    for at in np.arange(-8.0, 8.1, 4):
        world.box(_at(at, 1.6, -0.5), np.array([0.3, 0.3, 4.5]))
        world.box(_at(at, 0.0, 3.6), np.array([0.25, 7, 0.3]))
        world.bar(_straight(_at(at, -3), _at(at, -3, 1.1)), 0.025, THIN, 6)
    world.bar(_straight(_at(-8, -3, 1.1), _at(8, -3, 1.1)), 0.025, THIN, 6)
    world.bar(_straight(_at(-8, -3, 0.6), _at(8, -3, 0.6)), 0.025, THIN, 6)
    for i in range(8):
        world.box(_at(7.5, -5 + 0.35 * i, -0.5), np.array([1.6, 0.35, 0.5 + 0.2 * (i + 1)]))
    for i in range(5):
        world.wire(_at(-9 + 4 * i, 7.5, 6), _at(-8 + 4 * i, -2, 5), 0.4, 0.02)
    rays = together(*(terrestrial(place, 0.55, -60, 70, rng) for place in (_at(-3, -1, 1.6), _at(4, -1.5, 1.7))))
    return scan("plant, tripod", world, rays, 0.04, seed, reach=13, cell=0.08)


def ridge(seed: int, rng: Rng) -> Scan:
    """Rough rock and scree, a lattice tower with wires, bushes, a cairn; little noise: 30 cm, 1 cm noise."""
    world = World()
    height = _rolling(80, 0.5, 4, 14, rng) + _rolling(80, 0.5, 0.35, 2, rng) + _rolling(80, 0.5, 0.06, 0.7, rng)
    world.ground(height, (-40, -40), 0.5)
    top = float(height.max())
    for _ in range(30):
        world.ball(_at(*rng.uniform(-28, 28, 2), rng.uniform(-3, 3)), rng.uniform(0.8, 2.5, 3), 3)
        world.leaves(_at(*rng.uniform(-28, 28, 2), rng.uniform(-2, 4)), np.array([1.4, 1.4, 1]), 900, 0.12, rng)
    for corner in ((-2, -2), (-2, 2), (2, 2), (2, -2)):
        world.bar(_straight(_at(*corner, -8), _at(0, 0, top + 14)), 0.1, THIN, 6)
    for z in np.arange(0, top + 12, 3):
        world.bar(_straight(_at(-2, -2, z), _at(2, 2, z + 2)), 0.06, THIN, 6)
        world.bar(_straight(_at(-2, 2, z), _at(2, -2, z + 2)), 0.06, THIN, 6)
    for side in (-3, 0, 3):
        world.wire(_at(-40, side, top + 11), _at(0, side, top + 12), 2, 0.06)
        world.wire(_at(0, side, top + 12), _at(40, side, top + 10), 2, 0.06)
    return scan("ridge, airborne", world, airborne(52, 400, 0.276, 1.1, -80, rng, 1.0), 0.01, seed, returns=3)


SCENES: tuple[Callable[[int, Rng], Scan], ...] = (suburb, town, forest, yard, street, plant, ridge)


def scenes(names: tuple[str, ...] | None = None) -> Iterator[Scan]:
    """The scans, or those whose functions are named."""
    for i, make in enumerate(SCENES):
        if names is None or make.__name__ in names:
            yield make(SEED + i, np.random.default_rng([SEED + i, 2]))
