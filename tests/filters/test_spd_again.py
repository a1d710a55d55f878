"""filters.spd on what it has denoised before: what is clean already stays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.original import ORIGINAL
from deburr.filters.spd import Spd
from deburr.testing import tiling

NOISE = 0.1
Array = np.ndarray[Any, np.dtype[np.float64]]


def roof(count: int = 9000) -> tuple[Array, PointCloud]:
    """Two slopes that meet in a ridge, five points to a unit of area, and the same with noise."""
    random = np.random.default_rng(4)
    x, y = random.uniform(0, 42, (2, count))
    clean = np.column_stack((x, y, -np.abs(x - 21) * 0.7))
    return clean, PointCloud(clean + random.normal(0, NOISE, clean.shape))


def off(points: Array) -> float:
    """RMS distance from the slopes, away from their borders."""
    inside = (np.abs(points[:, :2] - 21) < 19).all(1)
    away = (points[:, 2] + 0.7 * np.abs(points[:, 0] - 21)) / np.hypot(1, 0.7)
    return float(np.sqrt((away[inside] ** 2).mean()))


def step(before: Array, after: Array) -> float:
    return float(np.sqrt(((after - before) ** 2).sum(1).mean()))


@pytest.fixture(scope="module")
def passes() -> Sequence[PointCloud]:
    """The roof, and what each of three passes made of it that were told its noise."""
    clouds = [roof()[1]]
    for _ in range(3):
        clouds.append(Spd(noise=NOISE).run(clouds[-1]))
    return clouds


def test_a_level_that_is_given_again_moves_little_what_is_clean(passes: Sequence[PointCloud]) -> None:
    ways = [step(a.xyz, b.xyz) for a, b in pairwise(passes)]
    assert ways[0] > 0.8 * NOISE
    assert max(ways[1:]) < 0.25 * ways[0]
    left = [off(cloud.xyz) for cloud in passes]
    assert left[1] < 0.4 * left[0]
    assert max(left[2:]) < 1.05 * left[1]


def test_it_is_said_that_the_level_is_taken_for_the_most(passes: Sequence[PointCloud]) -> None:
    first, second = passes[1].history[-1], passes[2].history[-1]
    assert first.figures["noise"] == NOISE
    assert first.figures["noise_source"] == "given"
    assert second.figures["noise"] < 0.4 * NOISE
    assert second.figures["noise_source"] == "estimated"
    assert any("was denoised before" in said for said in second.warnings)
    assert not first.warnings


def test_a_file_with_original_coordinates_was_denoised_before() -> None:
    once = Spd(noise=NOISE, keep_original=True).run(roof()[1])
    stored = PointCloud(once.xyz.copy(), dict(once.dims))
    again = Spd(noise=NOISE).run(stored)
    assert step(stored.xyz, again.xyz) < 0.25 * step(roof()[1].xyz, stored.xyz)


def test_no_level_found_exceeds_what_was_given(passes: Sequence[PointCloud]) -> None:
    known = Spd(noise=0.01, dimensions=["NoiseLevel"]).run(passes[1])
    assert known.history[-1].figures["noise"] <= 0.01
    assert known.dims["NoiseLevel"].max() <= np.float32(0.01)


def test_passes_in_tiles_are_those_of_the_whole_cloud(passes: Sequence[PointCloud]) -> None:
    start = passes[0]
    boxes = tiling.cells(start, (-0.7, -1.1), (23.0, 22.0))
    tiled, _, _ = tiling.tiled([Spd(noise=NOISE), Spd(noise=NOISE)], start, boxes, 4.0)
    assert np.abs(tiled.xyz - passes[2].xyz).max() < 1e-5


def test_tiles_of_files_hold_the_original_coordinates_where_the_noise_is_given() -> None:
    """Or nobody would know there that a file was denoised before."""
    assert {*ORIGINAL} <= Spd(noise=NOISE).looks_at
    assert not {*ORIGINAL} & Spd().looks_at
    once = Spd(noise=NOISE, keep_original=True).run(roof()[1])
    stored = PointCloud(once.xyz.copy(), dict(once.dims))
    boxes = tiling.cells(stored, (-0.7, -1.1), (23.0, 22.0))
    tiled, _, _ = tiling.tiled([Spd(noise=NOISE)], stored, boxes, 4.0)
    assert np.abs(tiled.xyz - Spd(noise=NOISE).run(stored).xyz).max() < 1e-5
