"""The picture of what chains know: two sheets that part, by the uncertainty that is told and the error that is made.

`make pictures` draws it. The noise is 1 cm in every direction, and nobody tells it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import deburr
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud

PICTURE = Path(__file__).parent / "pictures" / "chains.png"
_NOISE, _COUNT, _GAP = 0.01, 5000, 0.08


def _sheets(random: np.random.Generator) -> Floats:
    """Two sheets, 1.2 m by 0.6 m, that part from each other along x."""
    plan = random.uniform((-0.2, -0.3), (1.0, 0.3), (_COUNT, 2))
    upper = np.arange(_COUNT) % 2
    return np.column_stack((plan, upper * _GAP * np.maximum(plan[:, 0], 0)))


def main() -> None:
    """Clean the sheets in both ways, and draw a section of each."""
    random = np.random.default_rng(5)
    true = _sheets(random)
    noisy = true + random.normal(0, _NOISE, true.shape)
    figure, axes = plt.subplots(4, 1, figsize=(9, 6.4), sharex=True, layout="constrained")
    some, drawn = np.abs(true[:, 1]) < 0.1, None
    for number, sampler in enumerate(("ascent", "langevin")):
        done = deburr.denoise(PointCloud(noisy), sampler=sampler, dimensions=["Uncertainty"])
        xyz, told = done.xyz, done.dims["Uncertainty"]
        off = np.abs(xyz - true)[:, 2]
        for axis, size, name in ((axes[2 * number], told, "told"), (axes[2 * number + 1], off, "made")):
            drawn = axis.scatter(
                100 * xyz[some, 0], 100 * xyz[some, 2], c=size[some] / _NOISE, s=5, vmin=0, vmax=1, cmap="viridis"
            )
            axis.set_title(f"{sampler}: error {name}", fontsize=9)
            axis.set_ylabel("height, cm")
        print(f"{sampler}: {100 * np.sqrt((off**2).mean()):.2f} cm, correlation {np.corrcoef(off, told)[0, 1]:.2f}")
    axes[-1].set_xlabel("along the section, cm")
    assert drawn is not None
    figure.colorbar(drawn, ax=axes, label="share of the noise", aspect=40)
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"optimize": True})
    print(PICTURE, f"{PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
