"""Simulated scans of open country: ground, buildings with roofs and facades, trees, wires, poles, cars.

Lengths are in spacings of the scan (about 1). Ground and buildings are surfaces; leaves, wires and thin poles are
solitary points, whose truth is their own place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats
from deburr.train.scene import CleanScene, Surface

#: What is thinner than this radius is a wire or a pole, not a surface.
_SLIM = 0.35
#: Dense samples of a surface in a unit square; the scan has about one point there.
_DENSITY = 14.0


@dataclass(frozen=True)
class _Part:
    points: Floats
    normals: Floats


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


class _Terrain:
    """A sum of a slope, a few waves and a kerb."""

    def __init__(self, extent: float, rng: np.random.Generator) -> None:
        self.slope = rng.normal(0, 0.12, 2)
        waves = int(rng.integers(0, 5))
        length = np.exp(rng.uniform(np.log(0.15), np.log(1.5), waves)) * extent
        angle = rng.uniform(0, 2 * np.pi, waves)
        self.vector = 2 * np.pi / length[:, None] * np.stack((np.cos(angle), np.sin(angle)), 1)
        self.phase = rng.uniform(0, 2 * np.pi, waves)
        self.height = length * rng.uniform(0.002, 0.04, waves)
        self.kerb = (rng.uniform(-0.3, 0.3) * extent, rng.uniform(0.3, 2.0) if rng.random() < 0.3 else 0.0)

    def at(self, xy: Floats) -> tuple[Floats, Floats]:
        """Heights (N,) and upward unit normals (N, 3)."""
        phase = xy @ self.vector.T + self.phase
        z = xy @ self.slope + (self.height * np.sin(phase)).sum(1)
        gradient = self.slope + (self.height * np.cos(phase)) @ self.vector
        z = z + np.where(xy[:, 0] > self.kerb[0], self.kerb[1], 0.0)
        normal = np.concatenate((-gradient, np.ones((len(xy), 1))), 1)
        return z, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _rectangle(corner: Floats, u: Floats, v: Floats, rng: np.random.Generator) -> _Part:
    """Uniform dense samples of the parallelogram corner + a u + b v, a and b in 0..1."""
    normal = np.cross(u, v)
    area = float(np.linalg.norm(normal))
    count = max(int(area * _DENSITY), 8)
    ab = rng.random((count, 2))
    points = corner + ab[:, :1] * u + ab[:, 1:] * v
    return _Part(points, np.broadcast_to(normal / max(area, 1e-12), points.shape).copy())


def _box(center: Floats, size: Floats, angle: float, rng: np.random.Generator) -> tuple[list[_Part], list[_Part]]:
    """The flat top and the four walls of a box that stands at ``center`` (its foot)."""
    turn = np.eye(3)
    turn[:2, :2] = _rotation(angle)
    x, y, z = turn[:, 0] * size[0], turn[:, 1] * size[1], turn[:, 2] * size[2]
    base = center - x / 2 - y / 2
    walls = [_rectangle(c, e, z, rng) for c, e in ((base, x), (base + y, x), (base, y), (base + x, y))]
    return [_rectangle(base + z, x, y, rng)], walls


def _building(extent: float, terrain: _Terrain, rng: np.random.Generator) -> tuple[list[_Part], list[_Part], Floats]:
    """Roof parts, wall parts, and the footprint (centre, half size, angle) as five numbers."""
    xy = rng.uniform(-0.35, 0.35, (1, 2)) * extent
    ground = float(terrain.at(xy)[0][0])
    size = np.array([*(extent * rng.uniform(0.15, 0.55, 2)), extent * rng.uniform(0.08, 0.4)])
    angle = float(rng.uniform(0, np.pi))
    foot = np.array([*xy[0], ground - 1.0])
    roof, walls = _box(foot, size, angle, rng)
    if rng.random() < 0.6:
        turn = np.eye(3)
        turn[:2, :2] = _rotation(angle)
        x, y = turn[:, 0] * size[0], turn[:, 1] * size[1]
        top = foot + np.array([0, 0, size[2]])
        ridge = top + np.array([0, 0, size[1] * rng.uniform(0.15, 0.6)])
        shift = y * rng.uniform(-0.4, 0.4)
        corner = top - x / 2
        roof = [
            _rectangle(corner - y / 2, x, ridge + shift - top + y / 2, rng),
            _rectangle(corner + y / 2, x, ridge + shift - top - y / 2, rng),
        ]
    if rng.random() < 0.4:
        chimney_foot = foot + np.array([*rng.uniform(-0.2, 0.2, 2) * size[:2], size[2]])
        top_part, sides = _box(chimney_foot, rng.uniform(1.5, 5, 3), angle, rng)
        roof, walls = roof + top_part, walls + sides
    return roof, walls, np.array([*xy[0], size[0] / 2, size[1] / 2, angle])


def _inside(xy: Floats, footprint: Floats) -> npt.NDArray[np.bool_]:
    local = np.abs((xy - footprint[:2]) @ _rotation(float(footprint[4])))
    return np.asarray((local <= footprint[2:4]).all(1))


def _tree(extent: float, terrain: _Terrain, rng: np.random.Generator) -> Floats:
    """Leaves and twigs: clumps in an ellipsoid crown, and a trunk."""
    xy = rng.uniform(-0.5, 0.5, (1, 2)) * extent
    ground = float(terrain.at(xy)[0][0])
    radii = extent * rng.uniform(0.06, 0.25) * np.array([1, 1, rng.uniform(0.6, 2.0)])
    height = radii[2] * rng.uniform(1.0, 1.8)
    volume = float(4 / 3 * np.pi * radii.prod())
    count = int(min(volume ** (2 / 3) * rng.uniform(1, 5), 2500)) + 5
    inner = rng.normal(size=(count, 3))
    inner *= (rng.random((count, 1)) ** (1 / rng.uniform(2, 6))) / np.linalg.norm(inner, axis=1, keepdims=True)
    leaves = inner * radii
    clumps = rng.uniform(-1, 1, (max(count // 30, 1), 3)) * radii * 0.7
    some = rng.random(count) < rng.uniform(0, 0.7)
    near = clumps[rng.integers(len(clumps), size=count)] + rng.normal(0, rng.uniform(0.5, 2.5), (count, 3))
    leaves[some] = near[some]
    trunk = np.zeros((int(rng.integers(0, 15)), 3))
    trunk[:, 2] = rng.uniform(-height, 0, len(trunk))
    return np.asarray(np.concatenate((leaves, trunk)) + np.array([*xy[0], ground + height]))


def _wire(extent: float, terrain: _Terrain, rng: np.random.Generator) -> Floats:
    """A sagging wire, or an upright pole thinner than the spacing."""
    if rng.random() < 0.4:
        xy = rng.uniform(-0.5, 0.5, (1, 2)) * extent
        length = rng.uniform(0.1, 0.4) * extent
        z = float(terrain.at(xy)[0][0]) + rng.uniform(0, length, int(length * rng.uniform(0.5, 3)) + 2)
        around = rng.normal(0, rng.uniform(0, 0.2), (len(z), 2))
        return np.concatenate((xy + around, z[:, None]), 1)
    angle = rng.uniform(0, 2 * np.pi)
    along = rng.uniform(-0.5, 0.5, int(extent * rng.uniform(0.5, 3))) * extent
    start = rng.uniform(-0.3, 0.3, 2) * extent
    z = rng.uniform(0.2, 0.6) * extent + rng.uniform(0.05, 0.6) / extent * along**2
    return np.stack((start[0] + along * np.cos(angle), start[1] + along * np.sin(angle), z), 1)


def _undergrowth(extent: float, terrain: _Terrain, seed: int) -> tuple[Floats, Floats]:
    """Patches of grass and shrubs close above the ground, no surface anywhere in them: their points (N, 3), and the
    patches as footprints (P, 5), in which few pulses reach the ground."""
    rng = np.random.default_rng([seed, 4])
    points, footprints = [], []
    for _ in range(int(rng.integers(1, 5))):
        half = extent * np.exp(rng.uniform(np.log(0.06), np.log(0.5), 2))
        footprint = np.array([*rng.uniform(-0.45, 0.45, 2) * extent, *half, rng.uniform(0, np.pi)])
        # Heath and ferns are no thicker than the spacing, and densest where the ground is.
        below, thick = rng.choice([0.0, rng.uniform(0, 3)]), np.exp(rng.uniform(np.log(0.4), np.log(8)))
        count = int(4 * half.prod() * np.exp(rng.uniform(np.log(0.15), np.log(3))))
        xy = rng.uniform(-1, 1, (count, 2)) * half @ _rotation(-float(footprint[4])) + footprint[:2]
        if rng.random() < 0.4:
            up = rng.exponential(0.3, count).clip(max=1.5)
        else:
            up = rng.random(count) ** rng.choice([0.5, 1.0, 2.0])
        points.append(np.concatenate((xy, (terrain.at(xy)[0] + below + thick * up)[:, None]), 1))
        footprints.append(footprint)
    return np.concatenate(points), np.stack(footprints)


def _bars(extent: float, terrain: _Terrain, seed: int) -> tuple[list[_Part], Floats]:
    """Poles, trunks and pipes as round surfaces, few spacings thick, whose roundness is no noise: densely sampled, and
    what a scan holds of them (N, 3), of some from one side alone."""
    rng, parts, scanned = np.random.default_rng([seed, 12]), [], [np.empty((0, 3))]
    for _ in range(int(rng.integers(2, 9))):
        radius, length = np.exp(rng.uniform(np.log(_SLIM), np.log(3))), extent * rng.uniform(0.1, 0.5)
        foot = rng.uniform(-0.45, 0.45, 2) * extent
        axis = rng.normal(0, 0.05 if rng.random() < 0.7 else 1.0, 3) + np.array([0, 0, 1])
        axis = np.abs(axis) / np.linalg.norm(axis)
        across = np.linalg.svd(axis[None])[2][1:]
        count = int(2 * np.pi * radius * length * _DENSITY) + 8
        angle = rng.uniform(0, 2 * np.pi, count)
        normals = np.stack((np.cos(angle), np.sin(angle)), 1) @ across
        start = np.array([*foot, float(terrain.at(foot[None])[0][0])])
        part = _Part(start + rng.uniform(0, length, (count, 1)) * axis + radius * normals, normals)
        seen = np.cos(angle - rng.uniform(0, 2 * np.pi)) > rng.choice([-2.0, -0.2])
        share = np.exp(rng.uniform(np.log(0.3), np.log(3)))
        parts.append(part)
        scanned.append(_thinned(_Part(part.points[seen], normals[seen]), share, rng))
    return parts, np.concatenate(scanned)


def _scan_grid(extent: float, rng: np.random.Generator) -> Floats:
    """(N, 2): where an airborne scanner's pulses fall; lines with unequal spacings, one or two strips, jitter."""
    strips = []
    for _ in range(int(rng.integers(1, 3))):
        # Some scanners leave their lines far apart: a spinning one with few rings, a fast aircraft.
        uneven = 1.6 if rng.random() < 0.2 else 0.9
        ratio = np.exp(rng.uniform(-uneven, uneven))
        step = np.array([ratio, 1 / ratio]) * rng.uniform(0.8, 1.5)
        counts = np.ceil(1.5 * extent / step).astype(int)
        grid = np.stack(np.meshgrid(np.arange(counts[0]), np.arange(counts[1]), indexing="ij"), -1).reshape(-1, 2)
        grid = grid + rng.normal(0, rng.uniform(0.02, 0.35), grid.shape)
        grid[:, 0] += rng.choice([0.0, 0.5]) * (np.floor(grid[:, 1]) % 2)
        strips.append((grid * step - 0.75 * extent) @ _rotation(float(rng.uniform(0, np.pi))))
    xy = np.concatenate(strips)
    return np.asarray(xy[(np.abs(xy) < extent / 2).all(1)])


def _thinned(part: _Part, share: float, rng: np.random.Generator) -> Floats:
    return np.asarray(part.points[rng.random(len(part.points)) < share / _DENSITY])


def landscape_scene(
    seed: int, smallest: int = 1500, largest: int = 12_000, undergrowth: bool = False, bars: bool = False
) -> CleanScene:
    """A scan of open country with known truth, airborne (from above) or terrestrial (density falls with distance).

    undergrowth : whether patches of it stand close above the ground, as they do nowhere else.
    bars : whether there are poles, trunks and pipes so thick that they are surfaces.
    """
    rng = np.random.default_rng([seed, 2])
    extent = float(np.sqrt(np.exp(rng.uniform(np.log(smallest), np.log(largest)))))
    terrain = _Terrain(extent, rng)
    buildings = [_building(extent, terrain, rng) for _ in range(int(rng.integers(0, 3)))]
    trees = [_tree(extent, terrain, rng) for _ in range(int(rng.integers(0, 5)))]
    wires = [_wire(extent, terrain, rng) for _ in range(int(rng.integers(0, 3)))]
    airborne = rng.random() < 0.6

    dense_xy = rng.uniform(-0.6, 0.6, (int(1.44 * extent**2 * _DENSITY), 2)) * extent
    ground = _Part(np.empty((0, 3)), np.empty((0, 3)))
    for _, _, footprint in buildings:
        dense_xy = dense_xy[~_inside(dense_xy, footprint)]
    z, normals = terrain.at(dense_xy)
    ground = _Part(np.concatenate((dense_xy, z[:, None]), 1), normals)

    scanned = []
    if airborne:
        xy = _scan_grid(extent, rng)
        for _, _, footprint in buildings:
            xy = xy[~_inside(xy, footprint)]
        scanned.append(np.concatenate((xy, terrain.at(xy)[0][:, None]), 1))
    else:
        scanned.append(_thinned(ground, 1.0, rng))
    facade = rng.uniform(0.03, 0.6) if airborne else rng.uniform(0.6, 2.5)
    for roof, walls, _ in buildings:
        scanned += [_thinned(p, 1.0, rng) for p in roof] + [_thinned(p, facade, rng) for p in walls]
    on = np.concatenate(scanned)
    off = np.concatenate([*trees, *wires, np.empty((0, 3))])
    if airborne and len(off):
        off = off[rng.random(len(off)) < rng.uniform(0.3, 1.0)]
    points = np.concatenate((on, off))
    solitary = np.arange(len(points)) >= len(on)
    keep = (np.abs(points[:, :2]) < 0.55 * extent).all(1)
    if not airborne:
        station = np.array([*rng.uniform(-0.6, 0.6, 2) * extent, rng.uniform(0.05, 0.3) * extent])
        falloff = np.linalg.norm(points - station, axis=1) / extent
        keep &= rng.random(len(points)) < np.minimum(1, (rng.uniform(0.15, 0.6) / np.maximum(falloff, 0.05)) ** 1.5)
    if undergrowth:
        low, footprints = _undergrowth(extent, terrain, seed)
        for _, _, footprint in buildings:
            low = low[~_inside(low[:, :2], footprint)]
        shade = 1 - np.exp(np.random.default_rng([seed, 5]).uniform(np.log(0.08), 0))
        under = np.any([_inside(points[:, :2], one) for one in footprints], axis=0) & ~solitary
        keep &= ~(under & (np.random.default_rng([seed, 6]).random(len(points)) < shade))
        points, solitary = np.concatenate((points, low)), np.append(solitary, np.ones(len(low), dtype=np.bool_))
        keep = np.append(keep, (np.abs(low[:, :2]) < 0.55 * extent).all(1))
    parts = [ground, *(p for roof, walls, _ in buildings for p in (*roof, *walls))]
    if bars:
        round_, seen = _bars(extent, terrain, seed)
        parts += round_
        points, solitary = np.concatenate((points, seen)), np.append(solitary, np.zeros(len(seen), dtype=np.bool_))
        keep = np.append(keep, np.ones(len(seen), dtype=np.bool_))
    surface = Surface(np.concatenate([p.points for p in parts]), np.concatenate([p.normals for p in parts]))
    return CleanScene(points[keep], solitary[keep], surface)
