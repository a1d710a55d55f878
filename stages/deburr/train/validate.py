"""What weights are worth on scenes that no recipe trains on; the table goes into their card."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from deburr.core.cloud import Floats
from deburr.core.neighbors import cloud_spacing
from deburr.nn.default import Default
from deburr.nn.models import Settings
from deburr.train.landscapes import landscape_scene
from deburr.train.scene import CleanScene, nearest_on_surface, scaled
from deburr.train.solids import solid_scene

#: Recipes' seeds stay far below; see `deburr.train.examples.draw`.
FIRST_SEED = 2**40
SCENES = 4
LEVELS = {"solid": (0.3, 0.6, 1.2), "landscape": (0.05, 0.15, 0.4)}


def validate(model: Default) -> list[dict[str, Any]]:
    """Rows of: kind of scene, noise (in spacings), estimated noise, and two shares of the input's RMS distances:
    ``to_surface`` for points on surfaces, ``to_own_place`` for leaves and wires. The noise level is not told."""
    rows = []
    for kind, make in (("solid", solid_scene), ("landscape", landscape_scene)):
        scenes = [_scene(make, FIRST_SEED + number) for number in range(SCENES)]
        for level in LEVELS[kind]:
            found = [_compare(model, scene, level, seed) for seed, scene in enumerate(scenes)]
            before, after, guess = (np.array([f[i] for f in found]) for i in range(3))
            row: dict[str, Any] = {"scene": kind, "noise": level, "noise_estimated": float(np.median(guess))}
            row["to_surface"] = _share(before[:, 0], after[:, 0])
            if kind == "landscape":
                row["to_own_place"] = _share(before[:, 1], after[:, 1])
            rows.append(row)
    return rows


def _share(before: Floats, after: Floats) -> float:
    """Ratio of root mean squares; scenes without such points count in neither."""
    return float(np.sqrt(np.nanmean(after) / np.nanmean(before)))


@cache
def _scene(make: Callable[[int], CleanScene], seed: int) -> CleanScene:
    """Kept: a run validates often, and solids take seconds each."""
    scene = make(seed)
    return scaled(scene, 1 / cloud_spacing(scene.points))


def _compare(model: Default, scene: CleanScene, level: float, seed: int) -> tuple[list[float], list[float], float]:
    noisy = scene.points + np.random.default_rng(seed).normal(0, level, scene.points.shape)
    denoised = model.denoise(noisy, Settings())
    return _squares(scene, noisy), _squares(scene, denoised.xyz), float(denoised.figures["noise"])


def _squares(scene: CleanScene, points: Floats) -> list[float]:
    on = ~scene.solitary
    surface = ((points[on] - nearest_on_surface(scene.surface, points[on])) ** 2).sum(1).mean()
    own = ((points - scene.points)[~on] ** 2).sum(1).mean() if not on.all() else np.nan
    return [float(surface), float(own)]
