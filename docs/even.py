"""The picture of even spacing: a sphere before, denoised, and with its points spread evenly.

`make pictures` draws it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree

import deburr
from deburr.core.arrays import Floats

PICTURE = Path(__file__).parent / "pictures" / "even.png"
_COUNT = 4000


def _unevenness(points: Floats) -> float:
    """How much distances to the nearest neighbour vary, as a share of their mean."""
    nearest = cKDTree(points).query(points, 2)[0][:, 1]
    return float(nearest.std() / nearest.mean())


def main() -> None:
    """Clean a sphere in both ways and draw the side that is seen."""
    random = np.random.default_rng(1)
    clean = random.normal(size=(_COUNT, 3))
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    noisy = clean + random.normal(0, 0.5 * float(np.sqrt(4 * np.pi / _COUNT)), clean.shape)
    shown = {
        "noisy": noisy,
        "denoised": deburr.denoise(noisy),
        "denoised, spread even": deburr.denoise(noisy, spread="even"),
    }
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
    for axis, (name, points) in zip(axes, shown.items(), strict=True):
        front = points[points[:, 2] > 0]
        axis.plot(front[:, 0], front[:, 1], ".", color="#1d4e89", markersize=1.8)
        axis.set_title(name, fontsize=9)
        axis.set_aspect("equal")
        axis.set(xlim=(-0.75, 0.75), ylim=(-0.75, 0.75), xticks=[], yticks=[])
        off = np.linalg.norm(points, axis=1) - 1
        print(f"{name}: unevenness {_unevenness(points):.2f}, off the sphere {np.sqrt((off**2).mean()):.4f}")
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"optimize": True})
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
