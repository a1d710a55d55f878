"""Real clouds, whose truth nobody knows, judged by points that saw the same surface: `python benchmarks/real.py`.

Halves: a random half is cleaned alone, and judged by planes of the two other quarters. Strips: each of the two flight
lines with most points is cleaned alone, and judged by planes of the other. The noise of who judges cancels (see
`deburr.filters._repeat`); what neighbours of one scan have in common is not seen. These clouds are for judging only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from classical import Denoise
from protocol import Ours, head, line, parser, rows
from real_data import CLOUDS, STRIPS, Cloud, overlap, read, unique_centre

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Neighbors
from deburr.filters._repeat import Planes, apart, cells_of, common, flat_at, planes_at
from deburr.nn.models import load

SEED = 0
#: Metres; the local offset of two strips is the median over squares of this side.
CELL = 3.0
HALVES = ("planes", "bent", "rough", "error", "truth", "estimate", "est/truth", "est/planes")
#: Fewer places on planes do not judge.
LEAST = 200
ONE_WAY = ("random", "share", "offset", "estimate", "est/truth")


@dataclass(frozen=True, eq=False)
class Halves:
    """The half ``one`` (M, 3) that is cleaned, the ``other`` (R, 3), planes of its quarters at the places of the first,
    and which points of the first and of the other lie on no plane."""

    one: Floats
    other: Floats
    planes: Planes
    rough: Bools
    rough_back: Bools

    @classmethod
    def of(cls, points: Floats) -> Halves:
        """Cut ``points`` (N, 3) at random, the same way every time."""
        order = np.random.default_rng(SEED).permutation(len(points))
        one, first, second = np.split(points[order], [len(points) // 2, 3 * len(points) // 4])
        other = np.concatenate((first, second))
        planes = planes_at(one, first, second)
        rough = ~planes.seen
        return cls(one, other, planes, rough, rough[Neighbors(one).nearest(other, 1)[1][:, 0]])

    def error(self, now: Floats, bent: bool = True) -> float:
        """The RMS error across the surface of what became of the half, without the noise of the other."""
        return common(self.planes.heights(now, bent))

    def apart(self, now: Floats) -> float:
        """Mean distance of rough places to the other half, plus that of the other's rough places to this one."""
        out = Neighbors(self.other).nearest(now[self.rough], 1)[0]
        back = Neighbors(now).nearest(self.other[self.rough_back], 1)[0]
        return float(out.mean() + back.mean()) if out.size and back.size else float("nan")


Rows = dict[str, dict[str, float]]


def halves(cloud: Cloud, table: dict[str, Denoise], earlier: Rows) -> Rows:
    """Every row of one cloud, by name; lengths in thousandths of the cloud's unit. See `beside` for ``earlier``."""
    cut = Halves.of(unique_centre(cloud))
    seen = int(cut.planes.seen.sum())
    enough = seen >= LEAST
    truth = cut.error(cut.one) if enough else float("nan")
    plain, before = cut.error(cut.one, bent=False), cut.apart(cut.one)
    head(f"{cloud.name}: {len(cut.one):,} points, {seen:,} of them on planes", HALVES, 11)
    found = {}
    for name, now, estimate in cleaned(cut.one, table, truth):
        error = cut.error(now)
        row = {
            "planes": share(cut.error(now, bent=False), plain) if enough else float("nan"),
            "bent": share(error, truth),
            "rough": cut.apart(now) / before,
            "error": 1000 * error,
            "truth": 1000 * truth,
            "estimate": 1000 * estimate,
            "est/truth": share(estimate, truth),
            "est/planes": share(estimate, plain) if enough else float("nan"),
        }
        line(f"  {name}"[:32], [row[column] for column in HALVES], 11)
        found[name] = {**row, "truth by planes": 1000 * plain, "points": len(cut.one), "on planes": seen}
    return found | beside(earlier, HALVES)


def beside(earlier: Rows, columns: tuple[str, ...]) -> Rows:
    """Print the rows of deburr from a run of another version, and return them."""
    found = {f"{name}, earlier": row for name, row in earlier.items() if name.startswith("deburr")}
    for name, row in found.items():
        line(f"  {name}"[:32], [row[column] for column in columns], 11)
    return found


def share(part: float, whole: float) -> float:
    """``part`` / ``whole``; not a number where there is no whole."""
    return part / whole if whole > 0 else float("nan")


def cleaned(points: Floats, table: dict[str, Denoise], truth: float) -> Iterator[tuple[str, Floats, float]]:
    """Name, result (M, 3) and estimated level of each row; ours once more, told the ``truth``, if there is."""
    yield "input", points, float("nan")
    for name, denoise in table.items():
        now = denoise(points)
        yield name, now, denoise.guesses[-1] if isinstance(denoise, Ours) else float("nan")
        if isinstance(denoise, Ours) and truth > 0:
            yield f"{name}, told", Ours(denoise.model, truth)(points), float("nan")


def strips(cloud: Cloud, table: dict[str, Denoise], earlier: Rows) -> Rows:
    """Every row of two strips, by name: errors of both, each against the raw other; lengths in mm."""
    pair = overlap(cloud)
    judges = [judge(mine, other) for mine, other in (pair, pair[::-1])]
    truth = _strip_error(judges, pair)[1]
    seen = sum(int(planes.seen.sum()) for planes in judges)
    head(f"{cloud.name}: strips of {len(pair[0]):,} and {len(pair[1]):,}, {seen:,} on planes", ONE_WAY, 11)
    found = {}
    for rows_of in zip(*(cleaned(mine, table, truth) for mine in pair), strict=True):
        name = rows_of[0][0]
        offset, random = _strip_error(judges, [row[1] for row in rows_of])
        estimate = float(np.mean([row[2] for row in rows_of]))
        row = {
            "random": 1000 * random,
            "share": share(random, truth),
            "offset": 1000 * offset,
            "estimate": 1000 * estimate,
            "est/truth": share(estimate, truth),
        }
        line(f"  {name}"[:32], [row[column] for column in ONE_WAY], 11)
        found[name] = {**row, "on planes": seen}
    return found | beside(earlier, ONE_WAY)


def judge(mine: Floats, other: Floats) -> Planes:
    """Planes of two random halves of the ``other`` strip where ``mine`` has planes too."""
    order = np.random.default_rng(SEED).permutation(len(other))
    first, second = np.split(other[order], [len(other) // 2])
    return planes_at(mine, first, second).only(flat_at(mine, mine))


def _strip_error(judges: list[Planes], now: list[Floats] | tuple[Floats, Floats]) -> tuple[float, float]:
    """Median size of the local offsets, and the RMS of the rest; both strips together."""
    parts = [apart(j.heights(xyz), cells_of(j, CELL)) for j, xyz in zip(judges, now, strict=True)]
    counts = [int(j.seen.sum()) for j in judges]
    random = float(np.sqrt(np.average([part.random**2 for part in parts], weights=counts)))
    return float(np.median(np.abs(np.concatenate([part.offsets for part in parts])))), random


def summary(found: dict[str, Rows]) -> None:
    """Print the median over the clouds of every row."""
    columns = ("planes", "bent", "rough", "est/truth", "est/planes")
    judged = [cloud for cloud in found.values() if cloud["input"]["truth"] > 0]
    head(f"\nmedian of {len(judged)} clouds", columns, 11)
    # Another version may have been run on fewer clouds.
    names = [name for name in judged[0] if all(name in cloud for cloud in judged)] if judged else []
    for name in names:
        line(name, [float(np.median([cloud[name][what] for cloud in judged])) for what in columns], 11)
    head("\nclouds whose estimate is 0.6-1.6 of the truth", columns[3:], 11)
    for name in names:
        ratios = np.array([[cloud[name][what] for what in columns[3:]] for cloud in judged])
        if np.isfinite(ratios).any():
            line(name, [*((ratios >= 0.6) & (ratios <= 1.6)).mean(0)], 11)


def main() -> None:
    """Print the tables of the halves, their medians, and the tables of the strips."""
    command = parser(__doc__)
    command.add_argument("--vs", action="append", default=[], metavar="FILE", help="more weights, rows of their own")
    command.add_argument("--cloud", action="append", choices=[*CLOUDS], help="only this cloud; may be repeated")
    command.add_argument("--json", help="write all figures to this file")
    command.add_argument("--beside", metavar="FILE", help="what --json wrote with another version: its rows of deburr")
    asked = command.parse_args()
    before = json.loads(Path(asked.beside).read_text()) if asked.beside else {"halves": {}, "strips": {}}
    names = asked.cloud or list(CLOUDS)[:: 4 if asked.quick else 1]
    quick, asked.quick = asked.quick, True  # the rows beside ours: two are enough
    ours, table = rows(asked)
    more = {f"deburr {Path(file).stem}": Ours(load("deburr", file)) for file in asked.vs}
    table = {"deburr": ours, **more, **{name: f for name, f in table.items() if f is not ours}}
    found: dict[str, dict[str, Rows]] = {"halves": {}, "strips": {}}
    print("halves; planes, bent, rough: shares of the input's; error, truth, estimate in 1/1000 of the cloud's unit\n")
    clouds = {name: read(name) for name in names}
    for name, cloud in clouds.items():
        found["halves"][name] = halves(cloud, table, before["halves"].get(name, {}))
    summary(found["halves"])
    print("\nstrips; random part, offset, estimate in mm\n")
    for name in [name for name in names if name in STRIPS][: 1 if quick else None]:
        found["strips"][name] = strips(clouds[name], table, before["strips"].get(name, {}))
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
