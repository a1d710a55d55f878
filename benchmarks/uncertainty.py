"""How true `Uncertainty` is: `python benchmarks/uncertainty.py`.

Of points on planes and edges the distance to the true surface, of wires and leaves that to the own place along one
axis; the share of them within 1.645 times what was told, which is 0.9 if that is true, and the median of what was told
over the noise.

With --samples the same by several draws, beside what the default tells: the shares within 0.674, 1.645 and 2.576 times
what was told, 0.5, 0.9 and 0.99 if that is true; the rank correlation of what was told with the error; the median of
what was told, and the RMS of the errors, over the noise.

With --strips, of real clouds with two flight lines: each is cleaned alone, and where both show a plane, a point of one
and the nearest of the other lie (a - b) apart across it, the local offset of the lines aside; the shares of them within
0.674, 1.645 and 2.576 times sqrt(ua^2 + ub^2), the medians of what was told of both and of what lies apart, in mm.
"""

from __future__ import annotations

import numpy as np
from protocol import head, line, parser, rms
from real import CELL, judge
from real_data import STRIPS, overlap, read
from scenes import scenes
from scipy.stats import rankdata
from sensors import cases
from simulator import Scan

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.neighbors import Neighbors
from deburr.filters._repeat import CELL_LEAST, cells_of, planes_at
from deburr.nn.contract import Model, Settings
from deburr.nn.models import load
from deburr.nn.schedule import CHANCE

STRATA = ("plane", "edge", "thin", "vegetation")
NINE_TENTHS = 1.645
#: How many standard deviations so many percent of a normal distribution lie within.
WITHIN = {50: 0.6745, 90: NINE_TENTHS, 99: 2.5758}
#: Fewer points of a stratum tell nothing.
FEWEST = 30


def errors(scan: Scan, xyz: Floats, name: str, rows: Bools) -> Floats:
    """What is wrong along one axis with the points ``rows`` (N,) of the stratum ``name``, now at ``xyz`` (N, 3)."""
    if name in ("plane", "edge"):
        return scan.surface.distances(xyz[rows])
    return np.asarray(np.linalg.norm(xyz[rows] - scan.clean[rows], axis=1) / np.sqrt(3))


def told(model: Model, scan: Scan, noisy: Floats, level: Floats) -> list[float]:
    """For each stratum the share within, then for each what is told over the noise; NaN where there are no points."""
    done = model.denoise(noisy, Settings())
    assert done.uncertainty is not None
    within, size = [], []
    for name in STRATA:
        rows: Bools = scan.stratum[name]
        if rows.sum() < FEWEST:
            within.append(np.nan)
            size.append(np.nan)
            continue
        off = errors(scan, done.xyz, name, rows)
        within.append(float((off <= NINE_TENTHS * done.uncertainty[rows]).mean()))
        size.append(float(np.median(done.uncertainty[rows] / np.maximum(level[rows], 1e-12))))
    return [*within, *size]


def intervals(model: Model, scan: Scan, settings: Settings, points: int) -> dict[str, list[float]]:
    """What is said above of several draws, by stratum, of the ``points`` around the middle of ``scan``."""
    noisy = scan.noisy()
    away = ((noisy - np.median(noisy, axis=0)) ** 2).sum(1)
    near = away <= np.partition(away, min(points, len(away)) - 1)[min(points, len(away)) - 1]
    done = model.denoise(noisy[near], settings)
    assert done.uncertainty is not None
    xyz, size = noisy.copy(), np.zeros(len(noisy))
    xyz[near], size[near] = done.xyz, done.uncertainty
    found: dict[str, list[float]] = {}
    for name in STRATA:
        rows = scan.stratum[name] & near
        figures = dict.fromkeys([*(f"{share} %" for share in WITHIN), "rank", "told", "RMS"], np.nan)
        if rows.sum() >= FEWEST:
            off, told = errors(scan, xyz, name, rows), size[rows]
            for share, many in WITHIN.items():
                figures[f"{share} %"] = float((off <= many * told).mean())
            figures["rank"] = float(np.corrcoef(rankdata(off), rankdata(told))[0, 1])
            figures["told"], figures["RMS"] = float(np.median(told)) / scan.noise, rms(off) / scan.noise
        for what, figure in figures.items():
            found.setdefault(what, []).append(figure)
    return found


def beside(model: Model, names: tuple[str, ...] | None, drawn: Settings, points: int) -> None:
    """Print what the default and the draws tell of each scan in ``names``, and the means."""
    means: dict[str, list[list[float]]] = {}
    head(f"{points} points of each scan", STRATA, 12)
    for scan in scenes(names):
        for way, settings in (("default", Settings()), (drawn.sampler, drawn)):
            for what, row in intervals(model, scan, settings, points).items():
                line(f"{scan.name[:14]}: {way} {what}", row, 12)
                means.setdefault(f"mean: {way} {what}", []).append(row)
    for name, rows in means.items():
        line(name, list(np.nanmean(rows, axis=0)), 12)


def level(heights: Floats, cells: Ints) -> Floats:
    """``heights`` (M,) minus the median of those of their cell, ``cells`` (M,); NaN in cells of few."""
    found = np.full(len(heights), np.nan)
    for cell in np.unique(cells):
        rows = cells == cell
        if rows.sum() >= CELL_LEAST:
            found[rows] = heights[rows] - np.median(heights[rows])
    return found


def met(model: Model, pair: tuple[Floats, Floats], settings: Settings) -> list[float]:
    """The shares within what is told of two strips (M, 3) and (N, 3), and the two medians, in thousandths."""
    one, other = (model.denoise(points, settings) for points in pair)
    assert one.uncertainty is not None
    assert other.uncertainty is not None
    planes = judge(*pair)
    rows = np.flatnonzero(planes.seen)
    near = Neighbors(other.xyz).nearest(one.xyz[rows], 1)[1][:, 0]
    normals = planes_at(one.xyz, one.xyz, other.xyz).normals[rows]
    across = ((one.xyz[rows] - other.xyz[near]) * normals).sum(1)
    # Normals have no sign of their own: those of raw planes tell which side is up.
    across *= np.sign((normals * planes.normals[rows]).sum(1))
    off, told = level(across, cells_of(planes, CELL)), np.hypot(one.uncertainty[rows], other.uncertainty[near])
    known = np.isfinite(off)
    off, told = np.abs(off[known]), told[known]
    shares = [float((off <= many * told).mean()) for many in WITHIN.values()]
    return [*shares, 1000 * float(np.median(told)), 1000 * float(np.median(off) / WITHIN[50])]


def on_strips(model: Model, drawn: Settings | None, quick: bool) -> None:
    """Print what is told of the strips of each cloud, by the default and, if there are any, as ``drawn``."""
    head("strips: within what is told; told, apart in mm", [*(f"{share} %" for share in WITHIN), "told", "apart"])
    for name in STRIPS[: 1 if quick else None]:
        pair = overlap(read(name))
        line(f"{name}, default", met(model, pair, Settings()))
        if drawn is not None:
            line(f"{name}, {drawn.sampler}", met(model, pair, drawn))


def main() -> None:
    """Print one line a scan, and the mean."""
    command = parser(__doc__)
    command.add_argument("--samples", type=int, help="so many draws beside what the default tells; an even number")
    command.add_argument("--sampler", choices=sorted(CHANCE), default="langevin", help="of these draws")
    command.add_argument("--steps", type=int, help="of each draw; default: the sampler's own")
    command.add_argument("--points", type=int, default=12_000, help="of each scan, for these draws")
    command.add_argument("--strips", action="store_true", help="real flight lines, judged by each other")
    asked = command.parse_args()
    model, names = load("deburr", asked.weights), ("suburb", "yard") if asked.quick else None
    drawn = Settings(sampler=asked.sampler, samples=asked.samples, steps=asked.steps) if asked.samples else None
    if asked.strips:
        on_strips(model, drawn, asked.quick)
        return
    if drawn is not None:
        beside(model, names, drawn, asked.points)
        return
    head("within 1.645 of what is told; told over noise", (*STRATA, *(f"{name}/s" for name in STRATA)), 14)
    found = []
    for scan in scenes(names):
        noisy = scan.noisy()
        found.append(told(model, scan, noisy, np.full(len(noisy), scan.noise)))
        line(scan.name[:32], found[-1], 14)
    line("mean", list(np.nanmean(found, axis=0)), 14)
    for case in () if asked.quick else cases():
        line(case.name[:32], told(model, case.scan, case.noisy, case.level), 14)


if __name__ == "__main__":
    main()
