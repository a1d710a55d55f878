"""Averages over the graph, and the planes of neighbourhoods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deburr.nn.deburr.kernels.arithmetic import inlined, kernel
from deburr.nn.deburr.kernels.lanes import every, load, store

_THIRD = 2 * math.pi / 3


@kernel
def average_nine(start: int, stop: int, neighbors: Any, window: Any, values: Any, out: Any) -> None:
    """Rows ``start`` to ``stop`` of ``out`` (N, 9) float64: ``values`` (N, 9) averaged over each point and its
    ``neighbors`` (N, K) int32, weighted by 1 and the ``window`` (N, K) float32. The last neighbour weighs nothing, and
    is left out."""
    k = neighbors.shape[1] - 1
    for i in range(start, stop):
        total = 1.0
        a, b, c = load(values, 9 * i), load(values, 9 * i + 4), values[i, 8]
        for n in range(k):
            j, w = neighbors[i, n], np.float64(window[i, n])
            weight = every(w)
            total += w
            a += weight * load(values, 9 * j)
            b += weight * load(values, 9 * j + 4)
            c += w * values[j, 8]
        share = 1.0 / total
        store(out, 9 * i, a * every(share))
        store(out, 9 * i + 4, b * every(share))
        out[i, 8] = c * share


@kernel
def average_few(start: int, stop: int, neighbors: Any, window: Any, values: Any, out: Any) -> None:
    """The same of ``values`` (N, C) float64, of any width."""
    k, width = neighbors.shape[1] - 1, values.shape[1]
    for i in range(start, stop):
        total = 1.0
        for n in range(k):
            total += window[i, n]
        share, c = 1.0 / total, 0
        while c + 3 <= width:
            x, y, z = values[i, c], values[i, c + 1], values[i, c + 2]
            for n in range(k):
                j, w = neighbors[i, n], np.float64(window[i, n])
                x, y, z = x + w * values[j, c], y + w * values[j, c + 1], z + w * values[j, c + 2]
            out[i, c], out[i, c + 1], out[i, c + 2] = x * share, y * share, z * share
            c += 3
        while c < width:
            x = values[i, c]
            for n in range(k):
                x += np.float64(window[i, n]) * values[neighbors[i, n], c]
            out[i, c] = x * share
            c += 1


@kernel
def average_features(start: int, stop: int, neighbors: Any, window: Any, values: Any, out: Any) -> None:
    """The same of ``values`` (N, C) float32, C a multiple of 8."""
    k, width = neighbors.shape[1] - 1, values.shape[1]
    for i in range(start, stop):
        total = np.float32(1)
        for n in range(k):
            total += window[i, n]
        share, t = np.float32(1) / total, 0
        while t + 16 <= width:
            near, beside = load(values, i * width + t), load(values, i * width + t + 8)
            for n in range(k):
                weight, at = every(window[i, n]), neighbors[i, n] * width + t
                near += weight * load(values, at)
                beside += weight * load(values, at + 8)
            store(out, i * width + t, near * every(share))
            store(out, i * width + t + 8, beside * every(share))
            t += 16
        while t < width:
            near = load(values, i * width + t)
            for n in range(k):
                near += every(window[i, n]) * load(values, neighbors[i, n] * width + t)
            store(out, i * width + t, near * every(share))
            t += 8


@inlined
def plane(a: float, b: float, c: float, e: float, f: float, g: float) -> Any:
    """Eigenvalues, ascending, and the unit eigenvector of the smallest of a matrix with xx, yy, zz, xy, xz, yz; see
    `deburr.nn.deburr.planes.smallest_axis`."""
    mean = (a + b + c) / 3.0
    a, b, c = a - mean, b - mean, c - mean
    norm = math.sqrt(max((a * a + b * b + c * c) / 6.0 + (e * e + f * f + g * g) / 3.0, 1e-60))
    determinant = a * (b * c - g * g) - e * (e * c - g * f) + f * (e * g - b * f)
    angle = math.acos(min(max(determinant / (2.0 * norm * norm * norm), -1.0), 1.0)) / 3.0
    high, low = 2.0 * norm * math.cos(angle), 2.0 * norm * math.cos(angle + _THIRD)
    a, b, c = a - low, b - low, c - low
    x, y, z = e * g - f * b, f * e - a * g, a * b - e * e
    longest = x * x + y * y + z * z
    u, v, w = e * c - f * g, f * f - a * c, a * g - e * f
    length = u * u + v * v + w * w
    if length > longest:
        x, y, z, longest = u, v, w, length
    u, v, w = b * c - g * g, g * f - e * c, e * g - b * f
    length = u * u + v * v + w * w
    if length > longest:
        x, y, z, longest = u, v, w, length
    if longest > 1e-60:
        share = 1.0 / math.sqrt(longest)
        x, y, z = x * share, y * share, z * share
    else:
        x, y, z = 0.0, 0.0, 1.0
    return max(mean + low, 0.0), max(mean - high - low, 0.0), max(mean + high, 0.0), x, y, z


@kernel
def planes_of(
    start: int, stop: int, moments: Any, points: Any, first: int, last: int, means: Any, normals: Any, variances: Any
) -> None:
    """Scales ``first`` to ``last`` of ``means``, ``normals`` and ``variances`` (N, S, 3) float32 at rows ``start`` to
    ``stop``, from ``moments`` (N, 9) float64, means and products, about ``points`` (N, 3)."""
    for i in range(start, stop):
        x, y, z = moments[i, 0], moments[i, 1], moments[i, 2]
        low, middle, high, p, q, r = plane(
            moments[i, 3] - x * x,
            moments[i, 4] - y * y,
            moments[i, 5] - z * z,
            moments[i, 6] - x * y,
            moments[i, 7] - x * z,
            moments[i, 8] - y * z,
        )
        for s in range(first, last):
            means[i, s, 0], means[i, s, 1], means[i, s, 2] = x - points[i, 0], y - points[i, 1], z - points[i, 2]
            normals[i, s, 0], normals[i, s, 1], normals[i, s, 2] = p, q, r
            variances[i, s, 0], variances[i, s, 1], variances[i, s, 2] = low, middle, high


@kernel
def far_planes(
    start: int,
    stop: int,
    rows: Any,
    distances: Any,
    near: Any,
    members: Any,
    points: Any,
    scale: int,
    radii: Any,
    means: Any,
    normals: Any,
    variances: Any,
) -> None:
    """Planes of the nearest of a copy at ``rows`` (R,) of the cloud, numbers ``start`` to ``stop`` of them.

    distances, near (R, K + 1): of the nearest of the copy, whose ``members`` (C,) are rows of ``points`` (N, 3); nobody
    is a neighbour of its own. ``radii`` (N,) become at least the last one's distance.
    """
    k = near.shape[1] - 1
    for m in range(start, stop):
        i = rows[m]
        first = 1 if members[near[m, 0]] == i else 0
        last = distances[m, k - 1 + first]
        radii[i] = max(radii[i], last)
        least = 1.0 / max(last, 1e-150)
        total = a = b = c = d = e = f = x = y = z = 0.0
        for n in range(first, first + k):
            away = distances[m, n] * least
            weight = 1.0 - away * away + 1e-6
            j = members[near[m, n]]
            p, q, r = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
            total += weight
            x, y, z = x + weight * p, y + weight * q, z + weight * r
            a, b, c = a + weight * p * p, b + weight * q * q, c + weight * r * r
            d, e, f = d + weight * p * q, e + weight * p * r, f + weight * q * r
        share = 1.0 / total
        x, y, z = x * share, y * share, z * share
        low, middle, high, p, q, r = plane(
            a * share - x * x, b * share - y * y, c * share - z * z,
            d * share - x * y, e * share - x * z, f * share - y * z,
        )  # fmt: skip
        means[i, scale, 0], means[i, scale, 1], means[i, scale, 2] = x, y, z
        normals[i, scale, 0], normals[i, scale, 1], normals[i, scale, 2] = p, q, r
        variances[i, scale, 0], variances[i, scale, 1], variances[i, scale, 2] = low, middle, high
