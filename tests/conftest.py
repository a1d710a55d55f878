"""Fixtures that all tests share; and the rule that where the real data must be, no test may do without it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.nn.deburr import kernels
from deburr.pipeline import report_schema

# A shell starts what it puts into the background with interrupts ignored (nohup: hangups), and every process that a
# test starts would inherit that; some tests interrupt theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _signal in ("SIGQUIT", "SIGHUP"):
    if hasattr(signal, _signal) and signal.getsignal(getattr(signal, _signal)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _signal), signal.SIG_DFL)

DATA = Path(os.environ.get("DEBURR_DATA", Path(__file__).parent.parent.parent / "shared"))
_REPORTS = Draft202012Validator(report_schema.schema())
REQUIRED = os.environ.get("DEBURR_REQUIRE_DATA", "") == "1"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real clouds and reference outputs; tests that need it skip, with the reason, where it is absent."""
    if not (DATA / "data").is_dir():
        pytest.skip(f"needs the real data: set DEBURR_DATA to its folder (looked in {DATA})")
    return DATA


@pytest.fixture(scope="module", autouse=True)
def _kernels(request: pytest.FixtureRequest) -> Generator[None]:
    """Where sameness is tested, small clouds are computed by the kernels too; elsewhere their size decides, as in the
    commands that tests start. A module's own clouds are computed as its tests compute."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name in ("nn", "tiles") or request.path.stem.endswith(("_seams", "_contract")):
            patch.setattr(kernels, "FEWEST", 0)
        yield


@pytest.fixture(autouse=True)
def _reports_are_as_published(request: pytest.FixtureRequest) -> Generator[None]:
    """Whatever report a test leaves in its folder is as the published schema has it."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for path in () if folder is None else folder.rglob("report.json"):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue  # a test's own, or one that it damaged
        if isinstance(found, dict) and "kind" in found:
            _REPORTS.validate(found)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With DEBURR_REQUIRE_DATA=1 a test that takes ``data_dir`` and skips, for whatever reason, has failed; but for one
    that is marked ``lacks_program`` and skips in its own body, which it enters with the data at hand."""
    report = yield
    needs_data = "data_dir" in getattr(item, "fixturenames", ())
    program = call.when == "call" and item.get_closest_marker("lacks_program") is not None
    if REQUIRED and needs_data and report.skipped and not program and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but DEBURR_REQUIRE_DATA=1 says that the real data is there: {report.longrepr}"
    return report


@pytest.fixture
def hill() -> Floats:
    """(600, 3) float64: a noisy wavy surface far from the origin."""
    random = np.random.default_rng(3)
    plan = random.uniform(0, 10, (600, 2))
    z = np.sin(plan[:, 0]) + random.normal(0, 0.05, 600)
    return np.column_stack([plan, z]) + np.array([500_000.0, 5_400_000.0, 100.0])


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``cli("run", "a.json")`` in an empty folder; the result has exit_code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path) -> Result:
        from deburr.cli.main import cli as group

        return CliRunner().invoke(group, [str(word) for word in words], prog_name="pipeline")

    return call


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, Sequence[Sequence[float]] | Floats], Path]:
    """``save("a.laz", points)`` writes a cloud below the test's folder."""

    def write(name: str, points: Sequence[Sequence[float]] | Floats) -> Path:
        from deburr.core.registry import stage_class
        from deburr.core.stage import Writer

        path = tmp_path / name
        kind = "writers.ply" if name.endswith(".ply") else "writers.las"
        writer = stage_class(kind).model_validate({"filename": str(path)})
        assert isinstance(writer, Writer)
        writer.write(PointCloud(np.asarray(points, dtype=np.float64).reshape(-1, 3)))
        return path

    return write
