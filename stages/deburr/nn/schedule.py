"""How the way from a noisy place to the surface is divided into steps. Imports no torch.

The denoiser's ascent, and the reverse of a diffusion that is entered at the time whose noise is the cloud's. A forward
process q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I) (Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic
Models", eq. 4), seen at x_t / sqrt(abar_t), is x_0 with noise of the standard deviation sigma_t = sqrt(1 / abar_t - 1),
and there its reverse steps need nothing but the way e = sigma^2 s that the score s points out:

    x' = x + (1 - r^2) e + sigma' sqrt(1 - r^2) z    "ancestral": eq. 7 there, with r = sigma' / sigma and z ~ N(0, I)
    x' = x + (1 - r) e                               "ddim": Song, Meng & Ermon 2021, eq. 12 with no chance

"langevin" draws x_t itself, for one t, given the scanned place y. As x_0 becomes x_t with the noise tau, and x_t y
with what is missing to sigma, p(x_t | y) is in proportion to q(x_t) N(y; x_t, sigma^2 - tau^2), whose score is

    s(x) + (y - x) / (sigma^2 - tau^2)

with the network's score s at the level tau, and nothing approximated. The chain

    x(k+1) = x(k) + eps^2 / 2 (score of p(x_t | y) at x(k)) + eps z(k)

begins where one ancestral step from sigma to tau leads. All points move together, and the network looks at them anew in
each step, so that what they say of the surface is drawn too. Tweedie's step at tau is the end: given x_t, the scanned
place says no more of the clean one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.horizon import Known
from deburr.nn import level

Sampler = Literal["ascent", "ddim", "ancestral", "langevin"]
#: Those with chance, of which there may be several draws.
CHANCE = frozenset({"ancestral", "langevin"})

#: Shares of the variance that a forward step puts noise in the place of (Ho et al. 2020, section 4).
BETA = np.linspace(1e-4, 0.02, 1000)
_LOG_ABAR = np.concatenate(([0.0], np.log1p(-BETA).cumsum()))
#: Steps of a diffusion's reverse, and of a Langevin chain with its first and last, if none are asked for.
REVERSE, CHAIN = 5, 8
#: A Langevin chain's noise, tau, as a share of the cloud's; and the share of the way to the middle that a point off a
#: plane goes in one of its steps. Less of either follows the density more nearly, in more steps.
TAU, PACE = 0.6, 0.5
#: Draws of a Langevin chain, if no number is asked for.
SAMPLES = 8
#: Noise in spacings below which a diffusion's times are no longer told apart.
_LEAST = 1e-3
#: No way that is pointed out is longer than this many standard deviations of the noise.
LIMIT = 4.0
#: No chance moves a point further than this many standard deviations: of a tile's surroundings, the way must be known.
FARTHEST = 5.0


@dataclass(frozen=True)
class Step:
    """One step: of the noise before the first step, the share ``told`` to the network; the share ``gone`` of the way
    that it points out; the standard deviation of the chance that is added then, as a share of that noise; and the share
    of the way back to where the point was scanned that it is ``pulled``."""

    told: float
    gone: float = 1.0
    shaken: float = 0.0
    pulled: float = 0.0

    def taken(self, places: Floats, way: Floats, start: Floats, chance: Callable[[], Floats]) -> Floats:
        """Where ``places`` (N, 3) come to by the ``way`` (N, 3) that is pointed out, scanned at ``start`` (N, 3);
        ``chance`` draws (N, 3) numbers whose standard deviation is that of the noise before the first step."""
        places = places + self.gone * way + self.pulled * (start - places)
        return places + self.shaken * chance() if self.shaken else places

    def farthest(self, before: float) -> float:
        """How far from where it was scanned a point may be behind this step, which was up to ``before`` away, in
        standard deviations of the noise before the first one, if the way is no longer than `LIMIT` of those that are
        told."""
        return (1 - self.pulled) * before + LIMIT * self.gone * self.told + FARTHEST * self.shaken


def abar(time: Floats) -> Floats:
    """What is left of the clean cloud's variance at each ``time`` (T,) float64, 0 to `len(BETA)`: (T,) float64."""
    return np.asarray(np.exp(np.interp(time, np.arange(len(_LOG_ABAR)), _LOG_ABAR)))


def sigma(time: Floats) -> Floats:
    """The standard deviation of the noise at each ``time`` (T,), seen at x_t / sqrt(abar_t): (T,) float64."""
    return np.asarray(np.sqrt(np.expm1(-np.log(abar(time)))))


def time_of(noise: float) -> float:
    """The inverse of `sigma`: when the noise is ``noise``, in the units of the clean cloud."""
    return float(np.interp(np.log1p(noise**2), -_LOG_ABAR, np.arange(len(_LOG_ABAR))))


def steps_of(known: Known, sampler: Sampler, count: int | None) -> tuple[Step, ...]:
    """The steps that ``sampler`` takes where the noise is what is ``known`` of the cloud (`deburr.nn.level`);
    ``count``: how many, if that is asked for."""
    if known.get("few"):
        return ()
    if sampler == "ascent":
        return tuple(Step(level.STEP_LEVEL**step) for step in range(count or level.steps(known)))
    if sampler == "langevin":
        return _chain(count or CHAIN)
    count = count or REVERSE
    times = time_of(max(known["noise"] / known["spacing"], _LEAST)) * np.linspace(1, 0, count + 1)
    levels = sigma(times) / sigma(times[:1])
    return tuple(_reverse(sampler, before, after) for before, after in pairwise(levels))


def _reverse(sampler: Sampler, before: float, after: float) -> Step:
    ratio = after / before
    if sampler == "ddim":
        return Step(before, 1 - ratio)
    return Step(before, 1 - ratio**2, after * float(np.sqrt(1 - ratio**2)))


def _chain(count: int) -> tuple[Step, ...]:
    if count == 1:
        return (Step(1.0),)
    missing = 1 - TAU**2
    # On a plane, where both parts of the score pull across it.
    square = 2 * PACE / (1 / TAU**2 + 1 / missing)
    step = Step(TAU, square / (2 * TAU**2), float(np.sqrt(square)), square / (2 * missing))
    return (_reverse("ancestral", 1.0, TAU), *[step] * (count - 2), Step(TAU))
