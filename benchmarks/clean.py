"""What is done to clouds that are clean already: `python benchmarks/clean.py`.

The median displacement over the median point spacing, on every validation shape, procedural shape and simulated scan:
its median and its largest value over the clouds of a kind. Nothing should move; 0.05 is the most that is allowed.
"""

from __future__ import annotations

import numpy as np
from classical import Denoise
from procedural import SHAPES, procedural
from protocol import best_lines, head, parser, rows, shapes
from scenes import scenes

from deburr.core.arrays import Floats
from deburr.core.neighbors import cloud_spacing

#: Median displacement over spacing that a clean cloud may suffer.
MOST = 0.05


def clouds(quick: bool) -> dict[str, list[tuple[str, Floats]]]:
    """The clean clouds by kind, each with its name."""
    some = 8 if quick else 1
    found = {
        "shapes 10k": list(shapes(10_000))[::some],
        "shapes 50k": list(shapes(50_000))[:: 8 * some],
        "procedural": [(s.name, s.clean) for s in procedural(10_000, tuple(SHAPES)[::some])],
    }
    return found | {"scans": [(s.name, s.clean) for s in scenes(("suburb",) if quick else None)]}


def main() -> None:
    """Print one table, and the clouds on which deburr moves more than it may."""
    asked = parser(__doc__).parse_args()
    groups = clouds(asked.quick)
    spacing = {kind: [cloud_spacing(points) for _, points in group] for kind, group in groups.items()}
    ours, table = rows(asked)
    columns = [f"{kind}, {which}" for kind in groups for which in ("median", "worst")]
    head("median displacement over spacing, clean clouds", columns, 20)
    too_far: list[str] = []

    def shifts(denoise: Denoise) -> list[float]:
        values: list[float] = []
        for kind, group in groups.items():
            moved = [float(np.median(np.linalg.norm(denoise(p) - p, axis=1))) for _, p in group]
            shares = np.array(moved) / spacing[kind]
            values += [float(np.median(shares)), float(shares.max())]
            if denoise is ours:
                too_far.extend(f"{n}: {s:.3f}" for (n, _), s in zip(group, shares, strict=True) if s > MOST)
        return values

    best_lines(table, shifts, 20)
    print(f"deburr moves more than {MOST} on: {'; '.join(too_far) or 'none'}")


if __name__ == "__main__":
    main()
