"""The sample: made anew it is the same, its truth is the truth, and the demo's pipeline is one."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.filters._mesh import read_mesh
from deburr.pipeline import load
from deburr.readers.las import LasReader

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "sample_data"


def read(path: Path) -> PointCloud:
    return LasReader(filename=str(path)).read()


@pytest.fixture(scope="module")
def house() -> PointCloud:
    return read(SAMPLE / "house.laz")


@pytest.fixture(scope="module")
def truth() -> PointCloud:
    return read(SAMPLE / "truth.laz")


def test_made_anew_it_is_the_same(tmp_path: Path, house: PointCloud, truth: PointCloud) -> None:
    runpy.run_path(str(SAMPLE / "make.py"))["make"](tmp_path)
    for name, committed in (("house.laz", house), ("truth.laz", truth)):
        anew = read(tmp_path / name)
        # Another processor may round the last bit otherwise, and then a coordinate to the next millimetre.
        np.testing.assert_allclose(anew.xyz, committed.xyz, rtol=0, atol=0.0011)
        assert anew.dims.keys() == committed.dims.keys()
        for dim, column in committed.dims.items():
            np.testing.assert_allclose(anew.dims[dim], column, rtol=1e-12, err_msg=dim)
        assert anew.crs == committed.crs
    assert (tmp_path / "truth.ply").read_text() == (SAMPLE / "truth.ply").read_text()


def test_truth_and_scan_agree_row_by_row(house: PointCloud, truth: PointCloud) -> None:
    np.testing.assert_array_equal(house.dims["Classification"], truth.dims["Classification"])
    away = house.xyz[house.active] - truth.xyz[truth.active & house.active]
    assert away.std(axis=0) == pytest.approx([0.04] * 3, rel=0.03)
    assert np.abs(away.mean(axis=0)).max() < 0.001
    np.testing.assert_array_equal(house.xyz[~house.active], truth.xyz[~house.active])


def test_the_mesh_is_where_the_points_were_measured(house: PointCloud, truth: PointCloud) -> None:
    surface = np.isin(house.dims["Classification"], [2, 6]) & house.active
    mesh = read_mesh(str(SAMPLE / "truth.ply"))
    assert mesh is not None
    assert mesh.distances(truth.xyz[surface]).max() < 0.002
    assert np.sqrt((mesh.distances(house.xyz[surface]) ** 2).mean()) == pytest.approx(0.04, rel=0.05)


def test_it_looks_like_a_survey(house: PointCloud) -> None:
    classes, counts = np.unique(house.dims["Classification"], return_counts=True)
    assert classes.tolist() == [2, 5, 6, 7, 14, 15, 18]
    assert counts.min() >= 5
    assert 40_000 <= len(house) <= 60_000
    assert house.dims["Withheld"].sum() == 1
    assert (house.dims["ReturnNumber"] <= house.dims["NumberOfReturns"]).all()
    assert house.dims["NumberOfReturns"].max() == 2
    assert (np.diff(house.dims["GpsTime"]) >= 0).all()
    assert house.xyz[:, 1].min() > 5_000_000
    assert sum(path.stat().st_size for path in SAMPLE.iterdir() if path.is_file()) < 1_000_000


def test_the_demo_is_a_valid_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    plan = load("sample_data/denoise.json")
    types = ["readers.las", "filters.spd", "filters.metrics", "filters.metrics", "writers.las"]
    assert [stage.type_name for stage in plan.stages] == types
    named = [stage.filename for stage in (plan.reader,) if stage] + [getattr(s, "reference", None) for s in plan.stages]
    assert all(Path(name).is_file() for name in named if name)
