"""The landscape that batches are measured on, the watching from outside, and the tables at tiny sizes."""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch import main
from landscape import PLACE, STEP, Landscape, generated, repeated, write_folder, write_one
from outside import all_threads, measured, one_thread

from deburr.core.cloud import PointCloud
from deburr.readers.las import LasReader


def read(path: Path) -> PointCloud:
    return LasReader.model_validate({"filename": str(path)}).read()


@pytest.fixture(scope="module")
def plain() -> Landscape:
    """Cells of 10 x 8 m and 2,000 points."""
    random = np.random.default_rng(3)
    xyz = random.uniform(0, 1, (2000, 3)) * [10, 8, 1]
    dims: dict[str, Any] = {"Intensity": np.arange(2000, dtype=np.uint16), "Classification": np.full(2000, 2, np.uint8)}
    return Landscape(PointCloud(xyz, dims), np.array([10.0, 8.0]), 0.02)


def test_neighbouring_copies_are_mirror_images_with_noise_of_their_own(plain: Landscape) -> None:
    first, second = plain.copy(2, 3).xyz - PLACE, plain.copy(3, 3).xyz - PLACE
    assert np.abs(first[:, 0] - 20 + second[:, 0] - 40).max() < 2 * 6 * 0.02 + 2 * STEP
    away = second[:, 1] - first[:, 1]
    assert away.std() == pytest.approx(0.02 * 2**0.5, rel=0.1)
    assert (plain.copy(2, 3).xyz == plain.copy(2, 3).xyz).all()


def test_boxes_side_by_side_hold_every_point_once(plain: Landscape) -> None:
    edges = [-1.0, 3.3, 10.0, 14.0, 20.5]
    boxes = [
        plain.within(np.array([left, bottom]), np.array([right, top])).xyz
        for left, right in pairwise(edges)
        for bottom, top in ((-1.0, 5.0), (5.0, 16.5))
    ]
    found = np.concatenate(boxes)
    copies = np.concatenate([plain.copy(i, j).xyz for i in range(4) for j in range(4)])
    plan = copies[:, :2] - PLACE[:2]
    expected = copies[((plan >= -1) & (plan < [20.5, 16.5])).all(axis=1)]
    assert len(found) == len(expected)
    assert (np.unique(found, axis=0) == np.unique(expected, axis=0)).all()


@pytest.mark.parametrize("count", [1, 2000, 9001])
def test_a_file_has_as_many_points_as_asked_for(plain: Landscape, tmp_path: Path, count: int) -> None:
    write_one(plain, tmp_path / "one.laz", count)
    cloud = read(tmp_path / "one.laz")
    assert len(cloud) == count
    assert (cloud.dims["Intensity"] == np.arange(count) % 2000).all()


def test_files_of_a_folder_lie_side_by_side(plain: Landscape, tmp_path: Path) -> None:
    total = write_folder(plain, tmp_path / "in", 5, 500)
    clouds = [read(path) for path in sorted((tmp_path / "in").iterdir())]
    assert [len(cloud) for cloud in clouds] == pytest.approx([500] * 5, rel=0.2)
    assert sum(map(len, clouds)) == total
    side = (500 / plain.density) ** 0.5
    for number, cloud in enumerate(clouds):
        cell = np.floor((cloud.xyz[:, :2] - PLACE[:2] + STEP / 2) / side)
        assert (np.abs(cell - [number % 3, number // 3]).max(axis=1) == 0).mean() > 0.99


def test_the_generated_landscape_is_the_same_every_time() -> None:
    one, two = generated(), generated()
    assert one.copy(1, 0).xyz.tobytes() == two.copy(1, 0).xyz.tobytes()
    assert 5 < one.density < 10


def test_files_are_repeated_with_what_they_have_in_common(plain: Landscape, tmp_path: Path) -> None:
    write_folder(plain, tmp_path / "in", 2, 800)
    paths = sorted((tmp_path / "in").iterdir())
    landscape = repeated(paths)
    assert len(landscape.cell) == sum(len(read(path)) for path in paths)
    assert "Intensity" in landscape.cell.dims
    assert (landscape.copy(0, 0).xyz == landscape.copy(0, 0).xyz).all()


def test_memory_of_all_processes_is_seen_from_outside() -> None:
    hold = "b = bytearray(80_000_000); import time; time.sleep(0.5)"
    child = [sys.executable, "-c", hold]
    alone = measured(child)
    both = measured([sys.executable, "-c", f"import subprocess; p = subprocess.Popen({child!r}); {hold}; p.wait()"])
    assert alone.peak_mb > 80
    assert both.peak_mb > 160
    assert alone.seconds > 0.5


def test_what_fails_is_told() -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        measured([sys.executable, "-c", "raise ValueError('no such thing')"])


def test_threads_of_a_run_are_those_of_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", "7")
    assert one_thread()["DEBURR_THREADS"] == "1"
    assert "DEBURR_THREADS" not in all_threads()
    assert all_threads()["PATH"] == os.environ["PATH"]


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found = main([*arguments, "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out) == found
    assert len(said.err.splitlines()) > 2
    return found


@pytest.mark.long
def test_memory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = table(
        capsys, "memory", "--points", "60000", "--small", "3000", "--memory", "800MB", "--folder", str(tmp_path)
    )
    assert [run["written"] for run in found["runs"]] == [3000, 60000, 3000]
    assert all(run["peak_mb"] > 50 for run in found["runs"])
    assert found["left_behind"] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_scaling(capsys: pytest.CaptureFixture[str]) -> None:
    found = table(capsys, "scaling", "--files", "2", "--points", "1500", "--rounds", "1")
    runs = [run for each in found["runs"].values() for run in each]
    assert len(runs) == 3
    assert {run["points"] for run in runs} == {found["points"]}
    assert len({run["sha256"] for run in runs}) == 1  # however it was shared out
    assert found["ratios"]["1 worker, 1 thread"] == 1


@pytest.mark.long
def test_tiles(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--counts", "2", "3", "--points", "300", "--most-spd", "2", "--large", "2", "--large-points", "500")
    found = table(capsys, "tiles", *sizes, "--engines", "dask")["rows"]
    told = [(row["chain"], row["tiles"], row["seconds_per_more_tile"] is None) for row in found]
    chains = [
        ("outlier, small", 2, True),
        ("outlier, small", 3, False),
        ("spd, small", 2, True),
        ("spd, large", 2, True),
    ]
    assert told == chains
    for row in found:
        assert row["done"] == row["tiles"]
        assert row["read"] >= row["points"]
        assert row["work"] > 0
    assert found[0]["points"] == found[2]["points"]


@pytest.mark.long
def test_halo(capsys: pytest.CaptureFixture[str]) -> None:
    found = table(capsys, "halo", "--points", "6000", "--sizes", "1500", "6000")
    for row in found["sizes"]:
        assert row["points"] == found["points"] == 6000
        assert row["read_per_point"] >= 1
        assert 1 <= row["attempts"] <= row["most_attempts"]
    assert found["sizes"][0]["tiles"] > found["sizes"][1]["tiles"]
