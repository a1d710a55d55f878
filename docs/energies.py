"""The picture of energies: a house, a bush and a wire with outliers, by their energy, and by what is found of them.

`make pictures` draws it. Noise of 2 cm, which nobody tells, and four kinds of outliers: in the air, below the ground,
between an eave and the ground (mixed pixels), and echoes that came twice, below a roof.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from house import house
from matplotlib.colors import LogNorm

import deburr
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.filters.outlier import Outlier

PICTURE = Path(__file__).parent / "pictures" / "energy.png"
_NOISE = 0.02


def _good(random: np.random.Generator) -> Floats:
    """The two slopes of a roof, the ground beside them, a bush on it and a wire above: 40 points a square metre."""
    parts = house(random, 40, (np.array([9.0, 5.0, 1.3]), np.array([1.4, 5.0, 1.1])))
    x = random.uniform(-9, 13, 220)
    parts.append(np.column_stack((x, np.full(220, 5.0), 7.5 + 0.004 * (x - 2) ** 2)))
    points = np.concatenate(parts)
    return np.asarray(points + random.normal(0, _NOISE, points.shape))


def _outliers(random: np.random.Generator) -> Floats:
    """60 in the air, 30 below the ground, 60 mixed pixels, 30 echoes below a roof."""
    y = random.uniform(0, 10, 180)
    air = np.column_stack((random.uniform(-9, 13, 60), y[:60], random.uniform(3.5, 9, 60)))
    low = np.column_stack((random.uniform(5, 13, 30), y[60:90], random.uniform(-1.5, -0.4, 30)))
    mixed = np.column_stack((5 + random.normal(0, 0.05, 60), y[90:150], random.uniform(0.3, 2.7, 60)))
    x = random.uniform(-4, 0, 30)
    twice = np.column_stack((x, y[150:], 6 + 0.6 * x - random.uniform(0.15, 1.5, 30)))
    return np.concatenate((air, low, mixed, twice))


def main() -> None:
    """Tell energies, find outliers, and draw both from the side."""
    random = np.random.default_rng(4)
    good, bad = _good(random), _outliers(random)
    cloud = PointCloud(np.concatenate((good, bad)))
    energy = deburr.denoise(cloud, dimensions=["Energy"]).dims["Energy"]
    found = Outlier(method="energy").run(cloud).dims["Classification"] == 7
    true = np.arange(len(cloud)) >= len(good)
    figure, axes = plt.subplots(2, 1, figsize=(8, 7.6), sharex=True, layout="constrained")
    x, z = cloud.xyz[:, 0], cloud.xyz[:, 2]
    order = np.argsort(energy)
    drawn = axes[0].scatter(
        x[order], z[order], c=np.clip(energy[order], 0.1, 100), s=3, norm=LogNorm(0.1, 100), cmap="viridis"
    )
    figure.colorbar(drawn, ax=axes[0], label="Energy, nats", aspect=24, fraction=0.03)
    axes[0].set_title("Energy of each point", fontsize=9)
    kinds = {
        "kept": (~found & ~true, ".", "#b8c4d0", 1.5),
        "outlier, found": (found & true, ".", "#e07a1f", 5.0),
        "outlier, missed": (~found & true, "x", "#c1121f", 5.0),
        "good, taken": (found & ~true, "+", "#1d4e89", 5.0),
    }
    for name, (rows, mark, color, size) in kinds.items():
        axes[1].plot(x[rows], z[rows], mark, color=color, markersize=size, label=f"{name}: {rows.sum():,}")
    axes[1].set_title('filters.outlier, method "energy"', fontsize=9)
    axes[1].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4, frameon=False)
    for axis in axes:
        axis.set_aspect("equal")
        axis.set_ylabel("height, m")
    axes[1].set_xlabel("across, m")
    right = int((found & true).sum())
    print(f"F1 {2 * right / (found.sum() + true.sum()):.3f}")
    for name, (rows, *_) in kinds.items():
        print(f"{name}: {rows.sum()}")
    parts = {"air": slice(0, 60), "low": slice(60, 90), "mixed": slice(90, 150), "twice": slice(150, 180)}
    print({name: f"{found[len(good) :][some].mean():.2f}" for name, some in parts.items()})
    figure.savefig(PICTURE, dpi=90, bbox_inches="tight", pil_kwargs={"optimize": True})
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
