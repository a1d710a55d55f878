"""Heights of airborne points before and after, by a published protocol: `python benchmarks/airborne.py`.

Gaussian noise of 2, 5 and 10 cm on every coordinate; what stands alone by `filters.outlier` (20 neighbours, 2 standard
deviations) is left out, before any row; then the RMS of z to the own clean place: by how many percent it is below that
of the noisy points, the median over squares and seeds. 0 is doing nothing, below 0 is worse. The level is told to no
row. The protocol is AdaWave's (github.com/lim404/AdaWave, 2026), as its scripts for the final test have it; its figures
are medians of its final_test_*.csv. Its squares are of Vaihingen and DALES, ours of other clouds, so that the
comparison is one of protocol. The clean places hold the sensor's own noise. For judging only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from classical import Denoise
from protocol import DATA, Ours, best_lines, estimates, head, line, parser, rms, rows
from real_data import CLOUDS

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.filters.outlier import Outlier
from deburr.readers.las import LasReader

#: Metres.
LEVELS = (0.02, 0.05, 0.10)
SEEDS = (7, 19, 101)
#: Clouds seen from the air, in which a tile has at least 20,000 points.
AIRBORNE = ("AHN3 1", "AHN3 2", "IGN 77055", "IGN extra bytes", "forest", "Autzen (feet)", "4_6 crop")
#: More points than that are halved.
MOST = 60_000
#: Metres; heights are in the unit of the plan in all of these files.
METRES = {None: 1.0, "metre": 1.0, "foot": 0.3048, "US survey foot": 1200 / 3937}
GROUND, BUILDING = 2, 6
PUBLISHED = {
    "Vaihingen": {
        "AdaWave": (11.5, 20.8, 27.2),
        "best of ten others": (-3.8, 16.1, 28.4),
        "SPD as published": (-560, -173, -45),
    },
    "DALES": {
        "AdaWave": (7.4, 33.7, 40.9),
        "best of ten others": (15.9, 36.7, 50.0),
        "SPD as published": (-116, 7, 39),
    },
}


@dataclass(frozen=True)
class Squares:
    """The four squares of ``side`` metres of some clouds in which ground and buildings are most alike in number.

    They have at least 6,000 points, do not overlap, and are thinned at random to ``most`` points.
    """

    like: str
    clouds: tuple[str, ...]
    side: float
    most: int

    def cut(self, quick: bool) -> Iterator[Floats]:
        """The points (N, 3) of each."""
        for name in self.clouds[:1] if quick else self.clouds:
            xyz, classes = read(name)
            for rows_in in self._chosen(xyz, classes)[: 2 if quick else 4]:
                few = np.random.default_rng(len(rows_in)).permutation(len(rows_in))[: self.most]
                yield xyz[rows_in[np.sort(few)]]

    def _chosen(self, xyz: Floats, classes: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.int64]]:
        half, low, high = self.side / 2, xyz[:, :2].min(0), xyz[:, :2].max(0)
        found = []
        for x in np.arange(low[0] + half, high[0] - half + 1e-6, self.side / 4):
            for y in np.arange(low[1] + half, high[1] - half + 1e-6, self.side / 4):
                inside = np.flatnonzero((np.abs(xyz[:, :2] - (x, y)) <= half).all(1))
                if len(inside) >= 6000:
                    shares = [(classes[inside] == kind).mean() for kind in (GROUND, BUILDING)]
                    found.append((min(shares), x, y, inside))
        kept: list[tuple[float, float, float, npt.NDArray[np.int64]]] = []
        for one in sorted(found, key=lambda one: (-one[0], one[1], one[2])):
            if all(max(abs(one[1] - x), abs(one[2] - y)) >= self.side - 1e-6 for _, x, y, _ in kept):
                kept.append(one)
        return [inside for *_, inside in kept]


SQUARES = (
    Squares("Vaihingen", ("AHN3 1", "AHN3 2"), 30.0, 14_000),
    Squares("DALES", ("IGN 77055",), 20.0, 10_000),
)


def read(name: str) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Coordinates (N, 3) in metres and classes (N,) of a cloud's points that count."""
    whole = LasReader.model_validate({"filename": str(DATA / CLOUDS[name])}).read()
    counting: PointCloud = whole.select(whole.active)
    classes = np.asarray(counting.dims["Classification"], dtype=np.uint8)
    return METRES[whole.units] * (counting.xyz - counting.xyz.mean(0)), classes


def halved(xyz: Floats) -> list[Floats]:
    """A cloud (N, 3) in tiles of at most `MOST` points, each the half of one, across its longer side in plan."""
    if len(xyz) <= MOST:
        return [xyz]
    order = np.argsort(xyz[:, np.ptp(xyz[:, :2], axis=0).argmax()], kind="stable")
    return [tile for half in np.array_split(order, 2) for tile in halved(xyz[np.sort(half)])]


def with_noise(clean: Floats, level: float, seed: int) -> tuple[Floats, Floats]:
    """Clean and noisy places (M, 3) of those of ``clean`` (N, 3) that do not stand alone when they are noisy."""
    noisy = clean + np.random.default_rng(seed).normal(0, level, clean.shape)
    kept = Outlier.model_validate({"mean_k": 20, "multiplier": 2.0}).run(PointCloud(noisy)).active
    return clean[kept] - noisy[kept].mean(0), noisy[kept] - noisy[kept].mean(0)


def better(clean: Floats, noisy: Floats, now: Floats) -> float:
    """By how many percent the RMS of z to the clean places is below that of the noisy ones."""
    return 100 * (1 - rms(now[:, 2] - clean[:, 2]) / rms(noisy[:, 2] - clean[:, 2]))


def table(title: str, tiles: list[Floats], seeds: tuple[int, ...], denoisers: dict[str, Denoise]) -> None:
    """Print every row at its best setting, the median over ``tiles`` and ``seeds``, and the levels that were found."""
    ours = next(row for row in denoisers.values() if isinstance(row, Ours))
    ours.guesses.clear()
    head(f"\n{title}", [f"{100 * level:.0f} cm" for level in LEVELS])
    clouds = {level: [with_noise(tile, level, seed) for tile in tiles for seed in seeds] for level in LEVELS}

    def medians(denoise: Denoise) -> list[float]:
        return [
            float(np.median([better(clean, noisy, denoise(noisy)) for clean, noisy in clouds[level]]))
            for level in LEVELS
        ]

    best_lines(denoisers, medians, digits=1, aim=100.0)
    guesses = np.array(ours.guesses).reshape(len(LEVELS), -1)
    estimates({f"{level}": list(each / level) for level, each in zip(LEVELS, guesses, strict=True)})


def main() -> None:
    """Print a table for squares like either published data set, then one for each cloud in at most four tiles."""
    asked = parser(__doc__).parse_args()
    quick, asked.quick = asked.quick, True  # of the rows beside ours planes and the guided filter are enough
    denoisers = rows(asked)[1]
    print("RMS of z to the own place: percent below the noisy points'; median over squares and seeds")
    for squares in SQUARES:
        tiles, seeds = list(squares.cut(quick)), SEEDS[:1] if quick else SEEDS
        where = f"{len(tiles)} squares of {squares.side:.0f} m of {' and '.join(squares.clouds)}"
        table(f"{where}, {len(seeds)} seeds", tiles, seeds, denoisers)
        for name, values in PUBLISHED[squares.like].items():
            line(f"{squares.like}: {name}"[:32], values, digits=1)
    for cloud in AIRBORNE[:2] if quick else AIRBORNE:
        tiles = halved(read(cloud)[0])
        tiles = tiles[:: -(-len(tiles) // (2 if quick else 4))]
        table(f"{cloud}: {len(tiles)} tiles of about {len(tiles[0]):,} points", tiles, SEEDS[:1], denoisers)


if __name__ == "__main__":
    main()
