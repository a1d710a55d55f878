"""What the objectives learn of noisy clouds, from nothing or in the end: `python benchmarks/matching.py`.

A score network learns from one simulated scan: from its clean points (supervised: denoising), and from the noisy ones
alone (self_supervised: Noisier2Noise; strips: random halves of it, as if they were two flight lines; score_matching;
mirror), in as many steps or as many minutes of a processor (--minutes). Then it denoises another scan of the kind in
one step, at the true noise level. Shares of the input's RMS distance to the true surface.

With --shapes the same of random solids with noise of 1 and 2 % of their radius, each seen in one noisy sample alone;
judged are others: shares of the input's Chamfer distance and mean squared distance to the surface. They are training's
kind of solids, of seeds that nothing else has: no shape that another benchmark judges by is learnt from.

The network knows nothing at first, or, with --tuned, what the weights know. No generated scene is seen beside, unlike
in `self_supervised.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from lidar import STRATA
from protocol import chamfer, head, line, parser, rms
from self_supervised import noisy, own_scan
from simulator import Scan

from deburr.core.arrays import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.nn import weights
from deburr.nn.deburr import BUNDLED
from deburr.nn.deburr.default import Default, sizes_of
from deburr.train.examples import Example
from deburr.train.loop import Trainer
from deburr.train.prepared import prepare, see
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, Surface, distances, poisson_subset, scaled
from deburr.train.solids import sample_surface, solid
from deburr.train.strips import Lines, Strips
from deburr.train.tiles import Tile, Tiles

OBJECTIVES = ("denoising", "self_supervised", "strips", "score_matching", "mirror")
#: Of the solids: noise as a share of the radius, points, how many are learnt from and judged, and their seed.
LEVELS, POINTS, LEARNT, JUDGED, SEED = (0.01, 0.02), 10_000, 8, 4, 52_817
#: Which of the judged solids a picture shows, and half of the thickness of its slice.
SHOWN, SLICE = -1, 0.08

Draw = Callable[[np.random.Generator], Example]


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points (N, 3), where they are in truth (N, 3), the level of their noise, and, of a solid, its surface."""

    points: Floats
    clean: Floats
    noise: float
    surface: Surface | None = None

    @classmethod
    def of(cls, scan: Scan) -> Cloud:
        """A scan with its noise."""
        return cls(noisy(scan, "Gaussian"), scan.clean, scan.noise)


def noisy_solid(number: int, level: float) -> Cloud:
    """Solid ``number``, about `POINTS` even samples of it, in its unit sphere, with noise of a ``level``."""
    rng = np.random.default_rng([SEED, number])
    surface = Surface(np.empty((0, 3)), np.empty((0, 3)))
    while len(surface.points) < 40_000:
        surface = sample_surface(solid(rng), 60_000, rng)
    middle = (surface.points.min(0) + surface.points.max(0)) / 2
    size = float(np.linalg.norm(surface.points - middle, axis=1).max())
    whole = CleanScene(surface.points, np.zeros(len(surface.points), np.bool_), surface)
    surface = scaled(whole, 1 / size).surface
    surface = Surface(surface.points - middle / size, surface.normals)
    # A maximal Poisson-disk set owns about 1 / 0.82^2 of a radius squared a point.
    radius = cloud_spacing(surface.points) * np.sqrt(len(surface.points) / POINTS) * 0.82
    clean = surface.points[poisson_subset(surface.points, float(radius), rng)]
    return Cloud(clean + rng.normal(0, level, clean.shape), clean, level, surface)


def cut(cloud: Cloud, count: int, rng: np.random.Generator) -> Floats:
    """(N,) rows: the ``count`` points around a random one, in their order."""
    away = ((cloud.clean - cloud.clean[int(rng.integers(len(cloud.clean)))]) ** 2).sum(1)
    return np.asarray(np.sort(np.argpartition(away, count - 1)[:count]))


def supervised(clouds: Sequence[Cloud], count: int) -> Draw:
    """Draws crops of the clouds with new noise, whose clean places are known."""

    def draw(rng: np.random.Generator) -> Example:
        cloud = clouds[int(rng.integers(len(clouds)))]
        clean = cloud.clean[cut(cloud, count, rng)]
        unit = cloud_spacing(clean)
        clean = (clean - clean.mean(0)) / unit
        level = cloud.noise / unit
        nowhere = Surface(np.empty((0, 3)), np.empty((0, 3)))
        truth = CleanScene(clean, np.ones(len(clean), np.bool_), nowhere)
        # Held to the own place as the guesses are, so that the loss is the same.
        return Example(truth, clean + rng.normal(0, level, clean.shape), np.full(len(clean), level), guessed=True)

    return draw


def unsupervised(clouds: Sequence[Cloud], count: int, objective: str) -> Draw:
    """Draws crops of the noisy points alone."""
    if objective == "strips":
        # A line has half of the points: as many of them are in a crop, and as far around.
        chance = np.random.default_rng(2)
        lines = [Lines.of(each.points, each.noise, chance.integers(0, 2, len(each.points))) for each in clouds]
        return Strips(lines, 2 * count).draw

    def draw(rng: np.random.Generator) -> Example:
        cloud = clouds[int(rng.integers(len(clouds)))]
        tiles = Tiles([Tile(cloud.points[cut(cloud, count, rng)], cloud.noise)])
        ways = {"self_supervised": tiles.draw, "score_matching": tiles.parted, "mirror": tiles.bare}
        return ways[objective](rng)

    return draw


def begun(objective: str, asked: argparse.Namespace) -> Trainer:
    """A trainer for an ``objective``: of a small network that knows nothing, or of the weights that are ``asked``."""
    path = asked.weights or str(BUNDLED)
    tensors, card = weights.read(path, model="deburr")
    more = {} if objective == "denoising" else {"files": ("*",)}
    known = {"learning_rate": 2e-4, **asdict(sizes_of(path, card))} if asked.tuned else {}
    sizes = {name: known[name] for name in ("channels", "heads", "layers") if name in known}
    recipe = Recipe(
        output="w",
        steps=asked.steps if asked.minutes is None else None,
        minutes=asked.minutes,
        objective=objective,
        networks=("score",),
        second_pass=0.0,
        kernels="compiled",
        learning_rate=known.get("learning_rate", 2e-3),
        **{"channels": asked.channels, "layers": 2, **sizes},
        **more,
    )
    trainer = Trainer(recipe)
    if asked.tuned:
        weights.fit(path, trainer.networks, tensors)
        trainer.begin_average()
    return trainer


def learnt(objective: str, clouds: Sequence[Cloud], asked: argparse.Namespace) -> Trainer:
    """The network after as many steps of two crops each, or as many minutes, as are ``asked``."""
    trainer, rng = begun(objective, asked), np.random.default_rng(1)
    draw = (
        supervised(clouds, asked.points) if objective == "denoising" else unsupervised(clouds, asked.points, objective)
    )
    began = time.process_time()
    while trainer.share() < 1:
        trainer.learn([prepare(draw(rng), trainer.recipe, 2 * trainer.step + i) for i in (0, 1)])
        trainer.seconds = time.process_time() - began
    return trainer


def denoised(model: Default, points: Floats, noise: float) -> Floats:
    """``points`` (N, 3) after one step, told the ``noise``."""
    unit, middle = cloud_spacing(points), points.mean(0)
    scene = see((points - middle) / unit, np.full(len(points), noise / unit))
    with torch.no_grad():
        way = model.score(scene)[0].double().numpy()
    return np.asarray(points + unit * way)


def on_scan(model: Default, scan: Scan, points: int) -> list[float]:
    """By stratum, of the ``points`` in the middle of ``scan``, the share of the input's error."""
    before = noisy(scan, "Gaussian")
    away = ((scan.clean - np.median(scan.clean, axis=0)) ** 2).sum(1)
    rows = np.sort(np.argpartition(away, points - 1)[:points])
    after = before.copy()
    after[rows] = denoised(model, before[rows], scan.noise)
    near = np.zeros(len(before), np.bool_)
    near[rows] = True
    errors = [(scan.errors(x), x) for x in (before, after)]
    found = []
    for name in STRATA:
        chosen = near[scan.stratum[name]]
        old, new = (each[name][chosen] for each, _ in errors)
        found.append(rms(new) / rms(old) if len(old) >= 30 else np.nan)
    return found


def on_solids(model: Default, clouds: Sequence[Cloud]) -> list[float]:
    """Chamfer distance at each level, then the distance to the surface: shares of the input's mean over ``clouds``."""
    found: dict[float, list[list[float]]] = {}
    for cloud in clouds:
        assert cloud.surface is not None
        scores = []
        for points in (cloud.points, denoised(model, cloud.points, cloud.noise)):
            scores += [chamfer(points, cloud.clean), float((distances(cloud.surface, points) ** 2).mean())]
        found.setdefault(cloud.noise, []).append(scores)
    means = np.array([np.mean(found[level], axis=0) for level in LEVELS])
    return list(np.ravel((means[:, 2:] / means[:, :2]).T))


def drawn(path: Path, noisy: Cloud, rows: dict[str, Floats]) -> None:
    """Write a picture of a slice through a noisy solid, and as each of ``rows`` left it."""
    import matplotlib.pyplot as plt

    panels = {"noisy": noisy.points, **rows, "truth": noisy.clean}
    high = 1 if len(panels) <= 3 else 2
    wide = -(-len(panels) // high)
    size = (2.8 * wide, 2.0 * high)
    figure, table = plt.subplots(
        high, wide, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    axes = table.ravel()
    for axis, (name, points) in zip(axes, panels.items(), strict=False):
        some = np.abs(points[:, 1] - np.median(noisy.clean[:, 1])) < SLICE
        axis.plot(points[some, 0], points[some, 2], ".", color="#1d4e89", markersize=1.6)
        axis.set_title(name, fontsize=9)
        axis.set_aspect("equal")
        axis.set(xticks=[], yticks=[])
    for axis in axes[len(panels) :]:
        axis.axis("off")
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})


def on_all_solids(asked: argparse.Namespace, name: str) -> None:
    """Print the table of solids; ``name``: of how long is learnt."""
    clouds = [noisy_solid(number, LEVELS[number % 2]) for number in range(LEARNT)]
    judged = [noisy_solid(LEARNT + number, level) for level in LEVELS for number in range(JUDGED)]
    columns = [f"{what} {level:.0%}" for what in ("Chamfer", "surface") for level in LEVELS]
    head(f"{LEARNT} noisy solids, {name}; share of the input's", columns, 12)
    if asked.tuned:
        line("before", on_solids(begun("denoising", asked).model(), judged), 12)
    results = {}
    for objective in asked.objectives:
        trainer = learnt(objective, clouds, asked)
        model = trainer.model(average=True)
        line(f"{objective}, {trainer.step} steps", on_solids(model, judged), 12)
        results[objective] = denoised(model, judged[SHOWN].points, judged[SHOWN].noise)
    if asked.picture:
        drawn(Path(asked.picture), judged[SHOWN], results)


def on_all_scans(asked: argparse.Namespace, name: str) -> None:
    """Print the table of scans; ``name``: of how long is learnt."""
    scan, other = (own_scan(asked.scene, number) for number in (0, 1))
    head(f"{asked.scene}, {name}; share of the input's", STRATA, 12)
    if asked.tuned:
        line("before", on_scan(begun("denoising", asked).model(), other, 4 * asked.points), 12)
    for objective in asked.objectives:
        trainer = learnt(objective, [Cloud.of(scan)], asked)
        line(f"{objective}, {trainer.step} steps", on_scan(trainer.model(average=True), other, 4 * asked.points), 12)


def main() -> None:
    """Print a row for each objective."""
    command = parser(__doc__)
    command.add_argument("--scene", default="yard", help="the kind of scan, see scenes.py")
    command.add_argument("--shapes", action="store_true", help="learn from random solids, and judge by others")
    command.add_argument("--steps", type=int, default=150, help="of two crops each")
    command.add_argument("--minutes", type=float, help="of a processor to train each, in place of steps")
    command.add_argument("--points", type=int, default=1500, help="of a crop")
    command.add_argument("--channels", type=int, default=24, help="of the network that knows nothing")
    command.add_argument("--tuned", action="store_true", help="begin with the weights")
    command.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=OBJECTIVES, help="what is compared")
    command.add_argument("--picture", help="of solids: a PNG of a slice through one, before and after")
    asked = command.parse_args()
    if asked.picture and not asked.shapes:
        command.error("--picture is of --shapes")
    name = f"{asked.steps} steps" if asked.minutes is None else f"{asked.minutes:g} minutes"
    (on_all_solids if asked.shapes else on_all_scans)(asked, name)


if __name__ == "__main__":
    main()
