"""What the benchmarks share: the rows, how noise is added to foreign data, what is measured, the tables."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from classical import Denoise, classical, planes
from scipy.spatial import cKDTree

from deburr.core.arrays import Floats
from deburr.core.neighbors import Neighbors, threads
from deburr.nn.contract import Model, Settings
from deburr.nn.models import load

DATA = Path(os.environ.get("DEBURR_DATA", Path(__file__).parents[2] / "shared")) / "data"
LEVELS = (0.01, 0.02, 0.03)
TILES = {"AHN3": "3dfier_ahn3_cropped_1.laz", "Lone Star": "pdal_lone-star.laz"}


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--weights", help="safetensors file of model deburr; default: the bundled")
    made.add_argument("--quick", action="store_true", help="a cheaper subset of the rows and the data")
    made.add_argument("--ours", action="store_true", help="only the row of deburr")
    return made


@dataclass
class Ours:
    """The row of deburr. ``told`` is the noise handed over, None: estimated; ``guesses`` collects the estimates;
    ``even``: whether points are spread evenly behind that."""

    model: Model
    told: float | None = None
    guesses: list[float] = field(default_factory=list)
    even: bool = False

    def __call__(self, points: Floats) -> Floats:
        """Denoise (N, 3)."""
        done = self.model.denoise(points, Settings(noise=self.told, even=self.even))
        self.guesses.append(float(done.figures["noise"]))
        return done.xyz


def rows(asked: argparse.Namespace) -> tuple[Ours, dict[str, Denoise]]:
    """Ours, and every row by name, ours first."""
    ours = Ours(load("deburr", asked.weights))
    return ours, {"deburr": ours, **({} if asked.ours else classical(asked.quick))}


def head(title: str, columns: Sequence[str], width: int = 9) -> None:
    """Print a table's title and its columns' names."""
    print(title)
    print(" " * 32 + "".join(f"{column:>{width}}" for column in columns), flush=True)


def line(name: str, values: Sequence[float], width: int = 9, digits: int = 3) -> None:
    """Print one row of a table."""
    print(f"{name:<32}" + "".join(f"{value:>{width}.{digits}f}" for value in values), flush=True)


def settings(table: Mapping[str, object]) -> dict[str, list[str]]:
    """The names of rows, which are "filter, setting", by filter; ours has no setting."""
    found: dict[str, list[str]] = {}
    for name in table:
        found.setdefault(name.partition(", ")[0], []).append(name)
    return found


def best(found: Mapping[str, Sequence[float]], aim: float = 0.0) -> tuple[list[float], list[str]]:
    """Of one filter's rows, by name: what comes nearest to ``aim`` in each column, and the setting that does."""
    values, names = np.array(list(found.values())), list(found)
    nearest = np.nan_to_num(np.abs(values - aim), nan=np.inf).argmin(0)
    short = [names[row].partition(", ")[2].removeprefix("k = ").replace(",", "") for row in nearest]
    return [float(column[row]) for column, row in zip(values.T, nearest, strict=True)], short


def best_line(
    found: Mapping[str, Sequence[float]], width: int = 9, digits: int = 3, aim: float = 0.0, what: str = ""
) -> None:
    """Print one filter at its best (see `best`), and below with how many neighbours that is, and whether twice."""
    values, short = best(found, aim)
    line(f"{next(iter(found)).partition(', ')[0]}{what}"[:32], values, width, digits)
    settings_line(short, width)


def settings_line(short: Sequence[str], width: int = 9) -> None:
    """Print the settings of a row that `best` chose, if the filter has any."""
    if any(short):
        print(f"{'  by k =':<32}" + "".join(f"{each:>{width}}" for each in short), flush=True)


def best_lines(
    table: Mapping[str, Denoise],
    measure: Callable[[Denoise], Sequence[float]],
    width: int = 9,
    digits: int = 3,
    aim: float = 0.0,
) -> None:
    """Print each filter at its best of what ``measure`` finds of its settings."""
    for names in settings(table).values():
        best_line({name: measure(table[name]) for name in names}, width, digits, aim)


def estimates(ratios: dict[str, list[float]], width: int = 9) -> None:
    """Print the estimated noise over the true noise: median, smallest and largest, by column."""
    for name, pick in (("median", np.median), ("smallest", np.min), ("largest", np.max)):
        line(f"estimated / true noise, {name}", [float(pick(each)) for each in ratios.values()], width)


def unit_sphere(points: Floats) -> Floats:
    """Bounding-box centre to the origin, farthest point at distance 1."""
    centred = points - (points.min(0) + points.max(0)) / 2
    return np.asarray(centred / np.linalg.norm(centred, axis=1).max())


def shapes(count: int) -> Iterator[tuple[str, Floats]]:
    """The validation shapes of ``count`` points (10000 or 50000), by name, in their unit spheres."""
    with np.load(DATA / "shapes" / f"punet_train_clean_{count}.npz") as file:
        for name in sorted(file.files):
            yield name, unit_sphere(file[name].astype(np.float64))


def noisy(clean: Floats, level: float) -> Floats:
    """Gaussian noise of a generator made anew for every shape."""
    return clean + np.random.default_rng(0).normal(0, level, clean.shape)


def chamfer(a: Floats, b: Floats) -> float:
    """Mean squared nearest-neighbour distance one way plus the other, x 1e4."""
    there = cKDTree(b).query(a, workers=threads())[0]
    back = cKDTree(a).query(b, workers=threads())[0]
    return float(((there**2).mean() + (back**2).mean()) * 1e4)


def rms(distances: Floats) -> float:
    """Root mean square of (N,) or (N, 3); of nothing: not a number."""
    squares = distances**2 if distances.ndim == 1 else (distances**2).sum(1)
    return float(np.sqrt(squares.mean())) if len(squares) else float("nan")


def real_cloud(name: str) -> Floats:
    """The coordinates (N, 3) of a file of the data folder."""
    from deburr.readers.las import LasReader

    return LasReader.model_validate({"filename": str(DATA / "lidar" / name)}).read().xyz


def centre_of(xyz: Floats, count: int) -> Floats:
    """The ``count`` points nearest in plan to the median x and y, minus their mean."""
    away = ((xyz[:, :2] - np.median(xyz[:, :2], axis=0)) ** 2).sum(1)
    part = xyz[np.argsort(away, kind="stable")[:count]]
    return np.asarray(part - part.mean(0))


def real_tile(name: str) -> tuple[Floats, Floats]:
    """The clean and noisy (3 cm) 50,000 points of the data's README."""
    clean = centre_of(real_cloud(name), 50_000)
    return clean, noisy(clean, 0.03)


def own_and_plane(clean: Floats, now: Floats) -> tuple[float, float]:
    """RMS distance to the own clean place, and to the clean cloud's planes where it is flat; in the cloud's unit."""
    mean, values, vectors = planes(clean[Neighbors(clean).nearest(clean, 16)[1]])
    flat = values[:, 0] < 0.01 * values.sum(1)
    return rms(now - clean), rms(((now - mean) * vectors[:, :, 0]).sum(1)[flat])
