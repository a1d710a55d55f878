"""Kinds of noise that the network was never trained on, against Gaussian noise of equal variance; and outliers.

`python benchmarks/noise.py`: shapes by Chamfer distance, scans by RMS distance of the surface points to the true
surface; every figure is the share of the noisy input's, divided by the share under Gaussian noise. Outliers, up to a
tenth, are taken out by filters.outlier first; all others are measured, and that is again divided by the Gaussian share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from classical import Denoise
from procedural import SHAPES, Shape, procedural
from protocol import best, chamfer, head, line, parser, rms, rows, settings, settings_line
from scenes import scenes
from simulator import Scan

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.filters.outlier import Outlier

Draw = Callable[[np.random.Generator, Floats], Floats]
OUTLIERS = (0.0, 0.01, 0.03, 0.1)


@dataclass(frozen=True, eq=False)
class Target:
    """A clean cloud, the beam that found each point, the level of the noise, and what a cloud in its place is worth."""

    clean: Floats
    beam: Floats
    noise: float
    seed: int
    error: Callable[[Floats], float]

    def with_noise(self, draw: Draw) -> Floats:
        """The cloud with noise of this level of a kind in `KINDS`."""
        return self.clean + self.noise * draw(np.random.default_rng([self.seed, 3]), self.beam)


def _mixed(rng: np.random.Generator, beam: Floats) -> Floats:
    level = np.where(rng.random((len(beam), 1)) < 0.5, 0.5, np.sqrt(1.75))
    return np.asarray(level * rng.normal(size=beam.shape))


def _along_beam(rng: np.random.Generator, beam: Floats) -> Floats:
    return np.asarray(np.sqrt(3) * rng.normal(size=(len(beam), 1)) * beam)


#: Displacements (N, 3) of mean variance 1 for each coordinate; mixed: half the points at 0.5 and half at 1.32.
KINDS: dict[str, Draw] = {
    "Gaussian": lambda rng, beam: rng.normal(size=beam.shape),
    "Laplace": lambda rng, beam: rng.laplace(0, np.sqrt(0.5), beam.shape),
    "uniform": lambda rng, beam: rng.uniform(-np.sqrt(3), np.sqrt(3), beam.shape),
    "anisotropic": lambda rng, beam: rng.normal(size=beam.shape) * np.sqrt((0.5, 0.5, 2.0)),
    "along the beam": _along_beam,
    "mixed levels": _mixed,
}


def _shape(shape: Shape, level: float) -> Target:
    """A shape, seen from a place beside it."""
    away = shape.clean - np.array([3.0, 1.0, 1.5])
    beam = away / np.linalg.norm(away, axis=1, keepdims=True)
    return Target(shape.clean, beam, level, shape.seed, lambda p: chamfer(p, shape.clean))


def _scan(scan: Scan) -> Target:
    solid = scan.stratum["plane"] | scan.stratum["edge"]
    return Target(scan.clean, scan.beam, scan.noise, scan.seed, lambda p: rms(scan.surface.distances(p[solid])))


def targets(quick: bool) -> dict[str, list[Target]]:
    """Procedural shapes at two levels of noise, and some of the scans."""
    names = tuple(SHAPES)[:: 8 if quick else 2]
    chosen = list(procedural(10_000, names))
    found = {f"shapes {level:.0%}": [_shape(shape, level) for shape in chosen] for level in (0.01, 0.02)}
    for scan in scenes(("suburb",) if quick else ("suburb", "yard", "plant")):
        found[scan.name.split(",")[0]] = [_scan(scan)]
    return found


def share(group: list[Target], kind: str, denoise: Denoise) -> float:
    """Mean error after over mean error before."""
    clouds = [(target, target.with_noise(KINDS[kind])) for target in group]
    after = np.mean([target.error(denoise(x)) for target, x in clouds])
    return float(after / np.mean([target.error(x) for target, x in clouds]))


def share_with_outliers(group: list[Target], part: float, denoise: Denoise) -> float:
    """The same over the points that are no outliers, ``part`` times as many outliers being strewn over the box."""
    after, before = [], []
    for target in group:
        x = target.with_noise(KINDS["Gaussian"])
        rng = np.random.default_rng([target.seed, 4])
        low, high = x.min(0), x.max(0)
        strewn = rng.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), (int(part * len(x)), 3))
        everything = np.concatenate((x, strewn))
        kept = Outlier.model_validate({}).run(PointCloud(everything)).active
        everything[kept] = denoise(everything[kept])
        after.append(target.error(everything[: len(x)]))
        before.append(target.error(x))
    return float(np.mean(after) / np.mean(before))


def main() -> None:
    """Print one table."""
    asked = parser(__doc__).parse_args()
    groups = targets(asked.quick)
    asked.quick = True  # planes and the guided filter are enough to tell a hard kind of noise
    head("Gaussian: share of the input's; other kinds: that share over the Gaussian one", [*groups, "worst"], 12)
    table = rows(asked)[1]
    for filtered, names in settings(table).items():
        normal, chosen = best({name: [share(g, "Gaussian", table[name]) for g in groups.values()] for name in names})
        line(f"{filtered}: Gaussian", normal, 12)
        settings_line(chosen, 12)
        for kind in tuple(KINDS)[1:]:
            _over(normal, kind, {name: [share(g, kind, table[name]) for g in groups.values()] for name in names})
        for part in OUTLIERS:
            found = {name: [share_with_outliers(g, part, table[name]) for g in groups.values()] for name in names}
            _over(normal, f"{part:.0%} outliers", found)


def _over(normal: list[float], what: str, found: dict[str, list[float]]) -> None:
    values, chosen = best(found)
    ratios = [value / one for value, one in zip(values, normal, strict=True)]
    line(f"  {what}", [*ratios, max(ratios)], 12)
    settings_line(chosen, 12)


if __name__ == "__main__":
    main()
