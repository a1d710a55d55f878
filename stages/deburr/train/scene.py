"""A training scene: clean points whose truth is known, and what each of them should be led to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Neighbors

#: Samples that tell how a surface is bent around a point; the cosine between normals of one sheet; points at once.
_AROUND, _SAME, _PART = 12, 0.8, 20_000


@dataclass(frozen=True)
class Surface:
    """A dense sample of a clean surface: ``points`` and unit ``normals`` (M, 3) float64."""

    points: Floats
    normals: Floats


@dataclass(frozen=True)
class CleanScene:
    """Clean points (N, 3) float64 on ``surface``, or, where ``solitary`` (N,) is true, on none: leaves, wires."""

    points: Floats
    solitary: Bools
    surface: Surface


@dataclass(frozen=True)
class NoisyScene:
    """A scan as a scanner makes it, with its truth.

    truth : the clean scene, row by row; its unit is the scan's own.
    points : (N, 3) float64, noisy.
    level : (N,) float64, the standard deviation of each point's noise in the direction in which it is largest: sigma of
        a coordinate where it is the same in all directions, that of the range where it lies along the beam.
    """

    truth: CleanScene
    points: Floats
    level: Floats


def scaled(scene: CleanScene, factor: float) -> CleanScene:
    """The same scene in other units."""
    surface = Surface(scene.surface.points * factor, scene.surface.normals)
    return CleanScene(scene.points * factor, scene.solitary, surface)


def cropped(scene: CleanScene, most: int, rng: np.random.Generator) -> CleanScene:
    """The ``most`` points of a larger scene that are nearest to a random one of them, and the surface around them."""
    if len(scene.points) <= most:
        return scene
    center = scene.points[int(rng.integers(len(scene.points)))]
    away = np.linalg.norm(scene.points - center, axis=1)
    radius = np.partition(away, most)[most]
    inside, near = away < radius, np.linalg.norm(scene.surface.points - center, axis=1) < 1.3 * radius
    surface = Surface(scene.surface.points[near], scene.surface.normals[near])
    return CleanScene(scene.points[inside], scene.solitary[inside], surface)


def nearest_on_surface(surface: Surface, points: Floats) -> Floats:
    """(N, 3): the nearest place on the surface to each of ``points`` (N, 3), to second order between its samples.

    From the nearest sample, f, with its normal n, the surface falls off by t H t / 2 at t along its plane, where H is
    how the samples' normals turn, fitted to those around. A point with samples on all sides of it slides there; beyond
    the last of them no further than to the distance of the next sample, so that it does not run past an edge.
    """
    found, tree = np.empty((len(points), 3)), Neighbors(surface.points)
    for start in range(0, len(points), _PART):
        some = points[start : start + _PART]
        rows = tree.nearest(some, _AROUND)[1]
        found[start : start + _PART] = _feet(some, surface.points[rows], surface.normals[rows])
    return found


def _feet(points: Floats, samples: Floats, normals: Floats) -> Floats:
    """The same, of the ``samples`` and their ``normals`` (N, K, 3) around each."""
    foot, normal = samples[:, 0], normals[:, 0]
    frame = np.linalg.svd(normal[:, None])[2][:, 1:]
    along, turn = samples - foot[:, None], normals @ _turned(frame)
    same, at = (normals @ normal[..., None])[..., 0] > _SAME, along @ _turned(frame)
    slide = (frame @ (points - foot)[..., None])[..., 0]
    # Normal equations of H's three numbers: of every sample on the same sheet H t = the turn of its normal.
    (x, y), nothing = np.moveaxis(at * same[..., None], 2, 0), np.zeros_like(at[..., 0])
    rows = np.concatenate((np.stack((x, y, nothing), 2), np.stack((nothing, x, y), 2)), 1)
    squares = _turned(rows) @ rows
    squares += (1e-3 * np.trace(squares, axis1=1, axis2=2) + 1e-300)[:, None, None] * np.eye(3)
    a, b, c = np.linalg.solve(squares, _turned(rows) @ np.concatenate((turn[..., :1], turn[..., 1:]), 1))[..., 0].T
    gap, length = np.linalg.norm(along[:, 1], axis=1), np.linalg.norm(slide, axis=1)
    share = np.where(_amid(at - slide[:, None], same), 1.0, np.minimum(1.0, gap / np.maximum(length, 1e-300)))
    slide = share[:, None] * slide
    u, v = slide.T
    fallen = (a * u**2 + 2 * b * u * v + c * v**2) / 2
    return np.asarray(foot + (slide[:, None] @ frame)[:, 0] - fallen[:, None] * normal)


def _turned(matrices: Floats) -> Floats:
    """(..., A, B) to (..., B, A)."""
    return np.swapaxes(matrices, -1, -2)


def distances(surface: Surface, points: Floats) -> Floats:
    """(N,): how far ``points`` (N, 3) are from the nearest place on a surface."""
    return np.asarray(np.linalg.norm(points - nearest_on_surface(surface, points), axis=1))


def errors(truth: CleanScene, points: Floats) -> Floats:
    """(N,): how far ``points`` (N, 3) are from the surface, or from their own place if they are on none."""
    off, on = np.linalg.norm(points - truth.points, axis=1), ~truth.solitary
    if on.any():
        # The own place is on the surface, too.
        off[on] = np.minimum(off[on], distances(truth.surface, points[on]))
    return np.asarray(off)


def _amid(around: Floats, counted: Bools) -> Bools:
    """(N,): whether those of ``around`` (N, K, 2) that are ``counted`` (N, K) lie on all sides of the origin: no half a
    turn is between two that follow each other, as seen from there."""
    angle = np.sort(np.where(counted, np.arctan2(around[..., 1], around[..., 0]), np.inf), 1)
    last = np.take_along_axis(angle, counted.sum(1, keepdims=True) - 1, 1)
    # Behind the last one comes the first again.
    angle = np.minimum(np.concatenate((angle, angle[:, :1] + 2 * np.pi), 1), np.maximum(last, angle[:, :1] + 2 * np.pi))
    return np.asarray(np.diff(angle, axis=1).max(1) < np.pi)


def displacement_target(scene: CleanScene, noisy: Floats, objective: str) -> Floats:
    """Where each noisy point (N, 3) should be led, as displacements (N, 3) float64.

    ``score``: the nearest clean place, s(x) = NN(x, Y) - x (Luo & Hu 2021, eq. 3), with the surface for Y; a solitary
    point's own clean place, because where no surface is, the best that squared error can do is to stay.
    ``denoising``: every point's own clean place (denoising score matching, Vincent 2011).
    """
    target = scene.points.copy()
    if objective == "score" and not scene.solitary.all():
        on = ~scene.solitary
        target[on] = nearest_on_surface(scene.surface, noisy[on])
    return target - noisy


def poisson_subset(points: Floats, radius: float, rng: np.random.Generator) -> Bools:
    """(N,) bool: a random maximal choice of ``points`` of which no two are closer than ``radius``.

    Points hold random ranks; whoever ranks above all undecided neighbours is chosen and its neighbours leave.
    """
    from scipy.spatial import cKDTree

    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    rank = rng.permutation(len(points))
    chosen = np.zeros(len(points), dtype=np.bool_)
    open_ = np.ones(len(points), dtype=np.bool_)
    while len(pairs):
        best = np.full(len(points), -1)
        np.maximum.at(best, pairs[:, 0], rank[pairs[:, 1]])
        np.maximum.at(best, pairs[:, 1], rank[pairs[:, 0]])
        winners = open_ & (rank > best)
        chosen |= winners
        open_ &= ~winners
        beaten = np.concatenate((pairs[winners[pairs[:, 0]], 1], pairs[winners[pairs[:, 1]], 0]))
        open_[beaten] = False
        pairs = pairs[open_[pairs].all(axis=1)]
    return np.asarray(chosen | open_)
