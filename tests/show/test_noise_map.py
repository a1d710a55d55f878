"""The map of the noise: where cells are drawn, in which colours, what the title says, and when there is none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from click.testing import Result
from matplotlib.colors import LogNorm

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.noise import noise_sums
from deburr.core.sums import Sums
from deburr.nn.contract import Denoised, Settings, Surveyor
from deburr.nn.models import load
from deburr.pipeline import run
from deburr.show import noise_map
from deburr.tiles import memory

Cli = Callable[..., Result]
Draw = Callable[..., Any]


def field(most: float = 0.02, least: float = 0.01, count: int = 50_000) -> Sums:
    """Noise that rises from west to east over a square of 100 units."""
    places = np.random.default_rng(0).uniform(0, 100, (count, 3)) + np.array([84_000, 447_000, 0])
    level = least + (most - least) * (places[:, 0] - 84_000) / 100
    return noise_sums(level, np.ones(count, np.bool_), None, places, PointCloud(places).extent)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Draw:
    """Leaves a map, and gives the figure that was saved; None if there was none."""
    kept: list[Any] = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *args, **kw: (kept.append(self), save(self, *args, **kw))
    )

    def draw(*noted: Sums, unit: str = "m") -> Any:
        kept.clear()
        noise_map.leave(tmp_path, noted, unit)
        assert (tmp_path / "noise.png").exists() == bool(kept)
        return kept[-1] if kept else None

    return draw


def test_cells_lie_where_they_are_and_are_coloured_by_the_noise(drawn: Draw) -> None:
    figure = drawn({}, field())
    (image,) = figure.axes[0].images
    assert image.get_extent() == pytest.approx((0, 100, 0, 100), abs=4)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("x - 84,000 (m)", "y - 447,000 (m)")
    values = image.get_array()
    middle = values[values.shape[0] // 2].compressed()
    assert (np.diff(middle) > 0).all()
    assert middle == pytest.approx(np.linspace(1, 2, len(middle)), abs=0.05)
    assert figure.axes[1].get_ylabel() == "noise found, standard deviation (cm)"
    assert figure._suptitle.get_text().replace("\xa0", " ") == (
        "Half of the points have noise below 1.5 cm, and 90 % from 1.05 to 1.95 cm"
    )


def test_cells_hold_points_enough(drawn: Draw) -> None:
    few, many = (drawn(field(count=count)).axes[0].images[0].get_array() for count in (2_000, 50_000))
    assert few.count() < many.count()
    assert 2_000 / few.count() >= 20


@pytest.mark.parametrize(("most", "powers"), [(0.025, False), (0.1, True)])
def test_colours_go_by_powers_where_noise_differs_much(drawn: Draw, most: float, powers: bool) -> None:
    figure = drawn(field(most))
    assert isinstance(figure.axes[0].images[0].norm, LogNorm) == powers
    if powers:
        figure.canvas.draw()
        low, high = figure.axes[0].images[0].get_clim()
        labels = figure.axes[1].yaxis.get_major_ticks()
        shown = {tick.label1.get_text() for tick in labels if low <= tick.get_loc() <= high}
        assert shown == {"2", "5"}


def test_other_units_stay_as_they_are(drawn: Draw) -> None:
    figure = drawn(field(), unit="US ft")
    assert figure.axes[1].get_ylabel() == "noise found, standard deviation (US ft)"
    assert figure.axes[0].images[0].get_array().max() == pytest.approx(0.02, rel=0.05)


def test_the_first_stage_that_found_noise_is_shown(drawn: Draw) -> None:
    figure = drawn(field(), field(9.0, 5.0))
    assert figure.axes[0].images[0].get_array().max() < 3


def test_no_noise_at_a_place_is_drawn_too(drawn: Draw) -> None:
    assert drawn(field(0.02, 0.0)) is not None


def test_without_a_difference_there_is_no_map_and_an_old_one_goes(drawn: Draw, tmp_path: Path) -> None:
    assert drawn(field()) is not None
    assert drawn(field(0.02, 0.02)) is None
    assert drawn() is None
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Rising:
    """A model whose noise rises from west to east, and that moves nothing much."""

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        level = 0.02 + 0.001 * xyz[:, 0]
        figures = {"noise": 0.03, "spacing": 0.3, "max_displacement": 0.1}
        return Denoised(xyz + np.array([0, 0, 0.001]), figures, level=level)

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        model = load("deburr", None)
        assert isinstance(model, Surveyor)
        return model.survey(xyz, settings)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Floats:
    monkeypatch.setattr("deburr.filters.spd.load", lambda name, weights: Rising())
    rng = np.random.default_rng(0)
    return np.column_stack((rng.uniform(0, 25, (6000, 2)), rng.normal(0, 0.03, 6000)))


def test_a_run_leaves_one(cloud: Floats, tmp_path: Path) -> None:
    run(["filters.spd"], points=cloud, report_dir=tmp_path)
    assert (tmp_path / "noise.png").read_bytes().startswith(b"\x89PNG")
    run([{"type": "filters.noise", "sigma": 0.1}], points=cloud, report_dir=tmp_path)
    assert not (tmp_path / "noise.png").exists()
    assert (tmp_path / "section.png").exists()


def test_so_do_runs_in_tiles(
    cli: Cli, save: Callable[..., Path], cloud: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("in.las", cloud)
    whole = cli("denoise", "in.las", "out.las", "--report", "whole")
    assert (whole.exit_code, whole.stdout.splitlines()[-1]) == (0, "whole/noise.png")
    monkeypatch.setattr(memory, "BASE", 0)
    monkeypatch.setattr(memory, "PER_POINT", 1)
    monkeypatch.setattr(memory, "_FEWEST", 800)
    tiled = cli("denoise", "in.las", "out.las", "--report", "tiled", "--memory", "3000")
    assert tiled.exit_code == 0, tiled.output
    assert {"tiled/noise.png", "tiled/tiles.csv"} <= {*tiled.stdout.splitlines()}
    assert len(Path("tiled/tiles.csv").read_text().splitlines()) > 2
    figures = []
    for folder, done in (("whole", whole), ("tiled", tiled)):
        stages = json.loads(Path(folder, "report.json").read_text())["stages"]
        figures.append(next(stage["figures"] for stage in stages if stage["type"] == "filters.spd"))
        assert " (5-95 %: 0.02" in done.stderr
    assert figures[0] == figures[1]


def test_batches_leave_one(cli: Cli, save: Callable[..., Path], cloud: Floats) -> None:
    save("in.las", cloud)
    done = cli("batch", '["a.las", "filters.spd", "b.las"]', "in.las", "--out", "out", "--tile", "10")
    assert done.exit_code == 0, done.output
    assert Path("out/noise.png").read_bytes().startswith(b"\x89PNG")
    with open("out/tiles.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 3
    for row in rows:
        x = [float(row[name]) for name in ("min_x_units", "max_x_units")]
        assert 0.02 + 0.001 * x[0] <= float(row["noise_before_units"]) <= 0.02 + 0.001 * x[1] + 1e-9
