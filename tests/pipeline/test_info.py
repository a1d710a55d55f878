"""pipeline info: figures known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from deburr.core.cloud import Floats, PointCloud
from deburr.pipeline.info import measure, table

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def known_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate is the network's affair and tested there."""
    monkeypatch.setattr("deburr.nn.default.estimate_noise", lambda xyz: 0.25 if len(xyz) >= 32 else 1 / 0)


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
    assert found["estimated_noise"] == 0.25
    assert (found["crs"], found["unit"]) == ("P", "m")
    rows = dict(table(found))
    assert rows["estimated noise"] == "0.25 m"
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


def test_command(cli: Cli, save: Callable[..., Path]) -> None:
    save("in.las", _grid(20, 1.0))
    done = cli("info", "in.las", "--json", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["points"] == 400
    assert "400" in cli("info", "in.las").stdout
    assert cli("info", "missing.las").exit_code == 1
    assert cli("info", "in.txt").exit_code == 2


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
