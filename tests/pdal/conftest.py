"""Real PDAL, for the tests in this folder. `make test-pdal` brings it; without it they are left out, and it is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REQUIRED = os.environ.get("DEBURR_REQUIRE_PDAL", "") == "1"

#: Runs a list of stages with the command `pdal pipeline`.
RunPdal = Callable[..., "subprocess.CompletedProcess[str]"]


# Tests of this folder need PDAL's command, filters.python and bindings.
ABSENT = not REQUIRED and not (shutil.which("pdal") and "PDAL_DRIVER_PATH" in os.environ)
collect_ignore_glob = ["test_*.py"] if ABSENT else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that nothing of this folder was run, if so."""
    if ABSENT:
        terminalreporter.write_line("tests/pdal: left out, there is no real PDAL here; 'make test-pdal' brings it")


@pytest.fixture
def run_pdal(tmp_path: Path) -> RunPdal:
    """`run_pdal(stages, *arguments)`: the finished `pdal pipeline`, stdout and stderr as text; fails only if ``fails``
    says otherwise."""

    def run(stages: list[Any], *arguments: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        spec = tmp_path / "pipeline.json"
        spec.write_text(json.dumps(stages))
        command = ["pdal", "pipeline", str(spec), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert (done.returncode != 0) == fails, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run
