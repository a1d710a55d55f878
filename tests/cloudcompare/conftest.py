"""Real CloudCompare, for the tests in this folder. `make test-cloudcompare` brings it; without it they are left out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

PROGRAM = shutil.which("CloudCompare")
ABSENT = PROGRAM is None and os.environ.get("DEBURR_REQUIRE_CLOUDCOMPARE", "") != "1"
collect_ignore_glob = ["test_*.py"] if ABSENT else []

#: Opens a file (OBJ: a mesh), does what is asked, and saves it as the other file, PLY or text by its extension.
CloudCompare = Callable[..., None]
FORMATS = {
    ".ply": ["PLY", "-PLY_EXPORT_FMT", "BINARY_LE"],
    ".asc": ["ASC", "-SEP", "COMMA", "-PREC", "9", "-ADD_HEADER"],
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that nothing of this folder was run, if so."""
    if ABSENT:
        terminalreporter.write_line(
            "tests/cloudcompare: left out, CloudCompare is not installed; 'make test-cloudcompare' brings it"
        )


@pytest.fixture
def cloudcompare(tmp_path: Path) -> CloudCompare:
    """`cloudcompare(source, target, *actions)`; ``loading``: options for opening the source."""

    def convert(source: Path, target: Path, *actions: str, loading: Sequence[str] = ()) -> None:
        assert PROGRAM is not None
        command = [PROGRAM, "-SILENT", "-AUTO_SAVE", "OFF", "-O", *loading, str(source), *actions, "-NO_TIMESTAMP"]
        kind, save = ("-M_EXPORT_FMT", "-SAVE_MESHES") if source.suffix == ".obj" else ("-C_EXPORT_FMT", "-SAVE_CLOUDS")
        command += [kind, *FORMATS[target.suffix], save, "FILE", str(target)]
        environment = {
            **os.environ,
            "QT_QPA_PLATFORM": "offscreen",
            "HOME": str(tmp_path),
            "XDG_RUNTIME_DIR": str(tmp_path),
        }
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert target.is_file(), done.stdout + done.stderr

    return convert
