"""Batches, and files larger than memory, from Python: as the command does them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from villages import village, write

from deburr.batch import batch
from deburr.core.errors import DeburrWarning, RunError, SpecError
from deburr.pipeline import run
from deburr.tiles import memory

SPEC = [
    {"type": "filters.outlier", "method": "radius", "radius": 0.8, "min_k": 3},
    {"type": "filters.spd", "noise": 0.03},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two files of one cloud in ``in/``."""
    monkeypatch.chdir(tmp_path)
    xyz = village(3000)
    (tmp_path / "in").mkdir()
    for name, part in (("a", xyz[:, 0] < 85_012), ("b", xyz[:, 0] >= 85_012)):
        write(tmp_path / "in" / f"{name}.las", xyz[part])
    return tmp_path


def bytes_of(path: Path) -> bytes:
    """Without the day in the header."""
    found = path.read_bytes()
    return found[:90] + found[94:]


def test_it_does_what_the_command_does(folder: Path, cli: Callable[..., Result]) -> None:
    said = cli("batch", json.dumps(SPEC), "in", "--out", "theirs", "--tile", "9", "--vpc")
    assert said.exit_code == 0, said.stderr
    done = batch(SPEC, "in", "ours", tile=9, vpc=True)
    assert [str(path) for path in done.written] == ["ours/a.las", "ours/b.las", "ours/ours.vpc"]
    assert done.failed == {}
    for name in ("a.las", "b.las"):
        assert bytes_of(folder / "ours" / name) == bytes_of(folder / "theirs" / name)
    theirs = json.loads((folder / "theirs" / "report.json").read_text())
    assert done.report["stages"] == theirs["stages"]
    assert {path.name for path in Path("ours").iterdir()} - {"ours.vpc"} == {
        path.name for path in Path("theirs").iterdir()
    } - {"theirs.vpc"}
    # And again: nothing is left to do.
    assert batch(SPEC, [Path("in/a.las"), "in/b.las"], "ours", tile=9).report["tasks_done"] == 0


def test_what_fails_is_told_and_the_rest_is_written(folder: Path) -> None:
    bad = folder / "in" / "b.las"
    bad.write_bytes(bad.read_bytes()[:3000])
    with pytest.warns(DeburrWarning, match="a.las beside it were cleaned as if nothing lay there"):
        done = batch(SPEC, "in", "out", overrides={"filters.spd.noise": 0.02})
    assert list(done.failed) == ["in/b.las"]
    assert [path.name for path in done.written] == ["a.las"]
    assert done.report["stages"][1]["options"]["noise"] == 0.02


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"tile": -1.0}, "tile -1: must be a length above 0"),
        ({"workers": 0}, "workers 0: must be at least 1"),
        ({"memory": "much"}, "memory much: is no amount of memory"),
        ({"overrides": [1]}, "overrides: must be a mapping"),
        ({"inputs": []}, "no inputs are given"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], part: str, folder: Path) -> None:
    with pytest.raises(SpecError, match=part):
        batch(**{"spec": SPEC, "inputs": "in", "out": "out", **given})
    assert not (folder / "out").exists()


def test_every_step_is_told_to_who_watches(folder: Path) -> None:
    told: list[str] = []

    class Watching:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *given, **more: told.append(name)

    batch(SPEC, "in", "out", view=Watching())  # type: ignore[arg-type]  # it takes every call
    assert {"stage", "done", "note", "finish"} <= {*told}
    assert told.count("finish") == 1


def test_a_file_larger_than_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_FEWEST", 500)
    little = memory.BASE + memory.PER_POINT * 1000
    done = run(SPEC, input="in/a.las", output="tiled.las", memory=little)
    assert done.report["totals"]["tiles"] > 1
    with pytest.raises(RunError, match="read the output"):
        _ = done.cloud
    whole = run(SPEC, input="in/a.las", output="whole.las", memory="8GB")
    np.testing.assert_allclose(run(["tiled.las"]).xyz, whole.xyz, atol=0.00101)
    with pytest.raises(SpecError, match="memory 1: is too little to work with"):
        run(SPEC, input="in/a.las", output="tiled.las", memory=1)
