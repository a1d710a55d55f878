"""What is read is never overwritten: specs, lists of inputs, weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.core.errors import SpecError
from deburr.pipeline import run
from deburr.pipeline.apart import check_apart

Cli = Callable[..., Result]
Save = Callable[[str, Floats], Path]
NOISE = {"type": "filters.noise", "sigma": 0.01}


@pytest.fixture
def kept(tmp_path: Path, save: Save, hill: Floats) -> Any:
    """Hold the bytes of all files there are now against those that are there in the end."""
    (tmp_path / "in").mkdir()
    save("in/a.laz", hill)
    (tmp_path / "report.json").write_text(json.dumps([NOISE]))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    yield
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.usefixtures("kept")
def test_a_spec_that_is_called_as_the_report(cli: Cli, tmp_path: Path) -> None:
    os.link(tmp_path / "report.json", tmp_path / "hard.json")
    (tmp_path / "out").mkdir()
    for words in (
        ("batch", "report.json", "in", "--out", "."),
        ("batch", "hard.json", "in", "--out", tmp_path, "--dry-run"),
        ("run", "report.json", "--input", "in/a.laz", "--report", "."),
        ("run", "report.json", "--input", "in/a.laz", "--report", ".", "--memory", "1GB"),
    ):
        done = cli(*words)
        assert done.exit_code == 2, done.stderr
        assert "report.json is the spec" in done.stderr or "hard.json is the spec" in done.stderr
        assert "choose another folder or name" in done.stderr
    done = cli("validate", "report.json", "--input", "in/a.laz", "--report", "out/..")
    assert done.exit_code == 2
    assert "is the spec" in json.loads(done.stdout)["error_detail"][0]
    with pytest.raises(SpecError, match="is the spec"):
        run("report.json", input="in/a.laz", output="b.laz", report_dir=".")


def test_an_output_that_is_the_spec(cli: Cli, tmp_path: Path, save: Save, hill: Floats) -> None:
    save("a.laz", hill)
    text = json.dumps(["a.laz", {"type": "writers.las", "filename": "spec.json"}])
    (tmp_path / "spec.json").write_text(text)
    done = cli("run", "spec.json")
    assert (done.exit_code, (tmp_path / "spec.json").read_text()) == (2, text)
    assert "spec.json is the spec" in done.stderr


def test_a_list_of_inputs_that_is_called_as_the_one_of_outputs(
    cli: Cli, tmp_path: Path, save: Save, hill: Floats
) -> None:
    save("a.laz", hill)
    (tmp_path / "spec.json").write_text(json.dumps([NOISE]))
    assert cli("batch", "spec.json", "a.laz", "--out", "x", "--vpc").exit_code == 0
    before = (tmp_path / "x" / "x.vpc").read_bytes()
    done = cli("batch", "spec.json", "x/x.vpc", "--out", "x", "--vpc", "--name", "again_{stem}")
    assert done.exit_code == 2, done.stderr
    assert "x.vpc is the list of inputs" in done.stderr
    assert (tmp_path / "x" / "x.vpc").read_bytes() == before
    assert cli("batch", "spec.json", "x/x.vpc", "--out", "x", "--name", "again_{stem}").exit_code == 0
    assert (tmp_path / "x" / "x.vpc").read_bytes() == before


def test_what_is_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    check_apart({tmp_path / "a": "the spec"}, [tmp_path / "b", tmp_path / "none" / "a"])
    check_apart({}, [tmp_path / "a"])
    with pytest.raises(SpecError, match="a is the spec"):
        check_apart({tmp_path / "a": "the spec", tmp_path / "gone": "an input"}, [tmp_path / "none" / ".." / "a"])
    with pytest.raises(SpecError, match="gone is an input"):
        check_apart({tmp_path / "gone": "an input"}, [tmp_path / "gone"])
