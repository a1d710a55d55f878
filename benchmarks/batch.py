"""Batches: memory, scaling, cost per tile, halos: `python benchmarks/batch.py memory|scaling|tiles|halo [--quick]`.

Every run is the command line in a process of its own, timed from its start to its end and watched from outside. The
points are a generated landscape, or files of `--data` repeated side by side.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from outside import PIPELINE, Cost, all_threads, cluster, measured, one_thread

SPD = '["filters.spd"]'
OUTLIER = '[{"type": "filters.outlier", "method": "radius", "radius": 1.0, "min_k": 2}]'
TOLD = '[{"type": "filters.spd", "noise": 0.03}]'


@dataclass(frozen=True)
class Bench:
    """Where data and outputs lie, what they are made of, and where tables go."""

    folder: Path
    data: Sequence[Path]
    quiet: bool

    def make(self, name: str, points: int, files: int | None = None) -> tuple[Path, int, float]:
        """A file, or a folder of files, of the landscape: its path, its points, and how many lie on a square metre.

        Made by another process, so that this one stays small.
        """
        path = self.folder / name
        command = [sys.executable, str(Path(__file__).with_name("landscape.py")), str(path), "--points", str(points)]
        command += ["--files", str(files)] if files else []
        command += ["--data", *map(str, self.data)] if self.data else []
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return path, told["points"], told["density"]

    def say(self, *cells: Any) -> None:
        """A row of a table: the first cell to the left, numbers rounded to what is worth reading."""
        texts = [f"{cell:,.4g}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
                 for cell in cells]  # fmt: skip
        where = sys.stderr if self.quiet else sys.stdout
        print(f"{texts[0]:<34}" + "".join(f"{text:>13}" for text in texts[1:]), file=where, flush=True)

    def batch(
        self, source: Path, *options: str, spec: str = SPD, environment: Mapping[str, str] | None = None
    ) -> tuple[Cost, dict[str, Any]]:
        """`pipeline batch` into a fresh folder: what it cost, and its report with ``work``, its tasks' seconds."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        cost = measured([*PIPELINE, "batch", spec, str(source), "--out", str(out), "--quiet", *options], environment)
        report = json.loads((out / "report.json").read_text())
        lines = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
        work = sum(line["record"].get("seconds", 0.0) for line in lines if "record" in line)
        same = hashlib.sha256()
        for path in sorted(out.glob("*.laz")):
            same.update(path.read_bytes())
        return cost, {**report, "work": work, "sha256": same.hexdigest()}

    def rows(self) -> list[dict[str, str]]:
        """The table of the tiles of the last batch."""
        with open(self.folder / "out" / "tiles.csv", newline="") as file:
            return list(csv.DictReader(file))


def memory(bench: Bench, asked: argparse.Namespace) -> dict[str, Any]:
    """A file larger than memory beside one that fits: peak memory, and points a second of the whole command."""
    large, _, _ = bench.make("large.laz", asked.points)
    small, _, _ = bench.make("small.laz", asked.small)
    bench.say("run", "points", "wall s", "points/s", "peak MB", "cpu s")
    runs: list[dict[str, Any]] = []
    # The small run before and after, as the machine may change in between; the better one counts.
    for name, path, count, options in (
        ("in memory", small, asked.small, ()),
        (f"--memory {asked.memory}", large, asked.points, ("--memory", asked.memory)),
        ("in memory", small, asked.small, ()),
    ):
        out = bench.folder / "cleaned.laz"
        out.unlink(missing_ok=True)
        cost = measured([*PIPELINE, "run", SPD, "--input", str(path), "--output", str(out), "--quiet", *options])
        speed = count / cost.seconds
        bench.say(name, count, cost.seconds, speed, cost.peak_mb, cost.processor)
        runs.append({"run": name, "points": count, "written": _count(out), "seconds": cost.seconds,
                     "points_per_second": speed, "peak_mb": cost.peak_mb, "processor": cost.processor})  # fmt: skip
    ratio = runs[1]["points_per_second"] / max(runs[0]["points_per_second"], runs[2]["points_per_second"])
    bench.say("points/s, tiled over in memory", ratio)
    left = sorted(path.name for path in bench.folder.glob(".*"))
    return {"runs": runs, "ratio": ratio, "left_behind": left}


def _count(path: Path) -> int:
    """How many points a LAS file has, by its head."""
    from deburr.readers.las import LasReader

    return LasReader.model_validate({"filename": str(path)}).outline().extent.count


def scaling(bench: Bench, asked: argparse.Namespace) -> dict[str, Any]:
    """A folder of files by one worker with one thread, by two workers, by one worker with all threads; in turn."""
    source, points, _ = bench.make("tiles", asked.points, asked.files)
    ways = {
        "1 worker, 1 thread": ("1", one_thread()),
        "2 workers": ("2", all_threads()),
        "1 worker, all threads": ("1", all_threads()),
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    bench.say("run", "points", "wall s", "task s", "cpu s", "peak MB", "overhead")
    for _ in range(asked.rounds):
        for name, (workers, environment) in ways.items():
            cost, report = bench.batch(source, "--workers", workers, environment=environment)
            share = 1 - report["work"] / (cost.seconds * int(workers))
            bench.say(name, points, cost.seconds, report["work"], cost.processor, cost.peak_mb, f"{share:.1%}")
            found[name].append(
                {"seconds": cost.seconds, "work": report["work"], "processor": cost.processor, "overhead": share,
                 "peak_mb": cost.peak_mb, "points": report["totals"]["points"], "sha256": report["sha256"]}
            )  # fmt: skip
    best = {name: min(run["seconds"] for run in runs) for name, runs in found.items()}
    alone = best["1 worker, 1 thread"]
    ratios = {name: alone / seconds for name, seconds in best.items()}
    for name, ratio in ratios.items():
        bench.say(f"x {name}", ratio)
    return {"points": points, "files": asked.files, "runs": found, "best": best, "ratios": ratios}


def tiles(bench: Bench, asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds per tile from few to many tiles of one size; and the share of the time that is nobody's task."""
    found: list[dict[str, Any]] = []
    series = (
        ("outlier, small", OUTLIER, asked.counts, asked.points),
        ("spd, small", TOLD, [count for count in asked.counts if count <= asked.most_spd], asked.points),
        ("spd, large", SPD, asked.large, asked.large_points),
    )
    bench.say("chain, tiles, engine", "tiles", "wall s", "task s", "overhead", "ms more", "overhead", "read/core")
    for name, spec, counts, points in series:
        for engine in asked.engines:
            before = None
            for count in counts:
                source = bench.folder / f"tiles-{points}-{count}"
                if not source.exists():
                    bench.make(source.name, points, count)
                row = {"chain": name, "tiles": count, "points_a_tile": points, **_engine(bench, source, engine, spec)}
                found.append({**row, **_more(row, before)})
                before, row = row, found[-1]
                more = ["" if row["seconds_per_more_tile"] is None else 1e3 * row["seconds_per_more_tile"],
                        "" if row["overhead_of_more"] is None else f"{row['overhead_of_more']:.1%}"]  # fmt: skip
                bench.say(f"{name}, {engine}", count, row["seconds"], row["work"], f"{row['overhead']:.1%}", *more,
                          row["read"] / row["points"])  # fmt: skip
    return {"rows": found}


def _more(row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """What tiles beyond those of the row before cost: starting the command and its workers is not in it."""
    if before is None:
        return {"seconds_per_more_tile": None, "overhead_of_more": None}
    seconds, work = row["seconds"] - before["seconds"], row["work"] - before["work"]
    return {
        "seconds_per_more_tile": seconds / (row["tiles"] - before["tiles"]),
        "overhead_of_more": 1 - work / (seconds * row["workers"]),
    }


def _engine(bench: Bench, source: Path, engine: str, spec: str) -> dict[str, Any]:
    """A batch by this process (``one``), two ``local`` workers or a ``dask`` cluster of two, which is there already."""
    workers = 1 if engine == "one" else 2
    with cluster(bench.folder, workers) if engine == "dask" else nullcontext("") as address:
        options = ("--scheduler", address) if address else ("--workers", str(workers))
        environment = one_thread() if engine == "one" else all_threads()
        cost, report = bench.batch(source, *options, spec=spec, environment=environment)
    total = report["totals"]
    return {
        "engine": engine,
        "workers": workers,
        "seconds": cost.seconds,
        "processor": cost.processor,
        "work": report["work"],
        "overhead": 1 - report["work"] / (cost.seconds * workers),
        "points": total["points"],
        "read": total["points_read"],
        "done": total["tiles"] - total["tiles_failed"],
    }


def halo(bench: Bench, asked: argparse.Namespace) -> dict[str, Any]:
    """Points read for each point of a core, and attempts, by the size of tiles."""
    source, points, density = bench.make("one.laz", asked.points)
    found = []
    bench.say("points in a tile, about", "tiles", "side m", "read/core", "attempts", "at most", "halo m", "us/point")
    for size in asked.sizes:
        side = sqrt(size / density)
        _, report = bench.batch(source, "--tile", f"{side:.3f}", environment=one_thread())
        rows = [row for row in bench.rows() if int(row["points"])]
        attempts = [int(row["attempts"]) for row in rows]
        read = _sum(rows, "points_read") / _sum(rows, "points")
        widest = next(name for name in rows[0] if name.startswith("halo"))
        row = {
            "size": size,
            "side": side,
            "tiles": len(rows),
            "points": report["totals"]["points"],
            "read_per_point": read,
            "attempts": sum(attempts) / len(attempts),
            "most_attempts": max(attempts),
            "halo": max(float(row[widest]) for row in rows),
            "microseconds": 1e6 * report["work"] / points,
        }
        found.append(row)
        bench.say(f"{size:,}", len(rows), side, read, row["attempts"], max(attempts), row["halo"],
                  row["microseconds"])  # fmt: skip
    return {"points": points, "sizes": found}


def _sum(rows: Iterable[Mapping[str, str]], name: str) -> int:
    return sum(int(row[name]) for row in rows)


#: What each command measures with by itself, and with --quick.
SIZES: dict[str, dict[str, tuple[Any, Any]]] = {
    "memory": {"points": (50_000_000, 100_000), "small": (2_000_000, 40_000), "memory": ("2GB", "800MB")},
    "scaling": {"files": (8, 4), "points": (250_000, 10_000), "rounds": (2, 1)},
    "tiles": {
        "counts": ([10, 100, 1000], [2, 6]),
        "points": (3_000, 1_000),
        "most_spd": (100, 2),
        "large": ([4, 16], [2]),
        "large_points": (200_000, 5_000),
        "engines": (["local", "dask"], ["local"]),
    },
    "halo": {"points": (1_000_000, 30_000), "sizes": ([10_000, 30_000, 100_000, 300_000], [3_000, 10_000])},
}
DOES = {"memory": memory, "scaling": scaling, "tiles": tiles, "halo": halo}


def parser() -> argparse.ArgumentParser:
    """A command for each table."""
    made = argparse.ArgumentParser(description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    for name, sizes in SIZES.items():
        one = commands.add_parser(name, help=DOES[name].__doc__)
        one.add_argument("--quick", action="store_true", help="small sizes: does it work, not how fast")
        one.add_argument("--json", action="store_true", help="figures as JSON on stdout, tables on stderr")
        one.add_argument("--folder", type=Path, help="where data and outputs go; default: a temporary folder")
        one.add_argument("--data", type=Path, nargs="+", default=[], help="LAS or LAZ files to repeat")
        for option, (usual, _) in sizes.items():
            many = isinstance(usual, list)
            kind = type(usual[0] if many else usual)
            one.add_argument(f"--{option.replace('_', '-')}", type=kind, nargs="+" if many else None,
                             help=f"default: {usual}")  # fmt: skip
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Print one table; returns its figures."""
    asked = parser().parse_args(arguments)
    for option, (usual, quick) in SIZES[asked.command].items():
        if getattr(asked, option) is None:
            setattr(asked, option, quick if asked.quick else usual)
    if asked.folder is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        bench = Bench(Path(folder), [path.resolve() for path in asked.data], asked.json)
        bench.say(f"{asked.command}: {os.cpu_count()} cores")
        found = DOES[asked.command](bench, asked)
    if asked.json:
        print(json.dumps(found, indent=2))
    return found


if __name__ == "__main__":
    main()
