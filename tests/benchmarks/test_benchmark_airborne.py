"""The judge of heights from the air, on clouds whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from airborne import AIRBORNE, BUILDING, GROUND, Squares, better, halved, read, table, with_noise
from classical import Denoise
from protocol import Ours
from real_data import CLOUDS

from deburr.nn.models import load


def test_only_heights_over_the_own_places_count() -> None:
    clean = np.array([(0.0, 0, 5), (10, 0, 7)])
    noisy = clean + np.array([(1.0, 0, 2), (0, 1, 2)])
    assert better(clean, noisy, noisy) == 0
    assert better(clean, noisy, clean + np.array([0, 9, 0])) == 100
    assert better(clean, noisy, (clean + noisy) / 2) == pytest.approx(50)
    assert better(clean, noisy, noisy[::-1]) == pytest.approx(100 * (1 - np.sqrt(2)))


def test_noise_is_alike_on_all_coordinates_and_what_stands_alone_is_left_out() -> None:
    plan = np.stack(np.meshgrid(np.arange(60.0), np.arange(60.0)), -1).reshape(-1, 2)
    clean = np.column_stack((plan, 0.1 * plan[:, 0]))
    lone = np.concatenate((clean, [(30.0, 30, 40)]))
    still, noisy = with_noise(lone, 0.05, 7)
    assert np.ptp(still[:, 2]) < 6
    assert 0.9 * len(clean) < len(still) == len(noisy) <= len(clean)
    assert (noisy - still).std(0) == pytest.approx([0.05] * 3, rel=0.05)
    assert noisy.mean(0) == pytest.approx([0, 0, 0], abs=1e-9)
    assert with_noise(lone, 0.05, 7)[1].tobytes() == noisy.tobytes()
    assert with_noise(lone, 0.05, 19)[1].tobytes() != noisy.tobytes()


def test_tiles_hold_every_point_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airborne.MOST", 300)
    xyz = np.random.default_rng(1).uniform(0, (200, 50, 10), (1001, 3))
    tiles = halved(xyz)
    assert [len(tile) for tile in tiles] == [251, 250, 250, 250]
    assert np.unique(np.concatenate(tiles), axis=0).tolist() == np.unique(xyz, axis=0).tolist()
    assert max(np.ptp(tile[:, 0]) for tile in tiles) < 60
    assert len(halved(xyz[:300])) == 1


def test_squares_have_as_much_ground_as_buildings(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    xyz = random.uniform((0, 0, 0), (80, 22, 1), (60_000, 3))
    kinds = np.where(np.abs(xyz[:, 0] - 40) < 10, BUILDING, GROUND).astype(np.uint8)
    monkeypatch.setattr("airborne.read", lambda name: (xyz, kinds))
    first, second = Squares("DALES", ("any",), 20.0, 5_000).cut(quick=True)
    assert len(first) == len(second) == 5_000
    assert np.ptp(first[:, :2], axis=0) == pytest.approx([20, 20], abs=0.1)
    # The building's two ends; what both squares held would lie in its middle.
    assert sorted(tile[:, 0].mean() for tile in (first, second)) == pytest.approx([30, 50], abs=0.3)
    assert max(first[:, 0].min(), second[:, 0].min()) > min(first[:, 0].max(), second[:, 0].max()) - 1e-6
    kinds[:] = GROUND
    monkeypatch.setattr("airborne.read", lambda name: (xyz[:5000], kinds[:5000]))
    assert list(Squares("DALES", ("any",), 20.0, 5_000).cut(quick=True)) == []


def test_a_table_shows_each_filter_at_its_best(capsys: pytest.CaptureFixture[str]) -> None:
    plan = np.random.default_rng(3).uniform(0, 40, (3000, 2))
    tile = np.column_stack((plan, np.zeros(3000)))
    rows: dict[str, Denoise] = {
        "deburr": Ours(load("deburr", None)),
        "flat, k = 16": lambda p: p * [1, 1, 0.5],
        "flat, k = 32, twice": lambda p: p * [1, 1, 0.25],
        "none, k = 16": lambda p: p,
    }
    table("a floor", [tile], (7, 19), rows)
    told = capsys.readouterr().out.splitlines()
    assert min(map(float, told[3].split()[1:])) > 50
    assert told[4].split() == ["flat", *["75.0"] * 3]
    assert told[5].split() == ["by", "k", "=", *["32", "twice"] * 3]
    assert told[6].split() == ["none", *["0.0"] * 3]
    assert told[8].startswith("estimated / true noise, median")
    assert [float(each) for each in told[8].split()[5:]] == pytest.approx([1, 1, 1], abs=0.15)


def test_airborne_clouds_are_in_metres(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airborne.DATA", data_dir / "data")
    feet, classes = read("4_6 crop")
    assert np.ptp(feet, axis=0) == pytest.approx([60.96, 60.96, 18.83], abs=0.1)
    assert len(classes) == len(feet)
    assert set(AIRBORNE) <= set(CLOUDS)
