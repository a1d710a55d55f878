"""Outliers found, and good points lost: `python benchmarks/outliers.py`.

Procedural shapes and simulated scans with outliers of three kinds, 1, 5 and 15 % of all points: even in the box around,
in clusters of 4 to 40, and along the beam. F1 (harmonic mean of the share of outliers that are found and the share of
the flagged that are outliers), mean over the clouds, of filters.outlier by its three methods: as it comes, which by
energy is where the cloud itself tells outliers apart, and at the setting of a grid that is best in this row. Then which
share of the wires and poles, the vegetation and the rest of the scans the same settings take away. Seeds are frozen,
nothing is tuned on these clouds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from procedural import procedural
from protocol import parser
from scenes import scenes
from scipy.spatial import cKDTree

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.neighbors import cloud_spacing, point_spacing, threads
from deburr.filters._surprise import CHANCES, counted, parting, surprising
from deburr.filters.outlier import Outlier

SEED = 61_204
SHARES = (0.01, 0.05, 0.15)
MEAN_K, MULTIPLIERS = (4, 8, 16, 32), (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
MIN_K, RADII = (2, 4, 8, 16), (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
#: What the methods do where nobody says otherwise; radius has no such setting, since it depends on the cloud.
PLAIN = {"statistical": "k 8, 2 s", "energy": "cloud"}
QUICK = (("trefoil", "gear"), ("suburb", "street"))
FULL = (
    ("trefoil", "gear", "vase", "lattice"),
    ("suburb", "yard", "street", "plant"),
)
#: Points of a scan: those around the middle of its thin ones.
MOST = 12_000

Flagged = dict[str, dict[str, Bools]]


@dataclass(frozen=True, eq=False)
class Target:
    """Good points, noisy (N, 3); the beam that found each (N, 3); the level of the noise; its strata, if it has any."""

    name: str
    points: Floats
    beam: Floats
    noise: float
    strata: dict[str, Bools]


def targets(quick: bool) -> Iterator[Target]:
    """The shapes, with noise of 1 % of their radius, and the scans."""
    shapes, scans = QUICK if quick else FULL
    for shape in procedural(10_000, shapes):
        beam = shape.clean - np.array([1.5, 2.0, 1.0])
        beam /= np.linalg.norm(beam, axis=1, keepdims=True)
        yield Target(shape.name, shape.noisy(0.01), beam, 0.01, {})
    for scan in scenes(scans):
        thin = scan.clean[scan.stratum["thin"]] if scan.stratum["thin"].any() else scan.clean
        away = np.linalg.norm((scan.clean - np.median(thin, axis=0))[:, :2], axis=1)
        some = np.sort(np.argsort(away, kind="stable")[:MOST])
        strata = {name: rows[some] for name, rows in scan.stratum.items()}
        yield Target(scan.name, scan.noisy()[some], scan.beam[some], scan.noise, strata)


def _even(target: Target, count: int, low: Floats, high: Floats, rng: np.random.Generator) -> Floats:
    return rng.uniform(low, high, (count, 3))


def _clusters(target: Target, count: int, low: Floats, high: Floats, rng: np.random.Generator) -> Floats:
    spacing, found = cloud_spacing(target.points), [np.zeros((0, 3))]
    while sum(map(len, found)) < count:
        size, wide = (np.exp(rng.uniform(*np.log(limits))) for limits in ((4, 40), (0.5, 3)))
        found.append(rng.uniform(low, high) + rng.normal(0, wide * spacing, (int(size), 3)))
    return np.concatenate(found)


def _along_beam(target: Target, count: int, low: Floats, high: Floats, rng: np.random.Generator) -> Floats:
    """Two spacings to three tenths of the cloud before its end, seven times in ten, or behind."""
    rows, limits = (
        rng.integers(len(target.points), size=count),
        (2 * cloud_spacing(target.points), 0.3 * (high - low).max()),
    )
    near, far = (float(np.log(limit)) for limit in limits)
    off = np.exp(rng.uniform(near, far, count)) * np.where(rng.random(count) < 0.7, -1, 1)
    return np.asarray(target.points[rows] + off[:, None] * target.beam[rows])


KINDS: dict[str, Callable[[Target, int, Floats, Floats, np.random.Generator], Floats]] = {
    "even": _even,
    "clusters": _clusters,
    "along the beam": _along_beam,
}


def outliers(target: Target, kind: str, share: float) -> Floats:
    """(M, 3) a ``share`` of all points then, each further from the good ones than they from each other, and than four
    standard deviations of the noise."""
    rng = np.random.default_rng([SEED, len(target.name), len(target.points), [*KINDS].index(kind), int(100 * share)])
    low, high = target.points.min(0), target.points.max(0)
    edge, tree = 0.05 * (high - low), cKDTree(target.points)
    own = point_spacing(tree.query(target.points, 17)[0][:, -1], 16)
    wanted, found = round(share / (1 - share) * len(target.points)), np.zeros((0, 3))
    while len(found) < wanted:
        drawn = KINDS[kind](target, 2 * wanted, low - edge, high + edge, rng)
        away, near = tree.query(drawn)
        found = np.concatenate((found, drawn[away > np.maximum(own[near], 4 * target.noise)]))
    return found[:wanted]


def flagged(points: Floats) -> Flagged:
    """What each method flags of (N, 3), by its settings: as `Outlier` does, but of all settings at once."""
    away = cKDTree(points).query(points, max(MEAN_K) + 1, workers=threads())[0]
    spacing = float(np.median(point_spacing(away[:, 16], 16)))
    statistical = {}
    for k in MEAN_K:
        mean = away[:, 1 : k + 1].mean(1)
        for times in MULTIPLIERS:
            statistical[f"k {k}, {times:g} s"] = mean >= mean.mean() + times * mean.std(ddof=1)
    radius = {f"{by:g} x, {k}": away[:, k] >= by * spacing for k in MIN_K for by in RADII}
    surprises = Outlier(method="energy").surprises(PointCloud(points))
    energy = {f"{chance:g}": surprises > surprising(chance) for chance in CHANCES}
    energy["cloud"] = surprises > parting(counted(surprises))
    return {"statistical": statistical, "radius": radius, "energy": energy}


def f1(found: Bools, true: Bools) -> float:
    """Harmonic mean of recall and precision; 0 where nothing was rightly found."""
    right = int((found & true).sum())
    return 2 * right / (int(found.sum()) + int(true.sum()))


def row(clouds: list[Target], kind: str, share: float) -> dict[str, tuple[str, float, list[float]]]:
    """By method, plain and best: the setting, its mean F1, and the shares it takes of thin, vegetation and the rest."""
    scores: dict[str, dict[str, list[float]]] = {}
    taken: dict[str, dict[str, list[list[float]]]] = {}
    for target in clouds:
        points = np.concatenate((target.points, outliers(target, kind, share)))
        true = np.arange(len(points)) >= len(target.points)
        for method, settings in flagged(points).items():
            for setting, found in settings.items():
                scores.setdefault(method, {}).setdefault(setting, []).append(f1(found, true))
                if target.strata:
                    taken.setdefault(method, {}).setdefault(setting, []).append(_taken(target, found[~true]))
    told = {}
    for method, found_by in scores.items():
        best = max(found_by, key=lambda name: float(np.mean(found_by[name])))
        named: dict[str, str | None] = {"plain": PLAIN.get(method), "best": best}
        for name, chosen in named.items():
            if chosen is not None:
                lost = np.array(taken[method][chosen], dtype=np.float64).sum(0)
                told[f"{method}, {name}"] = (
                    chosen,
                    float(np.mean(found_by[chosen])),
                    list(100 * lost[0::2] / lost[1::2]),
                )
    return told


def _taken(target: Target, found: Bools) -> list[float]:
    """How many are flagged, and how many there are, of thin, vegetation and the rest."""
    thin, green = target.strata["thin"], target.strata["vegetation"]
    return [float(n) for rows in (thin, green, ~thin & ~green) for n in ((found & rows).sum(), rows.sum())]


def main() -> None:
    """Print one table, row by row."""
    asked = parser(__doc__).parse_args()
    clouds = list(targets(asked.quick))
    print("F1, and the shares of good points lost, %")
    print(f"{'':34}{'setting':>12}{'F1':>8}{'thin':>8}{'green':>8}{'rest':>8}")
    for kind in KINDS:
        for share in SHARES:
            print(f"{kind}, {share:.0%}")
            for name, (setting, score, lost) in row(clouds, kind, share).items():
                print(f"    {name:<30}{setting:>12}{score:>8.3f}" + "".join(f"{one:>8.2f}" for one in lost), flush=True)


if __name__ == "__main__":
    main()
