"""Where the rays of three kinds of scanner go: (origins (R, 3), directions (R, 3)), metres, z up."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats

Rays = tuple[Floats, Floats]


def airborne(
    extent: float,
    height: float,
    spacing: float,
    heading: float,
    aside: float,
    rng: np.random.Generator,
    zigzag: float = 0,
) -> Rays:
    """One strip over a square of ``extent`` around the origin: lines across the heading, flown ``aside`` of its middle.

    ``zigzag`` lets the line wander ahead, in line distances, while the mirror swings.
    """
    lines, pulses = int(1.5 * extent / (1.15 * spacing)), int(1.5 * extent / (0.87 * spacing))
    ahead, across = np.meshgrid(np.arange(lines), np.arange(pulses), indexing="ij")
    swing = np.abs(across / pulses - 0.5) * zigzag
    along = (ahead + swing + rng.uniform(-0.1, 0.1, (lines, 1)) - lines / 2) * 1.15 * spacing
    side = (across + rng.uniform(0, 1, (lines, 1)) - pulses / 2) * 0.87 * spacing
    along, side = along + rng.normal(0, 0.06 * spacing, along.shape), side + rng.normal(0, 0.06 * spacing, side.shape)
    c, s = np.cos(heading), np.sin(heading)
    turn = np.array([(c, s, 0), (-s, c, 0), (0, 0, 1)])
    target = np.stack((along.ravel(), side.ravel(), np.zeros(along.size)), 1)
    origin = np.stack((along.ravel(), np.full(along.size, aside), np.full(along.size, height)), 1)
    inside = (np.abs(target @ turn)[:, :2] < extent / 2).all(1)
    return origin[inside] @ turn, (target - origin)[inside] @ turn


def terrestrial(place: Floats, step: float, low: float, high: float, rng: np.random.Generator) -> Rays:
    """A turn on a tripod at ``place``: steps of ``step`` degrees, elevations from ``low`` to ``high`` degrees."""
    azimuth, elevation = np.meshgrid(
        np.radians(np.arange(0, 360, step) + rng.uniform(0, step)), np.radians(np.arange(low, high, step))
    )
    azimuth = azimuth + rng.normal(0, np.radians(step) * 0.03, azimuth.shape)
    flat = np.cos(elevation)
    along = np.stack((flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)), -1).reshape(-1, 3)
    return np.broadcast_to(place, along.shape).copy(), along


def mobile(
    start: Floats, end: Floats, turns: int, rings: int, per_turn: int, tilt: float, rng: np.random.Generator
) -> Rays:
    """A spinning scanner of ``rings`` lasers, -25 to 15 degrees, driven from ``start`` to ``end`` in ``turns`` turns.

    Its axis leans back by ``tilt`` degrees. The vehicle sways by a centimetre; its pose is known."""
    time = np.arange(turns * per_turn) / per_turn
    share = (time / turns)[:, None]
    sway = 0.01 * np.sin(time * rng.uniform(0.5, 1.0) + rng.uniform(0, 6))
    place = start + (end - start) * share + np.stack((0 * sway, sway, sway / 2), 1)
    azimuth, elevation = 2 * np.pi * time[:, None], np.radians(np.linspace(-25, 15, rings))[None]
    flat = np.cos(elevation)
    parts = np.broadcast_arrays(flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation))
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    along = np.stack(parts, -1) @ np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)])
    return np.repeat(place, rings, axis=0), along.reshape(-1, 3)


def together(*rays: Rays) -> Rays:
    """Several scans as one."""
    return np.concatenate([origin for origin, _ in rays]), np.concatenate([along for _, along in rays])
