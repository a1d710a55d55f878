"""Simulated scans with their exact truth, and real tiles with 3 cm of noise added: `python benchmarks/lidar.py`.

Scenes: RMS distance to the true surface (plane, edge) or to the own place (thin, vegetation), as a share of the noisy
input's; the largest displacement over the noise; and how far the clean scan is moved (median) over its spacing.
The noise level is told to no row, unless --noise-told.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from classical import Denoise
from protocol import (
    TILES,
    Ours,
    best_line,
    best_lines,
    estimates,
    head,
    line,
    own_and_plane,
    parser,
    real_tile,
    rms,
    rows,
    settings,
)
from scenes import SCENES, scenes
from simulator import Scan

from deburr.core.arrays import Floats

STRATA = ("plane", "edge", "thin", "vegetation")
COLUMNS = (*STRATA, "max move", "clean")


def measure(scan: Scan, denoise: Callable[[Floats], Floats]) -> list[float]:
    """One row of the scenes' table; not a number for a stratum that the scene has not."""
    x = scan.noisy()
    now = denoise(x)
    before, after = scan.errors(x), scan.errors(now)
    shares = [rms(after[name]) / rms(before[name]) if len(before[name]) else float("nan") for name in STRATA]
    furthest = float(np.linalg.norm(now - x, axis=1).max()) / scan.noise
    return [*shares, furthest, stir(scan.clean, denoise) / scan.spacing]


def stir(clean: Floats, denoise: Callable[[Floats], Floats]) -> float:
    """How far the median point of a clean cloud is moved."""
    return float(np.median(np.linalg.norm(denoise(clean) - clean, axis=1)))


def main() -> None:
    """Print the table of the scenes, then that of the real tiles."""
    command = parser(__doc__)
    command.add_argument("--by-scene", action="store_true", help="every row for every scene, not for deburr alone")
    command.add_argument("--noise-told", action="store_true", help="a row more, to which the true level is told")
    command.add_argument("--scenes", nargs="+", choices=[make.__name__ for make in SCENES], help="only these")
    asked = command.parse_args()
    names = tuple(asked.scenes) if asked.scenes else ("suburb", "yard") if asked.quick else None
    scans = list(scenes(names))
    ours, table = rows(asked)
    head("simulated scans; share of the input's", COLUMNS, 11)
    levels = []
    for named in settings(table).values():
        found: dict[str, list[list[float]]] = {name: [] for name in named}
        for name, scan in product(named, scans):
            ours.guesses.clear()
            found[name].append(measure(scan, table[name]))
            if table[name] is ours:
                levels.append(ours.guesses[0] / scan.noise)
            if asked.by_scene or table[name] is ours:
                line(f"  {name}: {scan.name}"[:32], found[name][-1], 11)
        _summary(found)
    if asked.noise_told:
        _summary({"deburr": [measure(scan, Ours(ours.model, scan.noise)) for scan in scans]}, ", noise told")
    estimates({"scenes": levels}, 11)
    if not asked.scenes:
        _tiles(ours, table)


def _summary(found: dict[str, list[list[float]]], what: str = "") -> None:
    best_line({name: list(np.nanmean(each, axis=0)) for name, each in found.items()}, 11, what=what)
    best_line({name: list(np.nanmax(each, axis=0)) for name, each in found.items()}, 11, what=f"{what}, worst scene")


def _tiles(ours: Ours, table: dict[str, Callable[[Floats], Floats]]) -> None:
    clouds = {tile: real_tile(name) for tile, name in TILES.items()}
    head("\nreal tiles + 3 cm; RMS distance, cm", [f"{tile} {what}" for tile in TILES for what in ("own", "plane")], 16)

    def errors(denoise: Denoise) -> list[float]:
        return [100 * d for clean, x in clouds.values() for d in own_and_plane(clean, denoise(x))]

    best_lines({"input": lambda p: p, **table}, errors, 16, 2)
    estimates({tile: [level / 0.03] for tile, level in zip(TILES, ours.guesses[-2:], strict=True)}, 16)


if __name__ == "__main__":
    main()
