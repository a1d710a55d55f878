"""How points lie in the scenes that the networks train on, beside real clouds: `python benchmarks/patterns.py`.

Of crops of at most 8,000 points, over neighbourhoods of 16: by how much they are longer than wide (the spacing across
scan lines over that along them, where they show), the distance to the nearest neighbour over the spacing, and which
share of them is linear (the middle eigenvalue below a tenth of the largest) and which is planar (the smallest below
1 % of the sum, and not linear). Simulated scenes are measured at their clean places, and their planar share a second
time as they are, noisy. --pictures draws twenty-two scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from classical import planes
from protocol import DATA, head, line, real_cloud

from deburr.core.arrays import Floats
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.train.plans import KINDS
from deburr.train.scans import scan_kind, scan_scene
from deburr.train.scene import NoisyScene

#: Points of a crop, crops of a real cloud, and the seed that places them.
MOST, CROPS, SEED = 8000, 12, 90_310
COLUMNS = ("longer", "half of", "to", "nearest", "half of", "to", "linear", "planar", "noisy", "points")
#: Real clouds, and the kinds of scenes that are meant to look like them.
REAL = {
    "spinning vehicle scanner": ("lidar/small_gicp_source.ply", "street"),
    "tripod, Lone Star": ("lidar/pdal_lone-star.laz", "yard"),
    "tripod, corner": ("real/pcl_region_growing.pcd", "yard"),
    "swept 2-D scanner": ("real/pcl_room_scan.pcd", "sweep"),
    "depth camera, table": ("real/pcl_kinect_table.pcd", "depth"),
    "depth camera, kitchen": ("real/pcl_kinect_kitchen.pcd", "depth"),
    "airborne, AHN3": ("lidar/3dfier_ahn3_cropped_1.laz", "town"),
    "airborne, IGN": ("lidar/ign_several_extra_bytes.laz", "terrain"),
    "airborne forest": ("lidar/lasR_bcts_1.laz", "forest"),
    "tripod, vegetation": ("lidar/laspy_vegetation_1_3.las", "leaves"),
    "laser stripe, bunny": ("real/stanford_bunny_scan.pts", "stripe"),
}


def read(path: str) -> Floats:
    """The finite coordinates (N, 3) of a real cloud."""
    if path.endswith("z") or path.endswith(".las"):
        return real_cloud(Path(path).name)
    if path.endswith(".pts"):
        xyz = np.loadtxt(DATA / path, skiprows=1, usecols=(0, 1, 2))
    else:
        from open3d_door import open3d

        xyz = np.asarray(open3d().io.read_point_cloud(str(DATA / path)).points)
    return np.asarray(xyz[np.isfinite(xyz).all(1)])


def crops(xyz: Floats) -> Iterator[Floats]:
    """The points around random ones."""
    rng = np.random.default_rng(SEED)
    for center in xyz[rng.integers(len(xyz), size=CROPS)]:
        away = ((xyz - center) ** 2).sum(1)
        yield xyz[np.argsort(away, kind="stable")[: min(MOST, len(xyz) // 2)]]


def pattern(points: Floats) -> Floats:
    """(N, 4): of each point's neighbourhood how much longer than wide, nearest over spacing, linear, planar (0, 1)."""
    points = np.unique(points - points.mean(0), axis=0)
    distances, rows = Neighbors(points).nearest(points, SPACING_K + 1)
    _, values, _ = planes(points[rows[:, 1:]])
    low, middle, high = np.maximum(values, 1e-300).T
    nearest = distances[:, 1] / np.median(point_spacing(distances[:, -1], SPACING_K))
    linear = middle < 0.1 * high
    planar = (low < 0.01 * (low + middle + high)) & ~linear
    return np.stack((np.sqrt(high / middle), nearest, linear, planar), 1)


def row(name: str, clouds: list[Floats], noisy: list[Floats]) -> None:
    """One row over all points of some clouds: medians and middle halves, shares, and how many points."""
    found = np.concatenate([pattern(points) for points in clouds])
    low, middle, high = np.quantile(found[:, :2], (0.25, 0.5, 0.75), axis=0)
    planar = float(np.mean(np.concatenate([pattern(points)[:, 3] for points in noisy])))
    figures = [middle[0], low[0], high[0], middle[1], low[1], high[1], *found[:, 2:].mean(0), planar]
    line(name, [*figures, len(found) / len(clouds)], 9, 2)


def pictures(folder: Path, scenes: list[tuple[str, NoisyScene]]) -> None:
    """Two views of each scene: the clean surface's places and the noisy points, coloured by level; solitary in red."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    for number, (kind, scene) in enumerate(scenes):
        figure = Figure(figsize=(18, 9))
        alone = scene.truth.solitary
        for place, azimuth in ((1, -60), (2, 20)):
            axes = figure.add_subplot(1, 2, place, projection="3d")
            x, y, z = scene.points[~alone].T
            axes.scatter(x, y, z, s=1.5, c=scene.level[~alone], cmap="viridis", linewidths=0)
            axes.scatter(*scene.points[alone].T, s=1.5, c="red", linewidths=0)
            axes.set_aspect("equal")
            axes.view_init(30, azimuth)
        figure.suptitle(f"{kind}: {len(alone)} points, level {np.median(scene.level):.3g}")
        figure.tight_layout()
        figure.savefig(folder / f"{number:02d}_{kind}.png", dpi=70)


def by_kind(kinds: list[str], count: int) -> dict[str, list[NoisyScene]]:
    """``count`` scenes of each kind, the first that come; of one that chance never makes, the first ones."""
    rare = [kind for kind in kinds if not KINDS[kind][0]]
    found = {kind: [scan_scene(SEED + n, MOST, kind) for n in range(count)] if kind in rare else [] for kind in kinds}
    seed = SEED
    while min(map(len, found.values())) < count:
        kind = scan_kind(seed)
        if kind in found and len(found[kind]) < count:
            found[kind].append(scan_scene(seed, MOST))
        seed += 1
    return found


def main() -> None:
    """Print the table, and draw."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--scenes", type=int, default=10, help="how many of each kind; default: %(default)s")
    command.add_argument("--pictures", type=Path, help="draw two of each kind in this folder")
    command.add_argument("--simulated", action="store_true", help="no real clouds, which need DEBURR_DATA")
    command.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="only these")
    asked = command.parse_args()
    scenes = by_kind(asked.kinds, asked.scenes)
    if asked.pictures:
        flat = [(kind, scene) for i in range(2) for kind, made in scenes.items() for scene in made[i : i + 1]]
        pictures(asked.pictures, flat)
    head("neighbourhoods of 16 points", COLUMNS)
    for kind, made in scenes.items():
        row(f"simulated: {kind}", [s.truth.points for s in made], [s.points for s in made])
        for name, (path, like) in REAL.items():
            if like == kind and not asked.simulated:
                clouds = list(crops(read(path)))
                row(f"  real: {name}", clouds, clouds)


if __name__ == "__main__":
    main()
