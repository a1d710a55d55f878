"""The site as `make docs` builds it; without Sphinx and the built site the tests of this folder are left out."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
from doc_pages import ROOT

SITE = ROOT / "build" / "docs" / "html"
REQUIRED = os.environ.get("DEBURR_REQUIRE_DOCS", "") == "1"
ABSENT = not REQUIRED and (find_spec("nbclient") is None or not (SITE / "index.html").is_file())
collect_ignore_glob = ["test_*.py"] if ABSENT else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that nothing of this folder was run, if so."""
    if ABSENT:
        terminalreporter.write_line("tests/docs: left out, there is no Sphinx or no site here; 'make docs' brings both")
