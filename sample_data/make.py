"""Makes the sample: a simulated laser scan of a house by a street, and the truth it was measured from.

    python sample_data/make.py [FOLDER]        default: the folder of this file

house.laz   the scan as a surveyor gets it: LAS 1.4, point format 7, UTM coordinates, Gaussian noise of 4 cm in x, y, z
truth.laz   the same points without noise, row by row
truth.ply   ground and house as a mesh, double coordinates

Four drone lines and one walk around the house with a hand-held scanner are ray-traced against the mesh, with shadows,
and with several returns in the trees. Lengths in metres. Everything is drawn from one seed; nothing comes from outside.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.cloud import PointCloud
from deburr.writers.las import LasWriter

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SEED = 7
NOISE = 0.04
ORIGIN = np.array([500_000.0, 5_400_000.0, 310.0])
#: Points end here; the mesh goes on, so that no point lies beyond its edge.
HALF_X, LOW_Y, HIGH_Y = 14.0, -9.0, 13.0
CRS = (
    'PROJCS["ETRS89 / UTM zone 32N",GEOGCS["ETRS89",DATUM["European_Terrestrial_Reference_System_1989",'
    'SPHEROID["GRS 1980",6378137,298.257222101]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",9],'
    'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],PARAMETER["false_northing",0],'
    'UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH],AUTHORITY["EPSG","25832"]]'
)
GROUND, TREE, BUILDING, LOW_NOISE, WIRE, POLE, HIGH_NOISE = 2, 5, 6, 7, 14, 15, 18

#: House: x from, x to, y from, y to, eaves, ridge (heights above the ground at its front); the ridge runs along x.
HOUSE = (-5.0, 4.0, -1.5, 6.5, 5.0, 8.4)
#: Crowns: centre and radii of the blobs of leaves of two trees; trunks: x, y, height, radius.
CROWNS = [
    ((9.0, 2.0, 4.6), (2.2, 2.2, 1.8)),
    ((9.7, 2.7, 6.1), (1.6, 1.5, 1.4)),
    ((8.2, 1.5, 6.0), (1.5, 1.6, 1.3)),
    ((9.0, 2.1, 7.3), (1.1, 1.1, 1.0)),
    ((-9.6, 8.0, 3.2), (1.6, 1.7, 1.4)),
    ((-9.2, 8.4, 4.5), (1.2, 1.1, 1.1)),
]
TRUNKS = [(9.0, 2.0, 4.5, 0.18), (-9.6, 8.0, 3.0, 0.14)]
POLES = [(-12.5, -5.2, 7.0, 0.12), (12.5, -5.2, 7.0, 0.12)]
#: A ray goes this far through leaves, on average.
FREE_PATH = 1.6


@dataclass
class Solids:
    """Triangles (T, 3, 3), each with the class of its points and a colour (8-bit red, green, blue)."""

    corners: list[Floats]
    classes: list[int]
    colors: list[tuple[int, int, int]]

    def add(self, polygon: Any, kind: int, color: tuple[int, int, int]) -> None:
        """A convex planar polygon (M, 3), as a fan of triangles."""
        points = np.asarray(polygon, dtype=np.float64)
        for i in range(1, len(points) - 1):
            self.corners.append(points[[0, i, i + 1]])
            self.classes.append(kind)
            self.colors.append(color)


def profile(y: Floats, above_kerb: bool) -> Floats:
    """Height across the street at x = 0: a cambered street, a kerb of 12 cm at y = -6, a rising garden."""
    street = -0.02 * np.abs(y + 8.5)
    garden = 0.07 + 0.02 * (np.minimum(y, -4.2) + 6) + 0.05 * np.maximum(y + 4.2, 0)
    return np.where((y > -6) | ((y == -6) & above_kerb), garden, street)


def ground(solids: Solids) -> None:
    """The terrain, in strips along the street; the garden is uneven."""
    rows = [(-11.0, 0), (-8.5, 0), (-6.0, 0), (-6.0, 1), (-4.2, 1), *((y, 1) for y in np.arange(-2.2, 16.0, 2.0))]
    x = np.arange(-16.0, 17.0, 2.0)
    lines = []
    for y, above in rows:
        uneven = 0.12 * np.clip((y + 4.2) / 4, 0, 1) * np.sin(0.9 * x + 0.3 * y) * np.cos(0.5 * y)
        z = profile(np.full(len(x), y), bool(above)) + 0.03 * x + uneven
        lines.append(np.column_stack([x, np.full(len(x), y), z]))
    for near, far, (y, _) in zip(lines, lines[1:], rows, strict=False):
        color = (95, 96, 100) if y < -6 else (172, 168, 160) if y < -4.2 else (104, 134, 72)
        for i in range(len(x) - 1):
            solids.add([near[i], near[i + 1], far[i + 1]], GROUND, color)
            solids.add([near[i], far[i + 1], far[i]], GROUND, color)


def house(solids: Solids) -> None:
    """Walls, a gable roof 20 cm thick with eaves, a chimney."""
    x0, x1, y0, y1, eaves, ridge = HOUSE
    middle = (y0 + y1) / 2
    wall, tile, brick = (226, 214, 190), (164, 74, 52), (140, 70, 58)
    for y in (y0, y1):
        solids.add([(x0, y, -1), (x1, y, -1), (x1, y, eaves), (x0, y, eaves)], BUILDING, wall)
    for x in (x0, x1):
        solids.add([(x, y0, -1), (x, y1, -1), (x, y1, eaves), (x, middle, ridge), (x, y0, eaves)], BUILDING, wall)
    fall, over = (ridge - eaves) / (middle - y0), 0.6
    for side in (-1, 1):
        edge = middle + side * ((y1 - y0) / 2 + over)
        low = eaves - fall * over
        slope = [(x0 - over, middle, ridge), (x1 + over, middle, ridge), (x1 + over, edge, low), (x0 - over, edge, low)]
        top = np.add(slope, (0, 0, 0.2))
        solids.add(slope, BUILDING, tile)
        solids.add(top, BUILDING, tile)
        solids.add([slope[2], slope[3], top[3], top[2]], BUILDING, tile)
        for a, b in ((0, 3), (1, 2)):
            solids.add([slope[a], slope[b], top[b], top[a]], BUILDING, tile)
    box(solids, (1.4, 3.6), (2.3, 4.5), (5.0, 9.4), brick)


def box(solids: Solids, low: Any, high: Any, heights: tuple[float, float], color: tuple[int, int, int]) -> None:
    """An upright box over the rectangle from ``low`` to ``high`` (x, y)."""
    bottom, top = heights
    ring = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    for (ax, ay), (bx, by) in pairwise([*ring, ring[0]]):
        solids.add([(ax, ay, bottom), (bx, by, bottom), (bx, by, top), (ax, ay, top)], BUILDING, color)
    solids.add([(x, y, top) for x, y in ring], BUILDING, color)


def posts(solids: Solids) -> None:
    """Trunks and poles, as prisms of ten sides."""
    for kind, color, group in ((TREE, (96, 74, 56), TRUNKS), (POLE, (120, 104, 88), POLES)):
        for x, y, top, radius in group:
            turn = np.linspace(0, 2 * np.pi, 11)
            ring = np.column_stack([x + radius * np.cos(turn), y + radius * np.sin(turn)])
            for a, b in pairwise(ring):
                solids.add([(*a, -1), (*b, -1), (*b, top), (*a, top)], kind, color)


def drone_rays(random: np.random.Generator) -> tuple[Floats, Floats, Ints]:
    """Four lines around the scene, 45 m up and 40 m beside it: origins, directions (R, 3), number of the line (R,)."""
    step, parts = 0.26, []
    for line in range(4):
        x, y = np.meshgrid(np.arange(-HALF_X - 5, HALF_X + 5, step), np.arange(LOW_Y - 5, HIGH_Y + 5, step))
        target = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 1.5)])
        target[:, :2] += random.uniform(-0.4, 0.4, (len(target), 2)) * step
        origin = target.copy()
        origin[:, 2] = 45.0
        # A line sees straight across its own course: along it, scanner and target are abreast.
        origin[:, 1 if line < 2 else 0] = (-40.0, 42.0)[line % 2]
        course = origin[:, 0 if line < 2 else 1]
        order = np.lexsort((target[:, 1 if line < 2 else 0], np.floor(course / step)))
        parts.append((origin[order], (target - origin)[order], np.full(len(order), line + 1)))
    return join(parts)


def walk_rays(random: np.random.Generator) -> tuple[Floats, Floats, Ints]:
    """A walk around the house at 6 m, the scanner 2 m up and turned towards the house."""
    x0, x1, y0, y1, *_ = HOUSE
    corners = np.array([(x0 - 6, y0 - 5.5), (x1 + 3, y0 - 5.5), (x1 + 3, y1 + 6), (x0 - 6, y1 + 6), (x0 - 6, y0 - 5.5)])
    parts = []
    for a, b in pairwise(corners):
        length = float(np.linalg.norm(b - a))
        along = np.arange(0, length, 0.2)
        lift = np.deg2rad(np.arange(-18.0, 62.0, 1.9))
        where, up = (part.ravel() for part in np.meshgrid(along, lift, indexing="ij"))
        where = where + random.uniform(-0.08, 0.08, len(where))
        up = up + random.uniform(-0.012, 0.012, len(up))
        course = (b - a) / length
        inward = np.array([-course[1], course[0]])
        origin = np.column_stack([a + where[:, None] * course, 2.0 + 0.03 * (a[0] + where * course[0])])
        parts.append((origin, np.column_stack([np.cos(up)[:, None] * inward, np.sin(up)]), np.full(len(up), 5)))
    return join(parts)


def join(parts: list[Any]) -> Any:
    """Tuples of arrays, joined array by array."""
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def cast(solids: Solids, origins: Floats, directions: Floats) -> tuple[Floats, Ints]:
    """How far along each ray (R,) the first triangle is (infinity: none), and which (R,).

    A line passes all three edges of a triangle on the same side if it passes through; the side is the sign of the
    product of the Pluecker coordinates of line and edge.
    """
    best, which = np.full(len(origins), np.inf), np.full(len(origins), -1)
    lines = np.hstack([directions, np.cross(origins, directions)])
    for number, corners in enumerate(solids.corners):
        after = np.roll(corners, -1, axis=0)
        edges = np.hstack([np.cross(corners, after), after - corners])
        # einsum, as the threads of a matrix product cost more here than they save
        sides = np.einsum("rk,ek->re", lines, edges)
        ray = np.flatnonzero((sides >= 0).all(axis=1) | (sides <= 0).all(axis=1))
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        slope = np.einsum("ri,i->r", directions[ray], normal)
        ray, slope = ray[slope != 0], slope[slope != 0]
        far = np.einsum("ri,i->r", corners[0] - origins[ray], normal) / slope
        nearer = (far > 0) & (far < best[ray])
        best[ray[nearer]], which[ray[nearer]] = far[nearer], number
    return best, which


def leaves(origins: Floats, directions: Floats, random: np.random.Generator) -> Floats:
    """How far along each ray (R,), directions of length 1, a leaf is met (infinity: none)."""
    found = np.full(len(origins), np.inf)
    for center, radii in CROWNS:
        away, ahead = (origins - center) / np.array(radii), directions / np.array(radii)
        a, b = (ahead**2).sum(1), (away * ahead).sum(1)
        root = b**2 - a * ((away**2).sum(1) - 1)
        half = np.sqrt(np.maximum(root, 0))
        far = (-b - half) / a + random.exponential(FREE_PATH, len(a))
        inside = (root > 0) & (far < (-b + half) / a) & (far > 0)
        found[inside] = np.minimum(found, far)[inside]
    return found


def scan(solids: Solids, random: np.random.Generator) -> tuple[Floats, dict[str, npt.NDArray[Any]]]:
    """Clean points (N, 3), in the scene's metres and in the order of measurement, and their dimensions."""
    origins, directions, line = join([drone_rays(random), walk_rays(random)])
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    hard, which = cast(solids, origins, directions)
    soft = leaves(origins, directions, random)
    # What the leaves let through comes back from behind them as a second return.
    through = random.random(len(origins)) < 0.35
    leafy = soft < hard
    solid = np.isfinite(hard) & (~leafy | through)
    returns = leafy.astype(int) + solid
    colors, kinds = np.array(solids.colors), np.array(solids.classes)
    shots, reach = np.arange(len(origins)), np.stack([soft, hard], axis=1)
    parts = []
    for number, met in enumerate((leafy, solid)):
        ray = shots[met]
        xyz = origins[ray] + reach[ray, number][:, None] * directions[ray]
        kind = kinds[which[ray]] if number else np.full(len(ray), TREE)
        color = colors[which[ray]] if number else np.tile([70, 110, 48], (len(ray), 1))
        first = np.where(leafy[ray] & (number == 1), 2, 1)
        down = np.rad2deg(np.arctan2(np.hypot(*directions[ray, :2].T), -directions[ray, 2]))
        parts.append((xyz, kind, color, line[ray], ray * 1e-5 + line[ray] * 300.0, first, returns[ray], down))
    parts.append(wires(random))
    xyz, kind, color, source, time, first, returns, down = join(parts)
    inside = (np.abs(xyz[:, 0]) < HALF_X) & (xyz[:, 1] > LOW_Y) & (xyz[:, 1] < HIGH_Y)
    order = np.flatnonzero(inside)[np.lexsort((first[inside], time[inside]))]
    shade = np.clip(color[order] + random.integers(-1, 2, (len(order), 1)) * 8, 0, 255)
    dims: dict[str, npt.NDArray[Any]] = {
        "Intensity": (shade.mean(axis=1) // 8 * 1600).astype(np.uint16),
        "ReturnNumber": first[order].astype(np.uint8),
        "NumberOfReturns": returns[order].astype(np.uint8),
        "Classification": kind[order].astype(np.uint8),
        "ScanAngleRank": np.round(np.minimum(down[order], 90.0)).astype(np.float32),
        "PointSourceId": source[order].astype(np.uint16),
        "GpsTime": 208_800.0 + np.round(time[order], 6),
        **{name: (shade[:, i] * 257).astype(np.uint16) for i, name in enumerate(("Red", "Green", "Blue"))},
    }
    return xyz[order], dims


def wires(random: np.random.Generator) -> tuple[npt.NDArray[Any], ...]:
    """Two sagging wires between the poles, seen by the drone and from the street."""
    (x0, y, top, _), (x1, *_) = POLES
    count = 420
    x = np.sort(random.uniform(x0, x1, count))
    middle, half = (x0 + x1) / 2, (x1 - x0) / 2
    lower = np.arange(count) % 2
    z = top - 0.15 - 0.6 * lower - 0.7 * (1 - ((x - middle) / half) ** 2)
    ones = np.ones(count, dtype=int)
    xyz = np.column_stack([x, np.full(count, y), z])
    color = np.tile([60, 60, 64], (count, 1))
    return xyz, ones * WIRE, color, ones, 300.0 + np.linspace(0, 0.1, count), ones, ones, ones * 40.0


def stray(xyz: Floats, dims: dict[str, npt.NDArray[Any]], random: np.random.Generator) -> Ints:
    """Turn some points into noise below the ground and birds above; withhold one. Returns their rows."""
    rows = np.sort(random.choice(np.flatnonzero(dims["Classification"] == GROUND), 19, replace=False))
    below, above, withheld = rows[:12], rows[12:18], rows[18:]
    xyz[below, 2] -= random.uniform(0.8, 3.0, len(below))
    xyz[above, 2] += random.uniform(10.0, 14.0, len(above))
    dims["Classification"][below], dims["Classification"][above] = LOW_NOISE, HIGH_NOISE
    dims["Withheld"] = np.zeros(len(xyz), dtype=np.uint8)
    dims["Withheld"][withheld] = 1
    return rows


def write_mesh(path: Path, solids: Solids) -> None:
    """Ground and house as an ASCII PLY with double coordinates."""
    chosen = [c for c, kind in zip(solids.corners, solids.classes, strict=True) if kind in (GROUND, BUILDING)]
    vertices, faces = np.unique(np.round(np.concatenate(chosen) + ORIGIN, 3), axis=0, return_inverse=True)
    head = ["ply", "format ascii 1.0", "comment ground and house that house.laz was simulated from; metres, EPSG:25832"]
    head += [f"element vertex {len(vertices)}", *(f"property double {axis}" for axis in "xyz")]
    head += [f"element face {len(chosen)}", "property list uchar int vertex_indices", "end_header"]
    body = [f"{x:.3f} {y:.3f} {z:.3f}" for x, y, z in vertices.tolist()]
    body += [f"3 {a} {b} {c}" for a, b, c in faces.reshape(-1, 3).tolist()]
    path.write_text("\n".join([*head, *body]) + "\n", encoding="ascii")


def write_cloud(path: Path, xyz: Floats, dims: dict[str, npt.NDArray[Any]]) -> None:
    """LAS 1.4, millimetres."""
    lattice = {f"scale_{axis}": 0.001 for axis in "xyz"} | {
        f"offset_{a}": o for a, o in zip("xyz", ORIGIN, strict=True)
    }
    options = {"filename": str(path), "minor_version": 4, "a_srs": CRS, "system_id": "deburr sample_data/make.py"}
    LasWriter.model_validate({**options, **lattice, "creation_doy": 1, "creation_year": 2025}).write(
        PointCloud(xyz, dims)
    )


def make(folder: Path) -> None:
    """Write the three files into ``folder``."""
    random = np.random.default_rng(SEED)
    solids = Solids([], [], [])
    for part in (ground, house, posts):
        part(solids)
    clean, dims = scan(solids, random)
    away = NOISE * random.standard_normal(clean.shape)
    away[stray(clean, dims, random)] = 0.0
    write_mesh(folder / "truth.ply", solids)
    write_cloud(folder / "truth.laz", clean + ORIGIN, {"Classification": dims["Classification"]})
    write_cloud(folder / "house.laz", clean + away + ORIGIN, dims)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
