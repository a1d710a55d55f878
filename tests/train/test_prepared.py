"""Scenes made ready: each a function of the recipe and its number, the same from a file, with a level a point."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from deburr.core.errors import DeburrWarning, ReadError, RunError, SpecError
from deburr.core.neighbors import cloud_spacing
from deburr.nn.deburr.inputs import NOISE_FLOOR
from deburr.train.examples import Example, draw, kept_solid
from deburr.train.feed import find_scenes, in_turn, make, scenes
from deburr.train.loop import Trainer
from deburr.train.prepared import Prepared, from_arrays, prepare, read, to_arrays, write
from deburr.train.recipe import Recipe
from deburr.train.scene import CleanScene, NoisyScene, Surface

RECIPE = Recipe(output="w.safetensors", steps=4, landscape_share=1, channels=16, layers=1, heads=2)


def equal(one: Prepared, other: Prepared) -> bool:
    a, b = to_arrays(one), to_arrays(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def floor(count: int = 900, level: float = 0.2) -> NoisyScene:
    """A floor of 30 x 30 points 0.1 apart, the right half ten times as noisy as the left, the first point twice."""
    side = np.arange(30) * 0.1
    clean = np.stack(np.meshgrid(side, side, [0.0], indexing="ij"), -1).reshape(-1, 3)
    levels = np.where(clean[:, 0] < 1.5, 0.1 * level, level) * 0.1
    noisy = clean + np.array([0, 0, 1.0]) * (levels * np.random.default_rng(0).normal(size=len(clean)))[:, None]
    surface = Surface(clean, np.broadcast_to([0.0, 0.0, 1.0], clean.shape).copy())
    rows = np.concatenate(([0], np.arange(len(clean))))
    return NoisyScene(CleanScene(clean[rows], np.zeros(len(rows), np.bool_), surface), noisy[rows], levels[rows])


def test_a_scene_is_a_function_of_its_number(tmp_path: Path) -> None:
    one, again, other = (make(RECIPE, number, tmp_path) for number in (7, 7, 8))
    assert equal(one, again)
    assert len(one.surface) != len(other.surface) or not equal(one, other)
    assert not equal(one, make(RECIPE.model_copy(update={"seed": 1}), 7, tmp_path))


def test_other_processes_give_the_same_in_order(tmp_path: Path) -> None:
    with scenes(RECIPE.model_copy(update={"workers": 2}), 3, count=4) as made:
        found = list(made)
    assert len(found) == 4
    # What no second pass needs stays behind.
    here = [from_arrays(to_arrays(make(RECIPE, number, tmp_path))) for number in range(3, 7)]
    assert all(equal(one, other) for one, other in zip(found, here, strict=True))


def test_it_is_the_same_from_a_file(tmp_path: Path) -> None:
    prepared = make(RECIPE.model_copy(update={"second_pass": 1.0, "landscape_noise": (0.5, 0.6)}), 2, tmp_path)
    assert prepared.passes
    write(tmp_path / "a.npz", prepared)
    back = from_arrays(read(tmp_path / "a.npz", RECIPE))
    assert equal(prepared, back)
    with pytest.raises(ReadError, match="objective 'score', not 'denoising'"):
        read(tmp_path / "a.npz", RECIPE.model_copy(update={"objective": "denoising"}))
    # The surface is kept to float32.
    assert back.example.truth.surface.points == pytest.approx(prepared.example.truth.surface.points, rel=1e-6)
    trainer = Trainer(RECIPE)
    with torch.no_grad():
        losses = [trainer._losses(one) for one in (prepared, back)]
    assert {k: float(v) for k, v in losses[0].items()} == pytest.approx(
        {k: float(v) for k, v in losses[1].items()}, rel=1e-4
    )


def test_what_is_no_scene_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    np.savez(tmp_path / "c.npz", other=np.array([{}], dtype=object))
    np.savez(tmp_path / "e.npz", other=np.zeros(300))
    (tmp_path / "e.npz").write_bytes((tmp_path / "e.npz").read_bytes()[:-40])
    for name in "abcde":
        with pytest.raises(ReadError, match=rf"{name}\.npz: no prepared"):
            read(tmp_path / f"{name}.npz", RECIPE)
    with pytest.raises(SpecError, match=r"nothing matches 'x/\*\.npz'"):
        find_scenes(str(tmp_path / "train.json"), "x/*.npz")
    assert find_scenes(str(tmp_path / "train.json"), "[ab].npz") == [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]


@pytest.mark.parametrize(("there", "asked"), [("noise", "score"), ("score", "noise")])
def test_what_was_prepared_for_another_network_is_refused(tmp_path: Path, there: str, asked: str) -> None:
    write(tmp_path / "a.npz", make(RECIPE.model_copy(update={"networks": (there,)}), 1, tmp_path))
    read(tmp_path / "a.npz", RECIPE.model_copy(update={"networks": (there,)}))
    with pytest.raises(ReadError, match=f"without what network '{asked}' learns from"):
        read(tmp_path / "a.npz", RECIPE)


def test_files_come_in_turn() -> None:
    order = [in_turn(3, number, 5) for number in range(15)]
    assert all(sorted(order[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert order[:5] != order[5:10] or order[5:10] != order[10:]


def test_a_kept_solid_is_the_one_that_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solid = CleanScene(np.random.default_rng(0).normal(size=(40, 3)), np.zeros(40, np.bool_), floor().truth.surface)
    monkeypatch.setattr("deburr.train.examples.solid_scene", lambda seed, hollow: solid)
    first = kept_solid(tmp_path, 3)
    monkeypatch.setattr("deburr.train.examples.solid_scene", None)
    again = kept_solid(tmp_path, 3)
    assert (first.points == again.points).all()
    assert again.points == pytest.approx(solid.points, rel=1e-6)
    assert again.surface.normals == pytest.approx(solid.surface.normals)


def test_scans_are_drawn_with_a_level_a_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("deburr.train.scans")
    asked = list[int]()
    stand_in.scan_scene = lambda seed, most, kind, dark: asked.append(seed) or floor()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deburr.train.scans", stand_in)
    recipe = RECIPE.model_copy(update={"scan_share": 1.0, "seed": 2})
    example = draw(recipe, 5, tmp_path)
    assert asked == [2_000_005]
    assert cloud_spacing(example.truth.points) == pytest.approx(1.0, rel=2e-3)
    assert sorted(set(np.round(example.level * cloud_spacing(floor().truth.points), 9))) == [0.002, 0.02]
    prepared = prepare(example, recipe, 5)
    assert len(prepared.surface) == 900, "twins are one point"
    # Points, truth and levels have kept together, in an order of their own.
    away = np.abs(prepared.example.points - prepared.example.truth.points)
    assert away[:, :2].max() < 1e-9
    assert (away[:, 2] < 5 * prepared.example.level).all()
    with torch.no_grad():
        losses = Trainer(recipe)._losses(prepared)
    assert {"score", "own", "local", "level", "odds"} <= set(losses)


def mixed(low: float, high: float) -> Prepared:
    """A floor half of whose points, here and there, have noise ``high``, the others ``low``, in spacings."""
    scan = floor()
    points = scan.truth.points * 10
    level = np.where(np.random.default_rng(4).random(len(points)) < 0.5, low, high)
    return prepare(Example(scan.truth, points, level), RECIPE, 0)


def test_the_level_that_is_told_is_the_one_around() -> None:
    """Half of the points at 0.3, half at 0: the root of half the square of 0.3."""
    prepared = mixed(0.0, 0.3)
    assert prepared.scene.noise.numpy() / prepared.told == pytest.approx(0.3 / np.sqrt(2), rel=0.3)
    even = mixed(0.3, 0.3)
    assert even.scene.noise.numpy() == pytest.approx(0.3 * even.told, rel=1e-5)


def test_errors_count_between_each_points_own_noise_and_that_around() -> None:
    even = mixed(0.3, 0.3)
    assert even.unit.numpy() == pytest.approx(0.3, rel=1e-5)
    prepared = mixed(0.01, 0.3)
    quiet, around = prepared.example.level == 0.01, prepared.scene.noise.numpy() / prepared.told
    assert prepared.unit[quiet, 0].numpy() == pytest.approx(np.sqrt(0.01 * around[quiet]), rel=1e-5)
    assert prepared.unit[~quiet, 0].numpy() == pytest.approx(np.sqrt(0.3 * around[~quiet]), rel=1e-5)
    clean = mixed(0.0, 0.0)
    assert clean.unit[:, 0].numpy() == pytest.approx(NOISE_FLOOR * clean.scene.graph.spacing.numpy())


def test_a_step_without_a_finite_gradient_is_left_out_and_many_end_the_run(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"networks": ("noise",)})
    good = make(recipe, 2, tmp_path)
    assert good.judged is not None
    inputs = good.judged.inputs.clone()
    inputs[0, 0] = np.nan
    bad = replace(good, judged=replace(good.judged, inputs=inputs))
    trainer = Trainer(recipe)
    before = {name: value.clone() for name, value in trainer.networks.state_dict().items()}
    with pytest.warns(DeburrWarning, match="step 1: its gradient is not finite"):
        trainer.learn([good, bad])
    assert all(torch.equal(value, before[name]) for name, value in trainer.networks.state_dict().items())
    trainer.learn([good])
    assert not all(torch.equal(value, before[name]) for name, value in trainer.networks.state_dict().items())
    assert np.isfinite(list(trainer.running.values())).all()
    for _ in range(19):
        with pytest.warns(DeburrWarning):
            trainer.learn([bad])
    with pytest.warns(DeburrWarning), pytest.raises(RunError, match="20 steps up to 22 have no finite gradient"):
        trainer.learn([bad])


def test_of_a_run_that_is_blended_a_share_is_kept_and_resumed_the_same(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"networks": ("noise",), "blend": 0.25})
    trainer, whole = Trainer(recipe), Trainer(recipe.model_copy(update={"blend": 1.0}))
    before = {name: value.clone() for name, value in trainer.networks.state_dict().items()}
    scene = make(recipe, 2, tmp_path)
    for _ in range(2):
        trainer.learn([scene])
        whole.learn([scene])
    wanted = {name: 0.75 * before[name] + 0.25 * value for name, value in whole.result().items()}
    for name, value in trainer.result().items():
        torch.testing.assert_close(value, wanted[name])
    assert any((value != before[name]).any() for name, value in trainer.result().items())
    trainer.save(tmp_path / "w.ckpt", [])
    again = Trainer(recipe)
    again.restore(tmp_path / "w.ckpt")
    assert all(torch.equal(again.result()[name], value) for name, value in trainer.result().items())
