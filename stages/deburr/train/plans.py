"""Which world is scanned by which beams, for each kind of scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Floats
from deburr.train import patterns, worlds
from deburr.train.casting import World, cast
from deburr.train.parts import UP, height
from deburr.train.patterns import Rays, together

Rng = np.random.Generator

#: Lowest and highest elevation of rings, in degrees.
_ELEVATIONS = ((-15.0, 15.0), (-30.0, 10.0), (-25.0, 15.0), (-24.8, 2.0), (-22.5, 22.5))


@dataclass(frozen=True)
class Plan:
    """What is scanned and how: a world, and the rays of one or two layers, which may differ in noise and place.

    ``again``: share of the beams stopped by leaves that go on to a second echo. ``lost``: share of echoes that do not
    come back. ``forward`` (3,): where depth is measured along, for depth cameras. ``shift`` (3,): the direction in
    which a layer is displaced if it is.
    """

    world: World
    layers: Sequence[Rays]
    shift: Floats
    again: float = 0.0
    lost: float = 0.0
    forward: Floats | None = None


def _thinned(rng: Rng, often: float = 0.3) -> float:
    """The share of echoes that do not come back, or that somebody took away: none, but ``often``."""
    return rng.uniform(0.1, 0.7) if rng.random() < often else 0.0


def _parts(count: int, many: int) -> int:
    return max(count // many, 200)


def log_uniform(low: float, high: float, rng: Rng) -> float:
    """A random number whose logarithm is evenly spread."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _ring_sensor(rng: Rng) -> tuple[Floats, float]:
    """Elevations and the step between beams, in degrees, of a scanner with 16 to 128 rings."""
    rings = int(rng.choice([16, 16, 32, 32, 32, 64, 64, 128]))
    low, high = _ELEVATIONS[int(rng.integers(len(_ELEVATIONS)))]
    return patterns.ring_angles(rings, low, high, rng), log_uniform(0.1, 0.35, rng)


def sideways(rng: Rng) -> Floats:
    """A random direction (3,) in plan."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def _spin(rng: Rng, count: int) -> Plan:
    """A spinning scanner in a street, standing still or driven, with a second pass at times."""
    world, (elevations, step), lost = worlds.street(rng), _ring_sensor(rng), _thinned(rng, 0.1)
    count = int(count / (1 - lost))
    start = np.array([rng.uniform(-8, 8), rng.uniform(-2.5, 2.5), rng.uniform(1.5, 2.2)])
    passes, turns = (1, 1) if rng.random() < 0.65 else (int(rng.integers(1, 3)), int(rng.integers(2, 9)))
    pace = np.array([log_uniform(0.1, 1.5, rng), 0.0, 0.0])
    few = len(elevations) // 16
    coarse = patterns.spinning(start, elevations[::few], 0.0, 16 * step, 99_999)
    ball = _ball(world, coarse, 16 * few * passes * turns, count, rng)
    layers = []
    for _ in range(passes):
        stands = [start + i * pace for i in range(turns)]
        layers.append(together([_turn(stand, elevations, step, pace, *ball) for stand in stands]))
        start = start + np.array([0.3, rng.uniform(-1.5, 1.5), 0.05])
    most = int(2.5 * count / passes)
    return Plan(world, [patterns.through(rays, *ball, most) for rays in layers], sideways(rng), lost=lost)


def _ball(world: World, coarse: Rays, finer: int, count: int, rng: Rng) -> tuple[Floats, float]:
    """A place (3,) that ``coarse`` rays meet, and the radius within which ``finer`` times as many meet ``count``.

    Places close to the scanner are avoided: beams in all directions would pass there on their way.
    """
    hits = cast(world, coarse, rng)
    nth = int(np.clip(count / finer, 4, len(hits) - 1))
    place, radius = hits.places[0], np.inf
    for row in rng.integers(len(hits), size=8):
        place = hits.places[row]
        radius = float(np.partition(np.linalg.norm(hits.places - place, axis=1), nth)[nth])
        if radius < 0.7 * hits.distance[row]:
            break
    return place, radius


def _turn(stand: Floats, elevations: Floats, step: float, pace: Floats, place: Floats, radius: float) -> Rays:
    """The part of a turn that may pass a ball."""
    to = (place - stand)[:2]
    half = np.degrees(np.arcsin(min(radius / float(np.linalg.norm(to)), 1.0)))
    wide = 360.0 if half == 90 else 2 * half
    beams = int(wide / step + 2) * len(elevations)
    return patterns.spinning(stand, elevations, float(np.arctan2(to[1], to[0])), step, beams, pace)


def _stations(place: Callable[[], Floats], look: Floats, step: float, count: int, ratio: float, rng: Rng) -> list[Rays]:
    """One or two tripods that look at about the same place."""
    number = 1 if rng.random() < 0.4 else 2
    rays = []
    for _ in range(number):
        stand = place()
        to = look - stand
        heading, rise = float(np.arctan2(to[1], to[0])), float(np.arctan2(to[2], np.hypot(to[0], to[1])))
        rays.append(patterns.tripod(stand, heading, rise, step, _parts(int(1.15 * count), number), rng, ratio))
    return rays


def _yard(rng: Rng, count: int) -> Plan:
    """A tripod, or two, before a facade."""
    world = worlds.yard(rng)
    center = world.bodies[int(rng.integers(1, len(world.bodies)))].center
    look = np.clip(center, [-6, -5, 0.1], [6, 0, 5]) + rng.normal(0, 0.3, 3)
    away = log_uniform(3, 15, rng)

    def place() -> Floats:
        return np.array([rng.uniform(-0.7, 0.7) * away, -away - 2, rng.uniform(1.4, 1.9)])

    lost, ratio = _thinned(rng, 0.5), log_uniform(0.7, 1.4, rng)
    stations = _stations(place, look, log_uniform(0.1, 0.7, rng), int(count / (1 - lost)), ratio, rng)
    return Plan(world, stations, sideways(rng), lost=lost)


def _room_tripod(rng: Rng, count: int, ratio: float | None = None) -> Plan:
    """A tripod, or two, in a room."""
    world, size, look = worlds.room(rng)

    def place() -> Floats:
        return np.array([*(rng.uniform(-0.42, 0.42, 2) * size[:2]), rng.uniform(1.0, 1.9)])

    ratio = log_uniform(0.7, 1.4, rng) if ratio is None else ratio
    return Plan(world, _stations(place, look, log_uniform(0.2, 0.9, rng), count, ratio, rng), sideways(rng))


def _room_sweep(rng: Rng, count: int) -> Plan:
    """A two-dimensional scanner swept over a room: dense lines far apart."""
    return _room_tripod(rng, count, log_uniform(3, 15, rng) ** float(rng.choice([1, 1, -1])))


def _room_depth(rng: Rng, count: int) -> Plan:
    """A depth camera in a room; two frames at times."""
    world, size, look = worlds.room(rng)
    inside = size / 2 - 0.2
    away = log_uniform(0.8, 3.5, rng) * (sideways(rng) + rng.uniform(0, 0.8) * UP)
    place = np.clip(look + away, [-inside[0], -inside[1], 0.5], [inside[0], inside[1], size[2] - 0.2])
    focal, layers = log_uniform(100, 560, rng), []
    for _ in range(1 if rng.random() < 0.75 else 2):
        toward = look - place + rng.normal(0, 0.05, 3)
        layers.append(patterns.depth_camera(place + rng.normal(0, 0.03, 3), toward, focal, int(1.1 * count), rng))
    forward = (look - place) / np.linalg.norm(look - place)
    return Plan(world, layers, sideways(rng), forward=forward)


def _strips(extent: float, step: float, each: int, rng: Rng) -> list[Rays]:
    """One or two layers of ``each`` airborne strips: parallel lines, a zigzag, or ellipses."""
    number = 1 if rng.random() < 0.65 else 2
    height, kind = extent * rng.uniform(2, 15), rng.choice(3, p=[0.5, 0.3, 0.2])
    ratio = log_uniform(0.7, 2.5 if each == 1 else 4, rng) if rng.random() < 0.6 else 1.0
    step = step * float(np.sqrt(number * each / ratio))

    def strip() -> Rays:
        if kind == 2:
            return patterns.palmer(extent, step * float(np.sqrt(2)), ratio, height, rng)
        aside = rng.uniform(-0.4, 0.4) * height
        return patterns.push_broom(extent, step, ratio, height, aside, rng, zigzag=bool(kind == 1))

    return [together([strip() for _ in range(each)]) for _ in range(number)]


def _upright(rng: Rng) -> Floats:
    shift = rng.normal(size=3) * [0.3, 0.3, 1]
    return np.asarray(shift / np.linalg.norm(shift))


def _flown(
    make: Callable[[float, float, Rng], World], rng: Rng, count: int, again: float, lost: float, each: int = 1
) -> Plan:
    """An airborne scan, of ``each`` strips a layer, of what ``make`` builds for an extent and a step."""
    step = log_uniform(0.06, 1.0, rng)
    extent = step * float(np.sqrt(count / (1 - lost)))
    return Plan(make(extent, step, rng), _strips(extent, step, each, rng), _upright(rng), again, lost)


def _terrain(rng: Rng, count: int) -> Plan:
    """Open country from the air."""
    return _flown(lambda e, s, r: worlds.country(e, s, False, r), rng, count, 0.3, _thinned(rng, 0.2))


def _town(rng: Rng, count: int) -> Plan:
    """Houses from the air."""
    return _flown(lambda e, s, r: worlds.country(e, s, True, r), rng, count, 0.3, _thinned(rng, 0.2))


def _forest(rng: Rng, count: int) -> Plan:
    """A forest from the air, or from tripods between its trunks."""
    if rng.random() < 0.25:
        return _wood(rng, count)
    again, each = rng.uniform(0.2, 1.0), int(rng.integers(1, 4))
    return _flown(worlds.forest, rng, int(count / (1 + 0.6 * again)), again, _thinned(rng), each)


def _heath(rng: Rng, count: int) -> Plan:
    """Low growth over smooth ground, from the air."""
    again, each = rng.uniform(0.2, 1.0), int(rng.integers(1, 4))
    return _flown(worlds.heath, rng, int(count / (1 + 0.6 * again)), again, _thinned(rng), each)


def _wood(rng: Rng, count: int) -> Plan:
    """A forest from one tripod or two."""
    step = log_uniform(0.15, 0.6, rng)
    extent = log_uniform(8, 25, rng)
    world = worlds.forest(extent, 0.01 * extent, rng)
    look = world.bodies[int(rng.integers(1, len(world.bodies)))].center

    def place() -> Floats:
        stand = look[:2] + extent * rng.uniform(0.1, 0.4) * sideways(rng)[:2]
        return np.append(stand, height(world.bodies[0], stand) + 1.7)

    stations = _stations(place, look - rng.uniform(0, 0.8) * (look[2] - 1) * UP, step, count, 1.0, rng)
    return Plan(world, stations, sideways(rng), again=float(rng.uniform(0, 1)))


def _rough(rng: Rng, count: int) -> Plan:
    """Grass, crops, gravel, rubble or water from the air or a drone."""
    return _flown(worlds.rough, rng, count, 0.0, _thinned(rng, 0.5))


def _thicket(rng: Rng, count: int) -> Plan:
    """Leaves alone, from a tripod."""
    extent = log_uniform(1, 10, rng)
    world = worlds.thicket(extent, rng)

    def place() -> Floats:
        return extent * rng.uniform(1.2, 3) * sideways(rng) + rng.uniform(-0.3, 0.6) * extent * UP

    step = float(np.degrees(1.0 / 2.0 / np.sqrt(count)))
    return Plan(
        world, _stations(place, np.zeros(3), step, 2 * count, 1.0, rng), sideways(rng), again=float(rng.uniform(0, 1))
    )


def _stripe(rng: Rng, count: int) -> Plan:
    """A small object under a laser stripe; two views at times."""
    world, toward = worlds.thing(rng), rng.normal(size=3)
    number, ratio = (1 if rng.random() < 0.6 else 2), log_uniform(0.7, 3, rng)
    step = 2.4 * float(np.sqrt(number / (2.2 * count * ratio)))
    views = [patterns.stripe(toward + rng.normal(0, 0.3, 3), 2.4, step, ratio, rng) for _ in range(number)]
    return Plan(world, views, sideways(rng))


#: Kinds of scenes and how often they come.
KINDS: dict[str, tuple[float, Callable[[Rng, int], Plan]]] = {
    "street": (0.17, _spin),
    "yard": (0.11, _yard),
    "room": (0.06, _room_tripod),
    "sweep": (0.07, _room_sweep),
    "depth": (0.11, _room_depth),
    "terrain": (0.09, _terrain),
    "town": (0.12, _town),
    "forest": (0.12, _forest),
    "rough": (0.07, _rough),
    "leaves": (0.03, _thicket),
    "stripe": (0.05, _stripe),
    "heath": (0.0, _heath),  # where a recipe asks for it
}
