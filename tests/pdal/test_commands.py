"""The commands for PDAL's users on real PDAL: presets and converted pipelines run, the doctor finds what was broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.plugins.pdal import doctor, preset
from deburr.plugins.pdal.convert import convert

RunPdal = Callable[..., "subprocess.CompletedProcess[str]"]
POINTS = {"type": "readers.faux", "mode": "uniform", "count": 400, "bounds": "([0,20],[0,20],[0,0.2])"}


def _text(path: Path, order: str = "X,Y,Z") -> dict[str, Any]:
    return {"type": "writers.text", "filename": str(path), "order": order, "keep_unspecified": False, "precision": 6}


def _columns(path: Path) -> dict[str, Any]:
    names, *rows = path.read_text().splitlines()
    values = np.array([[float(word) for word in row.split(",")] for row in rows])
    return {name.strip('"'): values[:, i] for i, name in enumerate(names.split(","))}


def test_a_preset_runs_as_option_file(run_pdal: RunPdal, tmp_path: Path) -> None:
    asked = {"keep_original": True, "dimensions": ["Uncertainty", "Displacement"], "noise": 0.05}
    (tmp_path / "o.json").write_text(preset.as_option_file(preset.options("denoise", asked)))
    order = "X,Y,Z,OriginalX,OriginalY,OriginalZ,Uncertainty,Displacement"
    stage = {"type": "filters.python", "option_file": str(tmp_path / "o.json")}
    run_pdal([POINTS, stage, _text(tmp_path / "out.txt", order)])
    found = _columns(tmp_path / "out.txt")
    moved = np.column_stack([found[axis] - found[f"Original{axis}"] for axis in "XYZ"])
    assert np.allclose(np.linalg.norm(moved, axis=1), found["Displacement"], atol=1e-5)
    assert found["Displacement"].max() > 0.001
    assert (found["Uncertainty"] > 0).all()


@pytest.mark.parametrize("function", ["outlier", "outlier_mask"])
def test_presets_of_outliers_run(run_pdal: RunPdal, tmp_path: Path, function: str) -> None:
    asked = {"method": "radius", "radius": 0.6, "min_k": 2}
    (tmp_path / "o.json").write_text(preset.as_option_file(preset.options(function, asked)))
    classes = {"type": "filters.ferry", "dimensions": "=>Classification"}
    stage = {"type": "filters.python", "option_file": str(tmp_path / "o.json")}
    run_pdal([POINTS, classes, stage, _text(tmp_path / "ours.txt", "X,Y,Z,Classification")])
    run_pdal([POINTS, {"type": "filters.outlier", **asked}, _text(tmp_path / "theirs.txt", "X,Y,Z,Classification")])
    ours, theirs = _columns(tmp_path / "ours.txt"), _columns(tmp_path / "theirs.txt")
    flagged = theirs["Classification"] == 7
    # The points are drawn anew, from the same seed or another.
    assert 0 < flagged.sum() < 400
    if function == "outlier":
        assert len(ours["X"]) == 400
        assert 0 < (ours["Classification"] == 7).sum() < 400
    else:
        assert 0 < len(ours["X"]) < 400


def _outputs(folder: Path) -> list[tuple[str, list[Any]]]:
    """Pipelines as PDAL's users write them, by what they do; each writes below ``folder``."""
    las = {"type": "writers.las", "filename": str(folder / "b.las"), "forward": "all", "extra_dims": "all"}
    merged = [
        {**POINTS, "tag": "a"},
        {**POINTS, "bounds": "([20,40],[0,20],[0,0.2])", "tag": "b"},
        {"type": "filters.merge", "inputs": ["a", "b"], "tag": "m"},
        {"type": "filters.outlier", "inputs": "m", "tag": "o"},
        {"type": "filters.smrf", "inputs": "o"},
        las,
    ]
    parted = [
        {**POINTS, "tag": "a"},
        {"type": "filters.range", "limits": "X[0:10]", "inputs": "a"},
        las,
        {"type": "filters.range", "limits": "X(10:]", "inputs": "a"},
        {**las, "filename": str(folder / "c.las")},
    ]
    ground = [
        POINTS,
        {"type": "filters.ferry", "dimensions": "=>Classification"},
        {"type": "filters.assign", "assignment": "Classification[:]=0"},
        {"type": "filters.elm"},
        {"type": "filters.outlier"},
        {"type": "filters.smrf", "ignore": "Classification[7:7]"},
        {"type": "filters.range", "limits": "Classification[2:2]"},
        las,
    ]
    height = [POINTS, {"type": "filters.outlier"}, {"type": "filters.csf"}, {"type": "filters.hag_nn"}, las]
    raster = [POINTS, {"type": "writers.gdal", "filename": str(folder / "b.tif"), "resolution": 2}]
    split = [POINTS, {"type": "filters.splitter", "length": 10}, {**las, "filename": str(folder / "b_#.las")}]
    named: list[tuple[str, list[Any]]] = [
        ("merged", merged),
        ("parted", parted),
        ("ground", ground),
        ("heights", height),
        ("raster", raster),
    ]
    return [*named, ("split", split)]


@pytest.mark.parametrize("name", [name for name, _ in _outputs(Path())])
def test_converted_pipelines_run(run_pdal: RunPdal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)  # PDAL 2.2's filters.csf leaves files of its own where it runs
    (tmp_path / "out").mkdir()
    stages = dict(_outputs(tmp_path / "out"))[name]
    run_pdal(stages)
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    found = convert.convert(stages, {"keep_original": True})
    run_pdal(found.value)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before
    for path in (tmp_path / "out").glob("*.las"):
        assert b"OriginalX" in path.read_bytes()


# The doctor


def _outcomes(**environment: str | None) -> dict[str, doctor.Check]:
    """What the doctor finds in an environment; None takes a variable away."""
    env = {**os.environ, **{k: v for k, v in environment.items() if v is not None}}
    for name in [name for name, value in environment.items() if value is None]:
        env.pop(name, None)
    command = [sys.executable, "-m", "deburr.cli.main", "pdal-doctor", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr == ""
    checks = {told["name"]: doctor.Check(**told) for told in json.loads(done.stdout)}
    assert done.returncode == (0 if doctor.healthy(list(checks.values())) else 1)
    return checks


def test_the_doctor_finds_all_well() -> None:
    checks = _outcomes()
    assert {check.outcome for check in checks.values()} == {"ok"}, [str(check) for check in checks.values()]
    assert checks["start"].found.startswith("PDAL 2.")
    assert os.path.realpath(sys.prefix) in os.path.realpath(
        checks["python inside"].found.split(" in ")[1].split(",")[0]
    )


def test_the_doctor_finds_that_pdal_does_not_look_for_the_plugin() -> None:
    check = _outcomes(PDAL_DRIVER_PATH=None)["plugin"]
    assert check.outcome == "trouble"
    assert check.remedy == f"export PDAL_DRIVER_PATH={os.environ['PDAL_DRIVER_PATH']}"


def test_the_doctor_finds_that_there_is_no_command() -> None:
    assert _outcomes(PATH="/usr/bin:/bin")["command"].outcome == "trouble"


def test_the_doctor_finds_that_libraries_are_missing() -> None:
    checks = _outcomes(LD_LIBRARY_PATH=None)
    assert checks["start"].outcome == "trouble"
    assert "misses the library libpdal_" in checks["start"].found
    folder = checks["start"].remedy.rpartition(": ")[2]
    assert folder in os.environ["LD_LIBRARY_PATH"].split(":")
    assert checks["bindings"].outcome == "trouble"
    assert folder in checks["bindings"].remedy


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An environment of Python without a single package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    return tmp_path / "bare"


def _first(folder: Path) -> str:
    return f"{folder / 'bin'}:{os.environ['PATH']}"


def test_the_doctor_finds_a_python_without_numpy(bare: Path) -> None:
    check = _outcomes(PATH=_first(bare))["python inside"]
    assert check.outcome == "trouble"
    assert f"needs numpy, which cannot be imported in {bare}/bin/python3" in check.found


def test_the_doctor_finds_a_python_without_deburr(bare: Path) -> None:
    site = next(bare.glob("lib/python3*/site-packages"))
    for package in Path(np.__file__).parent.parent.glob("numpy*"):
        (site / package.name).symlink_to(package)
    check = _outcomes(PATH=_first(bare))["deburr inside"]
    assert check.outcome == "trouble"
    assert "cannot import deburr" in check.found
    assert f"{bare}/bin/python3 -m pip install deburr" in check.remedy
    assert f"put {Path(sys.executable).parent}, which has it, first on PATH" in check.remedy


def test_the_doctor_finds_a_plugin_for_another_pdal(tmp_path: Path) -> None:
    (tmp_path / "libpdal_plugin_filter_python.so").write_bytes(b"not a library")
    check = _outcomes(PDAL_DRIVER_PATH=str(tmp_path))["plugin"]
    assert check.outcome == "trouble"
    assert f"its plugin lies in {tmp_path}" in check.found
