"""What the objectives learn of one noisy scan, from nothing: `python benchmarks/matching.py`.

A score network that knows nothing learns from one simulated scan: from its clean points (supervised: denoising), and
from the noisy ones alone (self_supervised: Noisier2Noise; strips: random halves of it, as if they were two flight
lines; score_matching; mirror), in as many steps or as many minutes of a processor (--minutes). Then it denoises another
scan of the kind in one step, at the true noise level. Shares of the input's RMS distance to the true surface. No
generated scene is seen, unlike in `self_supervised.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from lidar import STRATA
from protocol import head, line, parser, rms
from self_supervised import noisy, own_scan
from simulator import Scan

from deburr.core.arrays import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.train.examples import Example
from deburr.train.loop import Trainer
from deburr.train.prepared import prepare, see
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, Surface
from deburr.train.strips import Lines, Strips
from deburr.train.tiles import Tile, Tiles

OBJECTIVES = ("denoising", "self_supervised", "strips", "score_matching", "mirror")


def cut(scan: Scan, count: int, rng: np.random.Generator) -> Floats:
    """(N,) rows: the ``count`` points around a random one, in their order."""
    away = ((scan.clean - scan.clean[int(rng.integers(len(scan.clean)))]) ** 2).sum(1)
    return np.asarray(np.sort(np.argpartition(away, count - 1)[:count]))


def supervised(scan: Scan, count: int) -> Callable[[np.random.Generator], Example]:
    """Draws crops of the scan with new noise, whose clean places are known."""

    def draw(rng: np.random.Generator) -> Example:
        clean = scan.clean[cut(scan, count, rng)]
        unit = cloud_spacing(clean)
        clean = (clean - clean.mean(0)) / unit
        level = scan.noise / unit
        nowhere = Surface(np.empty((0, 3)), np.empty((0, 3)))
        truth = CleanScene(clean, np.ones(len(clean), np.bool_), nowhere)
        # Held to the own place as the guesses are, so that the loss is the same.
        return Example(truth, clean + rng.normal(0, level, clean.shape), np.full(len(clean), level), guessed=True)

    return draw


def unsupervised(scan: Scan, count: int, objective: str) -> Callable[[np.random.Generator], Example]:
    """Draws crops of the noisy scan alone."""
    points = noisy(scan, "Gaussian")
    if objective == "strips":
        # A line has half of the points: as many of them are in a crop, and as far around.
        line = np.random.default_rng(2).integers(0, 2, len(points))
        return Strips([Lines.of(points, scan.noise, line)], 2 * count).draw

    def draw(rng: np.random.Generator) -> Example:
        tiles = Tiles([Tile(points[cut(scan, count, rng)], scan.noise)])
        ways = {"self_supervised": tiles.draw, "score_matching": tiles.parted, "mirror": tiles.bare}
        return ways[objective](rng)

    return draw


def learnt(objective: str, scan: Scan, steps: int, minutes: float | None, points: int, channels: int) -> Trainer:
    """A small network after ``steps`` of two crops of so many ``points`` each, or so many ``minutes``."""
    more = {} if objective == "denoising" else {"files": ("*",)}
    recipe = Recipe(
        output="w",
        steps=steps if minutes is None else None,
        minutes=minutes,
        objective=objective,
        networks=("score",),
        channels=channels,
        layers=2,
        second_pass=0.0,
        **more,
    )
    trainer, rng = Trainer(recipe), np.random.default_rng(1)
    draw = supervised(scan, points) if objective == "denoising" else unsupervised(scan, points, objective)
    began = time.process_time()
    while trainer.share() < 1:
        trainer.learn([prepare(draw(rng), recipe, 2 * trainer.step + i) for i in (0, 1)])
        trainer.seconds = time.process_time() - began
    return trainer


def shares(trainer: Trainer, scan: Scan, points: int) -> list[float]:
    """The strata and all points of the ``points`` in the middle of ``scan``."""
    before = noisy(scan, "Gaussian")
    away = ((scan.clean - np.median(scan.clean, axis=0)) ** 2).sum(1)
    rows = np.sort(np.argpartition(away, points - 1)[:points])
    unit = cloud_spacing(before[rows])
    scene = see((before[rows] - before[rows].mean(0)) / unit, np.full(points, scan.noise / unit))
    with torch.no_grad():
        way = trainer.model(average=True).score(scene)[0].double().numpy()
    after = before.copy()
    after[rows] += unit * way
    near = np.zeros(len(before), np.bool_)
    near[rows] = True
    errors = [(scan.errors(x), x) for x in (before, after)]
    found = []
    for name in STRATA:
        chosen = near[scan.stratum[name]]
        old, new = (each[name][chosen] for each, _ in errors)
        found.append(rms(new) / rms(old) if len(old) >= 30 else np.nan)
    return found


def main() -> None:
    """Print a row for each objective."""
    command = parser(__doc__)
    command.add_argument("--scene", default="yard", help="the kind of scan, see scenes.py")
    command.add_argument("--steps", type=int, default=150, help="of two crops each")
    command.add_argument("--minutes", type=float, help="of a processor to train each, in place of steps")
    command.add_argument("--points", type=int, default=1500, help="of a crop")
    command.add_argument("--channels", type=int, default=24, help="of the network")
    asked = command.parse_args()
    scan, other = (own_scan(asked.scene, number) for number in (0, 1))
    long = f"{asked.steps} steps" if asked.minutes is None else f"{asked.minutes:g} minutes"
    head(f"{asked.scene}, {long}; share of the input's", STRATA, 12)
    for objective in OBJECTIVES:
        trainer = learnt(objective, scan, asked.steps, asked.minutes, asked.points, asked.channels)
        line(f"{objective}, {trainer.step} steps", shares(trainer, other, 4 * asked.points), 12)


if __name__ == "__main__":
    main()
