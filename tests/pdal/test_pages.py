"""What the tutorial says of PDAL is so: its pipelines run, its Python runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import doc_pages
import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.pipeline import run
from deburr.plugins.pdal.preset import script
from deburr.writers.las import LasWriter

PAGE = "tutorials/pdal.md"


def blocks(language: str, word: str) -> list[str]:
    return [block.text for block in doc_pages.blocks(PAGE, language) if word in block.text]


def test_every_block_is_run_here() -> None:
    of_pdal = [block for page in doc_pages.pages() for block in doc_pages.blocks(doc_pages.name(page)) if block.of_pdal]
    assert len(of_pdal) == 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with noisy.laz in it, a slope of 2,000 points."""
    random = np.random.default_rng(0)
    plan = random.uniform(0, 30, (2000, 2))
    slope = np.column_stack([plan, 0.1 * plan[:, 0]]) + random.normal(0, 0.03, (2000, 3)) + [500_000, 5_400_000, 300]
    dims = {"Classification": np.ones(2000, np.uint8), "NumberOfReturns": np.ones(2000, np.uint8)}
    LasWriter(filename=str(tmp_path / "noisy.laz")).write(
        PointCloud(slope, dims | {"ReturnNumber": np.ones(2000, np.uint8)})
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def off_slope(cloud: PointCloud) -> float:
    return float(np.abs(cloud.xyz[:, 2] - 300 - 0.1 * (cloud.xyz[:, 0] - 500_000)).mean())


def test_the_pipeline_for_pdal_runs(folder: Path, run_pdal: Callable[..., Any]) -> None:
    (block,) = blocks("json", "filters.python")
    stages = json.loads(block)
    assert stages[2]["script"].endswith("/pdal_filter.py")
    stages[2]["script"] = str(script())
    run_pdal(stages)
    noisy, clean = run(["noisy.laz"]).cloud, run(["clean.laz"]).cloud
    assert len(clean) == len(noisy)
    assert off_slope(clean) < 0.5 * off_slope(noisy)
    moved = np.linalg.norm(clean.xyz - noisy.xyz, axis=1)
    np.testing.assert_allclose(clean.dims["Displacement"], moved, atol=0.01)


def test_the_pipeline_with_pdal_s_stages_runs(folder: Path) -> None:
    (block,) = (block for block in blocks("json", "filters.smrf") if "filters.python" not in block)
    result = run(json.loads(block))
    assert (folder / "dtm.tif").stat().st_size > 0
    assert result.report["outputs"] == ["dtm.tif"]
    assert off_slope(result.cloud) < 0.5 * off_slope(run(["noisy.laz"]).cloud)


def test_the_snippet_between_two_pipelines_runs(folder: Path) -> None:
    import pdal

    (snippet,) = blocks("python", "denoise_array")
    pipeline = pdal.Pipeline(json.dumps(["noisy.laz"]))
    pipeline.execute()
    names: dict[str, Any] = {"pipeline": pipeline}
    exec(compile(snippet, PAGE, "exec"), names)
    written = pdal.Pipeline(
        json.dumps([{"type": "filters.sort", "dimension": "Displacement"}]), arrays=[names["clean"]]
    )
    assert written.execute() == 2000
    assert np.diff(written.arrays[0]["Displacement"]).min() >= 0
