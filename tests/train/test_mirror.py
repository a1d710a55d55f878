"""Mirror images: where the loss is least; that neither to stay nor to flatten is; learning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

import deburr.train
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.nn.deburr.inputs import Scene
from deburr.train import mirror
from deburr.train.examples import draw
from deburr.train.loop import Trainer
from deburr.train.prepared import prepare, see
from deburr.train.recipe import Recipe
from deburr.train.tiles import Tile, Tiles
from deburr.writers.ply import Ply

NOISE = 0.3
RECIPE = Recipe(
    output="w", steps=60, objective="mirror", files=("x",), networks=("score",), channels=16, layers=2, heads=2
)
#: Across the slope of `slope`.
UP = np.array([-0.5, 0, 1]) / np.sqrt(1.25)


def slope(seed: int = 0, count: int = 900) -> Floats:
    """Points about a spacing apart on a slope, with noise."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, np.sqrt(count), (count, 2))
    return np.column_stack((plan, 0.5 * plan[:, 0])) + random.normal(0, NOISE, (count, 3))


def level(count: int = 900) -> Tensor:
    return torch.full((count,), NOISE)


def across(points: Floats) -> tuple[Scene, Tensor, Tensor]:
    """What is seen of the slope, the unit vectors across it, and that it is one everywhere."""
    normals = torch.from_numpy(np.broadcast_to(UP, points.shape).copy()).float()
    return see(points, np.full(len(points), NOISE)), normals, torch.ones(len(points), dtype=torch.bool)


def lost(share: Tensor | float, points: Floats, along: Tensor | None = None) -> Tensor:
    """The loss of who takes a ``share`` of each height away, of points and images alike; and goes ``along``."""
    scene, normals, on = across(points)
    heights = torch.from_numpy(points @ UP).float()
    way = -share * heights[:, None] * normals
    image = mirror.mirrored(points, way, normals, on)
    back = -share * torch.from_numpy(image @ UP).float()[:, None] * normals
    return mirror.loss(way if along is None else way + along, back, normals, on, level(len(points)), scene.graph)


def test_the_image_of_a_point_is_as_far_on_the_other_side_and_the_cloud_as_likely() -> None:
    points = slope(count=4000)
    _, normals, on = across(points)
    heights = points @ UP
    way = torch.from_numpy(-heights[:, None] * UP).float() + 0.7 * torch.tensor([0.0, 1.0, 0.0])
    image = mirror.mirrored(points, way, normals, on)
    # What leads along the surface mirrors nothing.
    np.testing.assert_allclose(image @ UP, -heights, atol=1e-6)
    np.testing.assert_allclose(image - (image @ UP)[:, None] * UP, points - heights[:, None] * UP, atol=1e-6)
    assert kstest(image @ UP / NOISE, "norm").pvalue > 0.01
    on[:100] = False
    assert (mirror.mirrored(points, way, normals, on)[:100] == points[:100]).all()


def test_it_is_least_where_all_of_the_noise_is_taken_away() -> None:
    points = slope()
    shares = np.round(np.arange(0, 1.6, 0.1), 1)
    found = [float(lost(share, points)) for share in shares]
    assert shares[int(np.argmin(found))] == pytest.approx(1.0, abs=0.11)
    # To stay agrees with itself and takes nothing away.
    assert found[0] == pytest.approx(1.0, abs=1e-6)
    assert min(found) < 0.3
    # By hand, for a share of one half: images lie on the surface, points are led half of the way to them.
    heights = points @ UP / NOISE
    scene, _, on = across(points)
    size = float(((mirror._averaged(torch.from_numpy(heights**2 / 4).float(), on, scene.graph) - 1) ** 2).mean())
    assert found[5] == pytest.approx(float((heights**2).mean()) / 4 + size, rel=1e-4)


@pytest.mark.parametrize("share", [0.2, 0.6, 1.5])
def test_its_slope_leads_there(share: float) -> None:
    points, learnt = slope(1), torch.tensor(share, requires_grad=True)
    lost(learnt, points).backward()  # type: ignore[no-untyped-call]
    assert learnt.grad is not None
    assert (float(learnt.grad) < 0) == (share < 1)


def test_who_goes_along_the_surface_or_takes_a_shape_away_loses() -> None:
    points = slope()
    aside = torch.tensor([0.0, 0.5 * NOISE, 0.0]).expand(len(points), 3)
    assert float(lost(1.0, points, aside)) == pytest.approx(float(lost(1.0, points)) + 0.25, abs=1e-4)
    # A wave three times as high as the noise is led to a plane, and its images agree on that.
    waves = points + 3 * NOISE * np.sin(points[:, :1] / 3) * UP
    assert float(lost(1.0, waves)) > 5


def test_in_leaves_nothing_is_learnt() -> None:
    leaves = np.random.default_rng(0).uniform(0, 10, (1000, 3))
    scene = see(leaves, np.full(1000, 0.1))
    on = mirror.surface(scene, torch.full((1000,), 0.1))[1]
    assert on.float().mean() < 0.02
    on[:] = False
    way = torch.ones(1000, 3, requires_grad=True)
    found = mirror.loss(way, way, scene.planes.normals[:, 0], on, torch.full((1000,), 0.1), scene.graph)
    assert float(found.detach()) == 0
    on = mirror.surface(see(slope(), np.full(900, NOISE)), level())[1]
    assert on.float().mean() > 0.95


def test_every_example_is_of_the_files_as_they_are(tmp_path: Path) -> None:
    points = slope()
    tiles = Tiles([Tile(points, NOISE)])
    for number in range(4):
        example = draw(RECIPE, number, tmp_path, tiles.bare)
        assert example.guessed
        prepared = prepare(example, RECIPE, number)
        assert (prepared.passes, prepared.objective) == (0, "mirror")
    # One crop is all of the file: moved, and in spacings.
    factor = example.level[0] / NOISE
    np.testing.assert_allclose(np.ptp(example.points, axis=0), factor * np.ptp(points, axis=0), rtol=1e-9)


def test_it_learns_to_denoise_from_noise_alone() -> None:
    """A network that knows nothing, and a noisy slope: after sixty steps, of another slope's noise half is left."""
    recipe = RECIPE.model_copy(update={"learning_rate": 1e-2})
    trainer, tiles = Trainer(recipe), Tiles([Tile(slope(5), NOISE)])
    random = np.random.default_rng(1)
    for number in range(60):
        trainer.learn([prepare(tiles.bare(random), recipe, number)])
    noisy = slope(6)
    with torch.no_grad():
        way = trainer.networks["score"](see(noisy, np.full(len(noisy), NOISE)))[0].numpy()
    inside = np.all((noisy[:, :2] > 3) & (noisy[:, :2] < 27), axis=1)
    before, after = (p[inside] @ UP for p in (noisy, noisy + way))
    assert np.sqrt((after**2).mean()) < 0.5 * np.sqrt((before**2).mean())


def test_what_it_does_not_train_is_refused(tmp_path: Path) -> None:
    recipe = {"output": str(tmp_path / "w.safetensors"), "objective": "mirror", "files": ["*.ply"], "steps": 1}
    (tmp_path / "train.json").write_text(json.dumps(recipe))
    with pytest.raises(SpecError, match="objective 'mirror' trains no noise network"):
        deburr.train.run(str(tmp_path / "train.json"))


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_a_short_run_tunes(tmp_path: Path) -> None:
    Ply(filename=str(tmp_path / "noisy.ply")).write(PointCloud(slope()))
    recipe = {"output": str(tmp_path / "w.safetensors"), "objective": "mirror", "files": ["*.ply"], "steps": 2}
    (tmp_path / "train.json").write_text(json.dumps({**recipe, "networks": ["score"], "learning_rate": 1e-4}))
    card = deburr.train.run(str(tmp_path / "train.json"), init="bundled")
    assert card["chain"][-1]["tiles"] == {"clouds": 1, "points": 900}
    assert (tmp_path / "w.csv").read_text().splitlines()[0].startswith("step,seconds,points,mirror")
