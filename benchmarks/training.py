"""Points a second that training makes of, part by part, on one core: `python benchmarks/training.py`.

The parts of a step over one fixed set of scenes: made anew, as the network sees them, their targets, then the network
there and back and the optimiser, by the plain kernels and by the compiled ones, in turn, so that a busy machine slows
both. Processor seconds count, the best of a few rounds. The last rows are whole steps: with scenes made in the same
process, and as `pipeline train` does it, where another process makes them. --profile adds torch's table of operations.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from protocol import head, line

from deburr.train.examples import draw
from deburr.train.feed import make
from deburr.train.loop import Trainer
from deburr.train.prepared import Prepared, prepare, see, targets
from deburr.train.recipe import Recipe

#: Scenes measured on, and rounds of which the best counts.
SCENES, ROUNDS = 12, 3


def recipe(kernels: str) -> Recipe:
    """As the bundled score network was trained, but for the solids, of which there are few."""
    return Recipe(
        output="unused.safetensors", steps=1_000_000, networks=("score",), objective="denoising", solids=4, batch=3,
        seed=7, solid_noise=(0.1, 3.2), landscape_noise=(0.01, 1.5), threads=1, kernels=kernels,
    )  # fmt: skip


def best(work: Callable[[], object], rounds: int) -> float:
    """Processor seconds of the fastest of some rounds."""
    found = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def alternating(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """The same of several works, which take turns."""
    found = [[best(work, 1) for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*found, strict=True)]


def forward(trainer: Trainer, scenes: list[Prepared]) -> None:
    for prepared in scenes:
        trainer._score_losses(prepared, prepared.scene)


def both_ways(trainer: Trainer, scenes: list[Prepared]) -> None:
    for prepared in scenes:
        sum(trainer._score_losses(prepared, prepared.scene).values()).backward()  # type: ignore[union-attr]


def steps(trainer: Trainer, scenes: list[Prepared]) -> None:
    """Whole steps, with the second passes that scenes ask for."""
    for start in range(0, len(scenes), trainer.recipe.batch):
        trainer.learn(scenes[start : start + trainer.recipe.batch])


def profile(trainer: Trainer, scenes: list[Prepared]) -> None:
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as seen:
        both_ways(trainer, scenes)
    print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=36))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", action="store_true")
    options.add_argument("--scenes", type=int, default=SCENES)
    options.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = options.parse_args()
    os.environ["DEBURR_THREADS"] = "1"
    kinds = ["torch", "compiled"] if shutil.which("cc") else ["torch"]
    trainers = [Trainer(recipe(kernels)) for kernels in kinds]
    with TemporaryDirectory() as folder:
        measure(trainers, kinds, Path(folder), chosen)
    print("load (1, 5, 15 minutes):", *(f"{load:.1f}" for load in os.getloadavg()))


def measure(trainers: list[Trainer], kinds: list[str], solids: Path, chosen: argparse.Namespace) -> None:
    plain, numbers = trainers[0].recipe, range(chosen.scenes)
    examples = [draw(plain, number, solids) for number in numbers]  # makes the solids, which are kept
    scenes = [prepare(example, plain, number) for number, example in enumerate(examples)]
    points = sum(len(prepared.surface) for prepared in scenes)

    def row(name: str, seconds: float) -> None:
        line(name, [points / seconds, 18_000 * seconds / points], digits=2, width=12)

    head(f"{points} points in {chosen.scenes} scenes", ["points/s", "s a 18,000"], width=12)
    row("scenes", best(lambda: [draw(plain, number, solids) for number in numbers], chosen.rounds))
    row("graph and planes", best(lambda: [see(e.points, e.level) for e in examples], chosen.rounds))
    row("targets", best(lambda: [targets(e, plain.objective) for e in examples], chosen.rounds))
    for name, work in (("forward", forward), ("forward, backward", both_ways), ("steps, scenes ready", steps)):
        took = alternating([lambda t=t, work=work: work(t, scenes) for t in trainers], chosen.rounds)  # type: ignore[misc]
        for kind, seconds in zip(kinds, took, strict=True):
            row(f"{name}, {kind}", seconds)
    alone = best(lambda: steps(trainers[0], [make(plain, number, solids) for number in numbers]), chosen.rounds)
    row("steps, scenes made, torch", alone)
    print(f"whole step in one process, plain kernels, over one whose scenes are ready: {alone / took[-1]:.2f}")
    if chosen.profile:
        for trainer in trainers:
            profile(trainer, scenes)


if __name__ == "__main__":
    main()
