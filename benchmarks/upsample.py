"""New points, and wrong ones: `python benchmarks/upsample.py`.

Generated shapes of 2,048 points (even samples of their surfaces) and four times as many: by filters.upsample, by
midpoints between neighbours, and by these put on local planes; each row has 8,192 points, the most
spread ones. Then simulated scans with their noise, twice and four times as dense by filters.upsample. Seeds are frozen,
nothing is tuned on these clouds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from classical import planes
from meshes import even_sample
from procedural import Shape, procedural
from protocol import head, line, parser
from scenes import scenes
from scipy.spatial import cKDTree
from simulator import Scan

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.neighbors import cloud_spacing, threads
from deburr.filters.upsample import Upsample

POINTS, FACTOR = 2048, 4
NEW = POINTS * (FACTOR - 1)
#: More than `FACTOR`, which is about right: of new points the most spread ones are taken.
PLENTY = 5.5
#: Neighbours that midpoints are taken with, and those that a local plane is fitted to.
MIDDLES, PLANE = 12, 12
QUICK = (("trefoil", "gear", "vase", "shelf"), ("suburb", "street"))
#: Points of a scan: those around the middle of its thin ones.
MOST = 12_000
STRATA = ("plane", "edge", "thin", "vegetation")


def upsampled(points: Floats, factor: float) -> Floats:
    """(M, 3) what filters.upsample adds to ``points`` (N, 3)."""
    return Upsample(factor=factor).run(PointCloud(points)).xyz[len(points) :]


def midpoints(points: Floats) -> Floats:
    """(M, 3) middles between neighbours, the most spread ones."""
    near = cKDTree(points).query(points, MIDDLES + 1)[1]
    pairs = np.stack(np.broadcast_arrays(near[:, :1], near[:, 1:]), -1).reshape(-1, 2)
    return spread(points[np.unique(np.sort(pairs, axis=1), axis=0)].mean(1), points)


def spread(places: Floats, points: Floats) -> Floats:
    """`NEW` of ``places`` (M, 3), or all if they are fewer: each the furthest from ``points`` (N, 3) and all before."""
    away, chosen = cKDTree(points).query(places)[0], np.zeros(min(NEW, len(places)), np.int64)
    for number in range(len(chosen)):
        chosen[number] = away.argmax()
        away = np.minimum(away, np.linalg.norm(places - places[chosen[number]], axis=1))
    return np.asarray(places[chosen])


def on_planes(places: Floats, points: Floats) -> Floats:
    """``places`` (M, 3) on the planes of the ``points`` (N, 3) around them."""
    mean, _, vectors = planes(points[cKDTree(points).query(places, PLANE)[1]])
    normals = vectors[:, :, 0]
    return np.asarray(places - ((places - mean) * normals).sum(1, keepdims=True) * normals)


def scored(shape: Shape, new: Floats, true: Floats) -> list[float]:
    """Chamfer and Hausdorff distance, of squares as PU-GAN's test has them, and the mean distance to the surface, each
    x 1e3 in the unit sphere; and how many points there are."""
    made = np.concatenate((shape.clean, new[:NEW]))
    there = cKDTree(true).query(made, workers=threads())[0] ** 2
    back = cKDTree(made).query(true, workers=threads())[0] ** 2
    off = shape.mesh.distances(made)
    found = (there.mean() + back.mean(), max(there.max(), back.max()), off.mean())
    return [*(1e3 * float(one) for one in found), len(made) / POINTS]


def rows(shape: Shape) -> Iterator[tuple[str, list[float]]]:
    """What each way to add points scores on ``shape``."""
    true = even_sample(shape.mesh, FACTOR * POINTS, shape.seed + 1)
    yield "deburr", scored(shape, spread(upsampled(shape.clean, PLENTY), shape.clean), true)
    middles = midpoints(shape.clean)
    yield "midpoints", scored(shape, middles, true)
    yield "midpoints, on local planes", scored(shape, on_planes(middles, shape.clean), true)


def judged(scan: Scan, factor: float) -> Iterator[tuple[str, list[float]]]:
    """By stratum, and of all: new points for each point; the shares of them, %, that are further than two standard
    deviations of the noise, and than half a spacing, from any surface; and how far the others are, RMS, in standard
    deviations."""
    thin = scan.clean[scan.stratum["thin"]] if scan.stratum["thin"].any() else scan.clean
    away = np.linalg.norm((scan.clean - np.median(thin, axis=0))[:, :2], axis=1)
    some = np.sort(np.argsort(away, kind="stable")[:MOST])
    points = scan.noisy()[some]
    new = upsampled(points, factor)
    off = (
        np.minimum(scan.surface.distances(new), scan.things.distances(new))
        if len(scan.things.triangles)
        else (scan.surface.distances(new))
    )
    near, half = cKDTree(points).query(new)[1], cloud_spacing(points) / 2
    strata = {"all": np.ones(len(points), np.bool_), **{name: scan.stratum[name][some] for name in STRATA}}
    for name, rows in strata.items():
        if rows.any():
            mine = off[rows[near]]
            right = mine[mine <= 2 * scan.noise] / scan.noise
            wrong = [100 * float((mine > limit).mean()) if len(mine) else 0.0 for limit in (2 * scan.noise, half)]
            spread = float(np.sqrt((right**2).mean())) if len(right) else float("nan")
            yield f"{scan.name}, {name}", [len(mine) / int(rows.sum()), *wrong, spread]


def main() -> None:
    """Print both tables."""
    asked = parser(__doc__).parse_args()
    names, places = QUICK if asked.quick else ((), None)
    head("four times 2,048 points of shapes, x 1e3", ("Chamfer", "Hausd.", "surface", "times"), 10)
    found: dict[str, list[list[float]]] = {}
    for shape in procedural(POINTS, names) if names else procedural(POINTS):
        for name, scores in rows(shape):
            line(f"{shape.name}: {name}", scores, 10)
            found.setdefault(name, []).append(scores)
    for name, each in found.items():
        line(f"mean: {name}", list(np.mean(each, axis=0)), 10)
    for factor in (2.0, 4.0):
        head(f"scans, factor {factor:g}", ("new", "> 2 s, %", "> half, %", "RMS / s"), 11)
        for scan in scenes(places):
            for name, scores in judged(scan, factor):
                line(name, scores, 11, 2)


if __name__ == "__main__":
    main()
