"""`deburr.denoise`: what one has at hand, and the same kind back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

import deburr
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.pipeline import run
from deburr.readers.ply import Ply


@pytest.fixture
def sheet() -> Floats:
    """(500, 3) float64: a tilted sheet, 5 cm of noise across it."""
    random = np.random.default_rng(5)
    plan = random.uniform(0, 5, (500, 2))
    return np.column_stack([plan, 0.2 * plan[:, 0] + random.normal(0, 0.05, 500)])


def off(xyz: Any) -> float:
    """The root mean square distance to the sheet, about."""
    xyz = np.asarray(xyz, np.float64)
    return float(np.sqrt(np.mean((xyz[:, 2] - 0.2 * xyz[:, 0]) ** 2)))


def test_an_array_comes_back_as_run_makes_it(sheet: Floats) -> None:
    before = sheet.copy()
    clean = deburr.denoise(sheet)
    assert np.array_equal(sheet, before)
    assert np.array_equal(clean, run(["filters.spd"], points=sheet).xyz)
    assert off(clean) < 0.6 * off(sheet)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16])
def test_more_columns_and_other_types(sheet: Floats, kind: Any) -> None:
    wide = np.column_stack([1000 * sheet, np.arange(500), np.arange(500) % 7]).astype(kind)
    clean = deburr.denoise(wide, noise=50)
    assert clean.dtype == (kind if kind != np.int16 else np.float64)
    assert clean.shape == (500, 5)
    assert np.array_equal(clean[:, 3:], wide[:, 3:])
    assert off(clean) < 0.6 * off(wide)


def test_a_list_of_points(sheet: Floats) -> None:
    assert np.array_equal(deburr.denoise(sheet.tolist(), noise=0.05), deburr.denoise(sheet, noise=0.05))


def test_points_without_coordinates_stay(sheet: Floats) -> None:
    broken = sheet.copy()
    broken[::50] = np.nan
    clean = deburr.denoise(broken, noise=0.05)
    there = ~np.isnan(broken[:, 0])
    assert np.isnan(clean[~there]).all()
    assert np.array_equal(clean[there], deburr.denoise(sheet[there], noise=0.05))


def las_of(xyz: Floats) -> laspy.LasData:
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = [0.001] * 3, [0.0] * 3
    las = laspy.LasData(header)
    las.xyz = xyz
    las.classification = np.where(np.arange(len(xyz)) < 20, 7, 2)
    las.intensity = np.arange(len(xyz))
    return las


def test_a_las_of_laspy(sheet: Floats) -> None:
    """As the reader and the writer of LAS have it; noise classes stay to the last bit."""
    las = las_of(sheet)
    before = las.points.array.tobytes()
    clean = deburr.denoise(las, noise=0.05)
    assert isinstance(clean, laspy.LasData)
    assert las.points.array.tobytes() == before
    assert np.array_equal(clean.points.array[:20], las.points.array[:20])
    assert np.array_equal(clean.intensity, las.intensity)
    dims = {"Classification": np.array(las.classification)}
    expected = run([{"type": "filters.spd", "noise": 0.05}], points=las.xyz, dims=dims).xyz
    assert np.abs(clean.xyz - expected).max() <= 0.0005 + 1e-9
    assert off(clean.xyz[20:]) < 0.6 * off(las.xyz[20:])


def test_clouds_of_open3d(sheet: Floats) -> None:
    o3d = pytest.importorskip("open3d", exc_type=ImportError)  # there, but not the system's libraries that it needs
    legacy = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(sheet))
    legacy.paint_uniform_color([1, 0, 0])
    clean = deburr.denoise(legacy, noise=0.05)
    assert isinstance(clean, o3d.geometry.PointCloud)
    expected = deburr.denoise(sheet, noise=0.05)
    assert np.array_equal(np.asarray(clean.points), expected)
    assert np.array_equal(np.asarray(clean.colors), np.asarray(legacy.colors))
    assert np.array_equal(np.asarray(legacy.points), sheet)
    tensor = o3d.t.geometry.PointCloud(o3d.core.Tensor(sheet.astype(np.float32)))
    tensor.point["scan"] = o3d.core.Tensor(np.arange(500).reshape(-1, 1))
    back = deburr.denoise(tensor, noise=0.05)
    assert back.point.positions.dtype == o3d.core.float32
    assert np.array_equal(back.point["scan"].numpy(), tensor.point["scan"].numpy())
    assert np.array_equal(back.point.positions.numpy(), deburr.denoise(sheet.astype(np.float32), noise=0.05))


def test_a_cloud_of_deburr(sheet: Floats) -> None:
    cloud = deburr.denoise(PointCloud(sheet), noise=0.05)
    assert isinstance(cloud, PointCloud)
    assert np.array_equal(cloud.original, sheet)


def test_a_file(sheet: Floats, tmp_path: Path) -> None:
    run([str(tmp_path / "a.ply")], points=sheet)
    written = deburr.denoise(tmp_path / "a.ply", tmp_path / "b.ply", noise=0.05)
    assert written == tmp_path / "b.ply"
    assert np.array_equal(Ply(filename=str(written)).read().xyz, deburr.denoise(sheet, noise=0.05))
    with pytest.raises(SpecError, match=r"a\.ply: where to\?"):
        deburr.denoise(str(tmp_path / "a.ply"))


@pytest.mark.parametrize(
    "nothing",
    [np.zeros(3), np.zeros((5, 2)), np.zeros((5, 3), np.complex128), object(), {"a": 1}, [["a", "b", "c"]], None],
)
def test_what_is_no_cloud(nothing: Any) -> None:
    with pytest.raises(SpecError, match="points: "):
        deburr.denoise(nothing)


def test_options_are_those_of_the_filter(sheet: Floats) -> None:
    with pytest.raises(SpecError, match="strenght"):
        deburr.denoise(sheet, strenght=0.5)
    with pytest.raises(SpecError, match="output: is for files"):
        deburr.denoise(sheet, "out.las")
