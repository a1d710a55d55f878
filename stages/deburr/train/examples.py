"""Turns scenes into training examples: noise, the target, and what the network sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from deburr.core.cloud import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.nn.inputs import NOISE_FLOOR, Scene
from deburr.nn.level import widening
from deburr.nn.planes import build_graph, fit_planes
from deburr.train.landscapes import landscape_scene
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, cropped, displacement_target, scaled
from deburr.train.solids import solid_scene

#: Most points of a scene that one step learns from; larger scenes give a new part of themselves each time.
_MOST = 6000
#: More noise than this, in spacings, leaves nothing of a solid of few points.
_SPARSE = 1.5
#: Share of scenes with less noise than the recipe's range: users' clouds may be clean.
_NEARLY_CLEAN = 0.08


@dataclass(frozen=True)
class Example:
    """A noisy scene in spacings: its clean truth, its coordinates now, its noise level, and that before any pass.

    ``guessed``: its truth is only right on average, see `deburr.train.tiles`.
    """

    truth: CleanScene
    points: Floats
    level: float
    first_level: float
    guessed: bool = False


def see(points: Floats, level: float, wider: int | None = None) -> Scene:
    """What the network sees of ``points`` (N, 3) float64 at one noise level; ``wider``: see `fit_planes`."""
    graph = build_graph(points, unit=1.0)
    noise = torch.full((len(points),), level) if level > 0 else torch.zeros(len(points))
    planes = fit_planes(graph, wider or widening(level))
    return Scene(graph, planes, torch.maximum(noise, NOISE_FLOOR * graph.spacing))


def add_noise(points: Floats, level: float, rng: np.random.Generator) -> Floats:
    """Gaussian noise of standard deviation ``level`` a coordinate; a quarter of the scenes anisotropic of equal power,
    a fifth with a level that varies from point to point. Other kinds are kept for testing."""
    noise = rng.normal(0, level, points.shape)
    kind = rng.random()
    if kind < 0.25:
        axes = np.exp(rng.normal(0, 0.5, 3))
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        noise = (noise * axes / np.sqrt((axes**2).mean())) @ turn
    elif kind < 0.45:
        spread = np.exp(rng.normal(0, 0.4, (len(points), 1)))
        noise *= spread / np.sqrt((spread**2).mean())
    return points + noise


class Pool:
    """Solids, which take seconds each, made in the background and kept; landscapes, made anew each time.

    ``drawn``: scenes that an interrupted run has drawn before; its landscapes do not come again. ``other``: where
    every second example comes from instead.
    """

    def __init__(
        self,
        recipe: Recipe,
        drawn: int = 0,
        first: int = 8,
        other: Callable[[np.random.Generator], Example] | None = None,
    ) -> None:
        self._recipe, self._ready = recipe, list[CleanScene]()
        self._other, self._turn = other, False
        self._executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        seeds = range(recipe.seed * 1_000_000, recipe.seed * 1_000_000 + recipe.solids)
        self._waiting: list[Future[CleanScene]] = [self._executor.submit(solid_scene, s) for s in seeds]
        while len(self._ready) < min(first, recipe.solids):
            self._ready.append(self._waiting.pop(0).result())
        self._next_landscape = recipe.seed * 1_000_000 + drawn

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def draw(self, rng: np.random.Generator) -> Example:
        """One scene with fresh noise, centred, its spacing 1."""
        self._turn = not self._turn
        if self._other is not None and self._turn:
            return self._other(rng)
        while self._waiting and self._waiting[0].done():
            self._ready.append(self._waiting.pop(0).result())
        recipe = self._recipe
        if rng.random() < recipe.landscape_share:
            scene, (low, high) = landscape_scene(self._next_landscape), recipe.landscape_noise
            self._next_landscape += 1
        else:
            scene, (low, high) = self._ready[int(rng.integers(len(self._ready)))], recipe.solid_noise
            if len(scene.points) <= 2 * _MOST:
                high = min(high, _SPARSE)
        scene = cropped(scene, _MOST, rng)
        scene = scaled(scene, 1 / cloud_spacing(scene.points))
        level = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        if rng.random() < _NEARLY_CLEAN:
            level = float(np.exp(rng.uniform(np.log(NOISE_FLOOR), np.log(max(low, 2 * NOISE_FLOOR)))))
        noisy = add_noise(scene.points, level, rng)
        return Example(scene, noisy, level, level)


def target(example: Example, objective: str) -> Tensor:
    """(N, 3) float32, the displacement each point should make, in units of the noise before any pass."""
    return torch.from_numpy(displacement_target(example.truth, example.points, objective) / example.first_level).float()


def batches(pool: Pool, recipe: Recipe, rng: np.random.Generator) -> Iterator[list[Example]]:
    """Batches without end."""
    while True:
        yield [pool.draw(rng) for _ in range(recipe.batch)]
