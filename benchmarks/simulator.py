"""An own small laser scanner: triangles with a kind, rays cast at them, and the exact truth of every point by stratum.

It shares no code with what the networks are trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from meshes import capped, icosphere, skin, tube
from open3d_door import open3d

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import SPACING_K, Neighbors, cloud_spacing, point_spacing
from deburr.filters._mesh import Mesh

Ints = npt.NDArray[np.int64]
SURFACE, THIN, VEGETATION = 0, 1, 2
#: A surface point is of the stratum edge if one of its 16 nearest surface points faces elsewhere by more than 30
#: degrees, or lies off its tangent plane by more than a quarter of the spacing there; otherwise it is of plane.
TURN, OFF = np.cos(np.radians(30)), 0.25


@dataclass
class World:
    """Triangles, put together part by part; ``kind`` is what a part is: surface, thin (no wider than the spacing) or
    vegetation. Lengths in metres, z up."""

    corners: list[Floats] = field(default_factory=list)
    kinds: list[Ints] = field(default_factory=list)

    def add(self, triangles: Floats, kind: int) -> None:
        """Triangles (T, 3, 3)."""
        self.corners.append(triangles)
        self.kinds.append(np.full(len(triangles), kind))

    def mesh(self, mesh: Mesh, kind: int = SURFACE) -> None:
        """All triangles of a mesh."""
        self.add(mesh.vertices[mesh.triangles], kind)

    def box(self, foot: Floats, size: Floats, turn: float = 0.0, kind: int = SURFACE, ridge: float = 0.0) -> None:
        """A box that stands on ``foot`` (the middle of its base), under a gable roof of height ``ridge``."""
        ends = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
        low = np.concatenate((ends, np.zeros((4, 1))), 1)
        top = low + np.array([0, 0, 1])
        corners = np.concatenate((low, top)) * size
        faces = [
            (0, 3, 2),
            (0, 2, 1),
            (0, 1, 5),
            (0, 5, 4),
            (2, 3, 7),
            (2, 7, 6),
            (1, 2, 6),
            (1, 6, 5),
            (3, 0, 4),
            (3, 4, 7),
        ]
        if ridge > 0:
            peaks = np.array([(-size[0] / 2, 0, size[2] + ridge), (size[0] / 2, 0, size[2] + ridge)])
            corners = np.concatenate((corners, peaks))
            faces += [(4, 5, 9), (4, 9, 8), (6, 7, 8), (6, 8, 9), (7, 4, 8), (5, 6, 9)]
        else:
            faces += [(4, 5, 6), (4, 6, 7)]
        c, s = np.cos(turn), np.sin(turn)
        self.add((corners @ np.array([(c, s, 0), (-s, c, 0), (0, 0, 1)]) + foot)[np.array(faces)], kind)

    def bar(self, points: Floats, radius: float, kind: int, sides: int = 12) -> None:
        """A round bar through ``points`` (L, 3): a pole, a pipe, a trunk, a wire."""
        angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
        section = radius * np.stack((np.cos(angle), np.sin(angle)), 1)
        self.mesh(skin(capped(tube(points, section, False), 1)), kind)

    def wire(self, start: Floats, end: Floats, sag: float, radius: float = 0.02) -> None:
        """A wire that hangs through."""
        t = np.linspace(0, 1, 30)[:, None]
        self.bar(start + (end - start) * t - np.array([0, 0, 4 * sag]) * t * (1 - t), radius, THIN, 5)

    def ground(self, height: npt.NDArray[np.float64], low: tuple[float, float], step: float) -> None:
        """A height field (X, Y) whose first node lies at ``low`` in plan."""
        x, y = np.meshgrid(*(np.arange(n) for n in height.shape), indexing="ij")
        nodes = np.stack((low[0] + x * step, low[1] + y * step, height), -1)
        a, b, c, d = nodes[:-1, :-1], nodes[1:, :-1], nodes[1:, 1:], nodes[:-1, 1:]
        self.add(np.concatenate([np.stack(part, 2).reshape(-1, 3, 3) for part in ((a, b, c), (a, c, d))]), SURFACE)

    def ball(self, centre: Floats, radii: Floats, level: int = 4, kind: int = SURFACE) -> None:
        """An ellipsoid."""
        round_ = icosphere(level)
        self.mesh(Mesh(round_.vertices * radii + centre, round_.triangles), kind)

    def leaves(self, centre: Floats, radii: Floats, count: int, size: float, rng: np.random.Generator) -> None:
        """``count`` small triangles in an ellipsoid, denser outside, in clumps."""
        clumps = rng.normal(size=(max(count // 40, 3), 3))
        clumps *= rng.uniform(0.5, 1, (len(clumps), 1)) / np.linalg.norm(clumps, axis=1, keepdims=True)
        at = clumps[rng.integers(len(clumps), size=count)] + rng.normal(0, 0.14, (count, 3))
        self.add((at * radii + centre)[:, None] + rng.normal(0, size, (count, 3, 3)), VEGETATION)


@dataclass(frozen=True, eq=False)
class Scan:
    """A scanned scene: ``clean`` (N, 3), the ``beam`` (N, 3) that found each (unit length, away from the scanner),
    the ``stratum`` of each by name, the true ``surface``, that of thin ``things``, and the standard deviation of
    the noise to add."""

    name: str
    clean: Floats
    beam: Floats
    stratum: dict[str, Bools]
    surface: Mesh
    things: Mesh
    noise: float
    seed: int

    @property
    def spacing(self) -> float:
        """The median point spacing of the clean scan."""
        return cloud_spacing(self.clean)

    def noisy(self) -> Floats:
        """Gaussian noise on every coordinate."""
        return self.clean + np.random.default_rng([self.seed, 1]).normal(0, self.noise, self.clean.shape)

    def errors(self, now: Floats) -> dict[str, Floats]:
        """What is wrong with ``now`` (N, 3) by stratum: distances to the true surface; for thin and vegetation to the
        own place."""
        own = np.linalg.norm(now - self.clean, axis=1)
        found = {}
        for name, rows in self.stratum.items():
            found[name] = self.surface.distances(now[rows]) if name in ("plane", "edge") else own[rows]
        return found


def scan(
    name: str,
    world: World,
    rays: tuple[Floats, Floats],
    noise: float,
    seed: int,
    reach: float = 1e9,
    returns: int = 1,
    cell: float = 0.0,
) -> Scan:
    """Cast ``rays`` (origins (R, 3), directions (R, 3)) at the world.

    Beams that leaves or thin things do not stop go on, for up to ``returns`` returns. Hits beyond ``reach`` and at
    grazing incidence (below 3 degrees) are lost. With ``cell`` the scan is thinned to the first point in every cube of
    that size, as tripod scans mostly are."""
    corners, kinds = np.concatenate(world.corners), np.concatenate(world.kinds)
    middle = corners.reshape(-1, 3).mean(0)
    rng = np.random.default_rng([seed, 0])
    origin, along = rays[0] - middle, rays[1] / np.linalg.norm(rays[1], axis=1, keepdims=True)
    start, hits, triangles, beams = origin.copy(), [], [], []
    for _ in range(returns):
        place, triangle = _cast(corners - middle, start, along)
        grazing = np.abs((_normals(corners[triangle]) * along).sum(1)) < np.sin(np.radians(3))
        found = (triangle >= 0) & ~grazing & (np.linalg.norm(place - origin, axis=1) < reach)
        hits.append(place[found] + middle)
        triangles.append(triangle[found])
        beams.append(along[found])
        on = found & (kinds[triangle] != SURFACE) & (rng.random(len(found)) < 0.6)
        origin, along, start = origin[on], along[on], (place + 1e-3 * along)[on]
    clean, triangle, beam = np.concatenate(hits), np.concatenate(triangles), np.concatenate(beams)
    if cell:
        first = np.sort(np.unique(np.floor(clean / cell), axis=0, return_index=True)[1])
        clean, triangle, beam = clean[first], triangle[first], beam[first]
    surface, things = (_soup(corners[kinds == kind]) for kind in (SURFACE, THIN))
    strata = stratify(clean, _normals(corners[triangle]), kinds[triangle])
    return Scan(name, clean, beam, strata, surface, things, noise, seed)


def _soup(corners: Floats) -> Mesh:
    """Triangles (T, 3, 3), each with corners of its own."""
    return Mesh(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3))


def _cast(corners: Floats, start: Floats, along: Floats) -> tuple[Floats, Ints]:
    """Where rays first meet a triangle, exactly on its plane, and its row; row -1 where they meet none."""
    o3d = open3d()
    scene = o3d.t.geometry.RaycastingScene()
    flat = corners.reshape(-1, 3).astype(np.float32)
    scene.add_triangles(o3d.core.Tensor(flat), o3d.core.Tensor(np.arange(len(flat), dtype=np.uint32).reshape(-1, 3)))
    rays = np.concatenate((start, along), 1).astype(np.float32)
    ids = scene.cast_rays(o3d.core.Tensor(rays))["primitive_ids"].numpy()
    triangle = np.where(ids < len(corners), ids, 0).astype(np.int64)
    # Open3D computes in float32; the hit is found again on the triangle's plane in float64.
    normal = _normals(corners[triangle])
    slope = (along * normal).sum(1)
    reach = ((corners[triangle, 0] - start) * normal).sum(1) / np.where(slope == 0, 1, slope)
    return start + reach[:, None] * along, np.where(ids < len(corners), triangle, -1)


def _normals(corners: Floats) -> Floats:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal / np.where(length > 0, length, 1))


def stratify(points: Floats, normals: Floats, kinds: Ints) -> dict[str, Bools]:
    """Masks (N,) of plane, edge, thin and vegetation; see `TURN`."""
    solid = np.flatnonzero(kinds == SURFACE)
    own = Neighbors(points).nearest(points[solid], SPACING_K + 1)[0][:, -1]
    near = solid[Neighbors(points[solid]).nearest(points[solid], SPACING_K + 1)[1][:, 1:]]
    turned = np.abs(np.einsum("nki,ni->nk", normals[near], normals[solid])) < TURN
    height = np.abs(np.einsum("nki,ni->nk", points[near] - points[solid][:, None], normals[solid]))
    edge = np.zeros(len(points), np.bool_)
    edge[solid] = (turned | (height > OFF * point_spacing(own, SPACING_K)[:, None])).any(1)
    return {
        "plane": (kinds == SURFACE) & ~edge,
        "edge": edge,
        "thin": kinds == THIN,
        "vegetation": kinds == VEGETATION,
    }
