"""Beams sent through a small world of bodies and foliage: what they meet first, and the surface around that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.train.patterns import Rays
from deburr.train.primitives import Body, Ellipsoid, dot, first_of
from deburr.train.scene import Surface

#: What a hit on foliage has in place of the number of a body.
LEAF = -1


@dataclass(frozen=True)
class Foliage:
    """Leaves in an ellipsoid: a beam goes ``depth`` metres deep into it on average before one stops it.

    ``leaf``: how many neighbouring beams a leaf stops.
    """

    hull: Ellipsoid
    depth: float
    leaf: int = 1

    def meet(self, origins: Floats, along: Floats, rng: np.random.Generator) -> Floats:
        """(R,): where rays are stopped, or infinity."""
        near, far = self.hull.chord(origins, along)
        depth = np.repeat(rng.exponential(self.depth, len(near) // self.leaf + 1), self.leaf)[: len(near)]
        t = np.maximum(near, 0) + depth
        with np.errstate(invalid="ignore"):
            return np.where((t < far) & (far > 0), first_of(t, t), np.inf)


@dataclass
class World:
    """Bodies and foliage, put together part by part. z is up."""

    bodies: list[Body] = field(default_factory=list)
    leaves: list[Foliage] = field(default_factory=list)

    def add(self, *bodies: Body) -> None:
        self.bodies.extend(bodies)


@dataclass(frozen=True)
class Hits:
    """What beams have met: for each hit the row ``ray`` of its beam, its ``distance``, the number of its ``body`` or
    `LEAF`, its place, and the ``cosine`` between the beam and the surface's normal (1 on leaves)."""

    ray: Ints
    distance: Floats
    body: Ints
    places: Floats
    cosine: Floats

    def __len__(self) -> int:
        return len(self.ray)

    def take(self, rows: Ints | Bools) -> Hits:
        """Some of them."""
        return Hits(self.ray[rows], self.distance[rows], self.body[rows], self.places[rows], self.cosine[rows])


def joined(parts: Sequence[Hits]) -> Hits:
    """All of them."""
    return Hits(
        np.concatenate([p.ray for p in parts]),
        np.concatenate([p.distance for p in parts]),
        np.concatenate([p.body for p in parts]),
        np.concatenate([p.places for p in parts]),
        np.concatenate([p.cosine for p in parts]),
    )


class _Passing:
    """Tells which rays come near enough to a body to meet it."""

    def __init__(self, rays: Rays) -> None:
        self._rays = rays
        self._start = dot(rays.origins, rays.along)
        self._square = dot(rays.origins, rays.origins)

    def __call__(self, body: Body) -> Ints:
        if not np.isfinite(body.reach):
            return np.arange(len(self._start))
        ahead = self._rays.along @ body.center - self._start
        away = self._square - 2 * (self._rays.origins @ body.center) + body.center @ body.center
        return np.flatnonzero((away - ahead**2 < body.reach**2) & (ahead > -body.reach))


def cast(world: World, rays: Rays, rng: np.random.Generator) -> Hits:
    """What each ray meets first; rays that meet nothing give no hit."""
    passing, best = _Passing(rays), np.full(len(rays.along), np.inf)
    who = np.full(len(best), LEAF)
    for number, body in enumerate(world.bodies):
        rows = passing(body)
        t = body.meet(rays.origins[rows], rays.along[rows])
        nearer = t < best[rows]
        best[rows[nearer]], who[rows[nearer]] = t[nearer], number
    for clump in world.leaves:
        rows = passing(clump.hull)
        t = clump.meet(rays.origins[rows], rays.along[rows], rng)
        nearer = t < best[rows]
        best[rows[nearer]], who[rows[nearer]] = t[nearer], LEAF
    ray = np.flatnonzero(np.isfinite(best))
    places = rays.origins[ray] + best[ray, None] * rays.along[ray]
    hits = Hits(ray, best[ray], who[ray], places, np.ones(len(ray)))
    for number in np.unique(hits.body[hits.body != LEAF]):
        rows = np.flatnonzero(hits.body == number)
        normal = world.bodies[number].project(places[rows])[1]
        hits.cosine[rows] = np.abs(dot(normal, rays.along[ray[rows]]))
    return hits


def surface_near(world: World, hits: Hits, radius: Floats, samples: int, rng: np.random.Generator) -> Surface:
    """Each hit (leaves excepted) and about ``samples`` places on the surface around it, within ``radius`` (N,) or so.

    Random places in a cube, led to the body that was hit; those that lie inside another body are no surface.
    """
    points, normals = [np.empty((0, 3))], [np.empty((0, 3))]
    hit = [int(number) for number in np.unique(hits.body) if number != LEAF]
    for number in hit:
        rows = np.repeat(np.flatnonzero(hits.body == number), samples + 1)
        away = rng.uniform(-1, 1, (len(rows), 3))
        away[:: samples + 1] = 0
        on, normal = world.bodies[number].project(hits.places[rows] + radius[rows, None] * away)
        hidden = np.zeros(len(on), dtype=np.bool_)
        low, high = on.min(0), on.max(0)
        for other in hit:
            body = world.bodies[other]
            if other != number and (body.center + body.reach > low).all() and (body.center - body.reach < high).all():
                hidden |= _buried(body, on)
        hidden[:: samples + 1] = False
        points.append(on[~hidden])
        normals.append(normal[~hidden])
    return Surface(np.concatenate(points), np.concatenate(normals))


def _buried(body: Body, places: Floats) -> Bools:
    """Which of some places are inside a body; those out of its reach are not asked."""
    out = np.zeros(len(places), dtype=np.bool_)
    near = np.arange(len(places))
    if np.isfinite(body.reach):
        away = places - body.center
        near = np.flatnonzero(dot(away, away) < body.reach**2)
    out[near] = body.holds(places[near])
    return out
