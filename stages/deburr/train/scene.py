"""A training scene: clean points whose truth is known, and what each of them should be led to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import Neighbors


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
    """The nearest place on the surface to each of ``points`` (N, 3): the nearest sample, slid along its plane.

    The slide ends at the distance of the surface's samples, so that it does not run past an edge.
    """
    tree = Neighbors(surface.points)
    _, rows = tree.nearest(points, 2)
    foot, normal = surface.points[rows[:, 0]], surface.normals[rows[:, 0]]
    away = points - foot
    slide = away - (away * normal).sum(1, keepdims=True) * normal
    gap = np.linalg.norm(surface.points[rows[:, 1]] - foot, axis=1, keepdims=True)
    length = np.linalg.norm(slide, axis=1, keepdims=True)
    return np.asarray(foot + slide * np.minimum(1.0, gap / np.maximum(length, 1e-300)))


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
