"""How surprising good points are, the table in `filters/_surprise.py`: `python benchmarks/chance.py`.

Simulated scans of `deburr.train.scans` without outliers, but with the leaves, wires, sparse borders and mixed pixels of
scans: the surprise that a share of their points exceeds, of all scans together, and the tenth and the ninetieth
percentile over them, which tell how far one threshold does for all. Beside it, of planes under Gaussian noise: how many
points are taken there by that threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.filters._surprise import CHANCES
from deburr.filters.outlier import Outlier
from deburr.train.scans import scan_scene

#: The scenes' first seed; training has others.
SEED = 4_000_000


def planes(rng: np.random.Generator) -> Iterator[Floats]:
    """Planes of 10,000 random points a unit apart, under noise of a twentieth to half of that."""
    for noise in (0.05, 0.1, 0.25, 0.5):
        plan = rng.uniform(0, 100, (10_000, 2))
        yield np.column_stack((plan, np.zeros(len(plan)))) + rng.normal(0, noise, (len(plan), 3))


def surprises(clouds: Iterator[Floats]) -> Floats:
    """(C, 4001) of the points of each cloud, as quantiles."""
    found = [Outlier(method="energy").surprises(PointCloud(points)) for points in clouds]
    return np.stack([np.quantile(one, np.linspace(0, 1, 4001)) for one in found])


def main() -> None:
    """Print one line a chance."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--scenes", type=int, default=70, help="how many scans")
    asked = command.parse_args()
    scans = surprises(scan_scene(SEED + number).points for number in range(asked.scenes))
    even = surprises(planes(np.random.default_rng(SEED)))
    print(f"{'chance':>10}{'surprise':>12}{'of planes':>12}{'low':>8}{'high':>8}")
    for chance in CHANCES:
        limit = float(np.quantile(scans, 1 - chance))
        low, high = np.quantile(np.quantile(scans, 1 - chance, axis=1), (0.1, 0.9))
        told = f"{chance:>10g}{limit:>12.2f}{float((even > limit).mean()):>12.5f}{low:>8.2f}{high:>8.2f}"
        print(told, flush=True)


if __name__ == "__main__":
    main()
