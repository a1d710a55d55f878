"""Training scenes whose truth is known by hand, recipes, and a run of seconds that learns, stops and goes on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

import deburr.train
from deburr.core.errors import RunError, SpecError, WriteError
from deburr.nn import weights
from deburr.nn.deburr import BUNDLED
from deburr.nn.deburr.default import Default
from deburr.train.examples import add_noise, draw
from deburr.train.landscapes import landscape_scene
from deburr.train.loop import Trainer
from deburr.train.prepared import Prepared
from deburr.train.recipe import Recipe, read_recipe
from deburr.train.scene import (
    CleanScene,
    NoisyScene,
    Surface,
    displacement_target,
    distances,
    nearest_on_surface,
    poisson_subset,
)
from deburr.train.solids import _box, _ellipsoid, hollowed, sample_surface, solid_scene
from deburr.train.strata import EDGE, LEAF, PLANE, THIN, strata
from deburr.train.validate import left_over

RECIPES = Path(deburr.train.__file__).parent / "recipes"


def plate() -> Surface:
    """The square 0..10 x 0..10 at z = 0, sampled every 0.25."""
    side = np.arange(0, 10.01, 0.25)
    points = np.array([(x, y, 0.0) for x in side for y in side])
    return Surface(points, np.broadcast_to([0.0, 0.0, 1.0], points.shape).copy())


def test_nearest_on_surface_slides_along_the_plane_but_not_past_the_edge() -> None:
    queries = np.array([[5.1, 5.05, 0.7], [3.0, 4.0, -2.0], [12.0, 5.0, 1.0]])
    feet = nearest_on_surface(plate(), queries)
    assert feet[:2] == pytest.approx(np.array([[5.1, 5.05, 0.0], [3.0, 4.0, 0.0]]))
    # Beyond the edge the nearest place is the edge; the slide may overshoot by one sample's gap at most.
    assert 10.0 <= feet[2, 0] <= 10.25 + 1e-9


def test_distances_reach_the_plane_between_its_samples_and_the_edge_beyond_them() -> None:
    queries = np.array([[5.12, 5.13, 0.7], [3.0, 4.0, -2.0], [9.9, 0.1, 0.0], [12.0, 5.0, 1.0], [10.3, 10.4, 0.0]])
    found = distances(plate(), queries)
    assert found[:3] == pytest.approx([0.7, 2.0, 0.0], abs=1e-12)
    # Beyond the edge by one sample's gap less, at most.
    assert np.hypot(1.75, 1) <= found[3] <= np.hypot(2, 1)
    assert 0.25 - 1e-9 <= found[4] <= 0.5


def test_distances_know_how_a_surface_is_bent_and_its_other_side() -> None:
    """Two spheres, of radius 1 and 1.15, the inner seen from inside: a wall thrice as thick as samples are apart."""
    rng = np.random.default_rng(0)
    out, at = (rng.normal(size=(n, 3)) for n in (5000, 2000))
    out, at = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (out, at))
    wall = Surface(np.concatenate((out, 1.15 * out[::-1])), np.concatenate((-out, out[::-1])))
    radius = rng.uniform(0.95, 1.2, len(at))
    found = distances(wall, at * radius[:, None])
    truth = np.minimum(np.abs(radius - 1), np.abs(radius - 1.15))
    assert np.quantile(np.abs(found - truth), 0.99) < 2e-4
    # The places themselves lie on the wall, and not on planes through its samples.
    feet = np.linalg.norm(nearest_on_surface(wall, at * radius[:, None]), axis=1)
    assert np.quantile(np.minimum(np.abs(feet - 1), np.abs(feet - 1.15)), 0.99) < 2e-4


def test_clean_places_of_open_country_lie_on_its_surface() -> None:
    """Waves of a few metres, sampled at random four times as densely as the scan: the truth is nearer than a hundredth
    of a spacing, but at rims."""
    scene = landscape_scene(2**41 + 14)
    assert np.quantile(distances(scene.surface, scene.points[~scene.solitary]), 0.99) < 0.01


def test_strata_are_planes_edges_lines_and_points_alone() -> None:
    """A step of 2 in a plate sampled every 0.25; a row of points every 0.5 and random ones, far above."""
    low = plate()
    step = Surface(low.points + np.where(low.points[:, :1] > 5, [[0, 0, 2.0]], 0), low.normals)
    row = np.column_stack((np.arange(0, 10, 0.5), np.full(20, 5.0), np.full(20, 30.0)))
    cloud = np.random.default_rng(0).uniform((0, 0, 50), (5, 5, 55), (200, 3))
    points = np.concatenate((step.points, row, cloud))
    ends = len(step.points), len(step.points) + len(row)
    found = strata(CleanScene(points, np.arange(len(points)) >= ends[0], step))
    assert (found[ends[0] : ends[1]] == THIN).all()
    assert (found[ends[1] :] == LEAF).mean() > 0.95
    # Neighbours reach half a unit at most; the step is no edge until they reach across it.
    away = np.abs(step.points[:, 0] - 5.125)
    assert (found[: ends[0]][away > 1] == PLANE).all()
    turned = Surface(low.points, np.where(low.points[:, :1] > 5, [[1.0, 0, 0]], low.normals))
    found = strata(CleanScene(low.points, np.zeros(len(low.points), np.bool_), turned))
    assert (found[away < 0.3] == EDGE).all()
    assert (found[step.points[:, 0] < 4] == PLANE).all()


def board(thick: float, faces: float) -> CleanScene:
    """Two sheets of points every 0.25, ``thick`` apart, that face away from each other if ``faces`` is 1."""
    sheet = plate()
    points = np.concatenate((sheet.points, sheet.points - np.array([0, 0, thick])))
    normals = faces * np.concatenate((sheet.normals, -sheet.normals))
    return CleanScene(points, np.zeros(len(points), np.bool_), Surface(points, normals))


@pytest.mark.parametrize(("thick", "thin"), [(0.1, True), (2.0, False)])
def test_a_board_no_thicker_than_the_spacing_is_thin_and_its_own_places_count(thick: float, thin: bool) -> None:
    truth, way = board(thick, 1.0), np.array([0.06, 0.0, 0.02])
    # A level of 1, in all directions or along a beam.
    for noise, axes in ((np.ones(3), 3), (np.array([1.0, 0.0, 0.0]), 1)):
        scene = NoisyScene(truth, truth.points + noise, np.ones(len(truth.points)))
        left, kinds = left_over(scene, truth.points + way)
        assert (kinds == (THIN if thin else PLANE)).all()
        inner = np.abs(truth.points[:, :2] - 5).max(1) < 4
        assert left[inner] == pytest.approx(np.hypot(0.06, 0.02) / np.sqrt(axes) if thin else 0.02)


def test_what_faces_another_sheet_across_a_gap_is_not_thin() -> None:
    assert (strata(board(0.1, -1.0)) != THIN).all()


def test_targets_lead_to_the_surface_or_home() -> None:
    clean = np.array([[5.0, 5.0, 0.0], [5.0, 5.0, 3.0]])
    scene = CleanScene(clean, np.array([False, True]), plate())
    noisy = clean + np.array([[0.2, 0.1, 0.4], [0.2, 0.1, 0.4]])
    assert displacement_target(scene, noisy, "score") == pytest.approx(np.array([[0, 0, -0.4], [-0.2, -0.1, -0.4]]))
    assert displacement_target(scene, noisy, "denoising") == pytest.approx(-np.array([[0.2, 0.1, 0.4]] * 2))


def test_poisson_subset_keeps_its_distance_and_leaves_no_gap() -> None:
    points = np.random.default_rng(0).uniform(0, 10, (3000, 3)) * [1, 1, 0]
    chosen = points[poisson_subset(points, 0.8, np.random.default_rng(1))]
    assert cKDTree(chosen).query(chosen, k=2)[0][:, 1].min() >= 0.8
    assert cKDTree(chosen).query(points)[0].max() <= 0.8


def test_surface_samples_of_a_box_lie_on_it_evenly() -> None:
    half = np.array([0.5, 0.4, 0.3])
    surface = sample_surface(_box(half, 0.0), 20_000, np.random.default_rng(0))
    assert (np.abs(np.abs(surface.points) - half).min(1) < 1e-3).all()
    assert np.linalg.norm(surface.normals, axis=1) == pytest.approx(1.0)
    top = (surface.normals[:, 2] > 0.99).mean()
    areas = 8 * np.array([0.4 * 0.3, 0.5 * 0.3, 0.5 * 0.4])
    assert top == pytest.approx(areas[2] / 2 / areas.sum(), rel=0.1)


def test_scenes_are_the_same_for_the_same_seed_and_lie_on_their_surfaces() -> None:
    for make in (solid_scene, landscape_scene):
        one, again, other = make(3), make(3), make(4)
        assert (one.points == again.points).all()
        assert len(one.points) != len(other.points) or (one.points != other.points).any()
        on = one.points[~one.solitary]
        gap = np.median(cKDTree(one.surface.points).query(one.surface.points, k=2)[0][:, 1])
        assert np.linalg.norm(nearest_on_surface(one.surface, on) - on, axis=1).max() < 12 * gap
        assert len(one.points) > 300


def test_a_hollow_solid_is_a_wall_with_a_rim() -> None:
    """A ball of radius 0.5 hollowed: two spheres half a wall away, and a flat rim between them."""
    wall = hollowed(_ellipsoid(np.full(3, 0.5)), np.random.default_rng(2))
    surface = sample_surface(wall, 40_000, np.random.default_rng(0))
    radius = np.linalg.norm(surface.points, axis=1)
    inner, outer = radius.min(), radius.max()
    assert 0.025 <= outer - inner <= 0.15
    assert (inner + outer) / 2 == pytest.approx(0.5, abs=2e-3)
    off = np.minimum(radius - inner, outer - radius) > 2e-3
    rim = surface.normals[off]
    assert 0.001 < off.mean() < 0.2
    assert (rim @ rim[0]).min() > 0.999


def test_undergrowth_stands_close_above_the_ground_and_changes_nothing_else() -> None:
    for seed in range(8):
        bare, grown = landscape_scene(seed), landscape_scene(seed, undergrowth=True)
        before = set(map(tuple, bare.points))
        there = np.array([tuple(point) in before for point in grown.points])
        # In its shade fewer of the ground's points are left; nothing else is lost, nothing is moved.
        lost = before - set(map(tuple, grown.points))
        assert lost <= set(map(tuple, bare.points[~bare.solitary]))
        assert grown.solitary[~there].all()
        if (~there).sum() < 20:
            continue
        ground = bare.surface
        _, under = cKDTree(ground.points[:, :2]).query(grown.points[~there, :2])
        height = grown.points[~there, 2] - ground.points[under, 2]
        # A roof's sample may be the nearest in plan, and a slope lifts what is a spacing away.
        assert np.quantile(height, 0.99) < 12
        assert (height > -1).mean() > 0.9
    assert any(len(landscape_scene(s, undergrowth=True).points) > len(landscape_scene(s).points) for s in range(8))


def test_bars_are_round_surfaces_beside_all_that_was_there() -> None:
    for seed in range(5):
        bare, more = landscape_scene(seed, largest=3000), landscape_scene(seed, largest=3000, bars=True)
        count = len(bare.points)
        assert (more.points[:count] == bare.points).all()
        assert (more.solitary[:count] == bare.solitary).all()
        assert len(more.points) > count + 20
        assert not more.solitary[count:].any()
        added, dense = slice(len(bare.surface.points), None), more.surface
        assert (dense.points[: len(bare.surface.points)] == bare.surface.points).all()
        away, row = cKDTree(dense.points[added]).query(more.points[count:])
        assert away.max() == 0  # what is scanned is of the samples
        # No bar is thicker than six spacings: so near to each point of one there is its other side.
        facing = dense.normals[added][row]
        assert np.abs(np.linalg.norm(facing, axis=1) - 1).max() < 1e-9
        near = cKDTree(dense.points[added]).query_ball_point(more.points[count:], 6.2)
        assert all(
            (dense.normals[added][rows] @ normal).min() < -0.9 for rows, normal in zip(near, facing, strict=True)
        )


def test_a_recipe_says_what_share_of_open_country_has_bars(tmp_path: Path) -> None:
    plain = Recipe(output="w.safetensors", steps=1, landscape_share=1, most=20_000)
    found = []
    for share in (0.0, 0.5, 1.0):
        recipe = plain.model_copy(update={"bars_share": share})
        found.append([len(draw(recipe, number, tmp_path).truth.surface.points) for number in range(8)])
    without, some, each = np.array(found)
    cropped = without == each  # some scenes are but a small part of one, in which no bar may stand
    assert cropped.sum() < 4
    more = some[~cropped] != without[~cropped]
    assert more.any()
    assert not more.all()
    assert (some[~cropped][more] == each[~cropped][more]).all()


def test_landscapes_hold_leaves_and_wires_that_no_surface_claims() -> None:
    solitary = [landscape_scene(seed).solitary.mean() for seed in range(12)]
    assert max(solitary) > 0.2
    assert min(solitary) < 0.2


def test_noise_has_its_level_whatever_its_kind() -> None:
    points = np.zeros((20_000, 3))
    for seed in range(8):
        noise = add_noise(points, 0.3, np.random.default_rng(seed))
        assert np.sqrt((noise**2).mean()) == pytest.approx(0.3, rel=0.03)


def test_a_recipe_says_how_many_threads() -> None:
    before = torch.get_num_threads()
    try:
        Trainer(Recipe(output="w.safetensors", minutes=1, threads=3))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_bundled_recipes_are_valid() -> None:
    found = sorted(RECIPES.glob("*.json"))
    assert found
    for path in found:
        recipe = read_recipe(str(path))
        assert (recipe.minutes or 0) > 0 or (recipe.steps or 0) > 0


def test_bundled_weights_come_from_bundled_recipes() -> None:
    from deburr.nn.deburr import BUNDLED

    _, card = weights.read(BUNDLED)
    elsewhere = {"output": "", "threads": None, "device": "cpu", "scenes": None, "workers": 1}
    known = [read_recipe(str(path)).model_copy(update=elsewhere) for path in RECIPES.glob("*.json")]
    assert all(Recipe.model_validate({**link["recipe"], "output": ""}) in known for link in card["chain"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"output": "x", "minuts": 3}', "unknown option 'minuts'; did you mean 'minutes'"),
        ('{"output": "x", "qqq": 3}', "unknown option 'qqq'; the options are output, seed, steps, minutes,"),
        ('{"steps": 3}', "'output' is missing"),
        ('{"output": "x"}', "give one of the options 'steps' and 'minutes'"),
        ('{"output": "x", "minutes": 1, "steps": 3}', "and not both"),
        ('{"output": "x", "steps": 1, "kernels": "compiled", "device": "cuda"}', "device 'cpu' alone"),
        ("[" * 5000, "no training recipe"),
        ('{"output": "x", "minutes": -1}', "minutes"),
        ('{"output": "x", "minutes": 1, "objective": "magic"}', "objective"),
        ("{", "JSON"),
    ],
)
def test_bad_recipes_are_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=said):
        read_recipe(str(path))


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_weights_are_judged_again_and_stay_as_they_are(tmp_path: Path) -> None:
    """The bundled ones, as if they came from an earlier version; the second time over themselves."""
    tensors, card = weights.read(BUNDLED)
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    weights.save(old, tensors, {name: entry for name, entry in card.items() if name != "uncertainty"})
    assert Default.load(str(old)).remains is None
    found = deburr.train.judge(str(old), str(new))
    assert Default.load(str(new)).remains is not None
    again, kept = weights.read(new)
    assert kept == found
    assert {name for name in card if kept[name] != card[name]} == {"validation", "uncertainty"}
    assert again.keys() == tensors.keys()
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    assert deburr.train.judge(str(new), str(new)) == found
    assert weights.read(new)[1] == found


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_a_short_run_writes_weights_and_goes_on(tmp_path: Path) -> None:
    recipe: dict[str, Any] = {
        "output": str(tmp_path / "w.safetensors"),
        "steps": 3,
        "solids": 1,
        "channels": 16,
        "seed": 5,
    }
    recipe |= {"landscape_share": 0.8, "layers": 2, "heads": 2, "batch": 1, "most": 3000}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(recipe))
    first = deburr.train.run(str(path))
    assert len(first["chain"]) == 1
    assert first["sizes"]["channels"] == 16
    assert all(math.isfinite(row["to_surface"]) for row in first["validation"])
    _, card = weights.read(recipe["output"], model="deburr")
    assert card == first
    assert isinstance(Default.load(recipe["output"]), Default)

    rows = (tmp_path / "w.csv").read_text().splitlines()
    assert rows[-1].startswith(f"{first['chain'][0]['steps']},")
    assert "validation solid 0.3 to_surface" in rows[0]
    assert (tmp_path / "w.png").stat().st_size > 10_000
    # Of a run that is over, what follows the last step is done again.
    assert deburr.train.run(str(path), resume=True)["chain"][0]["steps"] == 3
    assert (tmp_path / "w.csv").read_text().splitlines() == rows
    first_weights = str(tmp_path / "first.safetensors")
    Path(recipe["output"]).rename(first_weights)
    path.write_text(json.dumps({**recipe, "networks": ["noise"], "second_pass": 0}))
    second = deburr.train.run(str(path), init=first_weights)
    assert len(second["chain"]) == 2

    path.write_text(json.dumps({**recipe, "seed": 6}))
    with pytest.raises(RunError, match="another recipe"):
        deburr.train.run(str(path), resume=True)


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
@pytest.mark.parametrize("kernels", ["torch", "compiled"])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: str
) -> None:
    if kernels == "compiled" and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    small: dict[str, Any] = {
        "steps": 6,
        "channels": 16,
        "layers": 1,
        "heads": 2,
        "threads": 1,
        "landscape_share": 1,
        "second_pass": 1,
    }
    small |= {"landscape_noise": [0.3, 0.5], "validate_every": 2, "kernels": kernels, "most": 2000}
    for name in ("whole", "parts"):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"output": str(tmp_path / f"{name}.safetensors"), **small}))
    deburr.train.run(str(tmp_path / "whole.json"))

    save, learn = Trainer.save, Trainer.learn
    monkeypatch.setattr(Trainer, "save", lambda self, *given: save(self, *given) if self.step == 2 else None)

    def stop_at_four(self: Trainer, batch: Sequence[Prepared]) -> dict[str, float]:
        if self.step == 4:
            raise KeyboardInterrupt
        return learn(self, batch)

    monkeypatch.setattr(Trainer, "learn", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        deburr.train.run(str(tmp_path / "parts.json"))
    monkeypatch.setattr(Trainer, "save", save)
    monkeypatch.setattr(Trainer, "learn", learn)
    assert [line.split(",")[0] for line in (tmp_path / "parts.csv").read_text().splitlines()] == ["step", "2", "4"]
    deburr.train.run(str(tmp_path / "parts.json"), resume=True)
    one, other = (weights.read(tmp_path / f"{name}.safetensors")[0] for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    tables = [(tmp_path / f"{name}.csv").read_text().splitlines() for name in ("whole", "parts")]
    without_seconds = [[line.split(",")[:1] + line.split(",")[2:] for line in table] for table in tables]
    assert without_seconds[0] == without_seconds[1]


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_scenes_are_prepared_and_learnt_from(tmp_path: Path) -> None:
    recipe: dict[str, Any] = {
        "output": str(tmp_path / "w.safetensors"),
        "steps": 2,
        "channels": 16,
        "layers": 1,
        "heads": 2,
    }
    recipe |= {"landscape_share": 1, "threads": 1}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(recipe))
    deburr.train.prepare(str(path), str(tmp_path / "scenes"), 3)
    assert [file.name for file in sorted((tmp_path / "scenes").iterdir())] == [f"{i:06d}.npz" for i in range(3)]
    path.write_text(json.dumps({**recipe, "scenes": "scenes/*.npz"}))
    card = deburr.train.run(str(path))
    assert card["chain"][0]["steps"] == 2
    assert "scenes" not in card["chain"][0]["recipe"]
    assert card["chain"][0]["prepared_scenes"] == 3


def test_a_missing_recipe_is_named() -> None:
    with pytest.raises(SpecError, match=r"none\.json: cannot be read"):
        read_recipe("none.json")


def test_outputs_that_would_overwrite_something_are_refused(tmp_path: Path) -> None:
    path, weights_path = tmp_path / "train.json", tmp_path / "w.safetensors"
    path.write_text(Recipe(output=str(tmp_path / "w.ckpt"), minutes=1).model_dump_json())
    with pytest.raises(SpecError, match="safetensors"):
        deburr.train.run(str(path))
    path.write_text(Recipe(output=str(weights_path), minutes=1).model_dump_json())
    with pytest.raises(SpecError, match="--init"):
        deburr.train.run(str(path), init=str(weights_path))
    path.write_text(Recipe(output=str(tmp_path / "none" / "w.safetensors"), minutes=1).model_dump_json())
    with pytest.raises(WriteError, match="does not exist"):
        deburr.train.run(str(path))


def test_resume_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(Recipe(output=str(tmp_path / "w.safetensors"), minutes=1, solids=1).model_dump_json())
    with pytest.raises(RunError, match="no checkpoint"):
        deburr.train.run(str(path), resume=True)
