"""The samplers of filters.spd by their steps, on shapes and on simulated scans: `python benchmarks/samplers.py`.

Shapes: Chamfer distance and mean squared distance to the surface, as a share of the input's. Scans: RMS distance to the
true surface (plane, edge) or to the own place (thin, vegetation), as a share of the input's. Time: processor seconds
over those of one step of the ascent on the same clouds. The noise level is told to no row.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from accuracy import Case, cases, measure
from lidar import STRATA
from protocol import LEVELS, head, line, parser, rms
from scenes import scenes
from simulator import Scan

from deburr.core.arrays import Floats
from deburr.nn.contract import Model, Settings
from deburr.nn.models import load
from deburr.nn.schedule import Sampler

STEPS: dict[Sampler, tuple[int, ...]] = {
    "ascent": (1, 2, 3, 5),
    "ddim": (2, 3, 5, 10, 20, 50),
    "ancestral": (2, 3, 5, 10, 20, 50),
}
QUICK = 5


@dataclass
class Row:
    """One sampler with so many steps; ``seconds`` of processor time add up."""

    model: Model
    sampler: Sampler
    steps: int
    seconds: float = 0.0

    def __call__(self, points: Floats) -> Floats:
        """Denoise (N, 3)."""
        begun = time.process_time()
        done = self.model.denoise(points, Settings(sampler=self.sampler, steps=self.steps)).xyz
        self.seconds += time.process_time() - begun
        return done


def on_shapes(row: Row, clouds: list[Case], base: Floats) -> list[float]:
    """Chamfer distance and distance to the surface at each level, as shares of ``base`` (levels, 2)."""
    return list(np.ravel((np.array([measure(clouds, row, level) for level in LEVELS]) / base).T))


def on_scans(row: Row, scans: list[Scan]) -> list[float]:
    """The mean share by stratum."""
    found = []
    for scan in scans:
        noisy = scan.noisy()
        before, after = scan.errors(noisy), scan.errors(row(noisy))
        found.append([rms(after[name]) / rms(before[name]) if len(before[name]) else np.nan for name in STRATA])
    return list(np.nanmean(found, axis=0))


def main() -> None:
    """Print one table."""
    command = parser(__doc__)
    command.add_argument("--points", type=int, default=10_000, help="of a shape")
    asked = command.parse_args()
    asked.procedural = True
    clouds, model = cases(asked), load("deburr", asked.weights)
    scans = list(scenes(("suburb", "yard")))
    base = np.array([measure(clouds, lambda p: p, level) for level in LEVELS])
    columns = [f"{what} {level:.0%}" for what in ("Chamfer", "surface") for level in LEVELS]
    head(f"{len(clouds)} shapes of {asked.points} points, {len(scans)} scans", [*columns, *STRATA, "time"], 12)
    unit = None
    for sampler, counts in STEPS.items():
        for steps in counts:
            if asked.quick and steps > QUICK:
                continue
            row = Row(model, sampler, steps)
            found = [*on_shapes(row, clouds, base), *on_scans(row, scans)]
            unit = unit or row.seconds
            line(f"{sampler}, {steps} step{'s' * (steps > 1)}", [*found, row.seconds / unit], 12)


if __name__ == "__main__":
    main()
