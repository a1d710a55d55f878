"""pipeline info: figures known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.nn.contract import Denoised, Settings
from deburr.pipeline.info import measure, table

Cli = Callable[..., Result]


def _grid(side: int, step: float) -> Floats:
    x, y = np.meshgrid(np.arange(side) * step, np.arange(side) * step)
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(side * side)])


def test_a_grid_of_half_a_metre_has_four_points_a_square_metre() -> None:
    found = measure(PointCloud(_grid(60, 0.5), crs='PROJCS["P",UNIT["metre",1]]'))
    assert found["points"] == 3600
    # The 16th neighbour in a square grid is sqrt(5) steps away.
    assert found["spacing"] == pytest.approx(0.5, rel=0.15)
    assert found["density_per_square_unit"] == pytest.approx(4.0, rel=0.15)
    assert found["bounds"] == {"min": [0, 0, 0], "max": [29.5, 29.5, 0]}
    assert (found["crs"], found["unit"]) == ("P", "m")
    rows = dict(table(found))
    assert rows["x"].startswith("0.000 to 29.500")


def test_an_empty_courtyard_does_not_thin_the_density() -> None:
    grid = _grid(100, 0.5)
    ring = grid[(np.abs(grid[:, :2] - 25) > 12).any(axis=1)]
    assert measure(PointCloud(ring))["density_per_square_unit"] == pytest.approx(4.0, rel=0.2)


def test_noise_classes_do_not_count() -> None:
    grid = np.vstack([_grid(20, 1.0), [[1e6, 1e6, 1e6]]])
    found = measure(PointCloud(grid, {"Classification": np.where(np.arange(401) == 400, 7, 2)}))
    assert (found["points"], found["points_left_out"]) == (401, 1)
    assert found["density_per_square_unit"] == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize(
    "points", [np.zeros((0, 3)), np.ones((1, 3)), np.ones((40, 3)), np.eye(3), np.tile(np.eye(3), (20, 1))]
)
def test_what_cannot_be_measured_is_left_open(points: Floats) -> None:
    found = measure(PointCloud(points))
    assert found["points"] == len(points)
    assert found["estimated_noise"] is None
    assert table(found)
    json.dumps(found, allow_nan=False)


def _rough(noise: float = 0.1) -> Floats:
    return _grid(40, 1.0) + np.random.default_rng(0).normal(0, noise, (1600, 3))


@pytest.mark.parametrize("noise", [0.1, 0.0], ids=["noisy", "clean"])
def test_it_says_what_denoise_says(cli: Cli, save: Callable[..., Path], noise: float) -> None:
    save("in.las", _rough(noise))
    found = json.loads(cli("info", "in.las", "--json").stdout)
    assert cli("denoise", "in.las", "out.las", "--report", "rep").exit_code == 0
    (told,) = (one for one in json.loads(Path("rep/report.json").read_text())["stages"] if one["type"] == "filters.spd")
    assert found["spacing"] == told["figures"]["spacing"]
    assert found["estimated_noise"] == told["figures"]["noise"]
    for name in ("noise_median", "noise_p05", "noise_p95"):
        assert found[name] == told["figures"][name]
    assert found["warnings"] == [f"filters.spd: {warning}" for warning in told["warnings"]]
    assert bool(found["warnings"]) == (noise == 0.0)


@dataclass(frozen=True)
class Rising:
    """A model that finds noise of 0.01 to 0.05 from row to row, and a surface around a third of the points."""

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        level = np.linspace(0.01, 0.05, len(xyz))
        figures = {"noise": 0.02, "spacing": 1.0}
        return Denoised(xyz, figures, level=level, evidence=np.arange(len(xyz)) % 3 == 0)


def test_the_spread_and_the_evidence_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deburr.filters.spd.load", lambda name, weights: Rising())
    found = measure(PointCloud(_grid(30, 1.0), crs='PROJCS["P",UNIT["metre",1]]'))
    assert found["noise_p05"] == pytest.approx(0.012, rel=1e-3)
    assert found["evidence"] == 1 / 3
    rows = dict(table(found))
    assert rows["estimated noise"] == "2 cm (5-95 %: 1.2 to 4.8 cm)"
    assert rows["evidence"] == "33 % of the points"
    (warning,) = found["warnings"]
    assert warning.startswith("filters.spd: only 33 % of the points have a surface around them")


def test_command(cli: Cli, save: Callable[..., Path]) -> None:
    save("in.las", _grid(20, 1.0))
    done = cli("info", "in.las", "--json", "--quiet")
    (warning,) = json.loads(done.stdout)["warnings"]
    assert "is nearly nothing beside the point spacing" in warning
    assert (done.exit_code, done.stderr) == (0, f"warning: {warning}\n")
    assert json.loads(done.stdout)["points"] == 400
    assert "400" in cli("info", "in.las").stdout
    assert cli("info", "missing.las").exit_code == 1
    assert cli("info", "in.unknown").exit_code == 2


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (1.0, "0.000 to 19.000  (19.000 degrees)"),
        (1e-6, "0.00000000 to 0.00001900  (0.00001900 degrees)"),  # a tenth of a metre, in degrees
        (1e-12, "0 to 1.9e-11  (1.9e-11 degrees)"),
        (1e20, "0.000 to 1.9e+21  (1.9e+21 degrees)"),
    ],
)
def test_coordinates_have_digits_that_tell_points_apart(size: float, said: str) -> None:
    rows = dict(table(measure(PointCloud(_grid(20, size), crs='GEOGCS["WGS 84",UNIT["degree",0.0174532925199433]]'))))
    assert rows["x"] == said
    assert rows["density"].endswith("points per square degree")


def test_what_rounds_to_nothing_has_no_sign() -> None:
    found = measure(PointCloud(_grid(6, 1.0) - np.array([0.0004, 0.0006, 1234.5])))
    rows = dict(table(found))
    assert rows["x"].startswith("0.000 to 5.000 ")
    assert rows["y"].startswith("-0.001 to 4.999 ")
    assert rows["z"].startswith("-1,234.500 to -1,234.500 ")
