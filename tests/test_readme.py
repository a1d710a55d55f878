"""The README says what is: its table is the code's, its JSON runs, its Python runs, its commands exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deburr.cli.main import cli
from deburr.core.cloud import PointCloud
from deburr.core.registry import _own
from deburr.filters.spd import Spd
from deburr.pipeline import load, run
from deburr.pipeline.describe import markdown, stages
from deburr.readers.las import LasReader
from deburr.train.recipe import Recipe
from deburr.writers.las import LasWriter

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    lines = [line.split("#")[0] for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("pipeline ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with the files that the README speaks of."""
    random = np.random.default_rng(0)
    plan = random.uniform(0, 5, (400, 2))
    clean = np.column_stack([plan, 0.1 * plan[:, 0]]) + np.array([500_000, 5_400_000, 300])
    for name, sigma in (("clean_scan", 0.0), ("clean", 0.01), ("noisy_scan", 0.03), ("noisy", 0.03)):
        noisy = clean + random.normal(0, 1, clean.shape) * sigma
        LasWriter(filename=str(tmp_path / f"{name}.laz")).write(PointCloud(noisy))
    (tmp_path / "tiles").mkdir()
    for name, part in (("west", noisy[:, 0] < 500_002.5), ("east", noisy[:, 0] >= 500_002.5)):
        LasWriter(filename=str(tmp_path / "tiles" / f"{name}.laz")).write(PointCloud(noisy[part]))
    (tmp_path / "denoise.json").write_text(blocks("json")[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_table_is_the_codes() -> None:
    between = README.split("<!-- stages: begin -->\n")[1].split("<!-- stages: end -->")[0]
    made = markdown([one for one in stages() if one.name in _own()], options=False)
    assert between.strip() == made.strip(), "put the output of 'pipeline stages --markdown' between the markers"


def test_the_knobs_are_the_codes() -> None:
    between = README.split("<!-- knobs: begin -->\n")[1].split("<!-- knobs: end -->")[0]
    rows = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in between.splitlines()[2:]]
    assert {len(row) for row in rows} == {4}
    told = {row[0]: row[3] for row in rows}
    expert = {"model", "weights", "step_size", "step_decay", "neighbors"}
    fields = Spd.model_fields
    assert told.keys() == fields.keys() - expert - {"tag", "user_data"}
    for name, default in told.items():
        value = fields[name].default
        if value is not None:
            assert default == (json.dumps(value) if not isinstance(value, str) else value), name


def test_its_json_runs(folder: Path) -> None:
    # Those with stages of PDAL are run where PDAL is: tests/pdal/test_readme.py.
    pipelines = [json.loads(block) for block in blocks("json") if "smrf" not in block]
    assert len(pipelines) == 8
    for spec in pipelines[:6]:
        result = run(spec)
        output = load(spec).writers[0].filename
        assert (folder / output).stat().st_size > 0
        assert len(result.cloud) == 400
        if "reference" in str(spec):
            paired = result.report["stages"][2]["figures"]
    assert paired["now"]["own_rms"] != paired["as_read"]["own_rms"]
    assert [Recipe.model_validate(recipe).objective for recipe in pipelines[6:]] == ["score", "self_supervised"]
    first, again = (LasReader(filename=name).read() for name in ("noisy.laz", "noisy_again.laz"))
    assert first.xyz.tobytes() == again.xyz.tobytes()
    assert first.dims.keys() == again.dims.keys()


def test_its_python_runs(folder: Path) -> None:
    (snippet,) = (block for block in blocks("python") if "denoise_array" not in block)
    names: dict[str, object] = {}
    exec(compile(snippet, "README.md", "exec"), names)
    xyz, clean = np.asarray(names["xyz"]), np.asarray(names["clean"])
    flat = abs(clean[:, 2] - 0.2 * clean[:, 0]).mean()
    assert flat < 0.6 * abs(xyz[:, 2] - 0.2 * xyz[:, 0]).mean()
    assert (folder / "out" / "section.png").is_file()


def call(words: list[str]) -> Result:
    return CliRunner().invoke(cli, words, prog_name="pipeline")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", [w for w in commands() if w[0] != "train"], ids=" ".join)
def test_its_commands_run(words: list[str]) -> None:
    result = call(words)
    assert result.exit_code == 0, result.output


def test_its_other_commands_and_files_exist() -> None:
    helped = call(["train", "--help"]).output
    options = {word for words in commands() if words[0] == "train" for word in words if word.startswith("--")}
    assert options == {option for option in ("--init", "--resume", "--prepare", "--count") if option in helped}
    assert call(["weights", "import", "--help"]).exit_code == 0
    for path in re.findall(r"(?:sample_data|benchmarks|stages)/[\w/.]*\w", README):
        assert (ROOT / path).exists(), path
    assert (ROOT / "sample_data" / "section.png").stat().st_size < 300_000
