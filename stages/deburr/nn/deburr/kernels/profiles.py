"""What judges of the noise are shown: how thick neighbourhoods are, and how heights are spread there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deburr.nn.deburr.heights import FLAT, PROFILE
from deburr.nn.deburr.kernels.arithmetic import NONE, inlined, kernel, turns
from deburr.nn.deburr.kernels.moments import plane
from deburr.nn.deburr.thinned import BROADEST

_ONE, _TWO, _THREE, _FOUR = (np.float32(n) for n in (1, 2, 3, 4))
_TURN = 1 / (2 * math.pi)


@inlined
def _moments(count: int, places: Any, weight: Any) -> Any:
    """Of the first ``count`` columns of ``places`` (3, n) float64, whose ``weight`` (n,) sums to 1: the mean, the
    eigenvalues of the covariance, ascending, and the unit eigenvector of the smallest."""
    a = b = c = d = e = f = x = y = z = 0.0
    for n in range(count):
        w, p, q, r = weight[n], places[0, n], places[1, n], places[2, n]
        x, y, z = x + w * p, y + w * q, z + w * r
        a, b, c = a + w * p * p, b + w * q * q, c + w * r * r
        d, e, f = d + w * p * q, e + w * p * r, f + w * q * r
    low, middle, high, p, q, r = plane(a - x * x, b - y * y, c - z * z, d - x * y, e - x * z, f - y * z)
    return x, y, z, low, middle, high, p, q, r


@inlined
def _profile(
    count: int, places: Any, weight: Any, mean: float, x: float, y: float, z: float, turned: Any, out: Any
) -> None:
    """`deburr.nn.deburr.heights.profile` of the heights along the unit vector x, y, z, whose mean is ``mean``, into
    ``out`` (PROFILE,). ``turned`` (n,) float32: room to work."""
    square = 0.0
    for n in range(count):
        away = places[0, n] * x + places[1, n] * y + places[2, n] * z - mean
        square += weight[n] * away * away
    share = _TURN / math.sqrt(square + FLAT * FLAT)
    for n in range(count):
        away = places[0, n] * x + places[1, n] * y + places[2, n] * z - mean
        turned[n] = np.float32(away * share)
    first = second = third = up = np.float32(0)
    for n in range(count):
        once, sine = turns(turned[n])
        w = np.float32(weight[n])
        first += w * once
        second += w * (_TWO * once * once - _ONE)
        third += w * (_FOUR * once * once - _THREE) * once
        up += w * _TWO * sine * once
    out[0], out[1], out[2], out[3] = first, second, third, abs(up)


@kernel
def around(start: int, stop: int, rows: Any, neighbors: Any, window: Any, points: Any, spacing: Any, out: Any) -> None:
    """Rows ``start`` to ``stop`` of ``out`` (M, 2 * PROFILE) float64: `deburr.nn.deburr.heights.around` of the ``rows``
    (M,) of a graph: ``neighbors`` (N, K) int32, ``window`` (N, K) and ``spacing`` (N,) float32, ``points`` (N, 3)."""
    k = neighbors.shape[1]
    most = (k + 1) * (k + 1)
    places, weight, turned = np.empty((3, most)), np.empty(most), np.empty(most, np.float32)
    told = np.empty(PROFILE, np.float32)
    for m in range(start, stop):
        i = rows[m]
        by_spacing = 1.0 / np.float64(spacing[i])
        first = 1.0
        for n in range(k):
            first += window[i, n]
        count = NONE
        # First all that one hop leads to, then, behind it, what another leads to from there.
        for hop in range(2):
            count = NONE
            for a in range(k + 1):
                j = i if a == 0 else neighbors[i, a - 1]
                share = (1.0 if a == 0 else np.float64(window[i, a - 1])) / first
                if hop == 0:
                    weight[count] = share
                    places[0, count] = (points[j, 0] - points[i, 0]) * by_spacing
                    places[1, count] = (points[j, 1] - points[i, 1]) * by_spacing
                    places[2, count] = (points[j, 2] - points[i, 2]) * by_spacing
                    count += 1
                    continue
                total = 1.0
                for n in range(k):
                    total += window[j, n]
                share /= total
                for b in range(k + 1):
                    h = j if b == 0 else neighbors[j, b - 1]
                    weight[count] = share if b == 0 else share * window[j, b - 1]
                    places[0, count] = (points[h, 0] - points[i, 0]) * by_spacing
                    places[1, count] = (points[h, 1] - points[i, 1]) * by_spacing
                    places[2, count] = (points[h, 2] - points[i, 2]) * by_spacing
                    count += 1
            x, y, z, _, _, _, p, q, r = _moments(count, places, weight)
            _profile(count, places, weight, x * p + y * q + z * r, p, q, r, turned, told)
            for c in range(PROFILE):
                out[m, hop * PROFILE + c] = told[c]


@kernel
def shapes(
    start: int,
    stop: int,
    judges: Any,
    spacing: Any,
    members: Any,
    near: Any,
    distances: Any,
    sizes: Any,
    expected: Any,
    found: Any,
    normals: Any,
    told: Any,
) -> None:
    """Rows ``start`` to ``stop`` of ``found`` (M, S, 6), ``normals`` (M, S, 3) and ``told`` (M, S, PROFILE) float64:
    what `deburr.nn.deburr.thinned` sees of neighbourhoods in a copy.

    judges (M, 3), whose ``spacing`` is (M,); ``members`` (C, 3), the copy, of which those ``near`` (M, k) are at
    ``distances`` (M, k); the first ``sizes`` (S,) of them are looked at, the last of which would be as far away as is
    ``expected`` (S,) on a plane.
    """
    most = near.shape[1]
    places, weight, turned = np.empty((3, most)), np.empty(most), np.empty(most, np.float32)
    part = np.empty(PROFILE, np.float32)
    for m in range(start, stop):
        by_spacing = 1.0 / spacing[m]
        for n in range(most):
            j = near[m, n]
            for c in range(3):
                places[c, n] = (members[j, c] - judges[m, c]) * by_spacing
        for s in range(len(sizes)):
            k = sizes[s]
            away = distances[m, k - 1] * by_spacing
            far = max(away * away, 1e-30)
            total = 0.0
            for n in range(k):
                away = distances[m, n] * by_spacing
                weight[n] = max(1.0 - away * away / far, 0.0) + 1e-6
                total += weight[n]
            share = 1.0 / total
            for n in range(k):
                weight[n] *= share
            x, y, z, low, middle, high, p, q, r = _moments(k, places, weight)
            height = x * p + y * q + z * r
            found[m, s, 0] = math.log(math.sqrt(low) + 1e-3)
            found[m, s, 1], found[m, s, 2] = low / (middle + 1e-12), middle / (high + 1e-12)
            found[m, s, 3] = math.log(abs(height) + 1e-3)
            found[m, s, 4] = min(math.sqrt(high) / expected[s], BROADEST)
            found[m, s, 5] = math.log(math.sqrt(far) / expected[s] + 1e-3)
            normals[m, s, 0], normals[m, s, 1], normals[m, s, 2] = p, q, r
            _profile(k, places, weight, height, p, q, r, turned, part)
            for c in range(PROFILE):
                told[m, s, c] = part[c]
