"""Clouds more regular than any scan: lattices and lines, mostly without noise, which are to be left as they are."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats
from deburr.train.scene import CleanScene, NoisyScene, Surface


def lattice_scene(seed: int, smallest: int = 300, largest: int = 8000) -> NoisyScene:
    """A sheet of points in rows, flat or gently waved, or a bundle of lines; spacing 1, turned at random."""
    rng = np.random.default_rng([seed, 6])
    count = int(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
    lines = rng.random() < 0.3
    clean = _lines(count, rng) if lines else _sheet(count, rng)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    clean = np.unique(clean @ turn, axis=0)
    level = 0.0 if rng.random() < 0.6 else float(np.exp(rng.uniform(np.log(0.005), np.log(0.5))))
    noisy = clean + rng.normal(0, level, clean.shape)
    normals = np.broadcast_to(turn[2], clean.shape)
    surface = Surface(np.empty((0, 3)), np.empty((0, 3))) if lines else Surface(clean, normals)
    truth = CleanScene(clean, np.full(len(clean), lines), surface)
    return NoisyScene(truth, noisy, np.full(len(clean), level))


def _sheet(count: int, rng: np.random.Generator) -> Floats:
    """Rows and columns of different steps, every other row shifted in some, on waves much longer than a step."""
    side = int(np.sqrt(count))
    ratio = float(np.exp(rng.uniform(-1.2, 1.2)))
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    x = x + rng.choice([0.0, 0.5]) * (y % 2)
    tall = rng.choice([0.0, rng.uniform(0, 3)])
    z = tall * np.sin(x / side * rng.uniform(1, 6)) * np.cos(y / side * rng.uniform(1, 6))
    return np.column_stack((x * ratio, y / ratio, z))


def _lines(count: int, rng: np.random.Generator) -> Floats:
    """One to six straight rows of points, well apart."""
    many = int(rng.integers(1, 7))
    along = np.arange(max(count // 10 // many, 60))
    rows = [np.column_stack((along, np.full(len(along), 40.0 * i), 0 * along)) for i in range(many)]
    return np.concatenate(rows)
