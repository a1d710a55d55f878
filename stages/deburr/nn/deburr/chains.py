"""Several draws of where each point may have come from: their mean, and how far they lie apart across the surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from deburr.nn.deburr.climb import Climbed, Lot


def gathered(climb: Callable[[Lot, bool], Climbed], seed: int, samples: int) -> Climbed:
    """The mean of ``samples`` draws that ``climb`` makes, an even number; of one, that draw.

    climb : leads the points by a lot; the flag says whether it is the first draw, which tells all that hangs on none.

    Where a point came from has, by the law of total variance, the variance of the draws' ends, each of which is a mean
    already (Tweedie), and the mean of what is open behind each (`Climbed.doubt`).
    """
    first = climb(Lot(seed), True)
    if samples == 1:
        return first
    sums, squares, doubt = np.zeros_like(first.way), np.zeros_like(first.gate), first.doubt.copy()
    sure = first.sure
    for number in range(1, samples):
        one = climb(Lot(seed, number), False)
        apart = one.way - first.way
        sums += apart
        squares += (apart * first.normals).sum(1) ** 2
        doubt += one.doubt
        sure = None if sure is None or one.sure is None else sure & one.sure
    mean = sums / samples
    # Mirror images know their mean, so that no degree of freedom is spent on it.
    variance = squares / samples - (mean * first.normals).sum(1) ** 2
    spread = np.sqrt(np.maximum(variance, 0.0) + doubt / samples)
    return replace(first, way=first.way + mean, sure=sure, spread=spread)
