"""Real QGIS with the plugin in a fresh profile, for `make test-qgis`: minutes. Other runs look at the zip alone."""

from __future__ import annotations

import os
from zipfile import ZipFile

import pytest
from real_qgis import Qgis

from deburr.plugins import qgis_zip

ASKED = os.environ.get("DEBURR_REQUIRE_QGIS", "") == "1"
collect_ignore_glob = [] if ASKED else ["test_algorithms.py", "test_dialog.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that the plugin was not run, if so."""
    if not ASKED:
        terminalreporter.write_line("tests/qgis: only the zip was looked at; 'make test-qgis' runs it in QGIS")


@pytest.fixture(scope="session")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> Qgis:
    """QGIS into which the zip was put, in a fresh profile."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    packed = home / "plugin.zip"
    qgis_zip.write(packed)
    found = Qgis(home)
    with ZipFile(packed) as file:
        file.extractall(found.profile / "python" / "plugins")
    done = found.process("plugins", "enable", qgis_zip.NAME)
    assert f"* {qgis_zip.NAME}" in found.process("plugins").stdout, done.stdout + done.stderr
    return found
