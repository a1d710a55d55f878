"""Scenes with noise, to learn from: each a function of the recipe and its number alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.files import replacing
from deburr.core.neighbors import cloud_spacing
from deburr.nn.deburr.inputs import NOISE_FLOOR
from deburr.nn.level import LEAST
from deburr.train.landscapes import landscape_scene
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, Surface, cropped, scaled
from deburr.train.solids import solid_scene

#: More noise than this, in spacings, leaves nothing of a solid of few points, and which have few.
_SPARSE, _FEW = 1.5, 12_000
#: Share of scenes with less noise than the recipe's range: users' clouds may be clean.
_NEARLY_CLEAN = 0.08
#: Share of the scans that are no scans, but lattices and lines.
_LATTICES = 0.08
#: Share of the other scenes that are small parts, down to a neighbourhood: there too a level is asked for.
_CROPS = 0.1
#: How much noisier dark places are where a recipe asks for such scenes.
_DARK = (2.5, 8.0)
#: Solids that a run starts with, and scenes that it draws until there is one more: each takes seconds to make.
_FIRST_SOLIDS, _SCENES_A_SOLID = 8, 16


@dataclass(frozen=True)
class Example:
    """A noisy scene in spacings: its clean truth, its coordinates now (N, 3), each point's noise level (N,) float64.

    ``guessed``: its truth is only right on average, and NaN where none is known, see `deburr.train.tiles` and
    `deburr.train.strips`. ``held``: (M, 3) more noisy points, which the network does not see; then there is no truth
    at all, see `deburr.train.matching`. There is none either where the objective is that of `deburr.train.mirror`.
    """

    truth: CleanScene
    points: Floats
    level: Floats
    guessed: bool = False
    held: Floats | None = None

    @property
    def typical(self) -> float:
        """The median level."""
        return float(np.median(self.level))


#: Draws an example from somewhere else.
Draw = Callable[[np.random.Generator], Example]


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


def draw(recipe: Recipe, number: int, solids: Path, other: Draw | None = None) -> Example:
    """Scene ``number`` of a run: its spacing is 1, its noise drawn from the recipe's range, or a scan's own.

    solids : a folder that keeps solids, which take seconds each to make.
    other : where every second example comes from instead.
    """
    rng = np.random.default_rng([recipe.seed, 3, number])
    if other is not None and (number % 2 == 0 or recipe.files_alone):
        return other(rng)
    kind = rng.random()
    if kind < recipe.scan_share:
        return _scan(recipe.seed * 1_000_000 + number, recipe)
    if rng.random() < recipe.landscape_share:
        seed = recipe.seed * 1_000_000 + number
        grown = bool(np.random.default_rng([seed, 8]).random() < recipe.undergrowth_share)
        bars = bool(np.random.default_rng([seed, 13]).random() < recipe.bars_share)
        scene, (low, high) = landscape_scene(seed, undergrowth=grown, bars=bars), recipe.landscape_noise
    else:
        there = min(recipe.solids, _FIRST_SOLIDS + number // _SCENES_A_SOLID)
        seed, (low, high) = recipe.seed * 1_000_000 + int(rng.integers(there)), recipe.solid_noise
        scene = kept_solid(solids, seed, np.random.default_rng([seed, 9]).random() < recipe.hollow_share)
        if len(scene.points) <= _FEW:
            high = min(high, _SPARSE)
    small = rng.random() < _CROPS
    most = int(np.exp(rng.uniform(np.log(LEAST), np.log(recipe.most)))) if small else recipe.most
    scene = cropped(scene, most, rng)
    scene = scaled(scene, 1 / cloud_spacing(scene.points))
    level = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if rng.random() < _NEARLY_CLEAN:
        level = float(np.exp(rng.uniform(np.log(NOISE_FLOOR), np.log(max(low, 2 * NOISE_FLOOR)))))
    levels = np.full(len(scene.points), level)
    return Example(scene, add_noise(scene.points, level, rng), levels)


def _scan(seed: int, recipe: Recipe) -> Example:
    from deburr.train.lattices import lattice_scene
    from deburr.train.scans import scan_scene

    rng = np.random.default_rng([seed, 7])
    rare, wild, unequal = rng.random(3) < (_LATTICES, recipe.forest_share, recipe.contrast_share)
    kind = str(rng.choice(["forest", "heath", "leaves"], p=[0.4, 0.4, 0.2])) if wild else None
    dark = float(np.exp(rng.uniform(*np.log(_DARK)))) if unequal else None
    scan = lattice_scene(seed, largest=recipe.most) if rare else scan_scene(seed, recipe.most, kind, dark)
    factor = 1 / cloud_spacing(scan.truth.points)
    level = scan.level * factor
    return Example(scaled(scan.truth, factor), scan.points * factor, level)


def kept_solid(folder: Path, seed: int, hollow: bool = False) -> CleanScene:
    """The solid of ``seed``, from ``folder`` if it was made before; to float32, so that it is the same either way."""
    path = folder / f"{seed}{'-hollow' * hollow}.npz"
    if not path.is_file():
        made = solid_scene(seed, hollow=hollow)
        arrays = (made.points, made.surface.points, made.surface.normals)
        with replacing(path) as temporary:
            np.savez(temporary, *(array.astype(np.float32) for array in arrays))
    with np.load(path, allow_pickle=False) as kept:
        points, dense, normals = (kept[f"arr_{i}"].astype(np.float64) for i in range(3))
    return CleanScene(points, np.zeros(len(points), dtype=np.bool_), Surface(dense, normals))
