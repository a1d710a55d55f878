"""What a denoiser is worth where the truth is known: distances by hand, names of truths, tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.core.errors import RunError, SpecError
from deburr.filters.noise import Noise
from deburr.train.evaluate import Row, as_csv, as_text, evaluate, mean, pairs

Cli = Callable[..., Result]
Save = Callable[..., Path]


@pytest.fixture
def grid() -> Floats:
    """(400, 3): a flat lattice, one unit apart."""
    u, v = np.divmod(np.arange(400), 20)
    return np.column_stack([u, v, np.zeros(400)]).astype(float)


def test_distances_by_hand(grid: Floats, save: Save) -> None:
    """Every point 0.1 above its place, and nothing is denoised: all distances are 0.1, and their sums."""
    truth, noisy = save("truth.ply", grid), save("noisy.ply", grid + np.array([0, 0, 0.1]))
    (row,) = evaluate(truth, [noisy], Noise(kind="gaussian", sigma=1e-12, seed=0))
    assert row.points == 400
    expected = {"to_truth": 0.1, "chamfer": 0.2, "chamfer_squared": 0.02, "hausdorff": 0.1}
    assert row.before == pytest.approx(expected)
    assert row.after == pytest.approx(expected, rel=1e-6)


def test_the_truth_is_found_by_its_name(tmp_path: Path) -> None:
    for name in ("cube.obj", "cube_b.stl", "a.b.xyz", "notes.doc"):
        (tmp_path / name).touch()
    noisy = [Path("x/cube_0.01.xyz"), Path("x/cube_b_2.ply"), Path("a.b-3.las"), Path("cube.laz")]
    found = [truth.name for _, truth in pairs(tmp_path, noisy)]
    assert found == ["cube.obj", "cube_b.stl", "a.b.xyz", "cube.obj"]
    with pytest.raises(SpecError, match=r"cubes_1\.xyz: has no truth in"):
        pairs(tmp_path, [Path("cubes_1.xyz")])
    with pytest.raises(SpecError, match=r"notes_1\.xyz"):
        pairs(tmp_path, [Path("notes_1.xyz")])
    with pytest.raises(SpecError, match="does not exist"):
        pairs(tmp_path / "none", noisy)


def test_the_mean_is_of_clouds() -> None:
    names = ("to_truth", "chamfer", "chamfer_squared", "hausdorff")
    rows = [Row(f"{n}.ply", n, dict.fromkeys(names, float(n)), dict.fromkeys(names, n / 4)) for n in (1, 3)]
    assert mean(rows).before == dict.fromkeys(names, 2.0)
    assert mean(rows).after == dict.fromkeys(names, 0.5)
    text = as_text(rows).splitlines()
    assert [line.split()[0] for line in text] == ["file", "1.ply", "3.ply", "mean"]
    assert "2 -> 0.5 (25 %)" in text[-1]
    (first, _) = csv.DictReader(as_csv(rows).splitlines())
    assert (first["file"], first["chamfer_before"], first["hausdorff_after"]) == ("1.ply", "1.0", "0.25")


def test_as_a_command(grid: Floats, save: Save, cli: Cli, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "clean").mkdir()
    (tmp_path / "noisy").mkdir()
    save("clean/sheet.ply", grid)
    for level in (0.05, 0.1):
        save(f"noisy/sheet_{level}.ply", grid + random.normal(0, level, grid.shape))
    done = cli("evaluate", "clean", "noisy", "--noise", "0.1", "--csv", "t.csv")
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["sheet_0.05.ply", "sheet_0.1.ply"]
    assert float(rows[1]["to_truth_after"]) < float(rows[1]["to_truth_before"])
    assert done.stdout.splitlines()[-1].startswith("mean")


def test_what_is_wrong_is_said(grid: Floats, save: Save, cli: Cli) -> None:
    save("a.ply", grid)
    done = cli("evaluate", "a.ply", "a.ply", "--model", "sdp")
    assert (done.exit_code, "spd" in done.stderr) == (2, True)
    assert cli("evaluate", "b.ply", "a.ply").exit_code == 2
    with pytest.raises(RunError, match="no points that could be measured"):
        evaluate(Path("a.ply"), [save("none.ply", np.zeros((0, 3)))], Noise(kind="gaussian", sigma=1.0))
