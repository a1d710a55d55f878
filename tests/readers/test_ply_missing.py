"""Points without coordinates in PLY files, numbers as other C libraries write them, integer coordinates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, RunError
from deburr.pipeline import info, run
from deburr.readers.ply import Ply
from deburr.writers.ply import Ply as Writer

HEAD = "ply\nformat ascii 1.0\nelement vertex {}\nproperty {} x\nproperty {} y\nproperty {} z\n{}end_header\n"


def sheet(count: int = 900) -> np.ndarray:
    side = round(count**0.5)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    return np.column_stack([grid, np.random.default_rng(0).normal(0, 0.2, len(grid))]).astype(float)


def write(path: Path, points: np.ndarray, kind: str = "double", more: str = "", columns: str = "") -> str:
    rows = "\n".join(" ".join(f"{v:.17g}" for v in row) + more for row in points)
    path.write_text(HEAD.format(len(points), kind, kind, kind, columns) + rows + "\n")
    return str(path)


@pytest.mark.parametrize("absent", [(0, 1, 2), (2,)])
@pytest.mark.parametrize("kind", [math.nan, math.inf])
def test_points_without_coordinates_stay_as_they_are(absent: tuple[int, ...], kind: float, tmp_path: Path) -> None:
    points = sheet()
    points[5::10, absent] = kind
    gone = np.zeros(len(points), bool)
    gone[5::10] = True
    source, target = write(tmp_path / "in.ply", points), str(tmp_path / "out.ply")
    found = run([source, "filters.outlier", "filters.spd", "filters.metrics", target], report_dir=tmp_path / "report")
    assert found.report["stages"][0]["warnings"] == [
        f"{source}: 90 of 900 points have no coordinates (NaN or infinite), the first in row 5 (counted from 0); "
        "they stay as they are, as withheld points do; option 'missing': 'drop' leaves them out"
    ]
    back = Ply(filename=target).read()
    assert back.xyz[gone].tobytes() == points[gone].tobytes()
    assert not back.dims["Classification"][gone].any()
    # The others are as if these were not there.
    alone = run(["filters.outlier", "filters.spd"], points=points[~gone])
    assert (back.xyz[~gone] == alone.xyz).all()
    assert (back.xyz[~gone] != points[~gone]).any()
    told = info.info(source)
    assert told["points_without_coordinates"] == told["points_left_out"] == 90
    assert told["bounds"]["max"][:2] == [29.0, 29.0]


def test_they_can_be_left_out_with_what_belongs_to_them(tmp_path: Path) -> None:
    points = sheet()
    points[[0, 7]] = math.nan
    source = write(tmp_path / "in.ply", points, more=" 7", columns="property int label\n")
    target = str(tmp_path / "out.las")
    found = run([{"type": "readers.ply", "filename": source, "missing": "drop"}, target])
    assert len(found.xyz) == 898
    assert np.isfinite(found.xyz).all()
    assert "2 of 900" in found.report["stages"][0]["warnings"][0]
    expected = Path(target).read_bytes()
    # LAS has no place for them, even if they stay.
    said = run([source, target]).report["stages"][-1]["warnings"]
    assert f"{target}: LAS has no place for 2 points without coordinates; left out" in said
    assert Path(target).read_bytes() == expected


def test_a_cloud_of_nothing_but_such_points(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ply", np.full((50, 3), math.nan))
    target = str(tmp_path / "out.ply")
    run([source, "filters.outlier", "filters.spd", target], report_dir=tmp_path)
    assert np.isnan(Ply(filename=target).read().xyz).all()
    assert info.info(source)["points_without_coordinates"] == 50


def test_a_denoising_with_such_points_can_be_undone(tmp_path: Path) -> None:
    points = sheet()
    points[3] = math.nan
    source, kept, back = write(tmp_path / "in.ply", points), str(tmp_path / "kept.ply"), str(tmp_path / "back.ply")
    run([source, {"type": "filters.spd", "keep_original": True}, kept])
    run([kept, "filters.restore", back])
    assert Ply(filename=back).read().xyz.tobytes() == points.tobytes()


def test_only_points_that_came_without_coordinates_may_leave_without(tmp_path: Path) -> None:
    cloud = Ply(filename=write(tmp_path / "in.ply", sheet())).read()
    broken = cloud.xyz.copy()
    broken[4, 1] = math.nan
    writer = Writer(filename=str(tmp_path / "out.ply"))
    with pytest.raises(RunError, match="not finite"):
        writer.write(cloud.with_xyz(broken))


def test_moved_knows_that_nan_did_not_move() -> None:
    xyz = np.array([[math.nan, 0, 0], [1, 2, 3], [math.inf, 0, 0], [0, 0, 0]])
    cloud = PointCloud(xyz).with_xyz(xyz + np.array([0, 0, 1]))
    assert cloud.with_xyz(xyz.copy()).moved.tolist() == [False] * 4
    assert cloud.moved.tolist() == [True] * 4
    assert cloud.located.tolist() == [False, True, False, True]
    assert cloud.active.tolist() == [False, True, False, True]
    assert cloud.extent.low.tolist() == [0, 0, 0]
    assert cloud.extent.count == 4


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("nan", math.nan), ("-NaN", math.nan), ("-nan(ind)", math.nan), ("nan(snan)", math.nan), ("1.#QNAN", math.nan),
        ("-1.#IND000000", math.nan), ("1.#SNAN0", math.nan), ("1.#INF", math.inf), ("-1.#INF00", -math.inf),
        ("inf", math.inf), ("-Infinity", -math.inf), (".5", 0.5), ("1.", 1.0), ("+2", 2.0),
    ],
)  # fmt: skip
def test_numbers_as_other_systems_write_them(word: str, value: float, tmp_path: Path) -> None:
    path = write(tmp_path / "in.ply", sheet(4), more=f" {word}", columns="property float f\n")
    column = Ply(filename=path).read().dims["f"]
    assert np.array_equal(column, np.full(4, value, np.float32), equal_nan=True)


@pytest.mark.parametrize("word", ["1_0", "0x10", "nan(", "1.#", "1.#QNANx", "--1", "1,5", "٣"])
def test_what_is_no_number_stays_none(word: str, tmp_path: Path) -> None:
    path = write(tmp_path / "in.ply", sheet(4), more=f" {word}", columns="property float f\n")
    with pytest.raises(ReadError, match="is not made of numbers"):
        Ply(filename=path).read()


@pytest.mark.parametrize("kind", ["int", "short", "uint16"])
def test_integer_coordinates_stay_integers(kind: str, tmp_path: Path) -> None:
    points = np.rint(sheet() * 100 + 200)
    source, target = write(tmp_path / "in.ply", points, kind), str(tmp_path / "out.ply")
    found = run([source, {"type": "filters.noise", "sigma": 3.0, "seed": 1}, target])
    back = Ply(filename=target).read()
    assert [p.type for p in back.source.header.vertex.properties] == [kind] * 3  # type: ignore[attr-defined]
    assert (back.xyz == np.rint(found.xyz)).all()
    assert (back.xyz != points).any()
    told = found.report["stages"][-1]["figures"]["coordinate_rounding_max"]
    assert told == np.abs(found.xyz - np.rint(found.xyz)).max()
    assert 0.4 < told <= 0.5


def test_what_integers_cannot_hold_is_widened_and_told(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.ply", np.rint(sheet() + 1), "uchar"), str(tmp_path / "out.ply")
    found = run([source, {"type": "filters.noise", "sigma": 3.0, "seed": 1}, target])
    assert (Ply(filename=target).read().xyz == found.xyz).all()
    assert any("is written as double" in warning for warning in found.report["stages"][-1]["warnings"])
