"""What stands between the products of a layer: sums over neighbours, and what no turning changes of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deburr.nn.deburr.kernels.arithmetic import exp, inlined, kernel
from deburr.nn.deburr.kernels.lanes import every, load, store

_ONE, _TWO, _TINY, _FURTHEST = np.float32(1), np.float32(2), np.float32(1e-6), np.float32(80)

#: Numbers of a row that are summed at once, for two heads: as many as the processor has places for.
WIDTH = 40
#: The vectors of every point, and what no turning changes of them and those that they are mixed into.
VECTORS, INVARIANTS = 4, 28


@kernel
def sums(start: int, stop: int, neighbors: Any, heads: Any, told: Any, out: Any) -> None:
    """``out`` (n, H, C): of what neighbours are ``told`` (N, C), the sums weighted by each of the ``heads`` (N, H, K).

    H is even and C a multiple of `WIDTH`.
    """
    count, k, width = heads.shape[1], heads.shape[2], told.shape[1]
    nothing = every(np.float32(0))
    for i in range(start, stop):
        for h in range(0, count, 2):
            for t in range(0, width, WIDTH):
                a = b = c = d = e = p = q = r = s = u = nothing
                for n in range(k):
                    at = neighbors[i, n] * width + t
                    x, y = every(heads[i, h, n]), every(heads[i, h + 1, n])
                    one, two, three = load(told, at), load(told, at + 8), load(told, at + 16)
                    four, five = load(told, at + 24), load(told, at + 32)
                    a, b, c, d, e = a + x * one, b + x * two, c + x * three, d + x * four, e + x * five
                    p, q, r, s, u = p + y * one, q + y * two, r + y * three, s + y * four, u + y * five
                into = ((i - start) * count + h) * width + t
                _five(out, into, a, b, c, d, e)
                _five(out, into + width, p, q, r, s, u)


@inlined
def _five(out: Any, at: int, a: Any, b: Any, c: Any, d: Any, e: Any) -> None:
    store(out, at, a)
    store(out, at + 8, b)
    store(out, at + 16, c)
    store(out, at + 24, d)
    store(out, at + 32, e)


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
    """What `Layer.look` reads besides the neighbours' values into ``seen`` (n, C + 28): features and invariants, those
    with one foot before those with the other, products last; and the mixed vectors as the layer carries them on, into
    ``carried`` (n, 3, 8), half of which is 0.

    averaged (n, H, D) what came from neighbours, the vectors behind the first ``values``; features (N, C), arrows
    (N, 3, 4), reach (N, 3, H) and feet (N, 2, 3) of all points; turned, the parts of `Layer.mix` for the vectors
    (4 H, 8), reach (H, 8) and arrows (4, 8), and `Layer.carry` (8, 8), half of which is 0.
    """
    width, heads = features.shape[1], reach.shape[2]
    mixed = np.empty((3, 8), np.float32)
    tiny = every(_TINY)
    for i in range(start, stop):
        o = i - start
        for t in range(0, width, 8):
            store(seen, o * (width + INVARIANTS) + t, load(features, i * width + t))
        for c in range(3):
            total = every(np.float32(0))
            for h in range(heads):
                total += every(reach[i, c, h]) * load(from_reach, 8 * h)
                for v in range(4):
                    total += every(averaged[o, h, values + 4 * c + v]) * load(from_vectors, 8 * (4 * h + v))
            for v in range(4):
                total += every(arrows[i, c, v]) * load(from_arrows, 8 * v)
            store(mixed, 8 * c, total)
            on = every(mixed[c, 0]) * load(carry, 0)
            for m in range(1, 8):
                on += every(mixed[c, m]) * load(carry, 8 * m)
            store(carried, 24 * o + 8 * c, on)
        x, y, z = load(mixed, 0), load(mixed, 8), load(mixed, 16)
        at = o * (width + INVARIANTS) + width
        store(seen, at, x * x + y * y + z * z + tiny)
        for f in range(2):
            foot = every(feet[i, f, 0]) * x + every(feet[i, f, 1]) * y + every(feet[i, f, 2]) * z
            store(seen, at + 8 + 8 * f, foot)
        for m in range(8):
            seen[o, width + m] = math.sqrt(seen[o, width + m])
            seen[o, width + 8 + m] = abs(seen[o, width + 8 + m])
            seen[o, width + 16 + m] = abs(seen[o, width + 16 + m])
        for v in range(4):
            seen[o, width + 24 + v] = (
                mixed[0, v] * mixed[0, 4 + v] + mixed[1, v] * mixed[1, 4 + v] + mixed[2, v] * mixed[2, 4 + v]
            )


@inlined
def _sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + exp(min(max(-x, -_FURTHEST), _FURTHEST)))


@kernel
def silu(values: Any, bias: Any) -> None:
    """``values`` (n, C) become x sigmoid(x) of themselves and the ``bias`` (C,)."""
    for i in range(values.shape[0]):
        for t in range(values.shape[1]):
            x = values[i, t] + bias[t]
            values[i, t] = x * _sigmoid(x)


@kernel
def stepped(
    start: int, change: Any, bias: Any, carried: Any, features: Any, arrows: Any, features_out: Any, arrows_out: Any
) -> None:
    """Rows from ``start`` on of the features (N, C) and arrows (N, 3, V) after the layer: ``change`` (n, C + V) and its
    ``bias`` are added, ``carried`` (n, 3, 8) by the hyperbolic tangent of its last."""
    width, kinds = features.shape[1], arrows.shape[2]
    for o in range(change.shape[0]):
        i = start + o
        for t in range(width):
            features_out[i, t] = features[i, t] + (change[o, t] + bias[t])
        for v in range(kinds):
            gate = _TWO * _sigmoid(_TWO * (change[o, width + v] + bias[width + v])) - _ONE
            for c in range(3):
                arrows_out[i, c, v] = arrows[i, c, v] + gate * carried[o, c, v]


@kernel
def telling(start: int, values: Any, bias: Any, arrows: Any, told: Any) -> None:
    """Rows from ``start`` on of what neighbours are ``told`` (N, C): ``values`` (n, ...) and their ``bias``, then the
    ``arrows`` (N, 3, V); what is left stays 0."""
    width, kinds = values.shape[1], arrows.shape[2]
    for o in range(values.shape[0]):
        i = start + o
        for t in range(width):
            told[i, t] = values[o, t] + bias[t]
        for c in range(3):
            for v in range(kinds):
                told[i, width + kinds * c + v] = arrows[i, c, v]
