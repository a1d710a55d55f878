"""How surprising a point's place is: how far it and the few with it lie from all others, times what its energy tells.

Outliers far from all are seen by the distance, flocks of them too; those near a surface, or among other outliers, by
the energy. Neither alone says how likely a good point has as much: wires and leaves are sparse, and planes fit them
badly. That is asked of the cloud itself, or of a table of what good points have.
"""

from __future__ import annotations

from math import inf, log, pi, sqrt

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.sums import Histogram

#: Points that are linked with fewer others than this are said to float, however near these are.
FEWEST = 50
#: How far links go in any case, and at most, in spacings. Beyond 1.2, random points of a plane are all linked (discs
#: percolate where 4.51 points fall into one: Quintanilla, Torquato & Ziff 2000).
SHORTEST, LONGEST = 1.25, 30.0
#: The share of good points that surprise more than this: of simulated scans, by `benchmarks/chance.py`.
CHANCES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
SURPRISES = (0.42, 0.66, 1.14, 1.50, 1.95, 2.61, 3.13, 3.33, 3.90, 4.25)


#: Surprises are told apart to this, and a few that are far greater must not hide many.
_STEP, _GREATEST = 1 / 64, 3.0
#: Where good points and outliers part is looked for beyond the quantile above which there are this many times as many
#: points as a first guess takes for outliers, and at least and at most such a share of all.
_TIMES, _FEWEST, _MOST = 3.0, 0.05, 0.6
#: Outliers begin nowhere where more of the good points of simulated scans would be some; where more of this cloud's
#: would be, there is but one kind of points, and of them so many are outliers. Whoever surprises more than so few good
#: points do is one in any case.
_COMMON, _MINORITY, _ALONE, _RARE = 0.1, 0.25, 0.01, 0.005
#: Leaves and wires are many, and a second exponential function, that falls slowly, is nearly as likely for them as the
#: normal distribution: where outliers would be from so many to so many, and that is likelier by no more than this, nats
#: a point, they begin beyond what so few good points exceed.
_SOME, _MANY, _LIKELIER, _DOUBTFUL = 0.03, 0.125, 0.05, 0.02
#: Rounds of expectation and maximization; how narrowly and how widely outliers may be spread; the first guess of how
#: far they are beyond nearly all others, and of their share.
_ROUNDS, _NARROW, _WIDE, _BEYOND, _SHARE = 150, 0.25, 0.5, 0.5, 0.05
_TINY = 1e-300


def surprise(isolation: Floats, spacing: float, energy: Floats) -> Floats:
    """(N,): the logarithm of the length that links the point to `FEWEST` (N,) over the `SHORTEST`, and a quarter of
    that of 1 + energy (N,), nats. At least 0."""
    return np.asarray(np.log(isolation / (SHORTEST * spacing)) + np.log1p(energy) / 4)


def surprising(chance: float) -> float:
    """What a share of ``chance`` of the good points exceeds; between the table's values as its logarithm."""
    return float(np.interp(-log(chance), [-log(one) for one in CHANCES], SURPRISES))


def counted(surprises: Floats) -> Histogram:
    """How the surprises (N,) of a part of a cloud are distributed, for `parting`; NaN is left out."""
    known = surprises[~np.isnan(surprises)]
    return Histogram.of(np.round(np.minimum(known, _GREATEST) / _STEP) * _STEP)


def parting(surprises: Histogram) -> float:
    """From which surprise on a point of this cloud is an outlier rather than a good one; where there is but one kind of
    points, what one good point in a hundred exceeds.

    Beyond a quantile, good points become fewer as an exponential function does, and outliers are spread as a normal
    distribution is: both are fitted by expectation and maximization (Dempster, Laird & Rubin 1977), and part where both
    are as likely, the local false discovery rate (Efron 2004) being a half. Where the quantile is to lie is told by the
    two classes of least variance into which the upper half falls (Otsu 1979). Where a second, slower exponential
    distribution is about as likely as the normal one, leaves may be all that is there, and outliers begin further out.
    """
    values, counts = surprises.lows, surprises.weights
    alone = surprising(_ALONE)
    if len(values) < 2:
        return alone
    first = _two_classes(*_above(values, counts, 0.5))
    share = float(counts[values > first].sum() / counts.sum())
    start = 1 - min(max(_TIMES * share, _FEWEST), _MOST)
    beyond, counts = _above(values, counts, start)
    if len(beyond) < 2:
        return alone
    x = beyond - beyond[0] + _STEP / 2
    crossing, likely = _crossing(x, counts)
    apart = float(beyond[0]) + crossing
    found = _exceed(surprises, apart)
    if found > _MINORITY or apart == inf:
        return alone
    doubtful = _SOME < found < _MANY and likely - _slowing(x, counts) < _LIKELIER
    least = surprising(_DOUBTFUL if doubtful else _COMMON)
    if apart < least and not doubtful:
        # There, good points alone may be as many.
        return least if _exceed(surprises, least) > _COMMON else alone
    return min(max(apart, least), surprising(_RARE))


def _exceed(surprises: Histogram, limit: float) -> float:
    return float(surprises.weights[surprises.lows > limit].sum() / surprises.total)


def _above(values: Floats, counts: Floats, share: float) -> tuple[Floats, Floats]:
    """The ascending ``values`` from their quantile ``share`` on, and how many there are of each."""
    first = int(np.searchsorted(np.cumsum(counts), share * counts.sum()))
    return values[first:], counts[first:]


def _two_classes(values: Floats, counts: Floats) -> float:
    """The value up to which the first of two classes goes that have the least variance."""
    if len(values) < 2:
        return float(values[-1])
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * values)[:-1]
    above, rest = counts.sum() - below, (counts * values).sum() - sums
    return float(values[np.argmax(sums**2 / below + rest**2 / above)])


def _crossing(x: Floats, counts: Floats) -> tuple[float, float]:
    """Where a normal distribution rises above a falling exponential one, both fitted to ``counts`` of the values ``x``,
    which are above 0, infinite if it nowhere does; and the mean of the logarithm of their sum's density."""
    total, ends = counts.sum(), np.cumsum(counts)
    rate = log(2) / float(x[np.searchsorted(ends, total / 2)])
    middle, spread, share = float(x[np.searchsorted(ends, 0.99 * total)]) + _BEYOND, _WIDE, _SHARE

    def both(at: Floats) -> tuple[Floats, Floats]:
        normal = share / (spread * sqrt(2 * pi)) * np.exp(-0.5 * ((at - middle) / spread) ** 2)
        return (1 - share) * rate * np.exp(-rate * at), normal

    for _ in range(_ROUNDS):
        good, bad = both(x)
        out = counts * bad / (good + bad + _TINY)
        among, rest = float(out.sum()) + 1e-9, counts - out
        share = min(max(among / total, 1e-5), 0.9)
        middle = float((out * x).sum() / among)
        spread = min(max(sqrt(float((out * (x - middle) ** 2).sum() / among)), _NARROW), _WIDE)
        rate = float(rest.sum() / max(float((rest * x).sum()), 1e-9))
    at = np.linspace(0, middle, 4001)
    good, bad = both(at)
    over = np.flatnonzero(bad > good)
    return float(at[over[0]]) if len(over) else inf, _likely(np.add(*both(x)), counts)


def _slowing(x: Floats, counts: Floats) -> float:
    """The mean of the logarithm of the density of two exponential distributions, fast and slow, fitted to the same."""
    total = counts.sum()
    fast = log(2) / float(x[np.searchsorted(np.cumsum(counts), total / 2)])
    slow, share = fast / 4, 0.2
    for _ in range(_ROUNDS):
        one, other = (1 - share) * fast * np.exp(-fast * x), share * slow * np.exp(-slow * x)
        late = counts * other / (one + other + _TINY)
        soon = counts - late
        share = min(max(float(late.sum() / total), 1e-5), 1 - 1e-5)
        fast, slow = (float(part.sum() / max(float((part * x).sum()), 1e-9)) for part in (soon, late))
    return _likely((1 - share) * fast * np.exp(-fast * x) + share * slow * np.exp(-slow * x), counts)


def _likely(density: Floats, counts: Floats) -> float:
    return float((counts * np.log(density + _TINY)).sum() / counts.sum())
