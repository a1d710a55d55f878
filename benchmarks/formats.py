"""How long it takes to read and write text, PCD and E57, beside Open3D and pye57 on the same files, in turn, in one
run."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from open3d_door import open3d

from deburr.core.cloud import PointCloud
from deburr.core.registry import by_extension, stage_class

#: File names, and the options of their writers.
FILES: dict[str, dict[str, Any]] = {
    "a.xyz": {"precision": 3},
    "a.pts": {"precision": 3},
    "ascii.pcd": {"compression": "ascii"},
    "binary.pcd": {"compression": "binary"},
    "compressed.pcd": {"compression": "compressed"},
    "a.e57": {},
}


def cloud_of(count: int) -> PointCloud:
    """A wavy surface of ``count`` points with intensities and colours."""
    random = np.random.default_rng(0)
    plan = random.uniform(0, 1000, (count, 2))
    xyz = np.column_stack([plan, np.sin(plan[:, 0] / 20) + random.normal(0, 0.02, count)])
    dims = {name: random.integers(0, 256, count).astype(np.uint8) for name in ("Red", "Green", "Blue")}
    return PointCloud(xyz, {"Intensity": random.integers(0, 65535, count).astype(np.uint16), **dims})


def stage(kind: str, path: Path, **options: Any) -> Any:
    """The reader or writer (``kind``: readers, writers) for a file."""
    found = by_extension(kind, path)
    assert found is not None
    return stage_class(found).model_validate({"filename": str(path), **options})


def best(rounds: int, calls: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Wall and processor seconds of each call, the best of some ``rounds`` in which they take turns."""
    found = dict.fromkeys(calls, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, call in calls.items():
            wall, own = time.perf_counter(), time.process_time()
            call()
            took = time.perf_counter() - wall, time.process_time() - own
            found[name] = (min(found[name][0], took[0]), min(found[name][1], took[1]))
    return found


def other(path: Path) -> Callable[[], Any]:
    """What reads ``path`` beside deburr: pye57, all scans with every field that it knows, or else Open3D."""
    if path.suffix == ".e57":
        return partial(with_pye57, os.fspath(path))
    return partial(open3d().io.read_point_cloud, os.fspath(path))


def with_pye57(path: str) -> list[Any]:
    """The scans of an E57 file, each in the world."""
    import pye57

    file = pye57.E57(path)
    return [
        file.read_scan(number, intensity=True, colors=True, ignore_missing_fields=True)
        for number in range(file.scan_count)
    ]


def main() -> None:
    """Print one row a file: seconds of deburr, and those of the other over deburr's."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--points", type=int, default=1_000_000)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--files", nargs="*", default=[], help="files to read besides")
    asked = made.parse_args()
    print(f"{'':<28}{'read, s':>9}{'processor':>11}{'other / deburr':>16}{'processor':>11}{'write, s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        cloud = cloud_of(asked.points)
        paths = []
        for name, options in FILES.items():
            paths.append(Path(folder, name))
            stage("writers", paths[-1], **options).write(cloud)
        for path in [*paths, *map(Path, asked.files)]:
            reader = stage("readers", path)
            calls: dict[str, Callable[[], Any]] = {"deburr": reader.read, "other": other(path)}
            if path in paths:
                read = reader.read()
                moved = read.with_xyz(read.xyz + 0.001)
                calls["write"] = partial(stage("writers", path.with_stem("out")).write, moved)
            took = best(asked.rounds, calls)
            ratios = [took["other"][i] / took["deburr"][i] for i in (0, 1)]
            write = f"{took['write'][0]:>10.2f}" if "write" in took else ""
            row = f"{took['deburr'][0]:>9.3f}{took['deburr'][1]:>11.3f}{ratios[0]:>16.2f}{ratios[1]:>11.2f}{write}"
            print(f"{path.name:<28}{row}", flush=True)


if __name__ == "__main__":
    main()
