"""The commands for PDAL's users, end to end but for PDAL itself."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deburr.core.registry import stage_class
from deburr.plugins.pdal import doctor, preset

Cli = Callable[..., Result]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Result:
        from deburr.cli.main import cli as group

        return CliRunner().invoke(group, list(words), prog_name="pipeline")

    return call


def test_the_script_is_there_and_has_plain_functions_of_these_names(cli: Cli) -> None:
    done = cli("pdal-script")
    assert (done.exit_code, done.stderr) == (0, "")
    path = Path(done.stdout.removesuffix("\n"))
    assert path.is_absolute()
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert set(preset.FUNCTIONS) <= {function.name for function in functions}


def test_a_preset_is_flat_json_for_filters_python(cli: Cli) -> None:
    words = ("noise=0.03", "classes=[2, 6]", "where=Classification == 2", "keep_original=true")
    done = cli("pdal-preset", *words, 'dimensions=["Uncertainty"]')
    assert (done.exit_code, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert all(isinstance(value, str) for value in told.values())
    assert json.loads(told.pop("pdalargs")) == {
        "noise": 0.03, "classes": [2, 6], "where": "Classification == 2", "keep_original": True,
        "dimensions": ["Uncertainty"],
    }  # fmt: skip
    assert told == {
        "script": str(preset.script()),
        "module": "deburr_pdal",
        "function": "denoise",
        "add_dimension": "Uncertainty=float,OriginalX=double,OriginalY=double,OriginalZ=double",
    }


def test_a_preset_without_options_has_none(cli: Cli) -> None:
    assert set(json.loads(cli("pdal-preset").stdout)) == {"script", "module", "function"}


@pytest.mark.parametrize("function", ["outlier", "outlier_mask"])
def test_a_preset_of_outliers(cli: Cli, function: str) -> None:
    words = ("method=radius", "radius=0.5", "class=18", "--module", "mine")
    told = json.loads(cli("pdal-preset", "--function", function, *words).stdout)
    assert (told["function"], told["module"]) == (function, "mine")
    assert json.loads(told["pdalargs"]) == {"method": "radius", "radius": 0.5, "class": 18}
    assert "add_dimension" not in told


def test_what_the_preset_adds_is_what_the_stage_gives() -> None:
    options = {"dimensions": ["Displacement", "Uncertainty", "NoiseLevel"], "keep_original": True}
    stage = stage_class("filters.spd").model_validate(options)
    there = {"Classification", "Withheld", "PointSourceId", "NormalX", "NormalY", "NormalZ"}
    looks_at = getattr(stage, "looks_at") - there  # noqa: B009  # not of every stage
    assert {name.partition("=")[0] for name in preset.dimensions(options)} == looks_at


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stepz=1",), "denoise (filters.spd): unknown option 'stepz'; did you mean 'steps'?"),
        (
            ("noise=-1", "x=2"),
            "option 'noise' must be 'auto' or a number greater than 0, not '-1'",
        ),
        (("noise",), "'noise': must be OPTION=VALUE, such as noise=0.03"),
        (("noise=1", "noise=2"), "option 'noise' is given twice; keep one"),
        (("model=spd",), "denoise (filters.spd): model 'spd' has no bundled weights"),
        (("--function=outlier", "action=remove"), "outlier (filters.outlier): option 'action' cannot be 'remove'"),
        (("--function=outlier_mask", "action=classify"), "use the function 'outlier'"),
        (("--module=json",), "--module json: must be a name that no module of Python has"),
        (("--module=a.b",), "--module a.b: must be a name"),
    ],
)
def test_wrong_options_exit_2(cli: Cli, words: tuple[str, ...], message: str) -> None:
    done = cli("pdal-preset", *words, "--output", "o.json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert os.listdir() == []


def test_a_preset_in_a_file(cli: Cli) -> None:
    done = cli("pdal-preset", "steps=2", "--output", "o.json")
    assert (done.exit_code, done.stdout) == (0, "o.json\n")
    assert json.loads(json.loads(Path("o.json").read_text())["pdalargs"]) == {"steps": 2}
    assert cli("pdal-preset", "--output", "no/o.json").exit_code == 1


def test_convert_prints_the_pipeline_alone_and_the_reason_beside_it(cli: Cli) -> None:
    stages = ["a.las", {"type": "filters.outlier"}, {"type": "filters.smrf"}, "b.las"]
    Path("theirs.json").write_text(json.dumps(stages))
    done = cli("convert-pdal", "theirs.json", "--runner", "deburr", "noise=0.05")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == [*stages[:2], {"type": "filters.spd", "noise": 0.05}, *stages[2:]]
    assert done.stderr == (
        "between stage 2 (filters.outlier) and stage 3 (filters.smrf): after noise is classified, before the ground is "
        "found\n"
    )
    assert cli("convert-pdal", "theirs.json", "-q", "-o", "ours.json").output == "ours.json\n"
    again = cli("convert-pdal", "ours.json")
    assert again.exit_code == 0
    assert json.loads(again.stdout) == json.loads(Path("ours.json").read_text())
    assert "stage 3 (filters.python) is the denoiser already; nothing is changed" in again.stderr


def test_convert_refuses_what_is_no_pipeline(cli: Cli) -> None:
    Path("theirs.json").write_text('["a.las", # here\n "b.las"]')
    done = cli("convert-pdal", "theirs.json", "--output", "ours.json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "theirs.json: line 1, column 11: a comment begins with //" in done.stderr
    assert cli("convert-pdal", "absent.json").exit_code == 2
    assert os.listdir() == ["theirs.json"]


def test_the_doctor_speaks_in_lines_or_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [doctor.Check("command", "ok", "/x/pdal"), doctor.Check("start", "trouble", "it does not", "do this")]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    done = cli("pdal-doctor")
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout == "ok           command: /x/pdal\ntrouble      start: it does not; do this\n"
    assert json.loads(cli("pdal-doctor", "--json").stdout)[1] == {
        "name": "start", "outcome": "trouble", "found": "it does not", "remedy": "do this", "needed": True,
    }  # fmt: skip
    checks[1] = doctor.Check("bindings", "trouble", "absent", needed=False)
    assert cli("pdal-doctor").exit_code == 0


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from deburr.cli.main import cli\n"
        "for words in (['--help'], ['pdal-script'], ['convert-pdal', '--help'], ['pdal-doctor', '--help']):\n"
        "    cli(words, standalone_mode=False)\n"
        "print(sorted({'torch', 'laspy', 'pdal'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    for name in ("pdal-script", "pdal-preset", "pdal-doctor", "convert-pdal"):
        assert f"\n  {name} " in done.stdout
