"""QGIS as a user has it who put the plugin in: its command, and scripts of tests/qgis in its Python."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("qgis_process.bin")
DEBURR = f"{shlex.quote(sys.executable)} -m deburr"
#: The Python for which Debian has PyQGIS.
_PYTHON = "/usr/bin/python3"
_SCRIPTS = Path(__file__).parent.parent / "qgis"


class Qgis:
    """QGIS for one user, whose home holds the plugin and nothing else."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.profile = home / ".local" / "share" / "QGIS" / "QGIS3" / "profiles" / "default"
        self.environment = {
            "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "offscreen", "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8", "DEBURR_COMMAND": DEBURR, "PYTHONPATH": str(self.profile / "python" / "plugins"),
            "PYTHONWARNINGS": "ignore", "DEBURR_THREADS": os.environ.get("DEBURR_THREADS", ""),
        }  # fmt: skip

    def process(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`qgis_process`."""
        assert PROGRAM is not None
        environment = {**self.environment, **variables}
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=environment, timeout=600)

    def run(self, algorithm: str, **parameters: object) -> dict[str, Any]:
        """The results of an algorithm that ends well."""
        done = self.process("--json", "run", f"deburr:{algorithm}", *_given(parameters))
        assert done.returncode == 0, done.stdout + done.stderr
        results = json.loads(done.stdout)["results"]
        assert isinstance(results, dict)
        return results

    def fails(self, algorithm: str, variables: dict[str, str] | None = None, **parameters: object) -> str:
        """What is said by one that does not."""
        done = self.process("run", f"deburr:{algorithm}", *_given(parameters), **variables or {})
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def python(self, script: str, *words: object, before: Sequence[str] = (), **variables: str) -> str:
        """What a script of this folder prints that uses PyQGIS."""
        path = _SCRIPTS / script
        done = subprocess.run(
            [*before, _PYTHON, str(path), *map(str, words)],
            capture_output=True, text=True, env={**self.environment, **variables}, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _given(parameters: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in parameters.items()]
