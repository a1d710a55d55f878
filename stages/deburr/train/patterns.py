"""Where the beams of scanners go: rings that spin, grids of tripods, airborne lines, depth cameras, laser stripes.

Angles are in degrees where an argument says so; lengths in metres; z is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Floats, Ints


@dataclass(frozen=True)
class Rays:
    """``origins`` and unit ``along`` (R, 3); ``line`` (R,): the scan line of each. Rays of a line follow each other."""

    origins: Floats
    along: Floats
    line: Ints


def together(parts: Sequence[Rays]) -> Rays:
    """Rays of several turns, strips or stations; no two share a line."""
    first = np.cumsum([0, *(int(p.line.max()) + 1 for p in parts[:-1])])
    lines = [p.line + start for p, start in zip(parts, first, strict=True)]
    return Rays(
        np.concatenate([p.origins for p in parts]),
        np.concatenate([p.along for p in parts]),
        np.concatenate(lines),
    )


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _polar(azimuth: Floats, elevation: Floats) -> Floats:
    """(..., 3) unit vectors, angles in radians."""
    azimuth, elevation = np.broadcast_arrays(azimuth, elevation)
    flat = np.cos(elevation)
    return np.stack((flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)), -1)


def _lines(origins: Floats, along: Floats) -> Rays:
    """Rays from arrays (L, P, 3): a row is a scan line."""
    line = np.repeat(np.arange(along.shape[0]), along.shape[1])
    origins = np.broadcast_to(origins, along.shape)
    return Rays(origins.reshape(-1, 3).copy(), along.reshape(-1, 3), line)


def ring_angles(rings: int, low: float, high: float, rng: np.random.Generator) -> Floats:
    """(rings,): elevations in degrees from ``low`` to ``high``; like real ones, a little uneven."""
    step = (high - low) / (rings - 1)
    return np.linspace(low, high, rings) + rng.uniform(-0.05, 0.05, rings) * step


def spinning(
    place: Floats, elevations: Floats, heading: float, step: float, count: int, moving: Floats | None = None
) -> Rays:
    """The part of a turn of about ``count`` beams around ``heading``, every ``step`` degrees; one line a ring.

    ``elevations`` (rings,) and ``step`` in degrees, ``heading`` in radians. ``moving`` (3,): how far the scanner gets
    in a turn. A turn holds no more than 360 degrees.
    """
    beams = int(np.clip(count / len(elevations), 2, 360 / step))
    turned = np.radians(step) * (np.arange(beams) - beams / 2)
    along = _polar(heading + turned[None], np.radians(elevations)[:, None])
    origins = place + np.zeros((beams, 3))
    if moving is not None:
        origins = origins + turned[:, None] / (2 * np.pi) * moving
    return _lines(origins[None], along)


def through(rays: Rays, center: Floats, radius: float, most: int) -> Rays:
    """Those that pass a ball ahead of them, or the ``most`` that pass nearest to its middle."""
    to = center - rays.origins
    ahead = np.einsum("ij,ij->i", to, rays.along)
    aside = np.sqrt(np.maximum(np.einsum("ij,ij->i", to, to) - ahead**2, 0))
    aside[ahead < 0] = np.inf
    nearest = np.partition(aside, most)[most] if most < len(aside) else np.inf
    rows = np.flatnonzero(aside < min(radius, float(nearest)))
    return Rays(rays.origins[rows], rays.along[rows], rays.line[rows])


def tripod(
    place: Floats, heading: float, rise: float, step: float, count: int, rng: np.random.Generator, ratio: float = 1.0
) -> Rays:
    """A window of about ``count`` beams of a grid of azimuth and elevation around ``heading`` and ``rise`` (radians).

    Lines are upright, ``ratio`` times as far apart as the beams in them, which are ``step`` degrees apart. A ratio far
    from 1 is a two-dimensional scanner that is swept.
    """
    wide = np.sqrt(rng.uniform(0.7, 1.6) / ratio)
    columns, rows = max(int(np.sqrt(count) * wide), 4), max(int(np.sqrt(count) / wide), 4)
    azimuth = heading + np.radians(step) * ratio * (np.arange(columns) - columns / 2)
    elevation = rise + np.radians(step) * (np.arange(rows) - rows / 2)
    azimuth = azimuth + np.radians(step) * rng.normal(0, 0.05, columns)
    start = np.radians(step) * rng.uniform(0, 1, (columns, 1)) * (rng.random() < 0.5)
    return _lines(place, _polar(azimuth[:, None], np.clip(elevation + start, -1.5, 1.5)))


def depth_camera(place: Floats, toward: Floats, focal: float, count: int, rng: np.random.Generator) -> Rays:
    """A window of about ``count`` pixels of a picture taken at ``place``; ``focal`` length in pixels."""
    forward = _unit(toward)
    right = _unit(np.cross(forward, [0.0, 0.0, 1.0]))
    down = np.cross(forward, right)
    wide = np.sqrt(rng.uniform(0.7, 1.8))
    columns, rows = int(np.sqrt(count) * wide), int(np.sqrt(count) / wide)
    u = np.arange(columns) - columns / 2 + rng.uniform(-0.35, 0.35) * focal
    v = np.arange(rows) - rows / 2 + rng.uniform(-0.25, 0.25) * focal
    return _lines(place, _unit(forward * focal + u[None, :, None] * right + v[:, None, None] * down))


def stripe(toward: Floats, size: float, step: float, ratio: float, rng: np.random.Generator) -> Rays:
    """Parallel beams ``toward`` the origin over a square of ``size``: a laser stripe, moved ``ratio`` steps a line."""
    forward = _unit(toward)
    right = _unit(np.cross(forward, rng.normal(size=3)))
    down = np.cross(forward, right)
    across = np.arange(-size / 2, size / 2, step * ratio)[:, None, None]
    within = np.arange(-size / 2, size / 2, step)[None, :, None]
    origins = across * right + within * down - 3 * size * forward
    return _lines(origins, np.broadcast_to(forward, origins.shape))


def _airborne(target: Floats, origins: Floats, heading: float) -> Rays:
    """Rays to ``target`` (L, P, 2), along and aside, from ``origins`` (L, P, 3), turned to the heading."""
    c, s = np.cos(heading), np.sin(heading)
    turn = np.array([(c, s, 0), (-s, c, 0), (0, 0, 1)])
    ground = np.concatenate((target, np.zeros((*target.shape[:-1], 1))), -1)
    return _lines(origins @ turn, _unit(ground - origins) @ turn)


def push_broom(
    extent: float, step: float, ratio: float, height: float, aside: float, rng: np.random.Generator, zigzag: bool
) -> Rays:
    """One strip of lines across the flight over a square of ``extent``, ``ratio`` steps apart, flown ``aside``.

    A ``zigzag`` mirror swings there and back, a line each, while the aircraft flies on; else lines are parallel.
    """
    lines, pulses = max(int(extent / (step * ratio)), 3), max(int(extent / step), 3)
    side = (np.arange(pulses) - pulses / 2) * step + rng.uniform(0, step, (lines, 1))
    share = (np.arange(pulses) / pulses)[None] * np.ones((lines, 1))
    back = np.arange(lines)[:, None] % 2 == 1
    share = np.where(back, 1 - share, share) if zigzag else 0 * share
    forth = (np.arange(lines)[:, None] + share - lines / 2) * step * ratio
    target = np.stack((forth, side), -1) + rng.normal(0, rng.uniform(0.01, 0.15) * step, (lines, pulses, 2))
    origins = np.stack((forth, np.full_like(forth, aside), np.full_like(forth, height)), -1)
    return _airborne(target, origins, float(rng.uniform(0, 2 * np.pi)))


def palmer(extent: float, step: float, ratio: float, height: float, rng: np.random.Generator) -> Rays:
    """A strip of ellipses on the ground, seen ahead and astern, so that two sets of arcs cross; pulses as above."""
    radius = height * np.tan(np.radians(rng.uniform(12, 22)))
    aside = rng.uniform(-0.6, 0.6) * radius
    parts = []
    for sign in (-1.0, 1.0):
        lines, pulses = max(int(extent / (step * ratio)), 3), max(int(extent / step), 3)
        side = aside + (np.arange(pulses) - pulses / 2) * step
        side = np.clip(side, -0.99 * radius, 0.99 * radius)
        bow = sign * np.sqrt(radius**2 - side**2)
        start = (np.arange(lines)[:, None] - lines / 2 + rng.uniform()) * step * ratio - bow[pulses // 2]
        target = np.stack(np.broadcast_arrays(start + bow, side - aside), -1)
        origins = np.stack(np.broadcast_arrays(start, -aside, height), -1)
        parts.append((target, origins))
    heading = float(rng.uniform(0, 2 * np.pi))
    return together([_airborne(target, np.asarray(origins, dtype=np.float64), heading) for target, origins in parts])
