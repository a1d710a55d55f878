"""Random places to scan: streets, yards, rooms, open country, towns, forests, rough ground. Lengths in metres, z up."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats
from deburr.train.casting import Foliage, World
from deburr.train.ground import Ground, rolling
from deburr.train.parts import (
    UP,
    above,
    at,
    bush,
    dark,
    even_ground,
    height,
    pole,
    rough_ground,
    standing,
    tree,
    turned,
    wire,
)
from deburr.train.primitives import Box, Cylinder, Ellipsoid, Implicit, Plate
from deburr.train.solids import solid


def _car(world: World, foot: Floats, angle: float, rng: np.random.Generator) -> None:
    turn = turned(angle)
    world.add(standing(foot + 0.25 * UP, np.array([4.3, 1.8, 0.65]), angle, rng))
    world.add(standing(foot + turn @ at(-0.2, 0, 0.9), np.array([2.2, 1.6, 0.6]), angle, rng))
    for x in (-1.3, 1.3):
        for y in (-0.85, 0.85):
            world.add(Plate(foot + turn @ at(x, y, 0.33), 0.33 * turn[:, 0], 0.33 * UP, round=True, dark=True))


def _facade(world: World, foot: Floats, width: float, high: float, side: float, rng: np.random.Generator) -> None:
    """A house front along x that faces the way of ``-side``: bays of windows set back, a cornice, perhaps balconies."""
    bays, floors = max(int(width / rng.uniform(2.2, 4)), 2), max(int(high / 3.2), 1)
    bay, depth = width / bays, float(rng.uniform(0.08, 0.35))
    world.add(standing(foot + at(0, side * 2), np.array([width, 4 - 2 * depth, high]), 0, rng))
    for i in range(bays + 1):
        world.add(
            standing(foot + at(bay * i - width / 2, side * depth / 2), np.array([0.35 * bay, depth, high]), 0, rng)
        )
    for i in range(floors + 1):
        z = i * high / floors
        world.add(standing(foot + at(0, side * depth / 2, z - 0.4), np.array([width, depth * 1.1, 0.9]), 0, rng))
    if rng.random() < 0.4:
        for i in range(int(rng.integers(1, 4))):
            x = bay * (rng.integers(bays) + 0.5) - width / 2
            world.add(
                standing(
                    foot + at(x, -side * 0.5, 3.0 * (i % floors + 1) - 0.3), np.array([bay * 0.8, 1, 0.15]), 0, rng
                )
            )


def street(rng: np.random.Generator) -> World:
    """Carriageway and pavements between facades, cars, poles, signs, trees, wires, along x."""
    world = World()
    world.add(even_ground(45, rng.uniform(0, 0.08), 0.01, rng))
    half = float(rng.uniform(5, 12))
    for side in (-1.0, 1.0):
        kerb = float(rng.uniform(0.08, 0.2))
        world.add(standing(at(0, side * half, -0.3), np.array([90, 2 * rng.uniform(1.5, 3), 0.3 + kerb]), 0, rng))
        x = -40.0
        while x < 40 and rng.random() < 0.9:
            width = float(rng.uniform(7, 16))
            foot = at(x + width / 2, side * (half + rng.uniform(1.5, 3)), -0.3)
            _facade(world, foot, width, float(rng.uniform(5, 14)), side, rng)
            x += width + float(rng.choice([0, rng.uniform(1, 8)]))
        for x in np.arange(-30, 30, rng.uniform(6, 14)):
            edge = at(x + rng.uniform(-2, 2), side * (half - 0.6 * rng.uniform(1, 2)))
            what = rng.choice(4)
            if what == 0:
                _car(world, edge - at(0, side * 1.5), rng.uniform(-0.05, 0.05), rng)
            elif what == 1:
                world.add(pole(edge, float(rng.uniform(3, 8)), float(rng.uniform(0.03, 0.12))))
            elif what == 2:
                tree(world, edge, float(rng.uniform(4, 9)), rng)
            else:
                world.add(pole(edge, 2.6, 0.03), Plate(edge + 2.4 * UP, at(0.02, 0.35), 0.35 * UP))
    if rng.random() < 0.5:
        y = rng.uniform(-2, 2, 2)
        world.add(*wire(at(-30, y[0], 6), at(30, y[1], 6.2), 0.5, 0.05))
    return world


def yard(rng: np.random.Generator) -> World:
    """A facade with windows, columns, stairs, a railing, cables, shrubs and a sculpture, in front of y = 0."""
    world = World()
    world.add(even_ground(25, rng.uniform(0, 0.05), 0.02, rng))
    _facade(world, at(0, 0, -0.2), 16, float(rng.uniform(4, 9)), 1.0, rng)
    for x in rng.uniform(-7, 7, int(rng.integers(0, 4))):
        world.add(pole(at(x, -1.5, -0.2), 3.2, float(rng.uniform(0.1, 0.35))))
    for i in range(int(rng.integers(0, 7))):
        world.add(standing(at(-4, -0.3 * (i + 1), -0.2), np.array([2.4, 0.3, 1.4 - 0.17 * i]), 0, rng))
    start = rng.uniform(-6, 0)
    for x in start + np.arange(0, rng.uniform(0.5, 5), 0.25):
        world.add(pole(at(x, -2.5), 1, 0.012))
    world.add(Cylinder(at(start, -2.5, 1), at(start + 4, -2.5, 1), 0.02))
    if rng.random() < 0.5:
        size = float(rng.uniform(0.4, 1.2))
        world.add(Implicit(at(rng.uniform(-3, 3), -3, size), size, solid(rng)))
    for _ in range(int(rng.integers(0, 4))):
        radii = rng.uniform(0.4, 1.2, 3)
        world.leaves += bush(at(rng.uniform(-6, 6), rng.uniform(-5, -1), radii[2] * 0.8), radii, rng, 4)
    for z in (3.2, 3.7)[: int(rng.integers(0, 3))]:
        world.add(*wire(at(-7, -0.3, z), at(7, -4, z), 0.3, 0.01))
    return world


def _table(world: World, foot: Floats, size: Floats, angle: float, rng: np.random.Generator) -> None:
    turn = turned(angle)
    world.add(standing(foot + (size[2] - 0.04) * UP, np.array([size[0], size[1], 0.04]), angle, rng))
    for x in (-0.45, 0.45):
        for y in (-0.45, 0.45):
            leg = foot + turn @ at(x * size[0], y * size[1])
            world.add(standing(leg, np.array([0.05, 0.05, size[2] - 0.04]), angle, rng))
    for _ in range(int(rng.integers(0, 7))):
        _thing(world, foot + turn @ above(rng.uniform(-0.4, 0.4, 2) * size[:2], size[2]), rng)


def _thing(world: World, foot: Floats, rng: np.random.Generator) -> None:
    """What stands on tables and shelves: boxes, books, balls, bottles, screens."""
    what, size = rng.choice(5), float(rng.uniform(0.06, 0.2))
    if what == 0:
        world.add(standing(foot, size * rng.uniform(0.4, 1.6, 3), rng.uniform(0, 3), rng))
    elif what == 1:
        world.add(Ellipsoid(foot + 0.6 * size * UP, size * rng.uniform(0.5, 1, 3), dark(rng)))
    elif what == 2:
        top = foot + 1.8 * size * UP
        world.add(Cylinder(foot, top, 0.4 * size), Plate(top, at(0.4 * size, 0), at(0, 0.4 * size), round=True))
    elif what == 3:
        turn = turned(float(rng.uniform(0, 3)))
        world.add(
            Plate(foot + 0.25 * UP, 0.25 * turn[:, 0], 0.17 * UP + 0.03 * turn[:, 1], dark=bool(rng.random() < 0.5))
        )
    else:
        world.add(Implicit(foot + size * UP, size, solid(rng)))


def room(rng: np.random.Generator) -> tuple[World, Floats, Floats]:
    """A furnished room, its full widths (3,), and a place (3,) worth looking at. Its floor is z = 0."""
    world, size = World(), np.array([*rng.uniform(3, 8, 2), rng.uniform(2.4, 3.2)])
    world.add(Box(size[2] / 2 * UP, size / 2, np.eye(3), dark(rng), hollow=True))
    places = [above(rng.uniform(-0.35, 0.35, 2) * size[:2]) for _ in range(4)]
    _table(world, places[0], np.array([*rng.uniform(0.7, 1.8, 2), rng.uniform(0.45, 0.8)]), rng.uniform(0, 3), rng)
    for foot in places[1:3]:
        angle = float(rng.uniform(0, 6))
        turn = turned(angle)
        _table(world, foot, np.array([0.45, 0.45, 0.45]), angle, rng)
        world.add(standing(foot + turn @ at(-0.22, 0, 0.45), np.array([0.04, 0.45, 0.5]), angle, rng))
    for side in (-1, 1):
        wide, high, deep = rng.uniform(0.6, 2.5), rng.uniform(0.5, 2.2), rng.uniform(0.3, 0.7)
        foot = at(rng.uniform(-0.3, 0.3) * size[0], side * (size[1] / 2 - deep / 2))
        world.add(standing(foot, np.array([wide, deep, high]), 0, rng))
        for i in range(int(rng.integers(0, 4))):
            world.add(
                standing(foot + at(0, -side * deep * 0.6, (i + 0.3) * high / 4), np.array([wide, deep, 0.03]), 0, rng)
            )
        world.add(standing(at(side * size[0] / 2, rng.uniform(-1, 1), 0.9), np.array([0.3, 1.4, 1.3]), 0, rng))
    sofa = places[3]
    world.add(
        standing(sofa, np.array([1.9, 0.8, 0.4]), 0, rng),
        standing(sofa - at(0, 0.4), np.array([1.9, 0.2, 0.85]), 0, rng),
    )
    for x in (-0.5, 0.5):
        world.add(Ellipsoid(sofa + at(x, 0, 0.45), np.array([0.4, 0.35, 0.12]), dark(rng)))
    if rng.random() < 0.4:
        world.leaves += bush(places[3] + at(0.9, 0.8, 0.9), rng.uniform(0.2, 0.5, 3), rng)
    return world, size, places[int(rng.integers(4))] + rng.uniform(0.2, 0.9) * UP


def _house(world: World, ground: Ground, xy: Floats, scale: float, rng: np.random.Generator) -> None:
    size = scale * np.array([rng.uniform(8, 18), rng.uniform(6, 10), rng.uniform(3, 11)])
    angle = float(rng.uniform(0, np.pi))
    turn, foot = turned(angle), above(xy, height(ground, xy) - 1)
    world.add(standing(foot, size, angle, rng))
    top = foot + size[2] * UP
    if rng.random() < 0.6:
        rise, out = size[1] * rng.uniform(0.2, 0.6), 1.06
        for side in (-1.0, 1.0):
            slope = side * out * size[1] / 4 * turn[:, 1] - out * rise / 2 * UP
            middle = top + side * size[1] / 4 * out * turn[:, 1] + (rise - out * rise / 2) * UP
            world.add(Plate(middle, out * size[0] / 2 * turn[:, 0], slope, dark=dark(rng)))
        top = top + rise * 0.6 * UP
    elif rng.random() < 0.6:
        for side in (-1.0, 1.0):
            world.add(standing(top + side * size[1] / 2 * turn[:, 1], np.array([size[0], 0.35, 0.8]), angle, rng))
    for _ in range(int(rng.integers(0, 4))):
        place = top + turn @ above(rng.uniform(-0.35, 0.35, 2) * size[:2], -1)
        world.add(standing(place, scale * np.array([*rng.uniform(0.6, 3, 2), rng.uniform(1.6, 3.5)]), angle, rng))


def country(extent: float, step: float, built: bool, rng: np.random.Generator) -> World:
    """What aircraft see in a square of ``extent``: ground, banks, trees, and a town if ``built``, or rocks."""
    world, half = World(), 0.9 * extent
    if built or rng.random() < 0.5:
        ground = even_ground(half, extent * rng.uniform(0, 0.02), 0.02 if built else 0.15, rng)
    else:
        ground = rough_ground(half, step, rng.uniform(0.8, 1.0), np.exp(rng.uniform(np.log(0.02), np.log(0.3))), rng)
    world.add(ground)
    somewhere = rng.uniform(-0.55, 0.55, (40, 2)) * extent
    houses = int(rng.integers(2, 9)) if built else int(rng.random() < 0.2)
    scale = float(np.clip(extent / 60, 0.3, 3))
    for xy in somewhere[:houses]:
        _house(world, ground, xy, scale, rng)
    for xy in somewhere[10 : 10 + rng.integers(0, 9)]:
        tree(world, above(xy, height(ground, xy)), scale * float(rng.uniform(4, 14)), rng)
    for xy in somewhere[20 : 20 + rng.integers(0, 9)]:
        foot = above(xy, height(ground, xy))
        if built:
            _car(world, foot, rng.uniform(0, 3), rng)
        else:
            world.add(Ellipsoid(foot, step * rng.uniform(1, 6, 3)))
    for xy in somewhere[30 : 30 + rng.integers(0, 6)]:
        radii = scale * rng.uniform(0.5, 2.5, 3)
        world.leaves += bush(above(xy, height(ground, xy) + radii[2] / 2), radii, rng)
    if rng.random() < 0.4:
        high = height(ground, np.zeros(2)) + scale * 12
        for y in (-2, 2):
            world.add(*wire(at(-half, y, high), at(half, y, high), scale, 0.35 * step))
    return world


def forest(extent: float, step: float, rng: np.random.Generator) -> World:
    """Rough self-affine ground under undergrowth and crowns that let few beams through."""
    world, half = World(), 0.9 * extent
    ground = rough_ground(half, step, rng.uniform(0.6, 0.9), np.exp(rng.uniform(np.log(0.2), np.log(0.7))), rng)
    world.add(ground)
    tall = float(rng.uniform(0.15, 0.6) * extent)
    for _ in range(int(rng.integers(10, 35))):
        xy = rng.uniform(-0.6, 0.6, 2) * extent
        tree(world, above(xy, height(ground, xy)), tall * float(rng.uniform(0.5, 1)), rng)
    low = float(rng.uniform(0.02, 0.1)) * extent
    for _ in range(int(rng.integers(60, 130))):
        xy = rng.uniform(-0.65, 0.65, 2) * extent
        radii = extent * rng.uniform(0.05, 0.16, 3) * np.array([1, 1, 0]) + low * rng.uniform(0.3, 1.2) * UP
        hull = Ellipsoid(above(xy, height(ground, xy)), radii)
        world.leaves.append(Foliage(hull, low * float(np.exp(rng.uniform(np.log(0.15), np.log(2))))))
    return world


def heath(extent: float, step: float, rng: np.random.Generator) -> World:
    """Ground under growth that is as high as few steps of a scan, or lower than one, with a few trees."""
    world, half = World(), 0.9 * extent
    ground = rough_ground(half, step, rng.uniform(0.7, 1.0), np.exp(rng.uniform(np.log(0.02), np.log(0.4))), rng)
    world.add(ground)
    for xy in rng.uniform(-0.6, 0.6, (int(rng.integers(0, 12)), 2)) * extent:
        tree(world, above(xy, height(ground, xy)), extent * float(rng.uniform(0.1, 0.4)), rng)
    low, deep = step * np.exp(rng.uniform(np.log(0.3), np.log(5))), np.exp(rng.uniform(np.log(0.15), np.log(2)))
    for xy in rng.uniform(-0.65, 0.65, (int(rng.integers(15, 130)), 2)) * extent:
        radii = extent * rng.uniform(0.05, 0.16, 3) * np.array([1, 1, 0]) + low * rng.uniform(0.3, 1.2) * UP
        world.leaves.append(Foliage(Ellipsoid(above(xy, height(ground, xy)), radii), low * float(deep)))
    return world


def rough(extent: float, step: float, rng: np.random.Generator) -> World:
    """Grass, crops in rows, gravel, rubble, or water."""
    what, half = rng.choice(["grass", "crops", "gravel", "rubble", "water"]), 0.9 * extent
    nodes = 256
    cell = 2 * half / (nodes - 1)
    world, amount = World(), step * float(np.exp(rng.uniform(np.log(0.1), np.log(1.5))))
    if what in ("grass", "crops"):
        heights = rolling(nodes, nodes / 3, rng) * extent * rng.uniform(0, 0.02) + amount * rng.gamma(
            1.5, 0.6, (nodes, nodes)
        )
        if what == "crops":
            heights += amount * 2 * np.sin(np.arange(nodes) * 2 * np.pi * cell / (step * rng.uniform(3, 9)))[None]
        world.add(Ground(heights, cell, rough=True))
    elif what == "water":
        heights = amount * 0.3 * rolling(nodes, step / cell * rng.uniform(3, 20), rng)
        world.add(Ground(heights, cell, dark=bool(rng.random() < 0.6)))
    else:
        world.add(rough_ground(half, step, rng.uniform(0.3, 0.8), np.exp(rng.uniform(np.log(0.05), np.log(0.8))), rng))
        for _ in range(60 if what == "rubble" else 0):
            place = above(rng.uniform(-0.6, 0.6, 2) * extent, rng.uniform(-1, 2) * step)
            turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            world.add(Box(place, step * np.exp(rng.uniform(0, np.log(9), 3)), turn, dark(rng)))
    return world


def thicket(extent: float, rng: np.random.Generator) -> World:
    """Leaves and twigs alone."""
    world = World()
    for _ in range(int(rng.integers(1, 8))):
        world.leaves += bush(rng.uniform(-0.4, 0.4, 3) * extent, extent * rng.uniform(0.15, 0.5, 3), rng, 6)
    for _ in range(int(rng.integers(0, 6))):
        start = rng.uniform(-0.5, 0.5, 3) * extent
        world.add(Cylinder(start, start + rng.normal(0, 0.3, 3) * extent, 0.004 * extent))
    return world


def thing(rng: np.random.Generator) -> World:
    """A solid of size 1, or two, at times on a table."""
    world = World()
    world.add(Implicit(np.zeros(3), 1.0, solid(rng), dark(rng)))
    if rng.random() < 0.3:
        world.add(Plate(at(0, 0, -0.8), at(1.3, 0), at(0, 1.3), round=True))
    return world
