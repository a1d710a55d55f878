"""Units, densities and shapes that nobody tuned for, through filters.spd as a user runs it: it is told the points only.

The bounds are loose: they hold for any network that is worth having.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud, Record
from deburr.core.neighbors import cloud_spacing
from deburr.filters.spd import Spd

Array = np.ndarray

#: A rotation that leaves no axis in its place.
TURN = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]


def spd(points: Array, **options: Any) -> tuple[Array, Record]:
    cloud = Spd.model_validate(options).run(PointCloud(points))
    return cloud.xyz, cloud.history[-1]


def rms(lengths: Array) -> float:
    return float(np.sqrt((lengths**2).mean()))


def sheet(count: int, noise: float, seed: int = 0, side: float | None = None) -> tuple[Array, Array]:
    """Random points of the plane z = 0, clean and noisy; the spacing is about 1 unless ``side`` is told."""
    rng = np.random.default_rng(seed)
    side = np.sqrt(count) if side is None else side
    clean = np.column_stack([rng.uniform(0, side, (count, 2)), np.zeros(count)])
    return clean, clean + rng.normal(0, noise, clean.shape)


@pytest.fixture(scope="module")
def noisy() -> Array:
    return sheet(1500, 0.15)[1]


@pytest.fixture(scope="module")
def denoised(noisy: Array) -> Array:
    return spd(noisy)[0]


@pytest.mark.parametrize("unit", [1 / 0.3048, 1000.0, 1e-6], ids=["feet", "millimetres", "megametres"])
def test_the_unit_does_not_matter(noisy: Array, denoised: Array, unit: float) -> None:
    meters = spd(noisy)[1].figures
    out, record = spd(noisy * unit, dimensions=["Displacement"])
    assert out / unit == pytest.approx(denoised, abs=1e-5)
    for name in ("noise", "spacing", "max_displacement"):
        assert record.figures[name] == pytest.approx(meters[name] * unit, rel=5e-4)  # bins of 0.1 %
    assert record.warnings == ()


@pytest.mark.parametrize("offset", [1e6, 1e7, 1e9])
def test_the_origin_does_not_matter(noisy: Array, denoised: Array, offset: float) -> None:
    far = np.array([offset, -offset, offset / 2])
    rounding = np.spacing(offset)
    assert spd(noisy + far)[0] - far == pytest.approx(denoised, abs=1e-4 + 100 * rounding)


def test_twenty_points_stay_and_that_is_told() -> None:
    points = sheet(20, 0.15)[1]
    out, record = spd(points)
    assert (out == points).all()
    assert record.warnings == ("20 different points are too few to denoise (at least 32); left unchanged",)


@pytest.mark.parametrize("count", [32, 50, 100])
def test_few_points_gain(count: int) -> None:
    clean, points = sheet(count, 0.15, seed=count)
    out = spd(points)[0]
    assert rms(out[:, 2]) < 0.7 * rms(points[:, 2])
    assert rms(out - clean) < rms(points - clean)


def test_equal_points_stay() -> None:
    points = np.full((3000, 3), 1234.5)
    out, record = spd(points)
    assert (out == points).all()
    assert "1 different points" in record.warnings[0]


def test_duplicates_do_not_count(noisy: Array, denoised: Array) -> None:
    """Scanners and merged tiles repeat points, often in bulk: the result is that of the different points.

    At most 4096 are read here: whether all of them judge the noise hangs on that, since a tile can know it."""
    bulk = np.concatenate([noisy, np.repeat(noisy[:1], 900, axis=0), noisy[::-1], noisy[200:300]])
    out, record = spd(bulk)
    assert out[: len(noisy)] == pytest.approx(denoised, abs=1e-9)
    assert (out[len(noisy) : len(noisy) + 900] == out[0]).all()
    assert record.figures["spacing"] == pytest.approx(cloud_spacing(noisy), rel=1e-3)


@pytest.mark.parametrize("noise", ["auto", 0.1, 1.0])
def test_what_is_flat_stays_flat(noise: Any) -> None:
    """Whatever noise the network is told of: no point leaves an exact plane, however it lies."""
    clean = sheet(1500, 0.0)[0]
    out = spd(clean @ TURN, noise=noise)[0] @ TURN.T
    assert np.abs(out[:, 2]).max() < 1e-5


def test_a_clean_lattice_hardly_moves() -> None:
    plan = np.stack(np.meshgrid(np.arange(30.0), np.arange(30.0)), -1).reshape(-1, 2)
    lattice = np.column_stack([plan, np.zeros(900)]) @ TURN
    moved = np.linalg.norm(spd(lattice)[0] - lattice, axis=1) / cloud_spacing(lattice)
    assert np.median(moved) < 0.01
    assert moved.max() < 0.05


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_a_line_is_no_surface_and_takes_no_harm(noise: float) -> None:
    line = np.column_stack([np.arange(300.0), np.zeros(300), np.zeros(300)]) @ TURN
    points = line + np.random.default_rng(1).normal(0, noise, line.shape)
    out = spd(points)[0]
    assert rms(out - line) <= max(1.02 * rms(points - line), 0.02)


@pytest.mark.parametrize("ratio", [4, 16])
def test_tiles_of_two_densities_do_not_disturb_each_other(ratio: int) -> None:
    """A flight strip beside another of ``ratio`` times its density: each about as good as alone."""
    sparse = sheet(800, 0.1, seed=1, side=30.0)[1]
    dense = sheet(800 * ratio, 0.1, seed=2, side=30.0)[1] + [30.0, 0.0, 0.0]
    together = spd(np.concatenate([sparse, dense]))[0]
    for alone, part in ((sparse, together[:800]), (dense, together[800:])):
        assert rms(part[:, 2]) < 0.35 * rms(alone[:, 2])
        assert rms(part[:, 2]) < 1.3 * rms(spd(alone)[0][:, 2]) + 0.003


def test_noise_that_grows_with_range_falls_everywhere() -> None:
    """Three times as much at the far end, and each part by its own level."""
    clean = sheet(4000, 0.0)[0]
    range_ = clean[:, 0] / clean[:, 0].max()
    points = clean + np.random.default_rng(3).normal(0, 1, clean.shape) * (0.08 + 0.16 * range_)[:, None]
    out = spd(points)[0]
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (low <= range_) & (range_ < low + 0.25)
        assert rms(out[part, 2]) < 0.5 * rms(points[part, 2]), low
        assert rms((out - clean)[part]) < 1.02 * rms((points - clean)[part]), low


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
def test_one_point_far_away_changes_nothing_for_the_others(noisy: Array, denoised: Array, far: float) -> None:
    out, record = spd(np.concatenate([noisy, [[far, 0.0, far]]]))
    assert out[:-1] == pytest.approx(denoised, abs=1e-3)
    assert np.linalg.norm(out[-1] - [far, 0.0, far]) <= record.figures["max_displacement"] * (1 + 1e-6)


@pytest.mark.parametrize("gap", [1e3, 1e6])
def test_two_places_far_apart_are_cleaned_as_each_alone(gap: float) -> None:
    """As long as each is large enough for its thinned copies: of smaller ones these show nothing, of both together they
    do. The noise is told, since who judges it hangs on how many points there are."""
    noisy = sheet(3000, 0.15)[1]
    denoised = spd(noisy, noise=0.15)[0]
    away = np.array([gap, gap, 0.0])
    out = spd(np.concatenate([noisy, noisy + away]), noise=0.15)[0]
    assert out[: len(noisy)] == pytest.approx(denoised, abs=1e-4)
    assert out[len(noisy) :] - away == pytest.approx(denoised, abs=1e-4)
