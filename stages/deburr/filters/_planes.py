"""How far points lie from the plane through their neighbours: what noise looks like without a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deburr.core.cloud import Floats
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.core.progress import advance

#: Points treated at a time; bounds memory (k x 3 doubles each).
CHUNK = 1 << 16


@dataclass(frozen=True)
class Shape:
    """``residuals`` (N,): distance to the local plane; ``spacings`` (N,): each point's spacing; cloud units."""

    residuals: Floats
    spacings: Floats

    def figures(self) -> dict[str, Any]:
        """Residuals, spacing and density as JSON values; None where there are too few points to tell."""
        spacing = float(np.median(self.spacings)) if len(self.spacings) else None
        return {
            "residual_rms": rms(self.residuals),
            "residual_median": float(np.median(self.residuals)) if len(self.residuals) else None,
            "spacing_median": spacing,
            "points_per_square_unit": 1.0 / spacing**2 if spacing else None,
        }


def rms(values: Floats) -> float | None:
    """Root of the mean square; None of nothing."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def local_shape(xyz: Floats, k: int) -> Shape:
    """Residuals and spacings of points (N, 3) float64.

    The plane is the one of least squares through the ``k`` nearest neighbours, the point itself not counted, so that
    a single point at height h above a plane has residual h. Fewer than four points have no residuals.
    """
    n = len(xyz)
    if n < 2:
        return Shape(np.zeros(0), np.zeros(0))
    tree = Neighbors(xyz)
    near = min(k, n - 1)
    count = min(SPACING_K, n - 1)
    residuals, spacings = np.empty(n), np.empty(n)
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        distances, rows = tree.nearest(xyz[start:stop], max(near, count) + 1)
        spacings[start:stop] = point_spacing(distances[:, count], count)
        residuals[start:stop] = _residuals(xyz[start:stop], xyz[rows[:, 1 : near + 1]])
        advance("local planes", stop, n)
    return Shape(residuals if n >= 4 else np.zeros(0), spacings)


def _residuals(points: Floats, neighbours: Floats) -> Floats:
    """Distances (M,) of ``points`` (M, 3) to the planes of ``neighbours`` (M, k, 3)."""
    # Relative to the point first: far from the origin, products of coordinates would swallow the residual.
    offsets = neighbours - points[:, None, :]
    center = offsets.mean(axis=1)
    spread = offsets - center[:, None, :]
    _, axes = np.linalg.eigh(np.einsum("mki,mkj->mij", spread, spread))
    return np.asarray(np.abs(np.einsum("mi,mi->m", center, axes[:, :, 0])))
