"""How true `Uncertainty` is: `python benchmarks/uncertainty.py`.

Of points on planes and edges the distance to the true surface, of wires and leaves that to the own place along one
axis; the share of them within 1.645 times what was told, which is 0.9 if that is true, and the median of what was told
over the noise.
"""

from __future__ import annotations

import numpy as np
from protocol import head, line, parser
from scenes import scenes
from sensors import cases
from simulator import Scan

from deburr.core.arrays import Bools, Floats
from deburr.nn.contract import Model, Settings
from deburr.nn.models import load

STRATA = ("plane", "edge", "thin", "vegetation")
NINE_TENTHS = 1.645


def told(model: Model, scan: Scan, noisy: Floats, level: Floats) -> list[float]:
    """For each stratum the share within, then for each what is told over the noise; NaN where there are no points."""
    done = model.denoise(noisy, Settings())
    assert done.uncertainty is not None
    within, size = [], []
    for name in STRATA:
        rows: Bools = scan.stratum[name]
        if rows.sum() < 30:
            within.append(np.nan)
            size.append(np.nan)
            continue
        if name in ("plane", "edge"):
            errors = scan.surface.distances(done.xyz[rows])
        else:
            errors = np.linalg.norm(done.xyz[rows] - scan.clean[rows], axis=1) / np.sqrt(3)
        within.append(float((errors <= NINE_TENTHS * done.uncertainty[rows]).mean()))
        size.append(float(np.median(done.uncertainty[rows] / np.maximum(level[rows], 1e-12))))
    return [*within, *size]


def main() -> None:
    """Print one line a scan, and the mean."""
    asked = parser(__doc__).parse_args()
    model = load("deburr", asked.weights)
    head("within 1.645 of what is told; told over noise", (*STRATA, *(f"{name}/s" for name in STRATA)), 14)
    found = []
    for scan in scenes(("suburb", "yard") if asked.quick else None):
        noisy = scan.noisy()
        found.append(told(model, scan, noisy, np.full(len(noisy), scan.noise)))
        line(scan.name[:32], found[-1], 14)
    line("mean", list(np.nanmean(found, axis=0)), 14)
    for case in () if asked.quick else cases():
        line(case.name[:32], told(model, case.scan, case.noisy, case.level), 14)


if __name__ == "__main__":
    main()
