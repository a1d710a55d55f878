"""How scanners err: along the beam, by range, incidence and reflectivity, in steps, between two surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.train.casting import Hits
from deburr.train.patterns import Rays

TAILS = ("normal", "laplace", "student", "mixture")
#: Degrees of freedom of Student's distribution; share and width of the wide part of the mixture.
_FREEDOM, _WIDE_SHARE, _WIDE = 5.0, 0.08, 3.5


@dataclass(frozen=True)
class Ranging:
    """The errors of one scanner; lengths in metres.

    level : standard deviation of the noise at the median range, head-on, of bright surfaces.
    growth : share of that which grows with the range, 0..1.
    grazing : most that a slanting incidence multiplies it by.
    dark : what dark surfaces multiply it by.
    along_beam : whether the noise lies along the beam, or is as strong in all directions.
    tail : its distribution, one of `TAILS`.
    range_step : ranges are multiples of it; 0 for none.
    disparity_step : depths are such that one over them is a multiple of it; 0 for none.
    """

    level: float
    growth: float = 0.0
    grazing: float = 1.0
    dark: float = 1.0
    along_beam: bool = True
    tail: str = "normal"
    range_step: float = 0.0
    disparity_step: float = 0.0

    def levels(self, hits: Hits, dark: Bools) -> Floats:
        """(N,): the standard deviation of the noise of each hit, steps aside."""
        far = hits.distance / max(float(np.median(hits.distance)), 1e-12)
        if self.disparity_step > 0:
            far = far**2
        by_range = 1 - self.growth + self.growth * far
        slant = 1 / np.maximum(hits.cosine, 1 / self.grazing)
        return np.asarray(self.level * by_range * slant * np.where(dark, self.dark, 1.0))


def unit_noise(tail: str, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Noise of variance 1."""
    if tail == "laplace":
        return rng.laplace(0, np.sqrt(0.5), shape)
    if tail == "student":
        return np.asarray(rng.standard_t(_FREEDOM, shape) * np.sqrt((_FREEDOM - 2) / _FREEDOM))
    noise = rng.normal(size=shape)
    if tail == "mixture":
        wide = rng.random(shape) < _WIDE_SHARE
        noise = np.where(wide, _WIDE, 1.0) * noise / np.sqrt(1 - _WIDE_SHARE + _WIDE_SHARE * _WIDE**2)
    return noise


def sensed(
    hits: Hits, rays: Rays, forward: Floats | None, dark: Bools, ranging: Ranging, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """The noisy places (N, 3) of hits, and the standard deviation (N,) of each, steps included.

    ``forward`` (3,): the direction in which a depth camera measures its depths.
    """
    levels = ranging.levels(hits, dark)
    along = rays.along[hits.ray]
    if not ranging.along_beam:
        return hits.places + levels[:, None] * unit_noise(ranging.tail, hits.places.shape, rng), levels
    ranges = hits.distance + levels * unit_noise(ranging.tail, (len(hits),), rng)
    if ranging.range_step > 0:
        ranges = np.round(ranges / ranging.range_step) * ranging.range_step
        levels = np.hypot(levels, ranging.range_step / np.sqrt(12))
    if ranging.disparity_step > 0:
        slant = along @ forward if forward is not None else np.ones(len(along))
        depth = np.maximum(ranges * slant, 0.05 * hits.distance)
        disparity = np.maximum(np.round(1 / (depth * ranging.disparity_step)), 1)
        ranges = 1 / (disparity * ranging.disparity_step) / slant
        step = ranging.disparity_step * (hits.distance * slant) ** 2 / slant
        levels = np.hypot(levels, step / np.sqrt(12))
    return rays.origins[hits.ray] + ranges[:, None] * along, levels


def mixed_pixels(hits: Hits, rays: Rays, gap: float, share: float, rng: np.random.Generator) -> tuple[Hits, Bools]:
    """Some beams that meet an edge return a place between its two sides: the hits, and which of them (N,).

    An edge is where the next beam of the line meets another body, farther away or nearer by more than ``gap``.
    """
    next_ = (np.diff(hits.ray) == 1) & (np.diff(rays.line[hits.ray]) == 0)
    near = np.flatnonzero(next_ & (np.diff(hits.body) != 0))
    jump = hits.distance[near + 1] - hits.distance[near]
    rows = near[(np.abs(jump) > gap) & (rng.random(len(near)) < share)]
    distance, places = hits.distance.copy(), hits.places.copy()
    distance[rows] += rng.uniform(0.05, 0.95, len(rows)) * (hits.distance[rows + 1] - hits.distance[rows])
    places[rows] = rays.origins[hits.ray[rows]] + distance[rows, None] * rays.along[hits.ray[rows]]
    mixed = np.zeros(len(hits), dtype=np.bool_)
    mixed[rows] = True
    return Hits(hits.ray, distance, hits.body, places, hits.cosine), mixed


def on_lattice(points: Floats, step: float) -> Floats:
    """Coordinates rounded to multiples of ``step``."""
    return np.asarray(np.round(points / step) * step)
