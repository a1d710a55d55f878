"""A package that brings stages and a model, installed by entry points as its author would; and broken ones."""

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


def install(site: Path, name: str, points: dict[str, str], **groups: dict[str, str]) -> None:
    """What an installer leaves of a package that registers the stages ``points``, and of other ``groups``: models,
    commands."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = {f"deburr.{group}": some for group, some in {"stages": points, **groups}.items()}
    lines = [
        line for group, some in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in some.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be put on the path, with the package in it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, site / "survey_tools")
    stages = {stage: f"survey_tools.stages:{name}" for stage, name in STAGES.items()}
    commands = {"survey-count": "survey_tools.command:count"}
    install(site, "survey_tools", stages, models={"flat": "survey_tools.model:FLAT"}, commands=commands)
    return site


@pytest.fixture
def cloud(tmp_path: Path) -> Floats:
    """(1500, 3) a slope, in ``in/a.survey`` and ``in/b.survey``, of which a fifth lies below the floor of `SPEC`."""
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


@pytest.mark.parametrize("options", [{}, {"noise": 0.03}, {"dimensions": ["Displacement"]}], ids=str)
def test_its_model_keeps_them_too(options: dict[str, Any], site: Path, tmp_path: Path) -> None:
    check = f"contract.check('filters.spd', { ({'model': 'flat'} | options)!r}, tolerance=1e-9)"
    python([site], tmp_path, "-c", f"from deburr.testing import contract; {check}")


@pytest.mark.parametrize("noise", [0.03, "auto"])
def test_its_model_denoises_alone_and_in_batches(noise: float | str, cloud: Floats, site: Path, tmp_path: Path) -> None:
    spec = json.dumps([{"type": "filters.spd", "model": "flat", "noise": noise}])
    command([site], tmp_path, "run", spec, "--input", "whole.survey", "--output", "one.survey", "--report", "rep")
    whole, clean = points_of(tmp_path / "one.survey"), 99 + cloud[:, 0] / 5
    places = {(x, y): i for i, (x, y) in enumerate(cloud[:, :2].tolist())}
    order = [places[x, y] for x, y in whole[:, :2].tolist()]
    assert np.std(whole[:, 2] - clean[order]) < 0.7 * 0.03
    command([site], tmp_path, "batch", spec, "in", "--out", "out", "--tile", "4")
    tiled = np.concatenate([points_of(tmp_path / "out" / f"{name}.survey") for name in "ab"])
    assert np.abs(tiled - whole).max() < 1e-9
    one, many = (json.loads((tmp_path / name / "report.json").read_text())["stages"] for name in ("rep", "out"))
    assert one[1]["figures"]["model"] == "flat"
    assert many[0]["figures"].keys() == one[1]["figures"].keys()
    for name in ("points", "noise", "spacing", "max_displacement"):
        assert many[0]["figures"][name] == one[1]["figures"][name], name


def test_its_model_is_told_with_the_others(site: Path, tmp_path: Path) -> None:
    told = command([site], tmp_path, "stages", "filters.spd", "--json").stdout
    (option,) = (option for option in json.loads(told)["options"] if option["name"] == "model")
    assert option["allowed"] == "'deburr', 'spd' or 'flat'"
    assert "flat: the mean height around each point" in option["description"]
    schema = json.loads(command([site], tmp_path, "schema").stdout)
    assert schema["$defs"]["filters.spd"]["properties"]["model"]["enum"] == ["deburr", "spd", "flat"]


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ({"model": "flatt"}, "option 'model': unknown model 'flatt'; did you mean 'flat'?"),
        ({"model": "quartz"}, "option 'model': unknown model 'quartz'; there are 'deburr', 'spd', 'flat'"),
        ({"model": "flat", "steps": 2}, "option 'steps' has no effect on model 'flat'; remove it"),
        ({"model": "flat", "weights": "w"}, "option 'weights' has no effect on model 'flat'; remove it"),
    ],
)
def test_what_is_wrong_with_the_choice_of_a_model_is_said(
    stage: dict[str, Any], sentence: str, site: Path, tmp_path: Path
) -> None:
    spec = json.dumps(["a.survey", {"type": "filters.spd", **stage}, "b.survey"])
    assert sentence in command([site], tmp_path, "validate", spec, code=2).stdout


def test_its_command_is_one_of_deburr_s(cloud: Floats, site: Path, tmp_path: Path) -> None:
    assert command([site], tmp_path, "survey-count", "in/a.survey", "--quiet").stdout == f"{(cloud[:, 1] < 5).sum()}\n"
    said = command([site], tmp_path, "survey-count", "nowhere.xyz", code=1).stderr
    assert "nowhere.xyz: cannot be read" in said
    assert "Traceback" not in said


def test_a_promise_that_is_broken_is_found(site: Path, tmp_path: Path) -> None:
    done = python([site], tmp_path, "-c", "from deburr.testing import contract; contract.check('filters.bare')", code=1)
    assert "every figure must stand in 'reports'" in done.stderr


@pytest.mark.parametrize(("name", "where"), [("Blind", "check_tiles"), ("Hasty", "check_permutation")])
def test_one_that_proves_nothing_or_breaks_ties_by_place_is_found(
    name: str, where: str, site: Path, tmp_path: Path
) -> None:
    other = tmp_path / "site"
    install(other, "wrong_tools", {(stage := f"filters.{name.lower()}"): f"survey_tools.stages:{name}"})
    shutil.copytree(site / "survey_tools", other / "survey_tools")
    check = f"from deburr.testing import contract; contract.check({stage!r})"
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
    install(other, "reading_tools", {"readers.plain": "survey_tools.stages:Plain"})
    shutil.copytree(site / "survey_tools", other / "survey_tools")
    said = command([other], tmp_path, "run", '["a.plain", "b.plain"]', code=2).stderr
    assert (
        "no stage writes files of extension '.plain', which readers.plain reads; give one of another extension" in said
    )


SOUND = ["in/a.survey", "filters.floor", "o.survey"]
COMMANDS: list[tuple[str, ...]] = [
    ("stages",), ("schema",), ("info", "in/a.survey"), ("validate", json.dumps(SOUND)), ("run", json.dumps(SOUND)),
    ("batch", '["filters.floor"]', "in", "--out", "out"), ("weights", "show", "bundled"), ("pdal-script",),
]  # fmt: skip


#: What is wrong with a stage or a model of another package, and what is said of it.
WRONG_STAGES = {
    "no_such_module:Stage": "cannot be loaded (ModuleNotFoundError: No module named 'no_such_module')",
    "json:loads": "is no class of a filter",
    "survey_tools.stages:Floor": "has another type_name",
}
WRONG_MODELS = {
    "no_such_module:MODEL": "cannot be loaded (ModuleNotFoundError: No module named 'no_such_module')",
    "json:loads": "is no Kind of deburr.nn.models",
    "survey_tools.model:FLAT": "has another name",
}


def test_broken_ones_are_named_by_every_command_and_break_none(cloud: Floats, site: Path, tmp_path: Path) -> None:
    other = tmp_path / "site"
    stages = {f"filters.broken{i}": value for i, value in enumerate(WRONG_STAGES)}
    models = {f"broken{i}": value for i, value in enumerate(WRONG_MODELS)}
    commands = {"broken-count": "no_such_module:count", "broken-json": "json:loads"}
    install(other, "broken_tools", stages, models=models, commands=commands)
    told = [f"stage '{name}' of package broken_tools {WRONG_STAGES[value]}" for name, value in stages.items()]
    told += [f"model '{name}' of package broken_tools {WRONG_MODELS[value]}" for name, value in models.items()]
    told.append(
        "command 'broken-count' of package broken_tools cannot be loaded (ModuleNotFoundError: No module named "
        "'no_such_module')"
    )
    told.append("command 'broken-json' of package broken_tools is no command of click")
    for words in COMMANDS:
        said = command([site, other], tmp_path, *words).stderr
        for sentence in told:
            assert f"warning: {sentence}" in said, words
    for stage in ({"type": "filters.broken0"}, {"type": "filters.spd", "model": "broken0"}):
        used = command([site, other], tmp_path, "run", json.dumps(["in/a.survey", stage, "o.survey"]), code=2).stderr
        assert f"{stage.get('model', stage['type'])}' of package broken_tools cannot be loaded" in used
        assert "Traceback" not in used
    helped = command([site, other], tmp_path, "--help")
    listed = " ".join(helped.stdout.split())
    assert "survey-count Count the points of a text file." in listed
    assert "broken-count (broken: command 'broken-count' of package broken_tools cannot be loaded" in listed
    used = command([site, other], tmp_path, "broken-count", "in/a.survey", code=2).stderr
    assert "command 'broken-count' of package broken_tools cannot be loaded" in used
    assert "Traceback" not in used


def test_what_two_packages_bring_is_neither_s(cloud: Floats, site: Path, tmp_path: Path) -> None:
    other = tmp_path / "site"
    stages, models = {"filters.floor": "survey_tools.stages:Floor"}, {"flat": "survey_tools.model:FLAT"}
    install(other, "other_tools", stages, models=models, commands={"survey-count": "survey_tools.command:count"})
    said = command([site, other], tmp_path, "run", '["in/a.survey", "filters.heights", "o.survey"]').stderr
    for what in ("stage 'filters.floor'", "model 'flat'", "command 'survey-count'"):
        assert f"warning: {what} is brought by package other_tools and package survey_tools: which is meant?" in said
    used = command([site, other], tmp_path, "run", '["in/a.survey", "filters.floor", "o.survey"]', code=2).stderr
    assert "stage 'filters.floor' is brought by package other_tools and package survey_tools" in used
    spec = '["in/a.survey", {"type": "filters.spd", "model": "flat"}, "o.survey"]'
    assert "model 'flat' is brought by" in command([site, other], tmp_path, "run", spec, code=2).stderr


def test_none_takes_a_name_of_deburr_s_own(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "site"
    stages, models = {"filters.spd": "survey_tools.stages:Floor"}, {"spd": "survey_tools.model:FLAT"}
    install(other, "other_tools", stages, models=models, commands={"run": "survey_tools.command:count"})
    said = command([site, other], tmp_path, "stages", "filters.spd").stderr
    for what in ("stage 'filters.spd'", "model 'spd'", "command 'run'"):
        assert f"warning: {what} of package other_tools is not used: deburr has one of that name itself" in said
