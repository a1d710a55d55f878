"""The first and the last of the score network: what it is shown of points, and the mean of its neighbours' scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deburr.nn.deburr.inputs import COARSE, FINE
from deburr.nn.deburr.kernels.arithmetic import kernel, log1p
from deburr.nn.schedule import LIMIT

_ONE, _TINY, _MOST = np.float32(1), np.float32(1e-6), np.float32(12)
_FLAT, _THICK, _TENTH = np.float32(1e-12), np.float32(1e-3), np.float32(0.1)
_LIMIT = np.float32(LIMIT)


@kernel
def shown(
    start: int,
    stop: int,
    rows: Any,
    means: Any,
    normals: Any,
    variances: Any,
    noise: Any,
    spacing: Any,
    wider: float,
    inputs: Any,
    vectors: Any,
    table: Any,
) -> None:
    """Of points ``start`` to ``stop`` the ``inputs`` (n, NODE_INPUTS) and ``vectors`` (3 n, 2 S), means and feet of
    planes; and their rows of the edge ``table`` (N, 9), see `deburr.nn.deburr.inputs`.

    means, normals, variances (M, S, 3) are those of the whole cloud, of which the points are the ``rows`` (N,); noise
    and spacing (N,); ``wider``: the logarithm to base 2 of `Planes.wider`.
    """
    scales = means.shape[1]
    feet, heights, thick = np.empty((scales, 3), np.float32), np.empty(scales, np.float32), np.empty(scales, np.float32)
    for i in range(start, stop):
        o, r = i - start, rows[i]
        by_noise, by_spacing = _ONE / noise[i], _ONE / spacing[i]
        for s in range(scales):
            height = (
                means[r, s, 0] * normals[r, s, 0]
                + means[r, s, 1] * normals[r, s, 1]
                + means[r, s, 2] * normals[r, s, 2]
            )
            across = np.float32(0)
            for c in range(3):
                foot = height * normals[r, s, c]
                feet[s, c] = foot
                aside = means[r, s, c] - foot
                across += aside * aside
                vectors[3 * o + c, s], vectors[3 * o + c, scales + s] = means[r, s, c] * by_spacing, foot * by_spacing
            low, middle, high = variances[r, s, 0], variances[r, s, 1], variances[r, s, 2]
            heights[s], thick[s] = abs(height), math.sqrt(low)
            inputs[o, s] = thick[s] * by_noise
            inputs[o, scales + s] = math.log(thick[s] * by_spacing + _THICK)
            inputs[o, 2 * scales + s] = low / (middle + _FLAT)
            inputs[o, 3 * scales + s] = middle / (high + _FLAT)
            inputs[o, 4 * scales + s] = math.sqrt(high) * by_spacing
            inputs[o, 5 * scales + s] = heights[s] * by_noise
            inputs[o, 6 * scales + s] = heights[s] / (thick[s] + _TENTH * noise[i])
            inputs[o, 7 * scales + s] = math.sqrt(across + _TINY) * by_spacing
        for s in range(scales - 1):
            along, agree, apart = np.float32(0), np.float32(0), np.float32(0)
            for c in range(3):
                along += feet[s, c] * feet[s + 1, c]
                agree += normals[r, s, c] * normals[r, s + 1, c]
                apart += (feet[s + 1, c] - feet[s, c]) ** 2
            at = 8 * scales + s
            inputs[o, at] = math.sqrt(max(along, np.float32(0))) / (noise[i] + spacing[i])
            inputs[o, at + scales - 1] = abs(agree)
            inputs[o, at + 2 * (scales - 1)] = math.sqrt(apart) * by_noise
        last = 8 * scales + 3 * (scales - 1)
        inputs[o, last], inputs[o, last + 1] = math.log(noise[i] * by_spacing), wider
        for s in range(scales):
            inputs[o, s] = log1p(inputs[o, s])
            inputs[o, 5 * scales + s] = log1p(inputs[o, 5 * scales + s])
        for s in range(scales - 1):
            at = 8 * scales + 2 * (scales - 1) + s
            inputs[o, at] = log1p(inputs[o, at])
        table[i, 0], table[i, 1], table[i, 2] = spacing[i], thick[FINE], thick[COARSE]
        for c in range(3):
            table[i, 3 + c], table[i, 6 + c] = normals[r, FINE, c], normals[r, COARSE, c]


@kernel
def local(
    start: int,
    stop: int,
    rows: Any,
    left: Any,
    arrows: Any,
    means: Any,
    normals: Any,
    noise: Any,
    energy: Any,
    own: Any,
) -> None:
    """Of points ``start`` to ``stop`` the score around them, ``energy`` (N, 10), and what concerns them alone, ``own``
    (N, 4); from what the network ``left`` (n, S + 1 + 2 V + 2) and the ``arrows`` (N, 3, V); see `ScoreNetwork._local`.
    The planes are those of the whole cloud, as in `shown`."""
    scales, kinds = means.shape[1], arrows.shape[2]
    for i in range(start, stop):
        o, r = i - start, rows[i]
        highest = left[o, 0]
        for s in range(1, scales + 1):
            highest = max(highest, left[o, s])
        total = np.float32(0)
        for s in range(scales + 1):
            left[o, s] = math.exp(left[o, s] - highest)
            total += left[o, s]
        share = _ONE / total
        xx = yy = zz = xy = xz = yz = x = y = z = np.float32(0)
        for s in range(scales):
            a, b, c = normals[r, s, 0], normals[r, s, 1], normals[r, s, 2]
            w = left[o, s] * share
            height = w * (means[r, s, 0] * a + means[r, s, 1] * b + means[r, s, 2] * c)
            xx, yy, zz = xx + w * a * a, yy + w * b * b, zz + w * c * c
            xy, xz, yz = xy + w * a * b, xz + w * a * c, yz + w * b * c
            x, y, z = x + height * a, y + height * b, z + height * c
        energy[i, 0], energy[i, 1], energy[i, 2], energy[i, 3], energy[i, 4], energy[i, 5] = xx, yy, zz, xy, xz, yz
        energy[i, 6], energy[i, 7], energy[i, 8] = x, y, z
        for c in range(3):
            shared = alone = np.float32(0)
            for v in range(kinds):
                shared += arrows[i, c, v] * left[o, scales + 1 + v]
                alone += arrows[i, c, v] * left[o, scales + 1 + kinds + v]
            energy[i, 6 + c] += noise[i] * shared
            own[i, c] = noise[i] * alone
        last = scales + 1 + 2 * kinds
        energy[i, 9] = math.exp(min(max(left[o, last], -_MOST), _MOST))
        own[i, 3] = _ONE / (_ONE + math.exp(-(left[o, last + 1] + np.float32(2))))


@kernel
def ensemble(
    start: int,
    stop: int,
    neighbors: Any,
    points: Any,
    energy: Any,
    own: Any,
    trust: Any,
    noise: Any,
    score: Any,
    gate: Any,
) -> None:
    """Rows ``start`` to ``stop`` of ``score`` (N, 3) and ``gate`` (N,): the mean of neighbours' scores there and the
    point's own vector; see `ScoreNetwork._ensemble`."""
    k = neighbors.shape[1]
    for i in range(start, stop):
        total = energy[i, 9]
        a, b, c = total * energy[i, 6], total * energy[i, 7], total * energy[i, 8]
        for n in range(k):
            j = neighbors[i, n]
            x = np.float32(points[j, 0] - points[i, 0])
            y = np.float32(points[j, 1] - points[i, 1])
            z = np.float32(points[j, 2] - points[i, 2])
            weight = trust[i, n] * energy[j, 9]
            total += weight
            a += weight * (energy[j, 6] + energy[j, 0] * x + energy[j, 3] * y + energy[j, 4] * z)
            b += weight * (energy[j, 7] + energy[j, 3] * x + energy[j, 1] * y + energy[j, 5] * z)
            c += weight * (energy[j, 8] + energy[j, 4] * x + energy[j, 5] * y + energy[j, 2] * z)
        share, open_ = _ONE / total, own[i, 3]
        a, b, c = open_ * (a * share + own[i, 0]), open_ * (b * share + own[i, 1]), open_ * (c * share + own[i, 2])
        limit = _LIMIT * noise[i]
        by = _ONE / limit
        length = math.sqrt((a * by) * (a * by) + (b * by) * (b * by) + (c * by) * (c * by) + _TINY) * limit
        shorter = limit / max(length, limit)
        score[i, 0], score[i, 1], score[i, 2], gate[i] = a * shorter, b * shorter, c * shorter, open_
