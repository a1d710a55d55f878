"""The demo does what the README says, with the weights that are bundled."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deburr.cli.main import cli
from deburr.readers.las import LasReader

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder in which the demo ran as `make demo` runs it, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    (folder / "out").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(cli, ["run", "sample_data/denoise.json", "--report", "out"], prog_name="pipeline")
    return folder, result


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    """The report's figures of filters.metrics, by tag."""
    report = json.loads((folder / "out" / "report.json").read_text())
    return {stage["tag"]: stage["figures"] for stage in report["stages"] if stage["tag"]}


@pytest.mark.slow
def test_noise_falls_by_half_and_trees_are_not_harmed(demo: tuple[Path, Result]) -> None:
    folder, result = demo
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [
        "out/house_denoised.laz",
        "out/report.json",
        "out/report.html",
        "out/section.png",
        "out/noise.png",
    ]
    figures = measured(folder)
    surface, trees = figures["ground_and_house"], figures["trees_wires_poles"]
    assert surface["now"]["to_reference_rms"] < 0.5 * surface["as_read"]["to_reference_rms"]
    # Coordinates are rounded to a millimetre, which alone adds a few hundred-thousandths.
    assert trees["now"]["own_rms"] <= 1.003 * trees["as_read"]["own_rms"]


@pytest.mark.slow
def test_only_places_change(demo: tuple[Path, Result]) -> None:
    folder, _ = demo
    before = LasReader(filename=str(folder / "sample_data" / "house.laz")).read()
    after = LasReader(filename=str(folder / "out" / "house_denoised.laz")).read()
    for name, column in before.dims.items():
        np.testing.assert_array_equal(after.dims[name], column, err_msg=name)
    np.testing.assert_array_equal(after.xyz[~before.active], before.xyz[~before.active])
    assert (after.xyz != before.xyz).any(axis=1).mean() > 0.9


@pytest.mark.slow
def test_the_readme_prints_its_figures(demo: tuple[Path, Result]) -> None:
    folder, _ = demo
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    figures = measured(folder)
    for words, tag, name in (
        ("distance to the true surface, RMS", "ground_and_house", "to_reference_rms"),
        ("distance to own true place, RMS", "trees_wires_poles", "own_rms"),
    ):
        found = re.search(rf"{words}\s+([\d.]+) cm -> ([\d.]+) cm", text)
        assert found is not None, words
        said = [float(value) / 100 for value in found.groups()]
        true = [figures[tag][when][name] for when in ("as_read", "now")]
        assert said == pytest.approx(true, rel=0.02), "run 'make demo' and bring README.md up to date"
