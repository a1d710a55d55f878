"""Batches of files: no seams, nothing lost, outputs as asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from villages import read, village, write

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.pipeline import run

Cli = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, Floats, list[Floats]]:
    """Three files of one cloud in ``in/``, cut in plan; the merged points; the points of each."""
    xyz = village()
    place = xyz[:, 0] - 85_000
    parts = [xyz[place < 7], xyz[(place >= 7) & (place < 15)], xyz[place >= 15]]
    (tmp_path / "in").mkdir()
    for name, part in zip(("a", "b", "c"), parts, strict=True):
        write(tmp_path / "in" / f"{name}.laz", part)
    (tmp_path / "d.json").write_text('["filters.spd"]')
    return tmp_path, np.concatenate(parts), parts


def whole(tmp_path: Path, spec: Any, xyz: Floats) -> PointCloud:
    write(tmp_path / "whole.laz", xyz)
    return run(spec, input=tmp_path / "whole.laz", output=tmp_path / "whole_out.laz").cloud


def check_same(outputs: list[Path], expected: PointCloud) -> None:
    found = [read(path) for path in outputs]
    xyz = np.concatenate([cloud.xyz for cloud in found])
    assert xyz.shape == expected.xyz.shape
    assert np.abs(xyz - expected.xyz).max() <= 0.0011  # written in whole millimetres
    assert np.mean(np.abs(xyz - np.round(expected.xyz, 3)) < 1e-6) > 0.999
    classes = np.concatenate([cloud.dims["Classification"] for cloud in found])
    assert (classes == expected.dims["Classification"]).all()


@pytest.mark.parametrize(
    "extra", [(), ("--tile", "5"), ("--workers", "2")], ids=["files", "tiles of 5 m", "two workers"]
)
def test_a_folder_is_cleaned_as_one_cloud(cli: Cli, folder: Any, extra: tuple[str, ...]) -> None:
    tmp_path, xyz, parts = folder
    result = cli("batch", "d.json", "in", "--out", "out", *extra)
    assert result.exit_code == 0, result.stderr
    outputs = [tmp_path / "out" / f"{name}.laz" for name in "abc"]
    assert result.stdout.split() == [f"out/{name}.laz" for name in "abc"]
    check_same(outputs, whole(tmp_path, ["filters.spd"], xyz))
    for path, part in zip(outputs, parts, strict=True):
        assert (read(path).dims["Intensity"] == np.arange(len(part))).all()
    assert not (tmp_path / "out" / ".deburr").exists()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["totals"]["points"] == len(xyz)
    assert report["stages"][0]["figures"]["points"] == len(xyz)
