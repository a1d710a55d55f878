"""Batches of files that are clouds of their own: each is treated as if it were alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.pipeline import run

Cli = Callable[..., Result]

#: Looks at the whole cloud first, at a halo then, and moves points.
SPEC = ["filters.outlier", {"type": "filters.spd", "keep_original": True}]


def plate(count: int, noise: float, seed: int) -> Floats:
    """(N, 3): a bent plate of 10 x 10 about the origin, as all objects on a turntable are."""
    random = np.random.default_rng(seed)
    plan = random.uniform(-5, 5, (count, 2))
    z = 0.3 * np.sin(plan[:, 0] + seed) + random.normal(0, noise, count)
    return np.column_stack((plan, z))


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """A folder with ``in/`` of three scans in one place, of other densities and noise."""
    (tmp_path / "in").mkdir()
    for name, count, noise in (("a", 2500, 0.02), ("b", 900, 0.1), ("c", 1600, 0.05)):
        run([str(tmp_path / "in" / f"{name}.las")], points=plate(count, noise, ord(name)))
    (tmp_path / "d.json").write_text(json.dumps(SPEC))
    return tmp_path


def check_as_if_alone(folder: Path, names: Sequence[str] = "abc") -> None:
    """The outputs are as `run` leaves them, file by file."""
    for name in names:
        alone = folder / f"{name}-alone.las"
        run(SPEC, input=folder / "in" / f"{name}.las", output=alone)
        found, expected = (path.read_bytes() for path in (folder / "out" / f"{name}.las", alone))
        assert found[:90] + found[94:] == expected[:90] + expected[94:], name


def ran(cli: Cli, *more: str, code: int = 0) -> Result:
    result = cli("batch", "d.json", "in", "--out", "out", "--independent", *more)
    assert result.exit_code == code, result.stderr
    return result


def test_each_file_is_cleaned_as_if_it_were_alone(objects: Path, cli: Cli) -> None:
    result = ran(cli, "--workers", "2")
    assert result.stdout.split() == [f"out/{name}.las" for name in "abc"]
    assert "overlap" not in result.stderr
    check_as_if_alone(objects)
    together = cli("batch", "d.json", "in", "--out", "together")
    assert "--independent" in together.stderr
    for name in "abc":
        assert (objects / "together" / f"{name}.las").read_bytes() != (objects / "out" / f"{name}.las").read_bytes()


def test_what_is_told_is_of_all_files(objects: Path, cli: Cli) -> None:
    ran(cli)
    out = objects / "out"
    # Maps would show all of them in one place.
    assert {path.name for path in out.iterdir()} == {
        "a.las", "b.las", "c.las", "ledger.jsonl", "report.html", "report.json", "tiles.csv"
    }  # fmt: skip
    with open(out / "tiles.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["points"] for row in rows[:3]] == ["2500", "900", "1600"]
    told = json.loads((out / "report.json").read_text())["stages"][1]["figures"]
    each = [
        run(SPEC, input=objects / "in" / f"{name}.las", output=objects / "x.las").report["stages"][2]["figures"]
        for name in "abc"
    ]
    assert told["points"] == sum(one["points"] for one in each)
    assert "spacing" in each[0]
    # One figure cannot tell of three.
    assert "spacing" not in told


@pytest.mark.slow
def test_each_file_is_cut_on_its_own(objects: Path, cli: Cli) -> None:
    ran(cli, "--tile", "4")
    for name in "abc":
        run(SPEC, input=objects / "in" / f"{name}.las", output=objects / "alone.las")
        whole = run([str(objects / "alone.las")]).cloud
        tiled = run([str(objects / "out" / f"{name}.las")]).cloud
        # Within a step of the file's millimetres.
        np.testing.assert_allclose(tiled.xyz, whole.xyz, atol=0.00101)
        assert (np.abs(tiled.xyz - whole.xyz) < 1e-6).mean() > 0.999


def test_only_the_file_that_changed_is_done_again(objects: Path, cli: Cli) -> None:
    ran(cli)
    run([str(objects / "in" / "b.las")], points=plate(1000, 0.05, 7))
    ran(cli)
    report = json.loads((objects / "out" / "report.json").read_text())
    assert report["tasks_resumed"] == 2
    check_as_if_alone(objects)
    # What was found out together says nothing of each, and the other way round.
    result = cli("batch", "d.json", "in", "--out", "out")
    assert result.exit_code == 0
    assert json.loads((objects / "out" / "report.json").read_text())["tasks_resumed"] == 0


def test_a_file_that_is_damaged_does_not_touch_the_others(objects: Path, cli: Cli) -> None:
    bad = objects / "in" / "b.las"
    bad.write_bytes(bad.read_bytes()[:5000])
    result = ran(cli, code=1)
    assert result.stderr.count("b.las") >= 1
    assert "seam" not in result.stderr
    check_as_if_alone(objects, "ac")
    assert not (objects / "out" / "b.las").exists()


@pytest.mark.parametrize("more", [("--context", "d.las"), ("--retile", "5")])
def test_what_takes_all_files_for_one_cloud_is_refused(more: Any, objects: Path, cli: Cli) -> None:
    run([str(objects / "d.las")], points=plate(100, 0.1, 1))
    result = ran(cli, *more, code=2)
    assert f"--independent: each file is a cloud of its own, and {more[0]} takes all for one" in result.stderr
    assert not (objects / "out").exists()
