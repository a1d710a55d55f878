"""Every algorithm of the plugin in real QGIS, on a file, a folder, a virtual point cloud; errors; a cancel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wheels
from real_qgis import Qgis

from deburr.pipeline import run
from deburr.readers.las import LasReader

ROOT = Path(__file__).parent.parent.parent
ALGORITHMS = {
    "denoise": "Denoise point cloud", "denoisefolder": "Denoise folder of tiles",
    "info": "Point cloud noise information",
    "outliers": "Flag outliers", "pipeline": "Run a pipeline file", "install": "Install deburr",
}  # fmt: skip
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two parts of the sample, and a virtual point cloud of them."""
    folder = tmp_path_factory.mktemp("tiles")
    reader = {"type": "readers.las", "filename": str(ROOT / "sample_data" / "house.laz"), "count": 3000}
    for name, start in (("west.las", 0), ("east.laz", 3000)):
        run([{**reader, "start": start}, str(folder / name)])
    return folder


@pytest.fixture(scope="module")
def cloud(tiles: Path) -> Path:
    return tiles / "west.las"


def _deburr(*words: object) -> str:
    done = subprocess.run([sys.executable, "-m", "deburr", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _same(one: Path | str, other: Path | str) -> None:
    assert Path(one).read_bytes() == Path(other).read_bytes()


def test_every_algorithm_and_parameter_has_help_and_lengths_their_unit(qgis: Qgis) -> None:
    listed = qgis.process("list").stdout
    assert dict(re.findall(r"^\tdeburr:(\w+)\t(.*)$", listed, re.MULTILINE)) == ALGORITHMS
    told = json.loads(qgis.python("described.py"))
    assert {name: one["title"] for name, one in told.items()} == ALGORITHMS
    for name, one in told.items():
        assert len(one["help"]) > 100, name
        assert [key for key, parameter in one["parameters"].items() if not parameter["help"]] == [], name
    assert "<i>Filter noise</i>" in told["denoise"]["help"]
    denoise = told["denoise"]["parameters"]
    lengths = {key for key, one in denoise.items() if one["label"].endswith("[cloud units]")}
    assert lengths == {"NOISE", "MAX_DISPLACEMENT", "DIMENSIONS"}
    assert "standard deviation of the noise" in denoise["NOISE"]["help"]
    assert {"STEPS", "DEVICE", "STRIPS"} < {key for key, one in denoise.items() if one["advanced"]}
    assert {"OUTPUT", "REPORT_HTML", "NOISE", "MOVED_MAX"} <= set(told["denoise"]["outputs"])


def test_a_file(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    found = qgis.run("denoise", INPUT=cloud, OUTPUT=tmp_path / "a b.las", REPORT=tmp_path / "report")
    (line,) = _deburr("denoise", cloud, tmp_path / "own.las").splitlines()
    _same(tmp_path / "a b.las", line)
    assert Path(found["REPORT_HTML"]) == tmp_path / "report" / "report.html"
    assert "<html" in Path(found["REPORT_HTML"]).read_text(encoding="utf-8")
    assert found["NOISE"] == pytest.approx(json.loads(_deburr("info", "--json", cloud))["estimated_noise"])
    moved = np.linalg.norm(LasReader(filename=line).read().xyz - LasReader(filename=str(cloud)).read().xyz, axis=1)
    assert found["MOVED_MAX"] == pytest.approx(moved.max(), abs=2e-3)  # rounded to the file's steps
    # A list that was left out is none; QGIS would make its first entry of it.
    assert "Displacement" not in LasReader(filename=line).read().dims


def test_options(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    given = {"NOISE": "0.05", "STRENGTH": 0.5, "CLASSES": "2, 6", "WHERE": "Z > 300", "DIMENSIONS": "0,1",
             "MAX_DISPLACEMENT": 0.1, "STRIPS": 0, "NORMALS": 0, "KEEP_ORIGINAL": "true", "STEPS": 1,
             "DEVICE": 1, "MEMORY": "2GB"}  # fmt: skip
    found = qgis.run("denoise", INPUT=cloud, OUTPUT=tmp_path / "theirs.las", **given)
    stage = {"type": "filters.spd", "noise": 0.05, "strength": 0.5, "classes": [2, 6], "where": "Z > 300",
             "dimensions": ["Displacement", "Uncertainty"], "max_displacement": 0.1, "strips": "apart",
             "normals": "keep", "keep_original": True, "steps": 1, "device": "cpu"}  # fmt: skip
    _deburr("run", json.dumps([str(cloud), stage, str(tmp_path / "ours.las")]))
    _same(tmp_path / "theirs.las", tmp_path / "ours.las")
    assert {"Displacement", "Uncertainty", "OriginalX"} <= LasReader(filename=found["OUTPUT"]).read().dims.keys()
    assert found["NOISE"] == 0.05


@pytest.mark.parametrize("way", ["FOLDER", "VPC"])
def test_a_folder_and_a_virtual_point_cloud(qgis: Qgis, tiles: Path, tmp_path: Path, way: str) -> None:
    source = tiles
    if way == "VPC":
        _deburr("batch", "[]", tiles, "--out", tmp_path / "copies", "--vpc")
        source = tmp_path / "copies" / "copies.vpc"
    found = qgis.run("denoisefolder", **{way: source}, OUTPUT=tmp_path / "out", NOISE=0.05)
    assert Path(found["VPC_OUT"]) == tmp_path / "out" / "out.vpc"
    hrefs = [
        next(iter(one["assets"].values()))["href"]
        for one in json.loads((tmp_path / "out/out.vpc").read_text())["features"]
    ]
    assert sorted(Path(href).name for href in hrefs) == ["east.laz", "west.las"]
    _deburr("batch", '[{"type": "filters.spd", "noise": 0.05}]', source, "--out", tmp_path / "ours")
    for name in ("west.las", "east.laz"):
        _same(tmp_path / "out" / name, tmp_path / "ours" / name)
    assert Path(found["REPORT_HTML"]).exists()
    assert found["NOISE"] == 0.05
    assert 0 < found["MOVED_MEDIAN"] < found["MOVED_MAX"] <= 3.5 * 0.05 + 1e-9


def test_information(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    found = qgis.run("info", INPUT=cloud, OUTPUT=tmp_path / "info.html")
    told = json.loads(_deburr("info", "--json", cloud))
    assert found["POINTS"] == told["points"] == 3000
    assert (found["NOISE"], found["SPACING"]) == (told["estimated_noise"], told["spacing"])
    assert "ETRS89 / UTM zone 32N" in (tmp_path / "info.html").read_text(encoding="utf-8")


def test_outliers(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    found = qgis.run("outliers", INPUT=cloud, OUTPUT=tmp_path / "t.laz", MEAN_K=12, MULTIPLIER=2.5, CLASS=18)
    stage = {"type": "filters.outlier", "mean_k": 12, "multiplier": 2.5, "class": 18}
    _deburr("run", json.dumps([str(cloud), stage, str(tmp_path / "o.laz")]))
    _same(tmp_path / "t.laz", tmp_path / "o.laz")
    classes = LasReader(filename=str(tmp_path / "t.laz"), all_points=True).read().dims["Classification"]
    assert found["OUTLIERS"] == (classes == 18).sum() > 0


def test_a_pipeline_file(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    (tmp_path / "in.las").write_bytes(cloud.read_bytes())
    spec = tmp_path / "spec.json"
    spec.write_text('["in.las", {"type": "filters.spd", "noise": 0.2}, "out.las"]')
    qgis.run("pipeline", SPEC=spec, OVERRIDES="filters.spd.noise=0.05")
    _deburr("denoise", cloud, tmp_path / "own.las", "--noise", 0.05)
    _same(tmp_path / "out.las", tmp_path / "own.las")
    found = qgis.run("pipeline", SPEC=spec, INPUT=cloud, OUTPUT=tmp_path / "there.las")
    _deburr("denoise", cloud, tmp_path / "own.las", "--noise", 0.2)
    _same(found["OUTPUT"], tmp_path / "own.las")


def test_errors_are_deburrs_sentences(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    cut, target = tmp_path / "cut.las", tmp_path / "o.las"
    cut.write_bytes(cloud.read_bytes()[:5000])
    given: dict[str, Any] = {"OUTPUT": target, "REPORT": tmp_path / "r"}
    said = qgis.fails("denoise", INPUT=cut, **given)
    assert re.search(r"stage 1 \(readers.las\): .*cut.las: ", said)
    said = qgis.fails("denoise", INPUT=cloud, WHERE="Nothing > 3", **given)
    assert "Nothing" in said
    said = qgis.fails("denoise", INPUT=cloud, CLASSES="ground", **given)
    assert "classes" in said
    said = qgis.fails("info", INPUT=cut, OUTPUT=tmp_path / "i.html")
    assert re.search(r"cut.las: ", said)
    assert "one of the two" in qgis.fails("denoisefolder", OUTPUT=tmp_path / "out")
    assert "say yes" in qgis.fails("install", WHAT="deburr.whl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.las"]


def test_where_it_is_not_found(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"INPUT": cloud, "OUTPUT": tmp_path / "o.las"}
    said = qgis.fails("denoise", {"DEBURR_COMMAND": ""}, **given)
    assert "deburr was not found" in said
    assert "Settings, Options, Processing, Providers, deburr" in said
    said = qgis.fails("denoise", {"DEBURR_COMMAND": "/nowhere/deburr"}, **given)
    assert "DEBURR_COMMAND: /nowhere/deburr: cannot be run (No such file or directory)" in said


def test_the_setting_comes_first(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    settings = qgis.profile / "QGIS" / "QGIS3.ini"
    before = settings.read_text() if settings.exists() else ""
    try:
        settings.write_text(f"{before}\n[Processing]\nConfiguration\\DEBURR_COMMAND=/named/in/qgis\n")
        said = qgis.fails("denoise", INPUT=cloud, OUTPUT=tmp_path / "o.las")
        assert "the setting: /named/in/qgis: cannot be run" in said
    finally:
        settings.write_text(before)


def test_it_is_installed_into_the_profile(qgis: Qgis, cloud: Path, tmp_path: Path) -> None:
    environment = qgis.profile / "deburr-environment"
    wheel = wheels.told(tmp_path, "0.0.1")
    said = qgis.fails("install", {"DEBURR_COMMAND": ""}, WHAT=f"--no-index {wheel}", YES="true")
    assert "is deburr 0.0.1, and 0.1.0 or later is needed" in said
    assert not environment.exists()
    wheel = wheels.told(tmp_path, "0.2.0")
    found = qgis.run("install", WHAT=f"--no-index {wheel}", YES="true")
    assert found["COMMAND"] == str(environment / "bin" / "deburr")
    # It is what is run now.
    said = qgis.fails("info", {"DEBURR_COMMAND": ""}, INPUT=cloud, OUTPUT=tmp_path / "i.html")
    assert "asked: info" in said


def test_results_are_opened_where_qgis_can_show_them(qgis: Qgis) -> None:
    told = json.loads(qgis.python("opened.py"))
    assert told == {
        "as it is": [], "pdal": [["/there/a b.LAZ: a b"], [], [], []], "off": [], "vpc": ["/there/a.vpc: a"],
    }  # fmt: skip


def test_a_cancel_leaves_nothing(qgis: Qgis, tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    plan = draw.uniform(0, 1000, (1_000_000, 2))
    source = tmp_path / "million.las"
    run([str(source)], points=np.column_stack([plan, draw.normal(0, 0.05, len(plan))]))
    told = json.loads(qgis.python("cancelled.py", source, tmp_path / "out.laz", tmp_path / "report"))
    print("ended within", told["seconds"], "s")
    assert told["family"], "it had begun"
    assert told["left"] == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in told["family"])
    assert "interrupted; no output was left half-written" in told["text"]
    assert told["results"] == {}
    assert [path.name for path in tmp_path.iterdir()] == ["million.las"]
