"""The noise level and the spacing of a cloud, as figures that its parts are counted into. Imports no torch.

`known` holds them as they are found: ``spacing``, ``noise`` and ``most``, the highest level anywhere (all in cloud
units); ``evidence``, how likely a judge's guess is right, on average; ``given`` where the noise was told; ``few`` where
the cloud has too few points for any.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, sqrt

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import Extent
from deburr.core.horizon import Known
from deburr.core.sample import ENOUGH, Sample
from deburr.core.sums import Exact, Histogram, Sum, Sums

#: Where the noise exceeds these many spacings, planes are fitted twice and four times as wide: it fills smaller scales.
WIDER = (0.85, 1.8)
#: A second and a third step are worth their time where the noise exceeds these many spacings.
MORE_STEPS = (0.25, 0.5)
#: Each step is told this share of the noise level before it; the weights are trained for it.
STEP_LEVEL = 0.4
#: Fewer different points than a neighbourhood span no surface.
LEAST = 32
#: Hops along the graph that planes take, layers and the ensemble of scores, the averages that a judge of the noise
#: sees, the thinned copies that it looks at, the judges that it listens to, and the field between them: a first guess
#: of what a tile must see, no more; what it saw is known to the networks alone.
_PLANE_HOPS, _LAYERS, _AVERAGING_HOPS, _COPY_HOPS, _POOL_HOPS, _FIELD_HOPS = 16, 5, 8, 14, 10, 4
#: Hops that an even spacing takes behind all these.
_EVEN_HOPS = 7
#: Guesses further than this factor from their median are no news of the cloud's noise.
APART = 3.0


def widening(noise: float) -> int:
    """How many times as wide planes are fitted where the noise is ``noise`` spacings."""
    return int(2 ** sum(noise > limit for limit in WIDER))


def steps(known: Known) -> int:
    """How many steps the noise asks for."""
    noise = float(known["noise"] / known["spacing"])
    return 1 + sum(noise > limit for limit in MORE_STEPS)


def asks(known: Known) -> bool:
    """Whether the spacing or the noise is still to be found."""
    return not known.get("few") and not {"spacing", "noise"} <= known.keys()


def seen(hops: int) -> int:
    """How many hops away a point still counts after as many hops of averaging.

    Averages spread as random walks do, with the root of their length: a hop leads to about a third of the way to the
    16th neighbour along each axis, so that beyond 2.5 sqrt(hops) hops, seven standard deviations, all points together
    weigh less than 1e-9.
    """
    return min(hops, ceil(2.5 * sqrt(hops)))


def hops(known: Known, told: Sequence[float], even: bool = False) -> int:
    """How far a point sees along the graph in all steps, each of which is ``told`` such a share of the noise; and
    behind them, where points are made ``even``."""
    if known.get("few"):
        return 0
    noise = known["noise"] / known["spacing"]
    widths = [widening(noise * share) for share in told]
    planes = [seen(_PLANE_HOPS * wider) for wider in widths]
    if not known.get("given"):
        planes[0] = max(planes[0], survey_hops() + _FIELD_HOPS)
    return sum(planes) + _LAYERS * len(planes) + even * _EVEN_HOPS


def survey_hops() -> int:
    """How far a point sees along the graph in the survey of the noise."""
    return max(seen(_PLANE_HOPS) + seen(_AVERAGING_HOPS), _COPY_HOPS) + _POOL_HOPS


def count(spacings: Floats, guesses: tuple[Floats, Floats] | None, points: int, sampled: bool) -> dict[str, Sum]:
    """What is to be counted of ``points`` different points.

    spacings : (M,) float64, cloud units.
    guesses : the noise (G,) float64, cloud units, as the points guess it, and the odds (G,) that these are
        right, which are their weights; None where the noise is given.
    sampled : whether these points are of a sample.
    """
    found: dict[str, Sum] = {
        "points": Exact(points, 0),
        "sampled": Exact(int(sampled), 0),
        "spacing": Histogram.of(spacings),
    }
    if guesses is not None:
        found["noise"] = Histogram.of(guesses[0], guesses[1], np.log(guesses[0]))
        found["evidence"] = Exact.of(guesses[1] / (1 + guesses[1]))
    return found


def learn(known: Known, sums: Sums, given: float | None, limit: float = inf) -> Known:
    """What the sums of `count` over a whole cloud, or over its sample, tell; ``given``: the noise, if it is; else it is
    no higher than ``limit`` anywhere."""
    if not sums:
        # No points were there to be counted: the sample missed them, or there are none.
        return {**known, "sampled": False} if known.get("sampled", True) else {**known, "few": True}
    points, sampled, spacing = sums["points"], sums["sampled"], sums["spacing"]
    assert isinstance(points, Exact)
    assert isinstance(sampled, Exact)
    assert isinstance(spacing, Histogram)
    if sampled.count and points.count < ENOUGH // 8:
        # A few points far away can make the grid of the sample so coarse that it misses the cloud.
        return {**known, "sampled": False}
    unit = spacing.quantile(0.5)
    if points.count < LEAST or unit is None:  # of many points in few places nothing is told
        return {**known, "few": True}
    if given is not None:
        return {**known, "spacing": unit, "noise": given, "most": given, "given": True}
    levels, evidence = sums["noise"], sums["evidence"]
    assert isinstance(levels, Histogram)
    assert isinstance(evidence, Exact)
    # Without a single judge, as on a lattice without noise, all neighbourhoods are alike.
    return {
        **known,
        "spacing": unit,
        "noise": min(pooled(levels), limit),
        "most": min(levels.max or 0.0, limit),
        "evidence": evidence.mean if evidence.count else 1.0,
    }


def sample(extent: Extent, known: Known) -> Sample | None:
    """The part of a cloud that is counted; None: all of it."""
    return Sample.of(extent) if known.get("sampled", True) else None


def pooled(levels: Histogram) -> float:
    """One noise level for the cloud: the weighted geometric mean of the judges' guesses; 0 of none.

    Guesses beyond a factor `APART` of their weighted median do not count: a point far from all others knows nothing.
    """
    if levels.max is None:
        return 0.0
    middle = levels.middle()
    return float(np.exp(levels.mean_between(middle / APART, middle * APART)))
