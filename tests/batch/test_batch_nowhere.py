"""Points without coordinates, as cameras make of pixels without depth, go through a batch as they go through a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.pipeline import run
from deburr.readers.las import LasReader
from deburr.readers.ply import Ply
from deburr.tiles import memory
from deburr.writers.las import LasWriter
from deburr.writers.ply import Ply as Writer

Cli = Callable[..., Result]

#: Stages that survey, look around, move points and make columns.
SPEC: list[Any] = [
    {"type": "filters.outlier", "method": "statistical"},
    {"type": "filters.spd", "keep_original": True, "dimensions": ["NoiseLevel", "Displacement"]},
    "filters.metrics",
]


def frame(low: float, seed: int) -> tuple[Floats, dict[str, Any]]:
    """A depth camera's frame, 60 x 50 pixels row by row, every seventh without depth; the last rows all so."""
    random = np.random.default_rng(seed)
    v, u = np.divmod(np.arange(3000), 60)
    xyz = np.column_stack([low + u / 10, v / 10, np.sin(u / 9) + random.normal(0, 0.02, 3000)])
    xyz[(np.arange(3000) % 7 == 3) | (v > 46)] = [np.nan, np.nan, np.inf]
    return xyz, {"Red": random.integers(0, 255, 3000).astype(np.uint8), "Pixel": np.arange(3000, dtype=np.int32)}


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder with ``in/`` of two frames side by side."""
    (tmp_path / "in").mkdir()
    for name, low in (("a", 0.0), ("b", 6.0)):
        Writer(filename=str(tmp_path / "in" / f"{name}.ply")).write(PointCloud(*frame(low, ord(name))))
    (tmp_path / "d.json").write_text(json.dumps(SPEC))
    return tmp_path


def batch(cli: Cli, *more: str) -> dict[str, Any]:
    result = cli("batch", "d.json", "in", "--out", "out", *more)
    assert result.exit_code == 0, result.stderr
    assert "no points have coordinates" not in result.stderr
    return dict(json.loads(Path("out/report.json").read_text()))


def same(found: PointCloud, expected: PointCloud) -> None:
    assert np.array_equal(found.located, expected.located)
    assert np.allclose(found.xyz[found.located], expected.xyz[expected.located], rtol=0, atol=1e-5)
    assert np.array_equal(found.xyz[~found.located], expected.xyz[~expected.located], equal_nan=True)
    assert list(found.dims) == list(expected.dims)
    for name, column in expected.dims.items():
        lost = ~expected.located
        assert np.array_equal(found.dims[name][lost], column[lost], equal_nan=True), name
        assert np.allclose(found.dims[name], column, rtol=1e-4, atol=1e-5, equal_nan=True), name


@pytest.mark.parametrize("tile", ["100", "2.3"])
def test_a_frame_is_cleaned_as_in_one_piece(frames: Path, cli: Cli, tile: str) -> None:
    """Of one tile and of many: every point in its row, those without coordinates as they were."""
    (frames / "in" / "b.ply").unlink()
    report = batch(cli, "--tile", tile)
    run(SPEC, input=frames / "in" / "a.ply", output=frames / "alone.ply")
    found = Ply(filename=str(frames / "out" / "a.ply")).read()
    same(found, Ply(filename=str(frames / "alone.ply")).read())
    assert (found.dims["Pixel"] == np.arange(3000)).all()
    assert found.located.sum() == 2417
    assert report["totals"]["points"] == 3000


def test_what_is_told_of_a_batch_is_what_is_told_of_a_run(frames: Path, cli: Cli) -> None:
    """The figures of a frame in tiles are those of the whole."""
    (frames / "in" / "b.ply").unlink()
    report = batch(cli, "--tile", "2.3")
    alone = run(SPEC, input=frames / "in" / "a.ply", output=frames / "alone.ply").report
    told = {stage["type"]: stage["figures"] for stage in alone["stages"]}
    for stage in report["stages"]:
        for name, value in stage["figures"].items():
            if isinstance(value, int | float) and name in told[stage["type"]]:
                assert value == pytest.approx(told[stage["type"]][name], rel=1e-3, abs=1e-5), name


def test_a_new_cut_gives_every_point_once(frames: Path, cli: Cli) -> None:
    """With --retile a point without coordinates goes where its file begins."""
    batch(cli, "--retile", "4", "--name", "t_{x}_{y}.ply")
    found = [Ply(filename=str(path)).read() for path in sorted((frames / "out").glob("t_*.ply"))]
    assert sum(map(len, found)) == 6000
    assert sum(int((~cloud.located).sum()) for cloud in found) == sum(
        int(np.isnan(frame(low, seed)[0][:, 0]).sum()) for low, seed in ((0.0, 97), (6.0, 98))
    )


def test_within_little_memory_as_well(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not fit into memory keeps every row."""
    monkeypatch.setattr(memory, "_FEWEST", 500)
    source, little = frames / "in" / "a.ply", memory.BASE + memory.PER_POINT * 1000
    done = run(SPEC, input=source, output=frames / "small.ply", memory=little)
    assert done.report["kind"] == "batch"
    run(SPEC, input=source, output=frames / "alone.ply")
    same(*(Ply(filename=str(frames / name)).read() for name in ("small.ply", "alone.ply")))


def test_a_file_that_lies_nowhere_is_named(frames: Path, cli: Cli) -> None:
    """A file without a single place fails alone."""
    Writer(filename=str(frames / "in" / "c.ply")).write(PointCloud(np.full((20, 3), np.nan)))
    result = cli("batch", "d.json", "in", "--out", "out")
    assert result.exit_code == 1
    assert "c.ply: none of its points has coordinates; leave the file out" in " ".join(result.stderr.split())
    assert sorted(path.name for path in (frames / "out").glob("*.ply")) == ["a.ply", "b.ply"]


def test_a_format_without_a_word_for_it_leaves_them_out_and_says_so(frames: Path, cli: Cli) -> None:
    """In one piece and in tiles, of a frame and of one that lies nowhere."""
    alone = run(SPEC, input=frames / "in" / "a.ply", output=frames / "a.las").report["stages"][-1]
    assert [said for said in alone["warnings"] if "583 points without coordinates; left out" in said]
    assert alone["figures"]["points"] == 2417
    (frames / "in" / "b.ply").unlink()
    report = batch(cli, "--tile", "2.3", "--name", "{stem}.las")
    assert [said for said in report["warnings"] if "583 points without coordinates; left out" in said]
    found, expected = (LasReader(filename=str(path)).read() for path in (frames / "out" / "a.las", frames / "a.las"))
    assert found.dims["Pixel"].tolist() == expected.dims["Pixel"].tolist()
    assert np.allclose(found.xyz, expected.xyz, rtol=0, atol=1e-5)
    LasWriter(filename=str(frames / "c.laz")).write(PointCloud(np.full((20, 3), np.nan)))
    assert not len(LasReader(filename=str(frames / "c.laz")).read())
