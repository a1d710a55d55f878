"""What the score network does with some rows: a few points after the other, so that what lies between two products
stays in the cache that is nearest."""

from __future__ import annotations

from typing import Any

import numpy as np

from deburr.nn.deburr.inputs import COARSE, FINE, NODE_INPUTS
from deburr.nn.deburr.kernels.arithmetic import kernel
from deburr.nn.deburr.kernels.layers import INVARIANTS, VECTORS, copied, looked, silu, stepped, telling
from deburr.nn.deburr.kernels.products import product, sums
from deburr.nn.deburr.kernels.scores import local, shown
from deburr.nn.deburr.planes import SCALES

#: Points that are computed one after the other: a multiple of `products.ROWS`.
_GROUP = 32


@kernel
def enter(
    start: int,
    stop: int,
    rows: Any,
    planes: Any,
    noise: Any,
    spacing: Any,
    wider: float,
    weights: Any,
    features: Any,
    arrows: Any,
    table: Any,
) -> None:
    """Rows ``start`` to ``stop`` of the first ``features`` (N, C) and ``arrows`` (N, 3, V), and of the edge ``table``
    (N, 9); see `ScoreNetwork._enter`. ``weights``: those of both layers and of the vectors, as `products.packed`.
    ``rows``: see `scores.shown`."""
    (first, first_bias), (last, last_bias), (vector, none) = weights
    inputs, vectors = np.zeros((_GROUP, NODE_INPUTS), np.float32), np.zeros((3 * _GROUP, 2 * SCALES), np.float32)
    hidden, into = np.zeros((_GROUP, first.shape[1]), np.float32), np.zeros((_GROUP, last.shape[1]), np.float32)
    turned = np.zeros((3 * _GROUP, vector.shape[1]), np.float32)
    for at in range(start, stop, _GROUP):
        end = min(at + _GROUP, stop)
        count = end - at
        shown(at, end, rows, planes[0], planes[1], planes[2], noise, spacing, wider, inputs, vectors, table)
        product(count, inputs, first, first_bias, hidden)
        silu(count, hidden)
        product(count, hidden, last, last_bias, into)
        product(3 * count, vectors, vector, none, turned)
        for o in range(count):
            for t in range(features.shape[1]):
                features[at + o, t] = into[o, t]
            for c in range(3):
                for v in range(VECTORS):
                    arrows[at + o, c, v] = turned[3 * o + c, v]


@kernel
def tell(start: int, stop: int, values: int, weights: Any, features: Any, arrows: Any, told: Any) -> None:
    """Rows ``start`` to ``stop`` of what neighbours are ``told`` (N, D), ``values`` and vectors; see `Layer.told`."""
    weight, bias = weights
    found = np.zeros((_GROUP, weight.shape[1]), np.float32)
    own = np.zeros((_GROUP, features.shape[1]), np.float32)
    for at in range(start, stop, _GROUP):
        end = min(at + _GROUP, stop)
        copied(at, end, features, own)
        product(end - at, own, weight, bias, found)
        telling(at, end, values, found, arrows, told)


@kernel
def layer(
    start: int,
    stop: int,
    values: int,
    neighbors: Any,
    heads: Any,
    told: Any,
    reach: Any,
    feet: Any,
    look: Any,
    update: Any,
    mix: Any,
    features: Any,
    arrows: Any,
) -> None:
    """Rows ``start`` to ``stop`` of ``features`` (N, C) and ``arrows`` (N, 3, V) after a layer, in place; see `Layer`.

    look, update : as `products.packed`, the former for rows as `layers.looked` makes them.
    mix : the small matrices that `layers.looked` takes.
    """
    width, count, padded = features.shape[1], heads.shape[1], told.shape[1]
    averaged = np.zeros((_GROUP, count, padded), np.float32)
    seen = np.zeros((_GROUP, count * values + width + INVARIANTS), np.float32)
    carried = np.zeros((_GROUP, 3, 2 * VECTORS), np.float32)
    hidden = np.zeros((_GROUP, look[0].shape[1]), np.float32)
    change = np.zeros((_GROUP, update[0].shape[1]), np.float32)
    for at in range(start, stop, _GROUP):
        end = min(at + _GROUP, stop)
        sums(at, end, neighbors, heads, told, averaged)
        looked(
            at, end, averaged, values, features, arrows, reach, feet, mix[0], mix[1], mix[2], mix[3], seen, carried
        )  # fmt: skip
        product(end - at, seen, look[0], look[1], hidden)
        silu(end - at, hidden)
        product(end - at, hidden, update[0], update[1], change)
        stepped(at, end, change, carried, features, arrows)


@kernel
def leave(
    start: int,
    stop: int,
    rows: Any,
    weights: Any,
    features: Any,
    arrows: Any,
    planes: Any,
    noise: Any,
    energy: Any,
    own: Any,
) -> None:
    """Rows ``start`` to ``stop`` of ``energy`` (N, 10) and ``own`` (N, 4); see `scores.local`."""
    (first, first_bias), (last, last_bias) = weights
    told = np.zeros((_GROUP, features.shape[1]), np.float32)
    hidden, left = np.zeros((_GROUP, first.shape[1]), np.float32), np.zeros((_GROUP, last.shape[1]), np.float32)
    for at in range(start, stop, _GROUP):
        end = min(at + _GROUP, stop)
        copied(at, end, features, told)
        product(end - at, told, first, first_bias, hidden)
        silu(end - at, hidden)
        product(end - at, hidden, last, last_bias, left)
        local(at, end, rows, left, arrows, planes[0], planes[1], noise, energy, own)


@kernel
def sought(
    start: int,
    stop: int,
    rows: Any,
    normals: Any,
    points: Any,
    neighbors: Any,
    place: Any,
    feet: Any,
    own: Any,
    near: Any,
) -> None:
    """Of the ``rows`` (N,) of a cloud, numbers ``start`` to ``stop``: ``feet`` (N, 2, 3), normals at two scales,
    ``own`` (N, 3), their points, and ``near`` (N, K), their neighbours as numbers among the rows: ``place`` (M,)."""
    for i in range(start, stop):
        r = rows[i]
        for c in range(3):
            feet[i, 0, c], feet[i, 1, c], own[i, c] = normals[r, FINE, c], normals[r, COARSE, c], points[r, c]
        for n in range(neighbors.shape[1]):
            near[i, n] = place[neighbors[r, n]]
