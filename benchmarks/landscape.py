"""A landscape without end, for measuring batches: `python benchmarks/landscape.py OUT --files 8 --points 250000`.

One cell, the suburb of `scenes.py` or the files of `--data`, mirrored side by side so that no surface breaks off at a
border; every copy of the generated one has noise of its own. Files are written copy by copy, whatever their size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import Extent, PointCloud
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

SEED = 417
#: Where the first cell lies: in Delft, where float32 coordinates are of no use.
PLACE = np.array([85_000.0, 447_000.0, 0.0])
#: Coordinates are written in millimetres.
STEP = 0.001
#: Noise ends here, in standard deviations, so that it is known which cells a box has points of.
MOST = 6.0


@dataclass(frozen=True, eq=False)
class Landscape:
    """Copies of ``cell``, whose lowest corner in plan is the origin, each ``width`` (2,) metres from the next."""

    cell: PointCloud
    width: Floats
    noise: float

    @property
    def density(self) -> float:
        """Points a square metre."""
        return float(len(self.cell) / self.width.prod())

    def copy(self, i: int, j: int) -> PointCloud:
        """The copy in column ``i`` and row ``j``; every other one is a mirror image."""
        xyz = self.cell.xyz.copy()
        for axis, number in enumerate((i, j)):
            if number % 2:
                xyz[:, axis] = self.width[axis] - xyz[:, axis]
            xyz[:, axis] += number * self.width[axis]
        if self.noise:
            normal = np.random.default_rng([SEED, i, j]).normal(0, self.noise, xyz.shape)
            xyz += np.clip(normal, -MOST * self.noise, MOST * self.noise)
        return replace(self.cell, xyz=np.round((xyz + PLACE) / STEP) * STEP)

    def within(self, low: Floats, high: Floats) -> PointCloud:
        """The points whose x and y lie in [low, high), (2,) each, metres from the landscape's corner."""
        spare = MOST * self.noise + STEP
        first = np.maximum(np.floor((low - spare) / self.width), 0).astype(int)
        last = np.floor((high + spare) / self.width).astype(int)
        found = []
        for j in range(first[1], last[1] + 1):
            for i in range(first[0], last[0] + 1):
                copy = _copy(self, i, j)
                plan = copy.xyz[:, :2] - PLACE[:2]
                found.append(copy.select(np.flatnonzero(((plan >= low) & (plan < high)).all(axis=1))))
        dims = {name: np.concatenate([part.dims[name] for part in found]) for name in self.cell.dims}
        return PointCloud(np.concatenate([part.xyz for part in found]), dims)


@lru_cache(maxsize=64)
def _copy(landscape: Landscape, i: int, j: int) -> PointCloud:
    return landscape.copy(i, j)


def generated() -> Landscape:
    """The simulated suburb: houses, gardens, trees and wires, 42,330 points of 3 cm noise."""
    from scenes import scenes

    scan = next(iter(scenes(("suburb",))))
    kinds = np.select([scan.stratum["vegetation"], scan.stratum["thin"]], [5, 14], 2).astype(np.uint8)
    count = len(kinds)
    dims: dict[str, Any] = {
        "Intensity": np.random.default_rng(SEED).integers(50, 2000, count).astype(np.uint16),
        "Classification": kinds,
        "GpsTime": 2e8 + np.arange(count) * 5e-6,
    }
    return _landscape(scan.clean, dims, scan.noise)


def repeated(paths: Sequence[Path]) -> Landscape:
    """The points of LAS or LAZ files as they are, with the columns that all of them have."""
    clouds = [LasReader.model_validate({"filename": str(path)}).read() for path in paths]
    names = [name for name in clouds[0].dims if all(name in cloud.dims for cloud in clouds)]
    dims = {name: np.concatenate([cloud.dims[name] for cloud in clouds]) for name in names}
    return _landscape(np.concatenate([cloud.xyz for cloud in clouds]), dims, 0.0)


def _landscape(xyz: Floats, dims: dict[str, np.ndarray], noise: float) -> Landscape:
    span = np.ptp(xyz[:, :2], axis=0)
    # Copies lie as far from each other as points do.
    gap = sqrt(span.prod() / len(xyz))
    low = np.array([*(xyz[:, :2].min(axis=0) - gap / 2), 0.0])
    return Landscape(PointCloud(xyz - low, dims), span + gap, noise)


def write_one(landscape: Landscape, path: Path, count: int) -> None:
    """A file of exactly ``count`` points, about a square."""
    each = len(landscape.cell)
    columns = ceil(sqrt(count / each))
    rows = ceil(count / each / columns)

    def parts() -> Iterator[PointCloud]:
        left = count
        for j in range(rows):
            for i in range(columns):
                if left > 0:
                    copy = landscape.copy(i, j)
                    yield copy if left >= each else copy.select(np.arange(left))
                    left -= each

    heights = landscape.cell.xyz[:, 2]
    low = np.array([-1.0, -1.0, heights.min() - 1])
    high = np.array([*(landscape.width * [columns, rows] + 1), heights.max() + 1])
    _writer(path).write_parts(parts(), Extent(count, low + PLACE, high + PLACE))


def write_folder(landscape: Landscape, folder: Path, files: int, count: int) -> int:
    """``files`` squares side by side of about ``count`` points each; returns how many points there are."""
    folder.mkdir(parents=True, exist_ok=True)
    side = sqrt(count / landscape.density)
    columns, total = ceil(sqrt(files)), 0
    for number in range(files):
        low = np.array([number % columns, number // columns]) * side
        cloud = landscape.within(low, low + side)
        _writer(folder / f"{number:04}.laz").write(cloud)
        total += len(cloud)
    return total


def _writer(path: Path) -> LasWriter:
    offsets = dict(zip(("offset_x", "offset_y", "offset_z"), PLACE.tolist(), strict=True))
    return LasWriter.model_validate({"filename": str(path), **{f"scale_{axis}": STEP for axis in "xyz"}, **offsets})


def main() -> None:
    """Write a file, or a folder of files; print how many points there are, and on how many square metres."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("out", type=Path, help="file to write; with --files, folder")
    command.add_argument("--points", type=int, required=True, help="points of each file")
    command.add_argument("--files", type=int, help="how many files, side by side")
    command.add_argument("--data", type=Path, nargs="+", help="LAS or LAZ files to repeat; default: a generated scene")
    asked = command.parse_args()
    landscape = repeated(asked.data) if asked.data else generated()
    points = asked.points
    if asked.files:
        points = write_folder(landscape, asked.out, asked.files, asked.points)
    else:
        write_one(landscape, asked.out, asked.points)
    print(json.dumps({"points": points, "density": landscape.density}))


if __name__ == "__main__":
    main()
