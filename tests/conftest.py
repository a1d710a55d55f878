"""Fixtures that all tests share; and the rule that where the real data must be, no test may do without it."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# Tests are imported by path; these tools are theirs to import by name.
for _tool in ("tiling.py", "fake_pdal.py", "pdal/agreement.py"):
    _path = Path(__file__).parent / _tool
    _spec = importlib.util.spec_from_file_location(_path.stem, _path)
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_path.stem])

# A shell starts what it puts into the background with interrupts ignored, and every process that a test starts would
# inherit that; some tests interrupt theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(os.environ.get("DEBURR_DATA", Path(__file__).parent.parent.parent / "shared"))
REQUIRED = os.environ.get("DEBURR_REQUIRE_DATA", "") == "1"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real clouds and reference outputs; tests that need it skip, with the reason, where it is absent."""
    if not (DATA / "data").is_dir():
        pytest.skip(f"needs the real data: set DEBURR_DATA to its folder (looked in {DATA})")
    return DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With DEBURR_REQUIRE_DATA=1 a test that takes ``data_dir`` and skips, for whatever reason, has failed."""
    report = yield
    needs_data = "data_dir" in getattr(item, "fixturenames", ())
    if REQUIRED and needs_data and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but DEBURR_REQUIRE_DATA=1 says that the real data is there: {report.longrepr}"
    return report
