"""A page of two clouds, or of one: from Python and as `pipeline view`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.core.errors import RunError, SpecError
from deburr.pipeline.view import view

Cli = Callable[..., Result]
Save = Callable[..., Path]


def told(path: Path) -> dict[str, Any]:
    """What a page was given."""
    found = re.search(r'<script id="told"[^>]*>(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_before_and_after(hill: Floats, save: Save, cli: Cli, tmp_path: Path) -> None:
    save("a.laz", hill)
    save("b.laz", hill + np.array([0, 0, 0.03]))
    done = cli("view", "a.laz", "b.laz")
    assert (done.exit_code, done.stdout) == (0, "b.html\n")
    assert "600 of 600 points are shown" in done.stderr
    page = told(tmp_path / "b.html")
    assert page["title"] == "a.laz → b.laz"
    assert page["scene"]["paired"]
    assert page["facts"]["headline"] == "600 of 600 points moved: median 0.03 units, 99 % below 0.03 units"


def test_files_of_one_name_are_told_apart_by_their_folders(hill: Floats, save: Save, tmp_path: Path) -> None:
    for folder in ("tiles", "clean"):
        (tmp_path / folder).mkdir()
        save(f"{folder}/a.laz", hill)
    view(tmp_path / "tiles" / "a.laz", tmp_path / "clean" / "a.laz", tmp_path / "v.html")
    page = told(tmp_path / "v.html")
    assert page["title"] == "tiles/a.laz → clean/a.laz"
    assert page["facts"]["stages"][0]["lines"] == [["tiles/a.laz", "600 points"], ["clean/a.laz", "600 points"]]


def test_points_without_coordinates_are_counted(hill: Floats, save: Save, tmp_path: Path) -> None:
    hill[3] = np.nan
    scene = view(save("a.ply", hill), None, tmp_path / "v.html")
    assert len(scene.before) == 599
    lines = told(tmp_path / "v.html")["facts"]["stages"][0]["lines"]
    assert lines == [["a.ply", "600 points"], ["without coordinates", "1 points, not shown"]]


def test_one_cloud_alone(hill: Floats, save: Save, cli: Cli, tmp_path: Path) -> None:
    save("a.ply", hill)
    assert cli("view", "a.ply", "-o", "seen.html", "--quiet").stderr == ""
    assert told(tmp_path / "seen.html")["facts"]["headline"] == "600 points"


@pytest.mark.parametrize("fewer", [False, True])
def test_a_box(hill: Floats, save: Save, tmp_path: Path, fewer: bool) -> None:
    """Of the same points those that were in the box, wherever they are now; of others those that are in it."""
    low = hill[:, :2].min(axis=0)
    box = [*(low + 2), *(low + 5)]
    inside = np.all((hill[:, :2] >= box[:2]) & (hill[:, :2] < box[2:]), axis=1)
    after = hill + np.array([0.2, 0, 0]) if not fewer else hill[:400]
    scene = view(save("a.ply", hill), save("b.ply", after), tmp_path / "v.html", box)
    if fewer:
        assert (scene.state == 1).sum() == inside.sum()
        assert (scene.state == 2).sum() == inside[:400].sum()
    else:
        assert len(scene.before) == inside.sum()
        assert np.allclose(scene.after - scene.before, [0.2, 0, 0])


def test_points_that_went_far_are_still_the_same_points(hill: Floats, save: Save, tmp_path: Path) -> None:
    scene = view(save("a.ply", hill), save("b.ply", hill + np.array([0, 0, 0.5])), tmp_path / "v.html")
    assert scene.paired


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--box", "1,2,3"), "must be four numbers"),
        (("--box", "5,5,1,1"), "low x, low y, high x, high y"),
        (("-o", "a.ply"), "a.ply: is to be written, and a.ply is an input"),
    ],
)
def test_what_cannot_be_is_said(hill: Floats, save: Save, cli: Cli, words: tuple[str, ...], said: str) -> None:
    before = save("a.ply", hill).read_bytes()
    done = cli("view", "a.ply", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert Path("a.ply").read_bytes() == before


def test_nothing_to_be_seen(hill: Floats, save: Save, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no point to be seen"):
        view(save("a.ply", hill), None, tmp_path / "v.html", [0, 0, 1, 1])
    assert not (tmp_path / "v.html").exists()
    with pytest.raises(SpecError):
        view(tmp_path / "a.unknown", None, tmp_path / "v.html")
