"""The picture of new points: a sphere before and after, and a house beside a bush, from the side.

`make pictures` draws it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from house import house

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.filters.upsample import Upsample

PICTURE = Path(__file__).parent / "pictures" / "upsample.png"
_OLD, _NEW = "#1d4e89", "#e07a1f"


def _sphere() -> Floats:
    points = np.random.default_rng(1).normal(size=(1500, 3))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def _house() -> Floats:
    """Two slopes of a roof, the ground beside them, and a bush on it: 20 points a square metre, 2 cm of noise."""
    random = np.random.default_rng(2)
    points = np.concatenate(house(random, 20, (np.array([9.0, 5.0, 1.7]), np.array([1.6, 5.0, 1.3]))))
    return np.asarray(points + random.normal(0, 0.02, points.shape))


def main() -> None:
    """Add points to both clouds and draw them."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", width_ratios=(1, 1, 1.7))
    sphere, house = (PointCloud(points) for points in (_sphere(), _house()))
    grown, built = (Upsample(factor=4).run(cloud) for cloud in (sphere, house))
    for axis, (name, cloud) in zip(axes, {"1,500 points": sphere, "four times as many": grown}.items(), strict=False):
        rows = np.flatnonzero(cloud.xyz[:, 2] > 0)
        for mine, color in ((rows[rows < len(sphere)], _OLD), (rows[rows >= len(sphere)], _NEW)):
            axis.plot(cloud.xyz[mine, 0], cloud.xyz[mine, 1], ".", color=color, markersize=1.8)
        axis.set_title(name, fontsize=9)
        axis.set(xlim=(-0.75, 0.75), ylim=(-0.75, 0.75))
    old, new = built.xyz[: len(house)], built.xyz[len(house) :]
    axes[2].plot(*old[old[:, 1] < 5][:, [0, 2]].T, ".", color=_OLD, markersize=1.5)
    axes[2].plot(*new[new[:, 1] < 5][:, [0, 2]].T, ".", color=_NEW, markersize=0.9)
    axes[2].set_title("a house and a bush, from the side", fontsize=9)
    for axis in axes:
        axis.set_aspect("equal")
        axis.set(xticks=[], yticks=[])
    off = np.abs(np.linalg.norm(grown.xyz[len(sphere) :], axis=1) - 1)
    print(f"sphere: {len(grown)} points, new ones off it by {np.sqrt((off**2).mean()):.5f}")
    bush = (new[:, 2] > 0.3) & (new[:, 0] > 5.2)
    print(f"house: {len(old)} and {len(new)} new points, {bush.sum()} in the bush")
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"optimize": True})
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
