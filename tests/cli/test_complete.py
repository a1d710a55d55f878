"""What the shell completes: asked of click as the shell asks it, and once in bash itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from deburr.cli.main import cli
from deburr.filters.spd import Spd

SPEC = ["in.laz", "filters.outlier", {"type": "filters.spd", "tag": "fine", "noise": 0.1}, "out.laz"]


def completed(*words: str) -> list[str]:
    """What the last word may become."""
    found = ShellComplete(cli, {}, "pipeline", "_PIPELINE_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found]


def kinds(*words: str) -> list[str]:
    found = ShellComplete(cli, {}, "pipeline", "_PIPELINE_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.type for item in found]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text(json.dumps(SPEC))
    return "a.json"


def test_commands_and_stages() -> None:
    assert completed("va") == ["validate"]
    assert completed("stages", "filters.s") == ["filters.spd"]
    found, ours = completed("stages", "readers."), [f"readers.{one}" for one in ("e57", "las", "pcd", "ply", "text")]
    assert [name for name in found if name in ours] == ours
    assert all(name.startswith("readers.") for name in found), "those of packages that are installed, too"
    assert completed("--options", "filters.re") == ["filters.restore"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("run", ""), "file"),
        (("run", "--report", ""), "dir"),
        (("denoise", "a.laz", ""), "file"),
        (("info", ""), "file"),
        (("batch", "a.json", ""), "file"),
        (("batch", "--out", ""), "dir"),
        (("view", ""), "file"),
        (("train", ""), "file"),
        (("weights", "show", ""), "file"),
        (("evaluate", "a.ply", ""), "file"),
        (("convert-pdal", ""), "file"),
    ],
)
def test_files_and_folders(words: tuple[str, ...], kind: str) -> None:
    assert kinds(*words) == [kind]


def test_options_of_the_stages_of_the_spec(spec: str) -> None:
    assert completed("run", spec, "--filters.spd.no") == ["--filters.spd.noise", "--filters.spd.normals"]
    assert completed("validate", spec, "--filters.outlier.mu") == ["--filters.outlier.multiplier"]
    assert completed("run", spec, "--filters.restore.") == [], "is not in the spec"
    assert "--filters.outlier.mean_k" in completed("batch", spec, "tiles", "--fil")
    assert completed("run", spec, "--re") == ["--report"]


def test_tags_of_the_spec(spec: str) -> None:
    found = completed("run", spec, "--stage.")
    assert found == [f"--stage.fine.{name}" for name in Spd.model_fields if name not in ("tag", "user_data")]
    assert completed("run", spec, "--stage.fine.streng") == ["--stage.fine.strength"]


def test_without_a_spec_that_can_be_read_all_stages(spec: str) -> None:
    Path(spec).write_text("{")
    assert completed("run", spec, "--filters.restore.") == ["--filters.restore.remove"]
    assert completed("run", "--filters.restore.") == ["--filters.restore.remove"]
    assert completed("run", spec, "--stage.") == []


def test_a_value_is_nothing_to_be_completed_and_no_error(spec: str) -> None:
    assert kinds("run", spec, "--filters.spd.noise", "0.") == []


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("pipeline") is None, reason="needs bash and pipeline")
def test_bash_itself(spec: str) -> None:
    script = (
        'eval "$(_PIPELINE_COMPLETE=bash_source pipeline)"; COMP_WORDS=(pipeline stages filters.s); COMP_CWORD=2; '
        '_pipeline_completion pipeline; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["filters.spd"], done.stderr
