"""The classical rows beside ours: local planes, guided filter, bilateral filter and moving least squares; untuned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.neighbors import Neighbors

Denoise = Callable[[Floats], Floats]
#: Points treated at a time: their neighbourhoods fit the memory of any machine.
CHUNK = 1 << 17


def blocks(points: Floats, k: int) -> Any:
    """Yield start, stop, squared distances (n, k) and rows (n, k) of the ``k`` nearest, itself among them."""
    tree = Neighbors(points)
    for start in range(0, len(points), CHUNK):
        stop = min(start + CHUNK, len(points))
        distances, rows = tree.nearest(points[start:stop], k)
        yield start, stop, distances**2, rows


def planes(around: Floats, weights: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Mean (N, 3), eigenvalues (N, 3) and eigenvectors (N, 3, 3), ascending, of neighbourhoods (N, k, 3)."""
    share = np.full(around.shape[:2], 1 / around.shape[1]) if weights is None else weights / weights.sum(1)[:, None]
    mean = np.einsum("nk,nki->ni", share, around)
    away = around - mean[:, None]
    values, vectors = np.linalg.eigh(np.einsum("nk,nki,nkj->nij", share, away, away))
    return mean, values, vectors


def local_plane(points: Floats, k: int = 16) -> Floats:
    """Each point projected on the plane of its ``k`` nearest points, itself among them."""
    out = np.empty_like(points)
    for start, stop, _, rows in blocks(points, k):
        mean, _, vectors = planes(points[rows])
        normal = vectors[:, :, 0]
        part = points[start:stop]
        out[start:stop] = part - ((part - mean) * normal).sum(1, keepdims=True) * normal
    return out


def guided_filter(points: Floats, k: int = 16, eps: float = 0.5) -> Floats:
    """Guided point cloud filtering: p = A p + b with A = C (C + e I)^-1, e = ``eps`` x the cloud's mean variance."""
    means, covariances = [], []
    for _, _, _, rows in blocks(points, k):
        around = points[rows]
        means.append(around.mean(1))
        away = around - means[-1][:, None]
        covariances.append(np.einsum("nki,nkj->nij", away, away) / k)
    mean, covariance = np.concatenate(means), np.concatenate(covariances)
    ridge = eps * np.trace(covariance, axis1=1, axis2=2).mean() / 3 * np.eye(3)
    gain = np.linalg.solve(covariance + ridge, covariance)
    return np.asarray(np.einsum("nij,nj->ni", gain.transpose(0, 2, 1), points - mean) + mean)


def bilateral(points: Floats, k: int = 32) -> Floats:
    """Bilateral filter (Digne & de Franchis, IPOL 7, 2017): along the normal, by distance and by height."""
    out = np.empty_like(points)
    for start, stop, squared, rows in blocks(points, k):
        around = points[rows]
        normal = planes(around)[2][:, :, 0]
        part = points[start:stop]
        height = np.einsum("nki,ni->nk", around - part[:, None], normal)
        reach = squared[:, -1:] / 4
        spread = np.maximum(height.std(1, keepdims=True), 1e-12 * np.sqrt(reach)) ** 2
        weight = np.exp(-squared / (2 * reach) - height**2 / (2 * spread))
        out[start:stop] = part + ((weight * height).sum(1) / weight.sum(1))[:, None] * normal
    return out


def moving_least_squares(points: Floats, k: int = 32) -> Floats:
    """Projection on a quadratic height field over the weighted local plane (after Alexa et al., 2003)."""
    out = np.empty_like(points)
    for start, stop, squared, rows in blocks(points, k):
        around, part = points[rows], points[start:stop]
        weight = np.exp(-4 * squared / squared[:, -1:])
        mean, _, vectors = planes(around, weight)
        size = np.sqrt(squared[:, -1])[:, None]
        z, u, v = (np.einsum("nki,ni->nk", around - mean[:, None], vectors[:, :, i]) / size for i in range(3))
        terms = np.stack((np.ones_like(u), u, v, u * u, u * v, v * v), -1)
        normal = np.einsum("nk,nki,nkj->nij", weight, terms, terms) + 1e-6 * np.eye(6)
        right = np.einsum("nk,nki,nk->ni", weight, terms, z)
        fitted = np.linalg.solve(normal, right[..., None])[..., 0]
        own = [((part - mean) * vectors[:, :, i]).sum(1) / size[:, 0] for i in range(3)]
        a, b = own[1], own[2]
        height = (np.stack((np.ones_like(a), a, b, a * a, a * b, b * b), -1) * fitted).sum(1)
        out[start:stop] = part + ((height - own[0]) * size[:, 0])[:, None] * vectors[:, :, 0]
    return out


def _twice(denoise: Denoise) -> Denoise:
    return lambda points: denoise(denoise(points))


def classical(quick: bool = False) -> dict[str, Denoise]:
    """Every classical denoiser in its settings, named "filter, setting"; ``quick``: planes and guided filter, once."""
    found: dict[str, Denoise] = {}
    for name, filtered in (("local plane", local_plane), ("guided filter", guided_filter)):
        for k in (16, 32):
            found[f"{name}, k = {k}"] = partial(filtered, k=k)
    if quick:
        return found
    found |= {f"{name}, twice": _twice(once) for name, once in found.items()}
    for k in (32, 64):
        found[f"bilateral filter, k = {k}"] = partial(bilateral, k=k)
        found[f"moving least squares, k = {k}"] = partial(moving_least_squares, k=k)
    return found
