"""Real PDAL, for the tests in this folder: `make test-pdal` brings it; without it they skip, and say so."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder need PDAL's command, filters.python and bindings."""
    missing = pytest.mark.skip(reason="needs real PDAL: make test-pdal")
    if REQUIRED or (shutil.which("pdal") and "PDAL_DRIVER_PATH" in os.environ):
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(missing)


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
