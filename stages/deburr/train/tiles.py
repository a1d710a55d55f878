"""A user's own noisy clouds as training examples, though their clean truth is unknown: Noisier2Noise.

Let y = x + n be the noisy points, n ~ N(0, s^2), and z = y + m with noise on top, m ~ N(0, a^2 s^2). Given z, the sum
n + m falls to its parts by their variances: E[m | z] = a^2 / (1 + a^2) E[n + m | z]. So

    E[x | z] = E[z - (1 + a^2) / a^2 m | z]

(Moran, Schmidt, Zhong & Coady, "Noisier2Noise", CVPR 2020): z - (1 + a^2) / a^2 m, which needs no x, is on average the
own clean place of each point, and a network that denoises z by squared error learns the same from it as from x. It also
is, given anything that is computed from z, such as the result of a first pass. The price: the way there varies
(1 + a^2) / a^2 times as much as the way home. All this holds for Gaussian noise, as strong in all directions, of the
level s that is assumed, and only for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deburr.core.arrays import Floats, Ints
from deburr.core.errors import ReadError, RunError, SpecError
from deburr.core.files import is_pattern, matching
from deburr.core.neighbors import cloud_spacing
from deburr.core.registry import stage_class, stage_types
from deburr.core.stage import Reader
from deburr.nn.deburr.default import Default, estimate_noise
from deburr.nn.deburr.inputs import NOISE_FLOOR
from deburr.nn.points import canonical
from deburr.train.examples import Example
from deburr.train.matching import hold_out
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, Surface
from deburr.train.strips import Lines

#: Fewest points that say anything, and most points of a crop.
_LEAST, _MOST = 500, 4000
#: Tells which flight line a point comes from.
_LINE = "PointSourceId"
#: Range of a. Less noise would be nearer to what the network will meet, but the guesses would vary more.
_ADDED = (0.7, 1.0)
#: Clouds whose noise is below this share of their spacing teach nothing.
_CLEAN = 2 * NOISE_FLOOR


@dataclass(frozen=True)
class Tile:
    """Noisy points (N, 3) float64, no two equal, and the noise's standard deviation per coordinate, in their units."""

    points: Floats
    noise: float


def find_files(recipe_path: str, patterns: Sequence[str]) -> list[str]:
    """The files that ``patterns`` name, relative to the recipe's folder. Raises `SpecError` with all that is wrong."""
    folder, found, problems = Path(recipe_path).parent, list[str](), list[str]()
    for pattern in patterns:
        path = str(folder / pattern)
        matches = matching(path) if is_pattern(path) else [path]
        if not matches:
            problems.append(f"{recipe_path}: option 'files': nothing matches '{pattern}'; correct it")
        found += matches
    for path in found:
        if not Path(path).is_file():
            problems.append(f"{recipe_path}: option 'files': '{path}' is no file; correct its path")
        elif _reader(path) not in stage_types():
            problems.append(f"{recipe_path}: option 'files': '{path}' is neither LAS, LAZ nor PLY; convert it")
    if problems:
        raise SpecError(problems)
    return list(dict.fromkeys(found))


def _reader(path: str) -> str:
    extension = Path(path).suffix.lower().removeprefix(".")
    return f"readers.{'las' if extension == 'laz' else extension}"


def read_tiles(files: Sequence[str], recipe: Recipe, model: Default) -> list[Tile]:
    """The active points of each file, and their noise as ``model`` estimates it, unless the recipe tells it.

    Raises `ReadError`, and `RunError` where the clouds are too clean to learn from.
    """
    return [Tile(points, noise) for points, noise, _ in _read(files, recipe, model)]


def read_lines(files: Sequence[str], recipe: Recipe, model: Default) -> list[Lines]:
    """The same, with the flight line of each point. Raises `ReadError` where no two lie over one place, too."""
    found = []
    for path, (points, noise, line) in zip(files, _read(files, recipe, model), strict=True):
        lines = None if line is None else Lines.of(points, noise, line)
        if lines is None or lines.another.sum() < _LEAST:
            raise ReadError(
                f"{path}: has no two flight lines (PointSourceId) over one place, at least {_LEAST} points of it; "
                "leave it out"
            )
        found.append(lines)
    return found


def _read(files: Sequence[str], recipe: Recipe, model: Default) -> Iterator[tuple[Floats, float, Ints | None]]:
    for path in files:
        reader = stage_class(_reader(path)).model_validate({"filename": path})
        assert isinstance(reader, Reader)
        cloud = reader.read()
        active = cloud.active
        points, back = canonical(cloud.xyz[active]) if active.any() else (cloud.xyz[:0], np.zeros(0, np.intp))
        if len(points) < _LEAST:
            raise ReadError(
                f"{path}: has {len(points)} different points that are neither withheld nor noise (7, 18); "
                f"give clouds of at least {_LEAST}"
            )
        noise = estimate_noise(points, model) if recipe.noise is None else recipe.noise
        if noise < _CLEAN * cloud_spacing(points):
            raise RunError(f"{path}: noise of {noise:.2g} is too little, for its spacing, to learn from; leave it out")
        line = None
        if _LINE in cloud.dims:
            line = np.zeros(len(points), np.int64)
            line[back[::-1]] = cloud.dims[_LINE][active][::-1]
        yield points, noise, line


def noisier(noisy: Floats, level: float, share: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """``noisy`` (N, 3) of noise ``level`` with ``share`` (a) times as much on top, and guesses of the clean places."""
    added = rng.normal(0, share * level, noisy.shape)
    return noisy + added, noisy + added - (1 + share**2) / share**2 * added


class Tiles:
    """Draws crops of tiles, each point as likely as any other."""

    def __init__(self, tiles: Sequence[Tile]) -> None:
        self._tiles = tuple(tiles)
        sizes = np.array([len(tile.points) for tile in self._tiles])
        self._chance = sizes / sizes.sum()

    def figures(self) -> dict[str, int]:
        """What weights record of them."""
        return {"clouds": len(self._tiles), "points": sum(len(tile.points) for tile in self._tiles)}

    def draw(self, rng: np.random.Generator) -> Example:
        """The points around a random one with more noise, in spacings, and their clean places as far as is known."""
        crop, noise = self._crop(rng)
        unit = cloud_spacing(crop)
        share = float(rng.uniform(*_ADDED))
        points, guess = noisier(crop / unit, noise / unit, share, rng)
        return _without_surface(guess, points, noise / unit * float(np.sqrt(1 + share**2)))

    def parted(self, rng: np.random.Generator) -> Example:
        """The points around a random one, in spacings of those that are not held out (see `deburr.train.matching`)."""
        crop, noise = self._crop(rng)
        held = hold_out(len(crop), rng)
        unit = cloud_spacing(crop[~held])
        seen = crop[~held] / unit
        return replace(_without_surface(seen, seen, noise / unit), held=crop[held] / unit)

    def bare(self, rng: np.random.Generator) -> Example:
        """The points around a random one, in spacings, as they are (see `deburr.train.mirror`)."""
        crop, noise = self._crop(rng)
        unit = cloud_spacing(crop)
        return _without_surface(crop / unit, crop / unit, noise / unit)

    def _crop(self, rng: np.random.Generator) -> tuple[Floats, float]:
        """The points (N, 3) around a random one, about it, and their noise."""
        tile = self._tiles[int(rng.choice(len(self._tiles), p=self._chance))]
        center = tile.points[int(rng.integers(len(tile.points)))]
        away = ((tile.points - center) ** 2).sum(1)
        most = min(_MOST, len(away))
        return tile.points[np.sort(np.argpartition(away, most - 1)[:most])] - center, tile.noise


def _without_surface(guess: Floats, points: Floats, level: float) -> Example:
    """``points`` (N, 3) and what is guessed of their clean places; no point has a surface to go to."""
    nowhere = Surface(np.empty((0, 3)), np.empty((0, 3)))
    truth = CleanScene(guess, np.ones(len(guess), dtype=np.bool_), nowhere)
    return Example(truth, points, np.full(len(points), level), guessed=True)
