"""What an import costs, and that the package imports whole."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import deburr

HEAVY = ("torch", "igl", "laspy", "matplotlib", "scipy", "numpy", "pydantic", "rich")


def _loaded(code: str) -> set[str]:
    script = f"{code}\nimport sys, json\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_command_line_imports_nothing_heavy() -> None:
    assert _loaded("import deburr.cli.main") == set()


def test_help_imports_nothing_heavy() -> None:
    code = "from deburr.cli.main import cli\ntry: cli(['--help'])\nexcept SystemExit: pass"
    assert _loaded(code) == set()


@pytest.mark.parametrize("module", ["deburr.pipeline.plan", "deburr.pipeline.execute", "deburr.pipeline.describe"])
def test_planning_loads_no_network_and_no_format(module: str) -> None:
    assert _loaded(f"import {module}") & {"torch", "igl", "laspy", "matplotlib"} == set()


def test_checking_a_pipeline_loads_no_network_and_no_mesh() -> None:
    code = "from deburr.pipeline import load\nload(['a.ply', 'filters.spd', 'b.ply'])"
    assert _loaded(code) & {"torch", "igl", "laspy", "matplotlib"} == set()


def test_one_command_under_three_names() -> None:
    commands = [
        [sys.executable, "-m", "deburr"],
        *([str(Path(sys.executable).with_name(n))] for n in ("deburr", "pipeline")),
    ]
    said = [subprocess.run([*words, "--version"], capture_output=True, text=True, check=True) for words in commands]
    assert {done.stdout for done in said} == {f"pipeline, version {version('deburr')}\n"}
    assert deburr.__version__ == version("deburr")
    assert "Usage: deburr [OPTIONS]" in subprocess.run([*commands[1], "-h"], capture_output=True, text=True).stdout
