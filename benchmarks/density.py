"""Procedural shapes from 5,000 to 200,000 points: `python benchmarks/density.py`.

Chamfer distance as a share of the noisy input's. The noise is the same at every density, 1 % of the radius (or
--level), so that it is small against the spacing on the left and large on the right. It is told to no row.
"""

from __future__ import annotations

import numpy as np
from classical import Denoise
from procedural import procedural
from protocol import best_lines, chamfer, estimates, head, line, parser, rows

COUNTS = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
NAMES = ("supershape petals", "gear", "twisted star", "screw")


def main() -> None:
    """Print one table."""
    command = parser(__doc__)
    command.add_argument("--level", type=float, default=0.01, help="standard deviation of the noise, of the radius")
    command.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of points")
    asked = command.parse_args()
    counts, names = (asked.counts, NAMES) if not asked.quick else (asked.counts[:4], NAMES[:3])
    ours, table = rows(asked)
    clouds = [[(s.clean, s.noisy(asked.level)) for s in procedural(count, names)] for count in counts]
    before = np.array([np.mean([chamfer(x, clean) for clean, x in group]) for group in clouds])
    head(f"Chamfer, share of the input's; {len(names)} shapes, noise {asked.level:.1%}", [f"{c:,}" for c in counts])
    line("input", [1.0] * len(counts))

    def shares(denoise: Denoise) -> list[float]:
        after = np.array([np.mean([chamfer(denoise(x), clean) for clean, x in group]) for group in clouds])
        return list(after / before)

    best_lines(table, shares)
    guesses = np.array(ours.guesses).reshape(len(counts), -1) / asked.level
    estimates({str(count): list(each) for count, each in zip(counts, guesses, strict=True)})


if __name__ == "__main__":
    main()
