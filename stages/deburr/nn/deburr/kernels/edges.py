"""What each point takes from each of its neighbours: the weights of the edges, of every head and of the ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np

from deburr.nn.deburr.inputs import EDGE_INPUTS
from deburr.nn.deburr.kernels.arithmetic import exp, inlined, kernel, log1p
from deburr.nn.deburr.kernels.products import ROWS, product

#: Points whose edges are computed side by side, so that rows are as `product` is quickest at, and each one's edges.
_GROUP, NEAR = 6, 16
_LANES = _GROUP * NEAR
_ONE, _MOST, _LEAST, _FURTHEST = np.float32(1), np.float32(12), np.float32(1e-6), np.float32(80)


@inlined
def _seen(
    i: int, r: int, at: int, neighbors: Any, points: Any, table: Any, window: Any, noise: Any, offset: Any, seen: Any
) -> None:
    """Inputs of the edges of point ``i``, row ``r`` of the window, into lanes ``at`` on of ``offset`` (3, LANES) and
    ``seen`` (14, LANES); see `deburr.nn.deburr.inputs.edge_inputs`."""
    by_noise, by_spacing = _ONE / noise[i], _ONE / table[i, 0]
    for n in range(NEAR):
        j, lane = neighbors[i, n], at + n
        x = np.float32(points[j, 0] - points[i, 0])
        y = np.float32(points[j, 1] - points[i, 1])
        z = np.float32(points[j, 2] - points[i, 2])
        offset[0, lane], offset[1, lane], offset[2, lane] = x, y, z
        seen[0, lane], seen[1, lane] = window[r, n], table[j, 0] * by_spacing
        for s in range(2):
            a, row = 3 + 3 * s, 2 + 6 * s
            mine = abs(x * table[i, a] + y * table[i, a + 1] + z * table[i, a + 2])
            theirs = abs(x * table[j, a] + y * table[j, a + 1] + z * table[j, a + 2])
            seen[row, lane] = abs(
                table[i, a] * table[j, a] + table[i, a + 1] * table[j, a + 1] + table[i, a + 2] * table[j, a + 2]
            )
            seen[row + 1, lane], seen[row + 2, lane] = mine * by_noise, theirs * by_noise
            seen[row + 3, lane], seen[row + 4, lane] = mine * by_spacing, theirs * by_spacing
            seen[row + 5, lane] = table[j, 1 + s] * by_noise


@inlined
def _squashed(seen: Any) -> None:
    for s in range(2):
        for row in (3 + 6 * s, 4 + 6 * s, 7 + 6 * s):
            for lane in range(_LANES):
                seen[row, lane] = log1p(seen[row, lane])


@inlined
def _told(i: int, at: int, offset: Any, weight: Any, by_spacing: float, heads: Any, trust: Any, reach: Any) -> None:
    """What lanes ``at`` on say of point ``i``: each head's weights sum to 1."""
    for h in range(heads.shape[1]):
        total = _LEAST
        for n in range(NEAR):
            total += weight[h, at + n]
        share = _ONE / total
        for c in range(3):
            reached = np.float32(0)
            for n in range(NEAR):
                reached += weight[h, at + n] * offset[c, at + n]
            reach[i, c, h] = reached * share * by_spacing
        for n in range(NEAR):
            heads[i, h, n] = weight[h, at + n] * share
    for n in range(NEAR):
        trust[i, n] = weight[heads.shape[1], at + n]


@kernel
def edge_weights(
    start: int,
    stop: int,
    rows: Any,
    neighbors: Any,
    points: Any,
    table: Any,
    window: Any,
    noise: Any,
    edges: Any,
    kernels: Any,
    heads: Any,
    trust: Any,
    reach: Any,
) -> None:
    """Rows ``start`` to ``stop`` of ``heads`` (N, H, K), ``trust`` (N, K) and ``reach`` (N, 3, H), all float32; see
    `ScoreNetwork._kernels`. The table is `inputs.edge_table` of all points, the window that of the
    whole cloud, of which the points are the ``rows`` (N,); the others are `weights`."""
    offset, none = np.zeros((3, _LANES), np.float32), np.zeros(_LANES, np.float32)
    # The last row of each is 1, for the bias.
    seen, hidden = np.ones((EDGE_INPUTS + 1, _LANES), np.float32), np.ones((len(edges) + 1, _LANES), np.float32)
    weight = np.zeros((len(kernels), _LANES), np.float32)
    count = heads.shape[1]
    for first in range(start, stop, _GROUP):
        # Lanes beyond the last point repeat it.
        for g in range(_GROUP):
            i = min(first + g, stop - 1)
            _seen(i, rows[i], g * NEAR, neighbors, points, table, window, noise, offset, seen)
        _squashed(seen)
        product(len(edges), edges, seen, none, hidden)
        for o in range(len(edges)):
            for lane in range(_LANES):
                x = hidden[o, lane]
                hidden[o, lane] = x / (_ONE + exp(min(max(-x, -_FURTHEST), _FURTHEST)))
        product(len(kernels), kernels, hidden, none, weight)
        for o in range(count + 1):
            for lane in range(_LANES):
                weight[o, lane] = exp(min(max(weight[o, lane], -_MOST), _MOST)) * seen[0, lane]
        for g in range(min(_GROUP, stop - first)):
            _told(first + g, g * NEAR, offset, weight, _ONE / table[first + g, 0], heads, trust, reach)


def weights(edges: Any, edges_bias: Any, kernels: Any, kernels_bias: Any) -> tuple[Any, Any]:
    """What `edge_weights` takes of the weights of both layers, (O, I) and (O,): the biases behind, and as many rows as
    `product` computes at once."""
    hidden = np.zeros((-(-len(edges) // ROWS) * ROWS, EDGE_INPUTS + 1), np.float32)
    out = np.zeros((-(-len(kernels) // ROWS) * ROWS, len(hidden) + 1), np.float32)
    hidden[: len(edges), :-1], hidden[: len(edges), -1] = edges, edges_bias
    out[: len(kernels), : len(edges)], out[: len(kernels), -1] = kernels, kernels_bias
    return hidden, out
