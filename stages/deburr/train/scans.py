"""Scenes as scanners make them: worlds, the beams sent through them, and the errors of what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.train.casting import LEAF, Hits, World, cast, joined, surface_near
from deburr.train.patterns import Rays
from deburr.train.plans import KINDS, Plan, Rng, log_uniform, sideways
from deburr.train.ranging import TAILS, Ranging, mixed_pixels, on_lattice, sensed
from deburr.train.scene import CleanScene, NoisyScene, Surface

#: Fewest points of a scene.
LEAST = 500
#: Samples of the surface around each point, and how far they go, in its spacings.
_SAMPLES, _AROUND = 12, 2.0
#: What is thinner than this, in spacings, is a wire or a pole, not a surface.
_THIN = 0.6
#: Most noise, in spacings, of all but one point in a hundred.
_LOUDEST = 3.0
#: Where the nearest neighbour of most points is nearer than this, in spacings, the points are on lines far apart.
_LINES = 0.4
#: By how much the noise of two layers may differ.
_UNEQUAL = 15.0


def scan_kind(seed: int) -> str:
    """The kind of the scene that `scan_scene` makes."""
    return _kind(np.random.default_rng([seed, 5]))


def _kind(rng: Rng) -> str:
    return str(rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()]))


@dataclass(frozen=True)
class _Layer:
    """What one layer of a plan has met. ``dark``, ``mixed`` (N,)."""

    rays: Rays
    hits: Hits
    dark: Bools
    mixed: Bools

    def take(self, rows: Ints | Bools) -> _Layer:
        return _Layer(self.rays, self.hits.take(rows), self.dark[rows], self.mixed[rows])


def scan_scene(seed: int, most: int = 8000, kind: str | None = None, dark: float | None = None) -> NoisyScene:
    """A scan of `LEAST` to ``most`` points, in metres, around the origin; its truth, and the level of its noise.

    kind : one of `KINDS`; default: as they come.
    dark : how much noisier dark places are, of which there are broad ones then; default: as they come.
    """
    rng = np.random.default_rng([seed, 5])
    drawn = _kind(rng)
    kind = kind or drawn
    while True:
        count = int(log_uniform(min(2000, most), most, rng))
        plan = KINDS[kind][1](rng, count)
        layers = _cropped([_met(plan, rays, rng) for rays in plan.layers], count, rng)
        if min(len(layer.hits) for layer in layers) and sum(len(layer.hits) for layer in layers) >= LEAST:
            scene = _erring(plan, layers, dark, rng)
            if len(scene.points) >= LEAST:
                return scene


def _met(plan: Plan, rays: Rays, rng: Rng) -> _Layer:
    hits = cast(plan.world, rays, rng)
    if plan.lost:
        hits = hits.take(rng.random(len(hits)) >= plan.lost)
    edge = float(np.median(hits.distance)) * 0.01 if len(hits) else 0.0
    mixed = np.zeros(len(hits), dtype=np.bool_)
    if rng.random() < 0.5:
        hits, mixed = mixed_pixels(hits, rays, edge, rng.uniform(0.05, 0.5), rng)
    if plan.again:
        through = hits.ray[(hits.body == LEAF) & (rng.random(len(hits)) < plan.again)]
        part = Rays(rays.origins[through], rays.along[through], rays.line[through])
        more = cast(plan.world, part, rng)
        more = Hits(through[more.ray], more.distance, more.body, more.places, more.cosine)
        first = np.full(len(rays.along), np.inf)
        first[hits.ray] = hits.distance
        more = more.take(more.distance > first[more.ray] + edge)
        hits, mixed = joined([hits, more]), np.append(mixed, np.zeros(len(more), dtype=np.bool_))
    dark = np.array([body.dark for body in plan.world.bodies] + [False])[hits.body]
    return _Layer(rays, hits, dark, mixed)


def _cropped(layers: list[_Layer], most: int, rng: Rng) -> list[_Layer]:
    """The ``most`` hits of all layers around a random one; some scenes have one layer on either side of a plane."""
    places = np.concatenate([layer.hits.places for layer in layers])
    if len(places) < LEAST:
        return layers
    away = np.linalg.norm(places - places[int(rng.integers(len(places)))], axis=1)
    inside = away <= np.partition(away, min(most, len(away)) - 1)[min(most, len(away)) - 1]
    if len(layers) == 2 and rng.random() < 0.15:
        side = (places - np.median(places[inside], axis=0)) @ sideways(rng) > 0
        first = np.arange(len(places)) < len(layers[0].hits)
        inside &= side == first
    ends = np.cumsum([0] + [len(layer.hits) for layer in layers])
    return [layer.take(inside[a:b]) for layer, a, b in zip(layers, ends[:-1], ends[1:], strict=True)]


def _erring(plan: Plan, layers: list[_Layer], dark: float | None, rng: Rng) -> NoisyScene:
    """Noise, displaced layers, rounding."""
    places = np.concatenate([layer.hits.places for layer in layers])
    away, _ = Neighbors(places).nearest(places, SPACING_K + 1)
    own = point_spacing(away[:, -1], SPACING_K)
    spacing = float(np.median(own))
    layers = _painted(layers, spacing, rng) if dark is None else _striped(layers, spacing * rng.uniform(25, 150), rng)
    ranging = _ranging(plan, layers, spacing, float(np.median(away[:, 1])), dark, rng)
    points, levels = [], []
    for layer in layers:
        noisy, level = sensed(layer.hits, layer.rays, plan.forward, layer.dark, ranging, rng)
        points.append(noisy)
        levels.append(level)
        ranging = _other(ranging, layers, spacing, rng)
    shift = _displacement(levels, spacing, rng) * plan.shift
    shifts = [number * shift for number in range(len(layers))]
    truth = _truth(plan.world, layers, own, shifts, rng)
    noisy = np.concatenate([p + by for p, by in zip(points, shifts, strict=True)])
    return _finished(truth, noisy, np.concatenate(levels), spacing, rng)


def _painted(layers: list[_Layer], spacing: float, rng: Rng) -> list[_Layer]:
    """Some scenes have dark stripes on their surfaces."""
    if rng.random() < 0.75:
        return layers
    return _striped(layers, spacing * rng.uniform(15, 60), rng)


def _striped(layers: list[_Layer], length: float, rng: Rng) -> list[_Layer]:
    """A third of all places is dark: those in stripes that come again after about ``length``."""
    wave = 2 * np.pi / length * rng.normal(size=3)
    dark = [layer.dark | (np.sin(layer.hits.places @ wave) > 0.5) for layer in layers]
    return [replace(layer, dark=d) for layer, d in zip(layers, dark, strict=True)]


def _ranging(plan: Plan, layers: list[_Layer], spacing: float, step: float, dark: float | None, rng: Rng) -> Ranging:
    """How the first layer's scanner errs. ``step``: the usual distance to the nearest neighbour; ``dark`` as in
    `scan_scene`."""
    hits = joined([layer.hits for layer in layers])
    far = float(np.median(hits.distance))
    level, range_step, disparity_step = _drawn_level(spacing, step, rng), 0.0, 0.0
    if plan.forward is not None and rng.random() < 0.7:
        farthest = float(np.quantile(hits.distance, 0.99))
        jump = min(log_uniform(0.2, 4, rng), _LOUDEST * np.sqrt(12) * (far / farthest) ** 2) * spacing
        disparity_step = jump / far**2
        level = level if rng.random() < 0.2 else jump * rng.uniform(0, 0.6)
    elif rng.random() < 0.15:
        range_step = spacing * log_uniform(0.05, 1.5, rng)
    along_beam = bool(rng.random() < 0.8) or disparity_step + range_step > 0
    ranging = Ranging(
        level,
        growth=float(rng.choice([0.0, rng.uniform(0, 1)])),
        grazing=float(rng.choice([1.0, rng.uniform(1, 4)])),
        dark=float(rng.choice([1.0, log_uniform(2, 6, rng)])),
        along_beam=along_beam,
        tail=TAILS[int(rng.choice(len(TAILS), p=[0.64, 0.12, 0.12, 0.12]))],
        range_step=range_step,
        disparity_step=disparity_step,
    )
    return _bounded(ranging if dark is None else replace(ranging, dark=dark), layers, spacing)


def _drawn_level(spacing: float, step: float, rng: Rng) -> float:
    """From 0.005 to 1.5 spacings, rarely 3; or from 0.3 to 2 of the steps along a scan line; or none."""
    chance = rng.random()
    if chance < 0.06:
        return 0.0
    if chance < 0.1:
        return spacing * log_uniform(1.5, 3, rng)
    if chance < 0.4 and step < _LINES * spacing:
        return step * log_uniform(0.3, 2, rng)
    return spacing * log_uniform(0.005, 1.5, rng)


def _bounded(ranging: Ranging, layers: list[_Layer], spacing: float) -> Ranging:
    """The same with less noise, if it is so much that nothing is left of the scene."""
    levels = np.concatenate([ranging.levels(layer.hits, layer.dark) for layer in layers])
    loudest = float(np.quantile(levels, 0.99))
    return replace(ranging, level=ranging.level * min(1.0, _LOUDEST * spacing / max(loudest, 1e-300)))


def _other(ranging: Ranging, layers: list[_Layer], spacing: float, rng: Rng) -> Ranging:
    """How the next layer's scanner errs: in the same way, at times more or less."""
    if rng.random() < 0.6:
        return ranging
    factor = log_uniform(1 / _UNEQUAL, _UNEQUAL, rng)
    return _bounded(replace(ranging, level=ranging.level * factor), layers, spacing)


def _displacement(levels: Sequence[Floats], spacing: float, rng: Rng) -> float:
    """How far a second layer is from its place: not at all, less than its noise, or so far that it shows."""
    if len(levels) == 1 or rng.random() < 0.5:
        return 0.0
    loud = max(float(np.quantile(level, 0.8)) for level in levels)
    if rng.random() < 0.4:
        return loud * rng.uniform(0.2, 0.9)
    return loud * 3 + min(loud * rng.uniform(0, 5), 3 * spacing) + spacing * log_uniform(0.1, 2, rng)


def _truth(world: World, layers: list[_Layer], own: Floats, shifts: Sequence[Floats], rng: Rng) -> CleanScene:
    """The clean scene: each layer with the surface that it saw, both displaced. ``own`` (N,): the spacing of each."""
    girth = np.array([body.girth for body in world.bodies] + [0.0])
    points, solitary, surfaces, start = [], [], [], 0
    for layer, shift in zip(layers, shifts, strict=True):
        hits, spacing = layer.hits, own[start : start + len(layer.hits)]
        start += len(hits)
        alone = layer.mixed | (girth[hits.body] < _THIN * spacing)
        surface = surface_near(world, hits.take(~alone), _AROUND * spacing[~alone], _SAMPLES, rng)
        points.append(hits.places + shift)
        solitary.append(alone)
        surfaces.append(Surface(surface.points + shift, surface.normals))
    surface = Surface(np.concatenate([s.points for s in surfaces]), np.concatenate([s.normals for s in surfaces]))
    return CleanScene(np.concatenate(points), np.concatenate(solitary), surface)


def _finished(truth: CleanScene, points: Floats, levels: Floats, spacing: float, rng: Rng) -> NoisyScene:
    """Coordinates rounded in some scenes, no point twice, the middle at the origin."""
    if rng.random() < 0.25:
        step = spacing * (log_uniform(0.002, 0.33, rng) if rng.random() < 0.85 else rng.uniform(0.33, 0.5))
        points, levels = on_lattice(points, step), np.hypot(levels, step / np.sqrt(12))
    keep = np.sort(np.unique(points, axis=0, return_index=True)[1])
    points, middle = points[keep], points[keep].mean(axis=0)
    surface = Surface(truth.surface.points - middle, truth.surface.normals)
    clean = CleanScene(truth.points[keep] - middle, truth.solitary[keep], surface)
    return NoisyScene(clean, points - middle, levels[keep])
