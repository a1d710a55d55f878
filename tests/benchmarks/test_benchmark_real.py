"""The judge of real clouds, on clouds whose noise and offset are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from real import Halves, halves, share, strips
from real_data import CLOUDS, STRIPS, Cloud, overlap, read, unique_centre

from deburr.core.arrays import Floats


def floor(count: int, noise: float, seed: int, low: float = 0.0, lift: float = 0.0) -> Floats:
    """A level square of 20 m, from x = ``low`` on, at the height ``lift``."""
    random = np.random.default_rng(seed)
    plan = random.uniform((low, 0), (low + 20, 20), (count, 2))
    return np.column_stack([plan, np.full(count, lift)]) + random.normal(0, noise, (count, 3))


def test_halves_know_the_noise_and_what_is_left_of_it() -> None:
    air = np.random.default_rng(1).uniform((0, 0, 3), (20, 20, 23), (2000, 3))
    cut = Halves.of(np.concatenate((floor(40_000, 0.02, 0), air)))
    assert len(cut.one) == len(cut.other) == 21_000
    assert cut.planes.seen.sum() == pytest.approx(20_000, rel=0.05)
    assert cut.error(cut.one) == pytest.approx(0.02, rel=0.05)
    less = cut.one * [1, 1, 0.25]
    assert cut.error(less) == pytest.approx(0.005, rel=0.1)
    assert cut.rough.sum() == len(cut.one) - cut.planes.seen.sum()
    # Of the rough, where points float in the air, nothing may go far.
    assert cut.apart(cut.one + cut.rough[:, None] * [0, 0, 9.0]) > 2 * cut.apart(cut.one)


def test_a_cloud_has_a_row_for_every_denoiser(capsys: pytest.CaptureFixture[str]) -> None:
    cloud = Cloud("floor", floor(20_000, 0.02, 2), None)
    found = halves(cloud, {"flat": lambda points: points * [1, 1, 0]}, {})
    assert found.keys() == {"input", "flat"}
    assert found["input"]["truth"] == pytest.approx(20, rel=0.05)
    assert found["input"]["planes"] == found["input"]["bent"] == found["input"]["rough"] == 1
    assert found["flat"]["bent"] < 0.2
    assert "floor: 10,000 points" in capsys.readouterr().out
    told = {"deburr": found["flat"], "guided filter": found["input"]}
    again = halves(cloud, {}, told)
    assert again.keys() == {"input", "deburr, earlier"}
    assert again["deburr, earlier"] == found["flat"]
    few = halves(Cloud("few", cloud.xyz[:100], None), {}, {})
    assert np.isnan(few["input"]["truth"])


@pytest.mark.usefixtures("capsys")
def test_strips_know_offset_and_noise() -> None:
    xyz = np.concatenate((floor(20_000, 0.01, 3, lift=0.05), floor(20_000, 0.02, 4, low=5.0)))
    cloud = Cloud("strips", xyz, np.repeat([3, 8], 20_000))
    found = strips(cloud, {"flat": lambda points: points * [1, 1, 0] + [0, 0, points[:, 2].mean()]}, {})
    assert found["input"]["offset"] == pytest.approx(50, abs=2)
    assert found["input"]["random"] == pytest.approx(np.sqrt((10**2 + 20**2) / 2), rel=0.05)
    assert found["flat"]["offset"] == pytest.approx(50, abs=2)
    assert found["flat"]["random"] < 3


def test_two_lines_are_cut_about_what_both_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("real_data.MOST", 1000)
    xyz = np.concatenate((floor(5000, 0, 5), floor(4000, 0, 6, low=15.0), floor(100, 0, 7)))
    first, second = overlap(Cloud("lines", xyz, np.repeat([5, 2, 9], [5000, 4000, 100])))
    assert len(first) + len(second) == 1000
    assert abs(len(first) - len(second)) < 250  # both see x from 15 to 20, and the nearest thousand lie there
    assert np.ptp(np.concatenate((first, second))[:, 0]) < 8


def test_equal_points_count_once_and_the_middle_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("real_data.MOST", 3)
    xyz = np.array([[9.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [-1, 0, 3], [-9, 0, 0]])
    assert unique_centre(Cloud("few", xyz, None)).tolist() == [[1, 0, -1], [0, 0, -1], [-1, 0, 2]]


def test_shares() -> None:
    assert share(1.0, 4.0) == 0.25
    assert np.isnan(share(1.0, 0.0))


def test_every_cloud_is_judged_once() -> None:
    assert len(CLOUDS) == len(set(CLOUDS.values())) >= 14
    assert set(STRIPS) <= CLOUDS.keys()


@pytest.mark.usefixtures("o3d")
def test_files_are_read_without_empty_rows(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("real_data.DATA", data_dir / "data")
    kinect, bunny, strips = (read(name) for name in ("Kinect table", "bunny", "IGN 77055"))
    assert len(bunny.xyz) == 30_571
    assert 0 < len(kinect.xyz) < 640 * 480
    assert np.isfinite(kinect.xyz).all()
    assert strips.line is not None
    assert set(strips.line.tolist()) == {706, 707}
