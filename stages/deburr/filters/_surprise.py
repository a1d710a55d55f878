"""How surprising a point's place is: how far it lies from the nearest others, times what its energy tells.

Outliers far from all are seen by the distance, those near a surface, or among other outliers, by the energy. Neither
alone says how likely a good point has as much: wires and leaves are sparse, and planes fit them badly. That is a table.
"""

from __future__ import annotations

from math import exp, lgamma, log, pi, sqrt

import numpy as np

from deburr.core.arrays import Floats

#: The neighbours whose mean distance is taken. Few: along a wire more of them would be far away.
NEAREST = 4
#: The mean distance to them among random points of a plane, in spacings: to k it is G(k + 1/2) / G(k) / sqrt(pi).
ON_A_PLANE = sum(exp(lgamma(k + 0.5) - lgamma(k)) for k in range(1, NEAREST + 1)) / NEAREST / sqrt(pi)
#: The share of good points that surprise more than this: of simulated scans, by `benchmarks/chance.py`.
CHANCES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
SURPRISES = (0.68, 0.89, 1.22, 1.55, 1.92, 2.60, 3.16, 3.59, 4.06, 4.59)


def surprise(distance: Floats, spacing: float, energy: Floats) -> Floats:
    """(N,): the logarithm of the mean distance (N,) to the `NEAREST` others over that on a plane of this spacing, and a
    quarter of that of 1 + energy (N,), nats."""
    with np.errstate(divide="ignore"):  # of points that lie upon each other
        return np.asarray(np.log(distance / (ON_A_PLANE * spacing)) + np.log1p(energy) / 4)


def surprising(chance: float) -> float:
    """What a share of ``chance`` of the good points exceeds; between the table's values as its logarithm."""
    return float(np.interp(-log(chance), [-log(one) for one in CHANCES], SURPRISES))
