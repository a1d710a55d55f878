"""Small clouds on disk, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud


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
