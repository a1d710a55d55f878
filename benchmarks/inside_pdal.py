"""The filter inside PDAL beside `pipeline run`: `python benchmarks/inside_pdal.py [--points N] [--rounds N] [--laz]`.

Both read the same file, denoise it and write it, each in a process of its own, watched from outside, in turn. Needs
PDAL with filters.python on PATH and PDAL_DRIVER_PATH, and this Python as the one that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from outside import PIPELINE, Cost, measured

from deburr.pipeline import run
from deburr.plugins.pdal.preset import options

LANDSCAPE = Path(__file__).with_name("landscape.py")


def specs(source: Path, folder: Path) -> dict[str, tuple[Sequence[str], Path]]:
    """What is to be compared: the command of each, and the file that it writes."""
    ours, theirs = (folder / f"{name}{source.suffix}" for name in ("run", "inside"))
    step = {"type": "filters.python", **options("denoise", {})}
    inside = folder / "inside.json"
    writer = {"type": "writers.las", "filename": str(theirs), "forward": "all"}
    inside.write_text(json.dumps([str(source), step, writer]))
    return {
        "pipeline run": ([*PIPELINE, "run", json.dumps([str(source), "filters.spd", str(ours)])], ours),
        "inside PDAL": (["pdal", "pipeline", str(inside)], theirs),
        "PDAL alone": (["pdal", "translate", str(source), str(folder / f"copy{source.suffix}")], theirs),
    }


def say(name: str, costs: Sequence[Cost], points: int) -> tuple[float, float]:
    """One row; returns what is compared, wall seconds and MB."""
    seconds, peak = median(c.seconds for c in costs), median(c.peak_mb for c in costs)
    processor = median(c.processor for c in costs)
    speed = points / seconds
    print(f"{name:<14}{seconds:>10.1f} s{processor:>10.1f} s processor{peak:>10,.0f} MB{speed:>12,.0f} points/s")
    return seconds, peak


def difference(ours: Path, theirs: Path) -> str:
    """How far the two results lie apart."""
    import numpy as np

    one, other = run([str(ours)]).cloud, run([str(theirs)]).cloud
    if len(one) != len(other):
        return f"{len(one)} and {len(other)} points: NOT the same"
    apart = float(np.abs(one.xyz - other.xyz).max()) if len(one) else 0.0
    return f"largest difference of a coordinate: {apart:.3g} (cloud units)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--laz", action="store_true", help="compressed files")
    parser.add_argument("--data", nargs="*", default=[], help="files to repeat side by side; default: generated")
    parser.add_argument("--folder", type=Path, help="where files go; default: a temporary folder")
    asked = parser.parse_args()
    if shutil.which("pdal") is None:
        raise SystemExit("pdal is not on PATH; activate an environment with PDAL and filters.python")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        source = folder / f"in{'.laz' if asked.laz else '.las'}"
        command = [sys.executable, str(LANDSCAPE), str(source), "--points", str(asked.points)]
        command += ["--data", *asked.data] if asked.data else []
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{told['points']:,} points, {source.suffix}, {len(os.sched_getaffinity(0))} cores")
        chosen = specs(source, folder)
        costs: dict[str, list[Cost]] = {one: [] for one in chosen}
        for _ in range(asked.rounds):
            for one, (words, _) in chosen.items():
                costs[one].append(measured(words))
        rows = {one: say(one, found, told["points"]) for one, found in costs.items()}
        ratios = [inside / alone for inside, alone in zip(rows["inside PDAL"], rows["pipeline run"], strict=True)]
        print(f"inside PDAL / pipeline run: time {ratios[0]:.2f}, memory {ratios[1]:.2f}")
        print(difference(chosen["pipeline run"][1], chosen["inside PDAL"][1]))


if __name__ == "__main__":
    main()
