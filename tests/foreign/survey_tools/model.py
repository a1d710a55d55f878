"""A denoising model of another package: each point goes to the mean height around it. It has no weights."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import spacing_of_each
from deburr.core.sums import Sums
from deburr.nn import level
from deburr.nn.contract import Denoised, Settings
from deburr.nn.models import Kind

#: Spacings within which heights are averaged, and more of which no point is moved than standard deviations of noise.
RADIUS, MOST = 2.0, 3.0


class Flat:
    """The model. What it must know of the whole cloud, the spacing and the noise, is counted as `deburr.nn.level` has
    it; so it can be run in tiles."""

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        """Count the spacings, and how far each point lies from the mean of all within its own radius."""
        assert settings.seen is not None
        spacings, looked = spacing_of_each(xyz)
        guesses = np.abs(_means(xyz, RADIUS * spacings) - xyz[:, 2]) + 1e-9
        sure = _sure(xyz, np.maximum(looked, RADIUS * spacings), settings)
        counted = settings.seen.counted & sure
        sampled = settings.seen.sampled is not None and bool(settings.seen.known.get("sampled", True))
        if sampled and settings.seen.sampled is not None:
            counted &= settings.seen.sampled
        told = (guesses[counted], np.ones(int(counted.sum()))) if settings.noise is None else None
        return level.count(spacings[counted], told, int(counted.sum()), sampled), sure

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        """Move each point, by no more than a few standard deviations of the noise."""
        known = {} if settings.seen is None else settings.seen.known
        while level.asks(known):
            known = level.learn(known, self.survey(xyz, settings)[0], settings.noise, settings.most_noise)
        radius, most = RADIUS * known["spacing"], settings.max_displacement or MOST * known["noise"]
        radii = np.full(len(xyz), radius)
        moved = xyz.copy()
        moved[:, 2] += settings.strength * np.clip(_means(xyz, radii) - xyz[:, 2], -most, most)
        figures = {"noise": known["noise"], "spacing": known["spacing"], "max_displacement": most}
        return Denoised(moved, figures, settled=_sure(xyz, radii, settings))


def _means(xyz: Floats, radii: Floats) -> Floats:
    """(N,) the mean heights within ``radii`` (N,), weighted so that who is at the rim counts nothing: whether rounding
    puts a point here or there of it makes no difference."""
    found = np.empty(len(xyz))
    for i, rows in enumerate(cKDTree(xyz).query_ball_point(xyz, radii)):
        apart = np.linalg.norm(xyz[rows] - xyz[i], axis=1)
        weights = np.maximum(1 - apart / max(radii[i], 1e-300), 0) ** 2
        weights[apart == 0] = 1
        found[i] = xyz[i, 2] + weights @ (xyz[rows, 2] - xyz[i, 2]) / weights.sum()
    return found


def _sure(xyz: Floats, radii: Floats, settings: Settings) -> Bools:
    """(N,) in a tile: whether all points within ``radii`` (N,) are at hand, and as they are in the whole cloud."""
    seen = settings.seen
    if seen is None or seen.horizon is None:
        return np.ones(len(xyz), np.bool_)
    settled = seen.horizon.settled
    return settled & seen.horizon.sure(xyz, radii, seen.places[~settled])


FLAT = Kind(
    name="flat",
    description="the mean height around each point, of survey_tools",
    load=lambda weights: Flat(),
    options=frozenset({"noise", "strength", "max_displacement"}),
    tiled=True,
)
