"""Learning from flight lines that see one surface: what one tells another, its mean, and what a network makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
import torch

import deburr.train
from deburr.core.errors import ReadError
from deburr.train.loop import Trainer
from deburr.train.prepared import prepare, see
from deburr.train.recipe import Recipe
from deburr.train.strips import Lines, Strips, met
from deburr.train.tiles import read_lines

RECIPE = Recipe(
    output="w", steps=60, objective="strips", files=("x",), networks=("score",), channels=16, layers=2, heads=2
)
#: Across the slope of `slope`.
NORMAL = np.array([-0.5, 0.0, 1.0]) / np.sqrt(1.25)


def slope(seed: int = 0, count: int = 900, noise: float = 0.3) -> np.ndarray:
    """Points about a spacing apart on a slope, with noise."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, np.sqrt(count), (count, 2))
    return np.column_stack((plan, 0.5 * plan[:, 0])) + random.normal(0, noise, (count, 3))


def two_lines(seed: int = 0, count: int = 1800) -> tuple[np.ndarray, np.ndarray]:
    points = np.concatenate((slope(seed, count), slope(seed + 1, count)))
    return points, np.repeat([7, 9], count)


def test_what_a_line_tells_has_the_plane_for_its_mean_whatever_the_own_noise() -> None:
    """The minimiser of the squared error given z is the mean of the targets given z: on a plane, the plane."""
    heights, own = [], []
    for seed in range(12):
        points = slope(2 * seed)
        target = met(points, slope(2 * seed + 1), 0.3)
        inner = ((points[:, :2] > 4) & (points[:, :2] < 26)).all(1)
        assert np.isfinite(target[inner]).all(1).mean() > 0.95
        known = inner & np.isfinite(target).all(1)
        heights.append(target[known] @ NORMAL)
        own.append(points[known] @ NORMAL)
    height, noise = np.concatenate(heights), np.concatenate(own)
    assert 0.08 < height.std() < 0.25
    assert abs(height.mean()) < 0.01
    # What z has of noise shows in no target: nearest points would follow it with a slope of a third and more.
    rise = float(np.cov(noise, height)[0, 1] / noise.var())
    assert abs(rise) < 0.03
    for low, high in ((-1.5, -0.3), (0.3, 1.5)):
        far = (noise > low) & (noise < high)
        assert abs(height[far].mean()) < 0.02


def test_along_the_surface_it_stays() -> None:
    points = slope(3)
    target = met(points, slope(4), 0.3)
    way = (target - points)[np.isfinite(target).all(1)]
    along = np.linalg.norm(way - (way @ NORMAL)[:, None] * NORMAL, axis=1)
    # As far as the other line's own normals are off.
    assert np.median(along) < 0.25 * np.median(np.abs(way @ NORMAL))


def test_a_bent_surface_is_not_flattened() -> None:
    """A ball of radius 12 spacings: a plane of the points that are looked at would lie 0.1 spacings below it."""
    random = np.random.default_rng(5)
    clouds = []
    for _ in range(2):
        points = random.normal(size=(1800, 3))
        points *= 12 / np.linalg.norm(points, axis=1, keepdims=True)
        clouds.append(points + random.normal(0, 0.1, points.shape))
    target = met(clouds[0], clouds[1], 0.1)
    known = np.isfinite(target).all(1)
    assert known.mean() > 0.95
    assert abs(np.linalg.norm(target[known], axis=1).mean() - 12) < 0.012


def test_nothing_is_told_where_the_other_line_sees_nothing_or_something_else() -> None:
    points = slope(0)
    assert np.isnan(met(points, slope(1) + np.array([0, 0, 4]), 0.3)).all()
    assert np.isnan(met(points + np.array([200, 0, 0]), slope(1), 0.3)).all()
    leaves = np.random.default_rng(2).uniform(0, 9, (900, 3))
    assert np.isnan(met(leaves, np.random.default_rng(3).uniform(0, 9, (900, 3)), 0.1)).mean() > 0.9
    half = slope(1)
    known = np.asarray(np.isfinite(met(points, half[half[:, 0] < 15], 0.3)).all(1))
    assert known[(points[:, 0] < 13) & (points[:, 0] > 2) & (np.abs(points[:, 1] - 15) < 11)].mean() > 0.9
    assert not known[points[:, 0] > 17].any()


def test_a_crop_is_of_one_line_and_the_others_tell() -> None:
    points, line = two_lines()
    strips = Strips([Lines.of(points, 0.3, line)])
    assert strips.figures() == {"clouds": 1, "points": 3600}
    example = strips.draw(np.random.default_rng(0))
    assert example.guessed
    assert 1000 < len(example.points) <= 1800
    assert np.isfinite(example.truth.points).all(1).mean() > 0.6
    assert example.level == pytest.approx(0.3, rel=0.1)
    prepared = prepare(example, RECIPE, 0)
    known = torch.isfinite(prepared.home).all(1)
    assert 0.6 < float(known.float().mean()) < 1
    losses = Trainer(RECIPE)._losses(prepared)
    assert bool(torch.isfinite(losses["tile"]))


def test_points_know_whether_another_line_is_there() -> None:
    points, line = two_lines()
    points[line == 9] += [15, 0, 7.5]
    lines = Lines.of(points, 0.3, line)
    mine = points[line == 7]
    assert lines.another[line == 7][mine[:, 0] > 18].mean() > 0.98
    assert not lines.another[line == 7][mine[:, 0] < 11].any()


def test_it_learns_to_denoise_from_two_lines() -> None:
    """A network that knows nothing: after sixty steps, of another slope's noise half is left."""
    recipe = RECIPE.model_copy(update={"learning_rate": 1e-2, "second_pass": 0.0})
    points, line = two_lines(5, 700)
    trainer, strips = Trainer(recipe), Strips([Lines.of(points, 0.3, line)])
    random = np.random.default_rng(1)
    for number in range(60):
        trainer.learn([prepare(strips.draw(random), recipe, number)])
    noisy = slope(60)
    with torch.no_grad():
        way = trainer.networks["score"](see(noisy, np.full(len(noisy), 0.3)))[0].numpy()
    inside = np.all((noisy[:, :2] > 3) & (noisy[:, :2] < 27), axis=1)
    before, after = (p[inside] @ NORMAL for p in (noisy, noisy + way))
    assert np.sqrt((after**2).mean()) < 0.5 * np.sqrt((before**2).mean())


def write(path: Path, points: Any, line: Any) -> str:
    las = laspy.create(point_format=6, file_version="1.4")
    las.header.scales = [1e-4] * 3
    las.x, las.y, las.z = points.T
    las.point_source_id = line.astype(np.uint16)
    las.write(path)
    return str(path)


def test_files_tell_their_lines_and_one_with_a_single_line_is_refused(tmp_path: Path) -> None:
    points, line = two_lines()
    model = Trainer(RECIPE).model()
    recipe = RECIPE.model_copy(update={"noise": 0.3})
    (lines,) = read_lines([write(tmp_path / "two.las", points, line)], recipe, model)
    assert lines.another.mean() > 0.95
    assert lines.noise == 0.3
    # Each point has its own line's number, though they lie along a curve now.
    found = {
        tuple(row): number for row, number in zip(lines.points.round(3).tolist(), lines.line.tolist(), strict=True)
    }
    assert all(
        found[tuple(row)] == number
        for row, number in zip(points.round(4).round(3).tolist(), line.tolist(), strict=True)
        if tuple(row) in found
    )
    with pytest.raises(ReadError, match="two flight lines"):
        read_lines([write(tmp_path / "one.las", points, np.ones_like(line))], recipe, model)
    far = points + np.where(line == 9, 500, 0)[:, None]
    with pytest.raises(ReadError, match="two flight lines"):
        read_lines([write(tmp_path / "far.las", far, line)], recipe, model)


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_a_short_run_tunes(tmp_path: Path) -> None:
    write(tmp_path / "two.las", *two_lines())
    recipe = {"output": str(tmp_path / "w.safetensors"), "objective": "strips", "files": ["*.las"], "steps": 2}
    (tmp_path / "train.json").write_text(json.dumps({**recipe, "networks": ["score"], "learning_rate": 1e-4}))
    card = deburr.train.run(str(tmp_path / "train.json"), init="bundled")
    assert card["chain"][-1]["tiles"] == {"clouds": 1, "points": 3600}
