"""The before/after picture: where it looks, and that it can be drawn of anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.pipeline import load
from deburr.show.picture import as_written, draw
from deburr.show.section import choose, detail, shape_seen
from deburr.show.sight import within
from deburr.writers.las import LasWriter
from deburr.writers.ply import Ply as PlyWriter


def _size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_it_looks_where_points_moved() -> None:
    random = np.random.default_rng(0)
    flat = np.column_stack([random.uniform(0, 100, (40_000, 2)), np.zeros(40_000)])
    near = np.hypot(flat[:, 0] - 70, flat[:, 1] - 20) < 8
    moved = flat + near[:, None] * [0, 0, 0.3]
    section = choose(flat, moved)
    assert np.hypot(section.center[0] - 70, section.center[1] - 20) < 8
    # 16 m of the 50 that a section of this cloud is wide.
    assert near[section.holds(flat)].mean() > 0.25


def test_it_meets_a_wall_edge_on() -> None:
    random = np.random.default_rng(0)
    wall = np.column_stack([random.uniform(0, 20, 8000), random.normal(0, 0.1, 8000), random.uniform(0, 8, 8000)])
    section = choose(wall, wall * [1, 0, 1])
    assert abs(section.along[1]) > 0.8


def test_scan_lines_on_a_wall_are_no_surfaces() -> None:
    """From the front, the lines of a scanner on a wall look like surfaces that were cut; they are not what is shown."""
    random = np.random.default_rng(0)
    lines = np.repeat(np.arange(30) * 0.2, 300)
    wall = np.column_stack([np.tile(np.linspace(0, 12, 300), 30), np.zeros(9000), lines])
    section = choose(wall + random.normal(0, [0.001, 0.01, 0.02], wall.shape), wall)
    assert abs(section.along[1]) > 0.8


def test_one_wild_point_does_not_draw_it_away() -> None:
    random = np.random.default_rng(0)
    flat = np.column_stack([random.uniform(0, 50, (20_000, 2)), random.normal(0, 0.05, 20_000)])
    flat[0] = [1000, 1000, 1000]
    after = flat * [1, 1, 0]
    assert choose(flat, after).center[0] < 60


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 3)),
        np.ones((1, 3)),
        np.ones((20, 3)),
        np.eye(3),
        np.outer(np.arange(50.0), [1, 1, 1]),
        np.outer([*range(50), 1e308, -1e308], [1, 1, 1]),
        np.array([[1e308, 0, 0], [-1e308, 0, 0]]),
        np.column_stack((np.full(50, 1e308), np.arange(50.0), np.arange(50.0))),
    ],
    ids=["none", "one", "equal", "three", "line", "far", "far alone", "far off"],
)
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_any_cloud_can_be_drawn(points: np.ndarray, shift: float, tmp_path: Path) -> None:  # type: ignore[type-arg]
    draw(PointCloud(points).with_xyz(points + shift), tmp_path / "a.png")
    width, height = _size(tmp_path / "a.png")
    assert 300 < width < 3000
    assert 100 < height < 3000


def test_what_is_too_far_off_to_be_drawn_is_left_out() -> None:
    points = np.outer([*range(50), 1e308, 1e14, 1e9, -1e308], [1.0, 0.5, 0.0])
    assert within(points).tolist() == [True] * 50 + [False, False, True, False]
    assert not within(np.array([[1e308, 0, 0], [-1e308, 0, 0]])).any()
    # Scanners put what did not come back at their origin.
    assert within(np.concatenate((np.zeros((60, 3)), 5e6 + np.eye(3)))).all()


PROJECTED = 'PROJCS["NAD83 / X",GEOGCS["G",UNIT["degree",0.017]],UNIT["foot",0.3048]]'
WKT2 = 'PROJCRS["P",BASEGEOGCRS["R",ELLIPSOID["E",1,2,LENGTHUNIT["metre",1]]],LENGTHUNIT["US survey foot",0.3]]'


@pytest.mark.parametrize(
    ("text", "name", "unit"),
    [
        (None, "none", "units"),
        ("EPSG:7415", "EPSG:7415", "units"),
        (PROJECTED, "NAD83 / X", "ft"),
        (WKT2, "P", "US ft"),
        (f'COMPD_CS["C",{PROJECTED},VERT_CS["V",UNIT["metre",1]]]', "C", "ft"),
        ('GEOGCS["WGS 84",UNIT["degree",0.017]]', "WGS 84", "degrees"),
    ],
)
def test_reference_systems_in_words(text: str | None, name: str, unit: str) -> None:
    assert (crs.name(text), crs.unit(text)) == (name, unit)


def _line(angle: float, count: int = 60) -> np.ndarray:  # type: ignore[type-arg]
    along = np.linspace(-1, 1, count)
    return np.column_stack([np.cos(angle) * along, np.sin(angle) * along])


def test_corners_are_worth_more_than_a_line_and_a_line_more_than_a_cloud() -> None:
    aside = np.array([2.0, 0.0])
    corner = np.vstack([_line(0.5) - aside, _line(0.5 + np.pi / 2) + aside])
    cloud = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    assert shape_seen(corner) > 3 * shape_seen(_line(0.5)) > 0
    assert shape_seen(_line(0.5)) > shape_seen(cloud)
    # The sign of a line means nothing: two parallel walls are one direction, however they are drawn.
    assert shape_seen(np.vstack([_line(0.5), -_line(0.5) + [0, 3]])) == pytest.approx(shape_seen(_line(0.5)))


def test_equal_points_are_no_line() -> None:
    assert shape_seen(np.full((200, 2), 4.4771)) == 0.0


def test_the_detail_is_where_points_became_a_corner() -> None:
    after = np.vstack([_line(0.0, 400) * 10, _line(np.pi / 2, 80) * 2 + [4, 2]])
    before = after + np.random.default_rng(0).normal(0, 0.05, after.shape)
    x, z = detail(before, after, (2.0, 1.0))
    assert abs(x - 4) < 1
    assert abs(z) < 1


def test_a_house_is_shown_whole() -> None:
    random = np.random.default_rng(0)
    ground = np.column_stack([random.uniform(-20, 20, (30_000, 2)), np.zeros(30_000)])
    wall = np.column_stack([random.uniform(-5, 5, 6000), np.zeros(6000), random.uniform(0, 6, 6000)])
    clean = np.vstack([ground, wall])
    section = choose(clean + random.normal(0, 0.04, clean.shape), clean)
    assert abs(section.along[1]) > 0.8  # across the wall
    inside = clean[section.holds(clean)]
    assert inside[:, 2].min() == 0
    assert inside[:, 2].max() > 5.8


def test_what_is_drawn_is_in_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    flat = random.uniform(0, 10, (200, 3)) + np.array([500_000, 5_400_000, 0])
    las = tmp_path / "out.las"
    cloud = PointCloud(flat).with_xyz(np.where(np.arange(200)[:, None] < 150, flat + 0.0123, flat))
    for writer in (LasWriter(filename=str(las), scale_z=0.1), PlyWriter(filename=str(tmp_path / "out.ply"))):
        written = writer.write(cloud)
        shown = as_written(written)
        reader = load([writer.filename]).reader
        assert reader is not None
        there = reader.read().xyz
        np.testing.assert_allclose(shown.xyz[:150], there[:150], rtol=0, atol=1e-9)
        assert np.array_equal(shown.xyz[150:], flat[150:])
    assert as_written(cloud) is cloud
    assert np.array_equal(as_written(cloud, written.history[-1].figures).original, flat)
