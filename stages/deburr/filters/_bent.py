"""Bent planes through points that lie around others: weights, directions, and the square surfaces that fit best."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats

#: One minus the cosine of the angle at which normals are of different sides of an edge.
APART = 0.1
#: What holds back constants and slopes, and bends, of a square surface, against the sum of its points' weights.
HELD = np.array([0.01, 0.01, 0.01, 0.03, 0.03, 0.03])


def window_of(away: Floats) -> Floats:
    """(M, K): 1 at the place itself, 0 at the last of those ``away`` (M, K), nearest first."""
    return np.asarray(np.clip(1 - (away / np.maximum(away[:, -1:], 1e-300)) ** 2, 1e-9, 1))


def same(cosine: Floats) -> Floats:
    """1 for normals that agree up to their sign, 0 for those of different sides of an edge."""
    return np.asarray(np.exp((np.abs(cosine) - 1) / APART))


def bell(height: Floats) -> Floats:
    return np.asarray(np.exp(-(height**2)))


def dots(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("...i,...i->...", a, b))


def normalized(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-300))


def across(normals: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors (M, 3) across ``normals`` (M, 3) and each other."""
    first = normalized(np.cross(normals, np.eye(3)[np.abs(normals).argmin(1)]))
    return first, np.cross(normals, first)


def least(offsets: Floats, weight: Floats) -> Floats:
    """(M, 3) unit vectors in which ``offsets`` (M, K, 3), weighted, differ least."""
    weight = weight / weight.sum(1, keepdims=True)
    offsets = offsets - np.einsum("nk,nki->ni", weight, offsets)[:, None]
    return np.asarray(np.linalg.eigh(np.einsum("nk,nki,nkj->nij", weight, offsets, offsets))[1][:, :, 0])


def terms(u: Floats, v: Floats) -> Floats:
    return np.stack((np.ones_like(u), u, v, u * u, u * v, v * v), -1)


def square(u: Floats, v: Floats, height: Floats, weight: Floats) -> Floats:
    """(M, 6) the square surfaces that fit heights (M, K) over (u, v) best: the factors of 1, u, v, u u, u v, v v."""
    shown = terms(u, v)
    left = np.einsum("nk,nki,nkj->nij", weight, shown, shown) + np.diag(HELD)
    right = np.einsum("nk,nki,nk->ni", weight, shown, height)
    return np.asarray(np.linalg.solve(left, right[..., None])[..., 0])
