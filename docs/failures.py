"""The picture of what goes wrong, on the page of limits: three clouds whose truth is known, before and after.

`make pictures` draws it. All have 1 cm of noise in every direction, and nobody tells it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import deburr
from deburr.core.arrays import Floats

PICTURE = Path(__file__).parent / "pictures" / "failures.png"
_NOISE, _SLAB = 0.01, 0.04


def _plan(random: np.random.Generator, count: int, width: float = 1.6) -> Floats:
    return random.uniform(-width / 2, width / 2, (count, 2))


def _sheets(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Two sheets, two and a half times the noise apart."""
    plan = _plan(random, 24_000)
    return plan, np.where(np.arange(len(plan)) % 2 == 0, 0.0, 2.5 * _NOISE)


def _ripples(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Waves that are lower than the noise, and as long as a few spacings."""
    plan = _plan(random, 12_000)
    return plan, 0.008 * np.sin(2 * np.pi * plan[:, 0] / 0.09)


def _undergrowth(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Ground of which one point in five is seen, and low plants whose points lie densest near it."""
    plan = _plan(random, 12_000)
    return plan, np.where(np.arange(len(plan)) % 5 == 0, 0.0, random.exponential(0.04, len(plan)))


def main() -> None:
    """Clean the three clouds and draw a section through each."""
    kinds = {
        "two sheets, 2.5 cm apart": _sheets,
        "waves of 0.8 cm, 9 cm long": _ripples,
        "plants; one point in five is ground": _undergrowth,
    }
    figure, axes = plt.subplots(3, 2, figsize=(9, 6), sharex=True, sharey="row", layout="constrained")
    for row, (title, make) in zip(axes, kinds.items(), strict=True):
        random = np.random.default_rng(7)
        plan, height = make(random)
        true = np.column_stack([plan, height])
        noisy = true + random.normal(0, _NOISE, true.shape)
        clean = deburr.denoise(noisy)
        some = np.abs(true[:, 1]) < _SLAB / 2
        for axis, points, name in zip(row, (noisy, clean), ("before", "after"), strict=True):
            axis.plot(100 * true[some, 0], 100 * true[some, 2], ".", color="0.8", markersize=3)
            axis.plot(100 * points[some, 0], 100 * points[some, 2], ".", color="#1d4e89", markersize=1.5)
            axis.set_title(f"{title}: {name}", fontsize=9)
            axis.set_xlim(-40, 40)
        row[0].set_ylabel("height, cm")
        error = [float(np.sqrt(np.mean((points - true)[:, 2] ** 2))) for points in (noisy, clean)]
        print(f"{title}: {100 * error[0]:.2f} cm -> {100 * error[1]:.2f} cm across the ground")
    for axis in axes[-1]:
        axis.set_xlabel("along the section, cm")
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"optimize": True})
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
