"""Chamfer distance on shapes, as a share of the unprocessed input's: `python benchmarks/accuracy.py`.

With --procedural on shapes of the benchmarks' own, and with the mean squared distance of the points to the surface.
The noise level is told to no row, unless --noise-told.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import published
from procedural import SHAPES, Shape, procedural
from protocol import LEVELS, Ours, best_lines, chamfer, estimates, head, line, noisy, parser, rows, shapes

from deburr.core.arrays import Floats


@dataclass(frozen=True)
class Case:
    """A clean cloud, its noisy twins by level, and the exact squared distance to the surface where there is one."""

    name: str
    clean: Floats
    noisy: dict[float, Floats]
    to_surface: Callable[[Floats], float] | None


def cases(asked: argparse.Namespace) -> list[Case]:
    """The validation shapes or the procedural ones."""
    if not asked.procedural:
        count = 4 if asked.quick else asked.shapes
        clouds = list(shapes(asked.points))[:: max(40 // count, 1)][:count]
        return [Case(name, c, {level: noisy(c, level) for level in LEVELS}, None) for name, c in clouds]
    names = tuple(SHAPES)[::4] if asked.quick else tuple(SHAPES)
    return [_case(shape) for shape in procedural(asked.points, names)]


def _case(shape: Shape) -> Case:
    twins = {level: shape.noisy(level) for level in LEVELS}
    return Case(shape.name, shape.clean, twins, lambda p: float((shape.mesh.distances(p) ** 2).mean()))


def measure(cases: list[Case], denoise: Callable[[Floats], Floats], level: float) -> tuple[float, ...]:
    """Mean Chamfer distance, and mean squared distance to the surface if all cases know theirs."""
    found = []
    for case in cases:
        now = denoise(case.noisy[level])
        found.append([chamfer(now, case.clean), *([case.to_surface(now)] if case.to_surface else [])])
    return tuple(np.mean(found, axis=0))


def main() -> None:
    """Print one table."""
    command = parser(__doc__)
    command.add_argument("--points", type=int, default=10_000, help="10000 or 50000; any number with --procedural")
    command.add_argument("--shapes", type=int, default=40, help="how many of the 40")
    command.add_argument("--procedural", action="store_true", help="shapes of the benchmarks' own, with their surfaces")
    command.add_argument("--noise-told", action="store_true", help="a row more, to which the true level is told")
    command.add_argument("--by-shape", action="store_true", help="a row for every shape, ours alone")
    command.add_argument("--published", help="weights of model spd: measured anew (slow) for published.json")
    asked = command.parse_args()
    if asked.published:
        published.measure(asked.published)
    clouds = cases(asked)
    title = f"share of the input's; {len(clouds)} shapes of {asked.points} points; surface: mean squared distance"
    what = ["Chamfer"] + (["surface"] if clouds[0].to_surface else [])
    columns = [f"{w} {level:.0%}" for w in what for level in LEVELS]
    head(title, columns, 13)
    base = np.array([measure(clouds, lambda p: p, level) for level in LEVELS])
    line("input", [1.0] * len(columns), 13)
    ours, table = rows(asked)
    best_lines(table, lambda denoise: _shares(clouds, denoise, base), 13)
    line("deburr, spread even", _shares(clouds, Ours(ours.model, even=True), base), 13)
    guesses = np.array(ours.guesses).reshape(len(LEVELS), -1)
    if asked.noise_told:
        line("deburr, noise told", _told(clouds, ours, base), 13)
    estimates({f"{level}": list(g / level) for level, g in zip(LEVELS, guesses, strict=True)}, 13)
    if asked.by_shape:
        for case in clouds:
            one = np.array([measure([case], lambda p: p, level) for level in LEVELS])
            line("  " + case.name, _shares([case], ours, one), 13)
    published.show(ours)


def _shares(clouds: list[Case], denoise: Callable[[Floats], Floats], base: Floats) -> list[float]:
    found = np.array([measure(clouds, denoise, level) for level in LEVELS])
    return list((found / base).T.ravel())


def _told(clouds: list[Case], ours: Ours, base: Floats) -> list[float]:
    found = np.array([measure(clouds, Ours(ours.model, level), level) for level in LEVELS])
    return list((found / base).T.ravel())


if __name__ == "__main__":
    main()
