"""Processor seconds, wall seconds and peak memory from 10^4 to 10^7 points: `python benchmarks/speed.py`.

The two AHN3 tiles together; for fewer points their middle, for more the tiles repeated side by side. Every size runs in
a process of its own, which loads nothing else. Reading and writing are not timed. The unit is one neighbour query
(k = 16, SciPy's cKDTree, building it included) over the same points, timed in the same process just before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from protocol import centre_of, head, line, parser, real_cloud
from scipy.spatial import cKDTree

from deburr.core.arrays import Floats
from deburr.core.neighbors import threads
from deburr.nn.contract import Settings
from deburr.nn.models import load

SIZES = (10_000, 100_000, 849_000, 3_000_000, 10_000_000)
#: Points queried at a time, so that the answers of the query do not set the peak of memory.
CHUNK = 1 << 17


def tiles(count: int) -> Floats:
    """About ``count`` points; 849000 stands for exactly both tiles."""
    both = np.concatenate([real_cloud(f"3dfier_ahn3_cropped_{i}.laz") for i in (1, 2)])
    if count < 840_000:
        return centre_of(both, count)
    copies = max(round(count / len(both)), 1)
    low, wide = both.min(0), np.ptp(both, axis=0)
    side = int(np.ceil(copies**0.5))
    places = [np.array([i % side, i // side, 0]) * (wide + 0.3) for i in range(copies)]
    return np.concatenate([both - low + place for place in places])


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Processor seconds (user and system, all threads) and wall seconds."""
    begun, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - begun, time.perf_counter() - wall


def query(points: Floats) -> None:
    """One neighbour query, k = 16, on all points."""
    tree = cKDTree(points)
    for start in range(0, len(points), CHUNK):
        tree.query(points[start : start + CHUNK], k=16, workers=threads())


def one(file: str, weights: str | None, device: str) -> None:
    """Measure one cloud and print the figures as JSON: what a child process does."""
    points = np.load(file)
    model = load("deburr", weights)
    model.denoise(points[:1000], Settings(device=device))
    base, _ = timed(lambda: query(points))
    processor, wall = timed(lambda: model.denoise(points, Settings(device=device)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([len(points), base, processor, wall, peak, processor / base, 1e6 * processor / len(points)]))


def main() -> None:
    """Print one table."""
    command = parser(__doc__)
    command.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of points")
    command.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    command.add_argument("--one", help=argparse.SUPPRESS)
    asked = command.parse_args()
    if asked.one:
        one(asked.one, asked.weights, asked.device)
        return
    columns = ("points", "kNN cpu s", "cpu s", "wall s", "peak GiB", "x kNN", "us/point")
    head(f"deburr on {threads()} threads, device {asked.device}", columns, 12)
    for size in asked.sizes[:2] if asked.quick else asked.sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "points.npy"
            np.save(file, tiles(size))
            again = [sys.executable, __file__, "--one", str(file), "--device", asked.device]
            again += ["--weights", asked.weights] if asked.weights else []
            done = subprocess.run(again, capture_output=True, text=True)
        if done.returncode:
            line(f"{size:,}: failed: {done.stderr.strip().splitlines()[-1][:90]}", [])
            continue
        line(f"{size:,}", json.loads(done.stdout), 12, 2)


if __name__ == "__main__":
    main()
