"""What is told of the noise before and after, on tiles whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.sums import Sums, merge
from deburr.filters.noise import Noise
from deburr.filters.spd import Spd
from deburr.nn.contract import Denoised, Settings, Surveyor
from deburr.nn.models import load
from deburr.testing import tiling
from deburr.tiles.residuals import _POINTS, _places, noise_of
from deburr.tiles.surveys import Passes
from deburr.tiles.tile import Core, process


def farm(count: int = 7_000, side: float = 26.0) -> tuple[Floats, Floats]:
    """(N, 3) clean points, 0.3 apart, of a gentle slope and a gabled roof above it, and the normals (N, 3) there."""
    plan = np.random.default_rng(3).uniform(0, side, (count, 2))
    along, across = (plan - side / 2).T
    roof = (np.abs(along) < 7) & (np.abs(across) < 5)
    z = np.where(roof, 8.0 - 0.6 * np.abs(across), 0.1 * plan[:, 0])
    up = np.column_stack((np.where(roof, 0.0, -0.1), np.where(roof, 0.6 * np.sign(across), 0.0), np.ones(count)))
    normals = up / np.linalg.norm(up, axis=1, keepdims=True)
    return np.column_stack((plan, z)) + np.array([85_000.0, 447_000.0, 3.0]), normals


def told(filters: list[Any], cloud: PointCloud) -> tuple[PointCloud, float | None, float | None]:
    """The cloud as one tile, and what is told of its noise before and after."""
    view = tiling.Memory(cloud, np.zeros(len(cloud), np.int32))
    core = Core(np.full(2, -np.inf), np.full(2, np.inf), (0,))
    passes = Passes(filters)
    while (work := passes.survey()) is not None:
        passes.learn(work, merge(process(view, work, core, 0.0, 10**9).sums))
    done = process(view, passes.work(), core, 0.0, 10**9)
    noted = [merge([record.sums for record in records if record.sums]) for records in done.records]
    (piece,) = done.pieces
    return cloud.with_xyz(piece.xyz), *noise_of(view, passes.work(), done.pieces, noted)


def off(cloud: PointCloud, clean: Floats, normals: Floats) -> float:
    """Root mean square distance of all points to the plane on which each belongs."""
    return float(np.sqrt((((cloud.xyz - clean) * normals).sum(axis=1) ** 2).mean()))


def noisy(clean: Floats, noise: float | Floats) -> PointCloud:
    return PointCloud(clean + np.random.default_rng(1).normal(0, 1, clean.shape) * np.reshape(noise, (-1, 1)))


@pytest.mark.parametrize(
    ("noise", "options"),
    [(0.01, {}), (0.03, {}), (0.05, {}), (0.03, {"strength": 0.5}), (0.03, {"max_displacement": 0.02})],
)
def test_before_and_after_are_told_as_they_are(noise: float, options: dict[str, Any]) -> None:
    clean, normals = farm()
    cloud = noisy(clean, noise)
    after, then, now = told([Spd.model_validate(options)], cloud)
    # The level is found within a quarter, and what is left is a share of it.
    before = off(cloud, clean, normals)
    assert then == pytest.approx(before, rel=0.25)
    assert then is not None
    assert now is not None
    assert now / then == pytest.approx(off(after, clean, normals) / before, rel=0.2)


def test_of_a_large_tile_a_part_is_enough() -> None:
    """A slope without a house: every place of it is like the others."""
    clean, normals = farm(60_000, 76.0)
    field = normals[:, 1] == 0
    cloud = noisy(clean[field], 0.03)
    after, _, now = told([Spd(noise=0.03)], cloud)
    assert now == pytest.approx(off(after, clean[field], normals[field]), rel=0.15)


def test_two_passes_are_judged_together() -> None:
    clean, normals = farm()
    half = Spd(noise=0.03, strength=0.5)
    after, then, now = told([half, half], noisy(clean, 0.03))
    assert then == pytest.approx(0.03)
    assert now is not None
    # They find some of what they left before, and so it is told too high.
    assert off(after, clean, normals) < now == pytest.approx(off(after, clean, normals), rel=0.2)


@dataclass(frozen=True)
class Patchy:
    """A model that knows the slope of `farm`, and takes half of the noise, which is greater in the west."""

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        level = np.where(xyz[:, 0] < 85_013, 0.04, 0.01)
        normal = np.array([-0.1, 0.0, 1.0]) / np.sqrt(1.01)
        height = (xyz - np.array([85_000.0, 447_000.0, 3.0])) @ normal
        moved = xyz - 0.5 * height[:, None] * normal
        return Denoised(moved, {"noise": 0.02, "spacing": 0.3, "max_displacement": 1.0}, level=level)

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        model = load("deburr", None)
        assert isinstance(model, Surveyor)
        return model.survey(xyz, settings)


def test_the_noise_added_is_that_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deburr.filters.spd.load", lambda name, weights: Patchy())
    clean, _ = farm()
    slope = clean[clean[:, 2] < 8]
    cloud = noisy(slope, np.where(slope[:, 0] < 85_013, 0.04, 0.01))
    _, then, now = told([Spd(noise=0.02)], cloud)
    assert then == pytest.approx(np.sqrt((0.04**2 + 0.01**2) / 2), rel=0.02)
    # Half of it, and what the result still had loses half a second time, which counts as an error of 1/4.
    assert now == pytest.approx(np.hypot(1 / 2, 1 / 4) * then, rel=0.05)


def test_what_does_not_move_keeps_its_noise() -> None:
    clean, _ = farm()
    _, then, now = told([Spd(noise=0.03, strength=0.0)], noisy(clean, 0.03))
    assert then == now == 0.03


def test_without_a_stage_that_finds_noise_nothing_is_told() -> None:
    clean, _ = farm()
    assert told([Noise(sigma=0.02)], PointCloud(clean))[1:] == (None, None)


def test_where_nothing_is_flat_only_what_was_there_is_told() -> None:
    crown = np.random.default_rng(0).uniform(0, 5, (3000, 3))
    _, then, now = told([Spd(noise=0.05)], PointCloud(crown))
    assert (then, now) == (0.05, None)


def test_places_of_a_large_tile_hold_enough_and_not_too_much() -> None:
    rng = np.random.default_rng(2)
    # A tower of points in a corner, thin country elsewhere.
    xyz = np.concatenate((rng.uniform(0, 100, (200_000, 3)), rng.uniform(0, 5, (200_000, 3))))
    found = list(_places(xyz))
    assert len(found) == 4
    for rows, inner in found:
        assert _POINTS / 4 < len(rows) <= 2 * _POINTS + 1
        wide, narrow = (np.ptp(xyz[some, :2], axis=0).max() for some in (rows, rows[inner]))
        assert 0.6 < narrow / wide < 0.68
