"""The picture of the samplers: a section through a ridge, as the ascent leaves it, and as a diffusion's reverse does.

`make pictures` draws it. The noise is two fifths of the spacing, and nobody tells it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import deburr
from deburr.core.arrays import Floats

PICTURE = Path(__file__).parent / "pictures" / "samplers.png"
_COUNT, _WIDE, _NOISE = 6400, 8.0, 0.04
_WAYS: dict[str, dict[str, Any]] = {
    "ascent": {"sampler": "ascent"},
    "ddim, 5 steps": {"sampler": "ddim", "steps": 5},
    "ancestral, 5 steps": {"sampler": "ancestral", "steps": 5, "seed": 1},
}


def _ridge(plan: Floats) -> Floats:
    """(N,) heights of a roof with a ridge along y, above (N, 2)."""
    return np.asarray(0.9 - 0.5 * np.abs(plan[:, 0] - _WIDE / 2))


def _off(points: Floats) -> Floats:
    """(N,) distances to the roof of points (N, 3), inside of its border."""
    inside = np.all((points[:, :2] > 0.5) & (points[:, :2] < _WIDE - 0.5), axis=1)
    return np.asarray((points[inside, 2] - _ridge(points[inside])) / np.sqrt(1.25))


def main() -> None:
    """Clean the roof in each way and draw the same slice of it."""
    random = np.random.default_rng(3)
    plan = random.uniform(0, _WIDE, (_COUNT, 2))
    noisy = np.column_stack((plan, _ridge(plan))) + random.normal(0, _NOISE, (_COUNT, 3))
    shown = {"noisy": noisy, **{name: deburr.denoise(noisy, **options) for name, options in _WAYS.items()}}
    figure, axes = plt.subplots(2, 2, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
    some = np.abs(plan[:, 1] - _WIDE / 2) < 0.6
    x = np.array([2.4, _WIDE / 2, 5.6])
    for axis, (name, points) in zip(axes.flat, shown.items(), strict=True):
        axis.plot(x, _ridge(np.column_stack((x, x))), color="#e07a1f", linewidth=0.8)
        axis.plot(points[some, 0], points[some, 2], ".", color="#1d4e89", markersize=2.4)
        axis.set(xlim=(x[0], x[-1]), ylim=(0.1, 1.05), yticks=[], aspect="equal")
        rms = np.sqrt((_off(points) ** 2).mean())
        axis.set_title(f"{name}: {100 * rms:.1f} cm", fontsize=9)
        print(f"{name}: RMS {100 * rms:.2f} cm")
    for axis in axes[1]:
        axis.set_xlabel("across, m")
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"optimize": True})
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
