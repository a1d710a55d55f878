"""The protocols every benchmark shares: how noise is added, what is measured, and the classical rows beside ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]

DATA = Path(os.environ.get("DEBURR_DATA", Path(__file__).parents[2] / "shared")) / "data"
LEVELS = (0.01, 0.02, 0.03)


def unit_sphere(points: Floats) -> Floats:
    """Bounding-box centre to the origin, farthest point at distance 1."""
    centred = points - (points.min(0) + points.max(0)) / 2
    return np.asarray(centred / np.linalg.norm(centred, axis=1).max())


def shapes(count: int) -> Iterator[tuple[str, Floats]]:
    """The validation shapes of ``count`` points (10000 or 50000), by name, in their unit spheres."""
    with np.load(DATA / "shapes" / f"punet_train_clean_{count}.npz") as file:
        for name in sorted(file.files):
            yield name, unit_sphere(file[name].astype(np.float64))


def noisy(clean: Floats, level: float) -> Floats:
    """Gaussian noise of a generator made anew for every shape."""
    return clean + np.random.default_rng(0).normal(0, level, clean.shape)


def chamfer(a: Floats, b: Floats) -> float:
    """Mean squared nearest-neighbour distance one way plus the other, x 1e4."""
    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    return float(((there**2).mean() + (back**2).mean()) * 1e4)


def neighbourhoods(points: Floats, k: int) -> tuple[Floats, Floats, Any]:
    """Mean (N, 3), eigenvalues (N, 3) and eigenvectors (N, 3, 3), ascending, of each point's ``k`` nearest points."""
    rows = cKDTree(points).query(points, k=k, workers=-1)[1]
    around = points[rows]
    mean = around.mean(1)
    away = around - mean[:, None]
    values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", away, away) / k)
    return mean, values, vectors


def local_plane(points: Floats, k: int = 16) -> Floats:
    """Each point projected on the plane of its ``k`` nearest points, itself among them."""
    mean, _, vectors = neighbourhoods(points, k)
    normal = vectors[:, :, 0]
    return np.asarray(points - ((points - mean) * normal).sum(1, keepdims=True) * normal)


def guided_filter(points: Floats, k: int = 16, eps: float = 0.5) -> Floats:
    """Guided point cloud filtering: p = A p + b with A = C (C + e I)^-1, e = ``eps`` x the mean variance."""
    rows = cKDTree(points).query(points, k=k, workers=-1)[1]
    around = points[rows]
    mean = around.mean(1)
    away = around - mean[:, None]
    covariance = np.einsum("nki,nkj->nij", away, away) / k
    ridge = eps * np.trace(covariance, axis1=1, axis2=2).mean() / 3 * np.eye(3)
    gain = np.linalg.solve(covariance + ridge, covariance)
    return np.asarray(np.einsum("nij,nj->ni", gain.transpose(0, 2, 1), points - mean) + mean)


def real_tile(name: str) -> tuple[Floats, Floats]:
    """The clean and noisy (3 cm) 50,000 points of the data's README."""
    import laspy

    las = laspy.read(DATA / "lidar" / name)
    xyz = np.stack((las.x, las.y, las.z), 1).astype(np.float64)
    away = ((xyz[:, :2] - np.median(xyz[:, :2], axis=0)) ** 2).sum(1)
    clean = xyz[np.argsort(away, kind="stable")[:50_000]]
    clean = clean - clean.mean(0)
    return clean, clean + np.random.default_rng(0).normal(0, 0.03, clean.shape)


def own_and_plane(clean: Floats, now: Floats) -> tuple[float, float]:
    """RMS distance to the own clean place, and to the clean cloud's planes where it is flat; in the cloud's unit."""
    mean, values, vectors = neighbourhoods(clean, 16)
    flat = values[:, 0] < 0.01 * values.sum(1)
    off = ((now - mean) * vectors[:, :, 0]).sum(1)[flat]
    return float(np.sqrt(((now - clean) ** 2).sum(1).mean())), float(np.sqrt((off**2).mean()))
