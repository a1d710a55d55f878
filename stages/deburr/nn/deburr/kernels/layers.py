"""What stands between the products of a layer: sums over neighbours, and what no turning changes of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deburr.nn.deburr.kernels.arithmetic import exp, inlined, kernel
from deburr.nn.deburr.kernels.lanes import every, load, store

_ONE, _TWO, _TINY, _FURTHEST = np.float32(1), np.float32(2), np.float32(1e-6), np.float32(80)

#: The vectors of every point, and what no turning changes of them and those that they are mixed into.
VECTORS, INVARIANTS = 4, 28


@kernel
def looked(
    start: int,
    stop: int,
    averaged: Any,
    values: int,
    features: Any,
    arrows: Any,
    reach: Any,
    feet: Any,
    from_vectors: Any,
    from_reach: Any,
    from_arrows: Any,
    carry: Any,
    seen: Any,
    carried: Any,
) -> None:
    """What `Layer.look` reads of rows ``start`` to ``stop`` into ``seen`` (n, H values + C + 28): what neighbours told,
    features and invariants, those with one foot before those with the other, products last; and the mixed vectors as
    the layer carries them on, into ``carried`` (n, 3, 8), half of which is 0.

    averaged (n, H, D) what came from neighbours, the vectors behind the first ``values``; features (N, C), arrows
    (N, 3, 4), reach (N, 3, H) and feet (N, 2, 3) of all points; turned, the parts of `Layer.mix` for the vectors
    (4 H, 8), reach (H, 8) and arrows (4, 8), and `Layer.carry` (8, 8), half of which is 0.
    """
    width, heads, long = features.shape[1], reach.shape[2], seen.shape[1]
    mixed = np.empty((3, 8), np.float32)
    own = heads * values
    for i in range(start, stop):
        o = i - start
        for h in range(heads):
            for t in range(values):
                seen[o, h * values + t] = averaged[o, h, t]
        for t in range(0, width, 8):
            store(seen, o * long + own + t, load(features, i * width + t))
        # All three coordinates at once, and sums of two halves: a sum waits for the one before.
        x = y = z = p = q = r = every(np.float32(0))
        for h in range(heads):
            w = load(from_reach, 8 * h)
            x, y, z = x + every(reach[i, 0, h]) * w, y + every(reach[i, 1, h]) * w, z + every(reach[i, 2, h]) * w
            for v in range(4):
                w, at = load(from_vectors, 8 * (4 * h + v)), values + v
                p += every(averaged[o, h, at]) * w
                q += every(averaged[o, h, at + 4]) * w
                r += every(averaged[o, h, at + 8]) * w
        for v in range(4):
            w = load(from_arrows, 8 * v)
            x, y, z = x + every(arrows[i, 0, v]) * w, y + every(arrows[i, 1, v]) * w, z + every(arrows[i, 2, v]) * w
        store(mixed, 0, x + p)
        store(mixed, 8, y + q)
        store(mixed, 16, z + r)
        x = y = z = every(np.float32(0))
        for m in range(8):
            w = load(carry, 8 * m)
            x, y, z = x + every(mixed[0, m]) * w, y + every(mixed[1, m]) * w, z + every(mixed[2, m]) * w
        store(carried, 24 * o, x)
        store(carried, 24 * o + 8, y)
        store(carried, 24 * o + 16, z)
        _unturned(i, o, mixed, feet, seen, own + width)


@inlined
def _unturned(i: int, o: int, mixed: Any, feet: Any, seen: Any, at: int) -> None:
    """What no turning changes of the vectors ``mixed`` (3, 8), into row ``o`` of ``seen``, from ``at`` on."""
    x, y, z = load(mixed, 0), load(mixed, 8), load(mixed, 16)
    into = o * seen.shape[1] + at
    store(seen, into, x * x + y * y + z * z + every(_TINY))
    for f in range(2):
        foot = every(feet[i, f, 0]) * x + every(feet[i, f, 1]) * y + every(feet[i, f, 2]) * z
        store(seen, into + 8 + 8 * f, foot)
    for m in range(8):
        seen[o, at + m] = math.sqrt(seen[o, at + m])
    for m in range(at + 8, at + 24):
        seen[o, m] = abs(seen[o, m])
    for v in range(4):
        seen[o, at + 24 + v] = (
            mixed[0, v] * mixed[0, 4 + v] + mixed[1, v] * mixed[1, 4 + v] + mixed[2, v] * mixed[2, 4 + v]
        )


@kernel
def copied(start: int, stop: int, values: Any, out: Any) -> None:
    """Rows ``start`` to ``stop`` of ``values`` (N, C) into ``out`` (n, C)."""
    for i in range(start, stop):
        for t in range(values.shape[1]):
            out[i - start, t] = values[i, t]


@inlined
def _sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + exp(min(max(-x, -_FURTHEST), _FURTHEST)))


@kernel
def silu(rows: int, values: Any) -> None:
    """The first ``rows`` of ``values`` (n, C) become x sigmoid(x) of themselves."""
    for i in range(rows):
        for t in range(values.shape[1]):
            x = values[i, t]
            values[i, t] = x * _sigmoid(x)


@kernel
def stepped(start: int, stop: int, change: Any, carried: Any, features: Any, arrows: Any) -> None:
    """Rows ``start`` to ``stop`` of the features (N, C) and arrows (N, 3, V) after the layer: ``change`` (n, >= C + V)
    is added, ``carried`` (n, 3, 8) by the hyperbolic tangent of its last."""
    width, kinds = features.shape[1], arrows.shape[2]
    for i in range(start, stop):
        o = i - start
        for t in range(width):
            features[i, t] += change[o, t]
        for v in range(kinds):
            gate = _TWO * _sigmoid(_TWO * change[o, width + v]) - _ONE
            for c in range(3):
                arrows[i, c, v] += gate * carried[o, c, v]


@kernel
def telling(start: int, stop: int, count: int, values: Any, arrows: Any, told: Any) -> None:
    """Rows ``start`` to ``stop`` of what neighbours are ``told`` (N, C): the first ``count`` of ``values`` (n, ...),
    then the ``arrows`` (N, 3, V); what is left stays 0."""
    kinds = arrows.shape[2]
    for i in range(start, stop):
        for t in range(count):
            told[i, t] = values[i - start, t]
        for c in range(3):
            for v in range(kinds):
                told[i, count + kinds * c + v] = arrows[i, c, v]
