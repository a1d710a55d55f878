"""A package that brings stages of its own, installed by entry points as its author would; and a broken one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.core.arrays import Floats

PACKAGE = Path(__file__).with_name("foreign") / "survey_tools"
STAGES = {
    "readers.survey": "Xyz", "writers.survey": "XyzWriter", "filters.floor": "Floor", "filters.heights": "Heights",
    "filters.thin": "Thin", "filters.bare": "Bare",
}  # fmt: skip
SPEC = [{"type": "filters.floor", "below": 99.5}, "filters.heights", {"type": "filters.spd", "noise": 0.03}]


def install(site: Path, name: str, points: dict[str, str]) -> None:
    """What an installer leaves of a package that registers the stages ``points``."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{stage} = {value}\n" for stage, value in points.items())
    (info / "entry_points.txt").write_text(f"[deburr.stages]\n{lines}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be put on the path, with the package in it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, site / "survey_tools")
    install(site, "survey_tools", {stage: f"survey_tools.stages:{name}" for stage, name in STAGES.items()})
    return site


@pytest.fixture
def cloud(tmp_path: Path) -> Floats:
    """(1500, 3) a slope, in ``in/a.xyz`` and ``in/b.xyz``, of which a fifth lies below the floor of `SPEC`."""
    random = np.random.default_rng(4)
    plan = random.uniform(0, 12, (1500, 2))
    xyz = np.column_stack([plan, 99 + plan[:, 0] / 5 + random.normal(0, 0.03, 1500)]).round(4)
    (tmp_path / "in").mkdir()
    for name, part in (("a", xyz[:, 1] < 5), ("b", xyz[:, 1] >= 5)):
        np.savetxt(tmp_path / "in" / f"{name}.survey", xyz[part], fmt="%.17g")
    np.savetxt(tmp_path / "whole.survey", np.concatenate([xyz[xyz[:, 1] < 5], xyz[xyz[:, 1] >= 5]]), fmt="%.17g")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    return xyz


def python(sites: list[Path], folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, sites), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def command(sites: list[Path], folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return python(sites, folder, "-m", "deburr", *words, code=code)


def points_of(path: Path) -> Floats:
    return np.loadtxt(path)


@pytest.mark.parametrize("more", [(), ("--tile", "4"), ("--workers", "2")], ids=["files", "tiles", "workers"])
def test_its_stages_run_alone_and_in_batches(more: tuple[str, ...], cloud: Floats, site: Path, tmp_path: Path) -> None:
    command(
        [site], tmp_path, "run", "spec.json", "--input", "whole.survey", "--output", "one.survey", "--report", "rep"
    )
    report = json.loads((tmp_path / "rep" / "report.json").read_text())
    floor, heights = (one["figures"] for one in report["stages"][1:3])
    kept = cloud[cloud[:, 2] >= 99.5]
    assert floor == {"points": 1500, "removed": 1500 - len(kept), "below": 99.5}
    expected = {"points": len(kept), "iterations": 5, "highest": kept[:, 2].max(), "lowest": kept[:, 2].min()}
    assert {k: v for k, v in heights.items() if k != "mean_z"} == expected
    assert heights["mean_z"] == pytest.approx(kept[:, 2].mean(), rel=1e-12)
    # In tiles: the same points, and the same figures, each merged in its way.
    command([site], tmp_path, "batch", "spec.json", "in", "--out", "out", *more)
    tiled = np.concatenate([points_of(tmp_path / "out" / f"{name}.survey") for name in "ab"])
    whole = points_of(tmp_path / "one.survey")
    assert tiled.shape == whole.shape == kept.shape
    assert np.abs(tiled - whole).max() < 1e-5
    stages = json.loads((tmp_path / "out" / "report.json").read_text())["stages"]
    assert stages[0]["figures"] == floor
    assert stages[1]["figures"] == heights


def test_a_figure_that_does_not_say_how_it_merges_is_refused_in_tiles(
    cloud: Floats, site: Path, tmp_path: Path
) -> None:
    command([site], tmp_path, "run", '["in/a.survey", "filters.bare", "out.survey"]')
    done = command([site], tmp_path, "batch", '["filters.bare"]', "in", "--out", "out", code=1)
    assert "filters.bare: notes 'mean_z', and does not say how it is merged over tiles" in done.stderr
    assert not list((tmp_path / "out").glob("*.survey"))


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "filters.bare"])
def test_they_keep_the_promises_that_are_shipped(stage: str, site: Path, tmp_path: Path) -> None:
    python([site], tmp_path, "-c", f"from deburr.testing import contract; contract.check({stage!r})")


def test_a_promise_that_is_broken_is_found(site: Path, tmp_path: Path) -> None:
    done = python([site], tmp_path, "-c", "from deburr.testing import contract; contract.check('filters.bare')", code=1)
    assert "every figure must stand in 'reports'" in done.stderr


@pytest.mark.parametrize(("name", "where"), [("Blind", "check_tiles"), ("Hasty", "check_permutation")])
def test_one_that_proves_nothing_or_breaks_ties_by_place_is_found(
    name: str, where: str, site: Path, tmp_path: Path
) -> None:
    other = tmp_path / "site"
    install(other, "wrong_tools", {"filters.thin": f"survey_tools.stages:{name}"})
    shutil.copytree(site / "survey_tools", other / "survey_tools")
    check = "from deburr.testing import contract; contract.check('filters.thin')"
    said = python([other], tmp_path, "-c", check, code=1).stderr
    assert f"in {where}" in said


def test_cells_are_thinned_alike_whole_and_in_tiles(site: Path, tmp_path: Path) -> None:
    # Every point stands in both files: of each pair the first file's is kept.
    xyz = np.random.default_rng(1).uniform(0, 8, (300, 3)).round(2)
    (tmp_path / "in").mkdir()
    for name in "ab":
        np.savetxt(tmp_path / "in" / f"{name}.survey", xyz if name == "a" else xyz[::-1], fmt="%.17g")
    np.savetxt(tmp_path / "whole.survey", np.concatenate([xyz, xyz[::-1]]), fmt="%.17g")
    spec = '[{"type": "filters.thin", "cell": 1.5}]'
    command([site], tmp_path, "run", spec, "--input", "whole.survey", "--output", "one.survey")
    command([site], tmp_path, "batch", spec, "in", "--out", "out", "--tile", "3")
    assert points_of(tmp_path / "out" / "a.survey").tolist() == points_of(tmp_path / "one.survey").tolist()
    assert (tmp_path / "out" / "b.survey").read_text() == ""


def test_an_extension_that_is_only_read_is_said(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "site"
    install(other, "reading_tools", {"readers.survey": "survey_tools.stages:Xyz"})
    shutil.copytree(site / "survey_tools", other / "survey_tools")
    said = command([other], tmp_path, "run", '["a.survey", "b.survey"]', code=2).stderr
    assert (
        "no stage writes files of extension '.survey', which readers.survey reads; give one of another extension"
        in said
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module:Stage", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:loads", "is no class of a filter"),
        ("survey_tools.stages:Floor", "has another type_name"),
    ],
)
def test_a_broken_one_is_named_and_breaks_nothing(
    value: str, reason: str, cloud: Floats, site: Path, tmp_path: Path
) -> None:
    other = tmp_path / "site"
    install(other, "broken_tools", {"filters.broken": value})
    commands: list[tuple[Any, ...]] = [
        ("stages",), ("schema",), ("info", "in/a.survey"), ("validate", '["in/a.survey", "filters.floor", "o.survey"]'),
        ("run", '["in/a.survey", "filters.floor", "o.survey"]'), ("batch", '["filters.floor"]', "in", "--out", "out"),
    ]  # fmt: skip
    for words in commands:
        said = command([site, other], tmp_path, *words).stderr
        assert "warning: stage 'filters.broken' of package broken_tools" in said, words
        assert reason in said
    used = command([site, other], tmp_path, "run", '["in/a.survey", "filters.broken", "o.survey"]', code=2).stderr
    assert "stage 'filters.broken' of package broken_tools" in used
    assert "Traceback" not in used
