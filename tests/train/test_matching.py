"""Score matching on noisy points alone: its formula against autograd, its minimum, what is held out, what it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import deburr.train
from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.planes import build_graph
from deburr.train import matching
from deburr.train.examples import draw
from deburr.train.loop import Trainer
from deburr.train.prepared import from_arrays, prepare, see, to_arrays
from deburr.train.recipe import Recipe
from deburr.train.tiles import Tile, Tiles
from deburr.writers.ply import Ply

RECIPE = Recipe(
    output="w", steps=60, objective="score_matching", files=("x",), networks=("score",), channels=16, layers=2, heads=2
)


def plane(seed: int = 0, count: int = 900, noise: float = 0.3) -> np.ndarray:
    """Points about a spacing apart on a slope, with noise."""
    random = np.random.default_rng(seed)
    plan = random.uniform(0, np.sqrt(count), (count, 2))
    return np.column_stack((plan, 0.5 * plan[:, 0])) + random.normal(0, noise, (count, 3))


def _matrix(six: Tensor) -> Tensor:
    xx, yy, zz, xy, xz, yz = six
    return torch.stack((xx, xy, xz, xy, yy, yz, xz, yz, zz)).view(3, 3)


def test_the_loss_is_that_of_autograd() -> None:
    """w |s|^2 + 2 div(w s), the divergence by autograd, times sigma^2: trace and the weight's slope in one."""
    torch.manual_seed(0)
    points, held = plane(0, 60), plane(1, 60)
    scene = see(points, np.full(60, 0.3))
    matrix, begin = (part.detach() for part in ScoreNetwork(Sizes(16, 2, 2)).fields(scene))
    around, radius = matching.places_around(points, held), matching.windows(scene.graph)
    level = torch.linspace(0.2, 0.4, 60)
    whole, weights = 0.0, 0.0
    for j in range(60):
        for place in around[j]:
            away = place.clone().requires_grad_()

            def weighted(at: Tensor, j: int = j) -> Tensor:
                score = (begin[j] - _matrix(matrix[j]) @ at) / level[j] ** 2
                return (1 - (at**2).sum() / radius[j] ** 2).clamp_min(0) * score

            score = (begin[j] - _matrix(matrix[j]) @ place) / level[j] ** 2
            weight = float((1 - (place**2).sum() / radius[j] ** 2).clamp_min(0))
            divergence = torch.autograd.functional.jacobian(weighted, away).trace()
            whole += float(level[j] ** 2 * (weight * (score**2).sum() + 2 * divergence))
            weights += weight
    assert weights > 100
    assert float(matching.loss((matrix, begin), around, radius, level)) == pytest.approx(3 + whole / weights, rel=1e-4)


def test_the_fields_are_those_that_the_network_denoises_with() -> None:
    """At the neighbours, as `ScoreNetwork.parts` has them: S_j(x_i) = S_j(x_j) + A_j (x_j - x_i)."""
    torch.manual_seed(1)
    network, scene = ScoreNetwork(Sizes(16, 2, 2)), see(plane(2, 80), np.full(80, 0.3))
    with torch.no_grad():
        matrix, begin = network.fields(scene)
        _, own, each = network.parts(scene)
        gate = (begin - own)[:, 0] / each[:, 0, 0]
    neighbors, away = scene.graph.neighbors.long(), scene.graph.offsets(slice(0, 80))
    for i in range(80):
        for place, j in enumerate(neighbors[i].tolist()):
            there = (begin - own)[j] + _matrix(matrix[j]) @ away[i, place]
            torch.testing.assert_close(there / gate[j], each[i, place + 1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (0.8, -0.5, 0.3)])
def test_least_is_the_score_of_a_gaussian(place: tuple[float, float, float]) -> None:
    """Clean places normal with variances (1, 0.25, 0), noise 0.5: s(x) = -x / (variance + 0.25), by hand."""
    random, level = np.random.default_rng(3), 0.5
    spread = np.array([1.0, 0.25, 0.0]) + level**2
    points = random.normal(size=(400_000, 3)) * np.sqrt(spread)
    around = torch.from_numpy(points - np.array(place)).float()[None]
    matrix = torch.zeros(1, 6, requires_grad=True)
    begin = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.LBFGS([matrix, begin], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = matching.loss((matrix, begin), around, torch.tensor([1.2]), torch.tensor([level]))
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    share = level**2 / spread
    assert matrix.detach()[0].tolist() == pytest.approx([*share, 0, 0, 0], abs=0.03)
    assert begin.detach()[0].tolist() == pytest.approx(list(-share * place), abs=0.03)


def test_what_is_judged_was_not_seen() -> None:
    points = plane(count=2000)
    example = Tiles([Tile(points, 0.3)]).parted(np.random.default_rng(0))
    assert example.held is not None
    assert 0.04 < len(example.held) / 2000 < 0.18
    assert len(example.held) + len(example.points) == 2000
    seen = {tuple(row) for row in example.points.tolist()}
    assert not seen & {tuple(row) for row in example.held.tolist()}
    prepared = prepare(example, RECIPE, 0)
    assert not prepared.passes
    assert prepared.around is not None
    assert float(prepared.around.norm(dim=2).min()) > 0
    back = from_arrays(to_arrays(prepared))
    assert (back.around == prepared.around).all()  # type: ignore[attr-defined]


def test_a_window_ends_at_the_last_neighbour() -> None:
    graph = build_graph(plane(4, 200), 1.0)
    last = graph.offsets(slice(0, 200))[:, -1].norm(dim=1)
    torch.testing.assert_close(matching.windows(graph), last, rtol=1e-5, atol=1e-5)


def test_every_example_is_of_the_files(tmp_path: Path) -> None:
    tiles = Tiles([Tile(plane(), 0.3)])
    assert all(draw(RECIPE, number, tmp_path, tiles.parted).held is not None for number in range(4))


def test_it_learns_to_denoise_from_noise_alone() -> None:
    """A network that knows nothing, and a noisy slope: after sixty steps, of another slope's noise half is left."""
    recipe = RECIPE.model_copy(update={"learning_rate": 1e-2})
    trainer, tiles = Trainer(recipe), Tiles([Tile(plane(5), 0.3)])
    random = np.random.default_rng(1)
    for number in range(60):
        trainer.learn([prepare(tiles.parted(random), recipe, number)])
    noisy = plane(6)
    with torch.no_grad():
        way = trainer.networks["score"](see(noisy, np.full(len(noisy), 0.3)))[0].numpy()
    inside = np.all((noisy[:, :2] > 3) & (noisy[:, :2] < 27), axis=1)
    before, after = (np.abs(p[inside] @ [-0.5, 0, 1]) for p in (noisy, noisy + way))
    assert np.sqrt((after**2).mean()) < 0.5 * np.sqrt((before**2).mean())


def test_scenes_of_it_cannot_be_prepared(tmp_path: Path) -> None:
    recipe = {"output": str(tmp_path / "w.safetensors"), "objective": "score_matching", "files": ["*.ply"], "steps": 1}
    (tmp_path / "train.json").write_text(json.dumps({**recipe, "networks": ["score"]}))
    with pytest.raises(SpecError, match="scenes of objective 'score_matching' cannot be prepared"):
        deburr.train.prepare(str(tmp_path / "train.json"), str(tmp_path / "scenes"), 2)
    with pytest.raises(SpecError, match="'score_matching' fine-tunes trained weights; give them with --init"):
        deburr.train.run(str(tmp_path / "train.json"))


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_a_short_run_tunes(tmp_path: Path) -> None:
    Ply(filename=str(tmp_path / "noisy.ply")).write(PointCloud(plane()))
    recipe = {"output": str(tmp_path / "w.safetensors"), "objective": "score_matching", "files": ["*.ply"], "steps": 2}
    (tmp_path / "train.json").write_text(json.dumps({**recipe, "networks": ["score"], "learning_rate": 1e-4}))
    card = deburr.train.run(str(tmp_path / "train.json"), init="bundled")
    assert card["chain"][-1]["tiles"] == {"clouds": 1, "points": 900}
    assert (tmp_path / "w.csv").read_text().splitlines()[0].startswith("step,seconds,points,match")
