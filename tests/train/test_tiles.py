"""Learning from noisy clouds: the identity it rests on, which points count, what is refused, what the card tells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import deburr.train
from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, RunError, SpecError
from deburr.core.neighbors import cloud_spacing
from deburr.nn.deburr.default import Default
from deburr.train.examples import draw
from deburr.train.loop import Trainer
from deburr.train.prepared import Prepared, prepare, targets
from deburr.train.recipe import Recipe, read_recipe
from deburr.train.tiles import Tile, Tiles, find_files, noisier, read_tiles
from deburr.writers.las import LasWriter
from deburr.writers.ply import Ply

SELF = {"objective": "self_supervised", "files": ["*.laz"], "minutes": 0.01}


def slope(seed: int = 0, count: int = 2000, noise: float = 0.05) -> np.ndarray:
    """Points about 0.22 apart on a slope, far from the origin, with noise."""
    rng = np.random.default_rng(seed)
    plan = rng.uniform(0, 10, (count, 2))
    clean = np.column_stack([plan, 0.2 * plan[:, 0]])
    return clean + rng.normal(0, noise, clean.shape) + np.array([500_000, 5_400_000, 300])


def written(folder: Path, **more: object) -> Path:
    """A recipe in ``folder``."""
    path = folder / "train.json"
    path.write_text(json.dumps({"output": str(folder / "w.safetensors"), **SELF, **more}))
    return path


@pytest.mark.parametrize("share", [0.7, 1.0])
def test_the_guess_has_the_mean_of_the_truth(share: float) -> None:
    # Clean places x ~ N(0, 2^2) seen with noise 0.5: E[x | z] = z 4 / (4 + (1 + a^2) 0.25), by Gaussian algebra.
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, (200_000, 3))
    y = x + rng.normal(0, 0.5, x.shape)
    z, guess = noisier(y, 0.5, share, rng)
    by_hand = 4 / (4 + (1 + share**2) * 0.25)
    fitted = (z * guess).sum() / (z * z).sum()
    assert fitted == pytest.approx(by_hand, abs=0.003)
    assert fitted == pytest.approx((z * x).sum() / (z * z).sum(), abs=0.003)
    # Not y, which is what one gets who forgets the factor.
    assert abs((z * y).sum() / (z * z).sum() - by_hand) > 0.02
    # What is computed from z, such as a first pass, has the same mean of guesses and truths.
    passed = np.sign(z)
    assert (passed * guess).mean() == pytest.approx((passed * x).mean(), abs=0.01)
    way, home = guess - z, x - z
    assert way.var() / home.var() == pytest.approx((1 + share**2) / share**2, rel=0.02)


def test_a_drawn_example_is_a_noisier_crop_in_spacings() -> None:
    points, noise = slope(count=9000), 0.05
    drawn = Tiles([Tile(points, noise)]).draw(np.random.default_rng(3))
    assert len(drawn.points) == 4000
    assert np.abs(drawn.points).max() < 200, "about the crop's centre"
    # The crop before the noise on top, from z and the guess: z - m = z - (z - guess) a^2 / (1 + a^2).
    spacing = cloud_spacing(points)
    share = np.sqrt((drawn.typical * spacing / noise) ** 2 - 1)
    assert 0.6 < share < 1.1
    added = (drawn.points - drawn.truth.points) * share**2 / (1 + share**2)
    assert added.std() * spacing == pytest.approx(share * noise, rel=0.1)
    assert cloud_spacing(drawn.points - added) == pytest.approx(1.0, rel=0.01)
    assert drawn.guessed
    assert set(drawn.level) == {drawn.typical}
    way, same = (way.numpy() for way in targets(drawn, "self_supervised"))
    assert (way == same).all()
    assert way == pytest.approx(drawn.truth.points - drawn.points, abs=1e-4)


def test_small_tiles_are_drawn_whole_and_large_ones_more_often() -> None:
    tiles = Tiles([Tile(slope(count=600), 0.05), Tile(slope(1, 5400), 0.05)])
    rng = np.random.default_rng(0)
    sizes = [len(tiles.draw(rng).points) for _ in range(60)]
    assert set(sizes) == {600, 4000}
    assert 1 <= sizes.count(600) <= 16
    assert tiles.figures() == {"clouds": 2, "points": 6000}


def test_every_second_example_is_a_tile(tmp_path: Path) -> None:
    tiles = Tiles([Tile(slope(), 0.05)])
    recipe = Recipe(output="w.safetensors", steps=1, landscape_share=1)
    drawn = [draw(recipe, number, tmp_path, tiles.draw).guessed for number in range(6)]
    assert drawn == [True, False] * 3


def test_a_guess_is_held_to_the_whole_score() -> None:
    recipe = Recipe(
        output="w.safetensors", minutes=1, objective="self_supervised", files=("x",), channels=16, layers=2, heads=2
    )
    trainer = Trainer(recipe)
    prepared = prepare(Tiles([Tile(slope(), 0.05)]).draw(np.random.default_rng(0)), recipe, 0)
    example = prepared.example
    with torch.no_grad():
        score = trainer.networks["score"](prepared.scene)[0]
        (loss,) = trainer._score_losses(prepared, prepared.scene).values()
        whole = trainer._losses(prepared)
    error = (score.numpy() - (example.truth.points - example.points)) / example.typical
    assert float(loss) == pytest.approx(0.3 * (error**2).sum(1).mean(), rel=1e-3)
    assert set(whole) == {"tile"}, "of its noise level a tile tells nothing new"


def test_noise_classes_and_withheld_points_are_left_out(tmp_path: Path) -> None:
    xyz = slope(count=1000)
    classes = np.full(1000, 2, dtype=np.uint8)
    classes[:100], classes[100:200] = 7, 18
    withheld = np.zeros(1000, dtype=np.uint8)
    withheld[200:300] = 1
    xyz[:300] += 50
    LasWriter(filename=str(tmp_path / "a.laz"), minor_version="4", dataformat_id="6").write(
        PointCloud(xyz, {"Classification": classes, "Withheld": withheld})
    )
    Ply(filename=str(tmp_path / "b.ply")).write(PointCloud(np.concatenate((xyz, xyz))))
    recipe = Recipe(output="w", minutes=1, objective="self_supervised", files=("*",))
    las, ply = read_tiles([str(tmp_path / "a.laz"), str(tmp_path / "b.ply")], recipe, Default.load())
    assert len(las.points) == 700
    assert np.ptp(las.points, axis=0).max() < 15
    assert len(ply.points) == 1000, "twins are one point"
    assert las.noise == pytest.approx(0.05, rel=0.3)
    told = read_tiles([str(tmp_path / "a.laz")], recipe.model_copy(update={"noise": 0.04}), Default.load())
    assert told[0].noise == 0.04


def test_tiles_that_teach_nothing_are_named(tmp_path: Path) -> None:
    recipe = Recipe(output="w", minutes=1, objective="self_supervised", files=("*",), noise=1e-4)
    few, clean = str(tmp_path / "few.ply"), str(tmp_path / "clean.ply")
    Ply(filename=few).write(PointCloud(slope(count=90)))
    Ply(filename=clean).write(PointCloud(slope()))
    with pytest.raises(ReadError, match=r"few\.ply: has 90 .*at least 500"):
        read_tiles([few], recipe, Default.load())
    with pytest.raises(RunError, match=r"clean\.ply: noise of 0\.0001 is too little"):
        read_tiles([clean], recipe, Default.load())


def test_files_are_found_beside_the_recipe_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    for name in ("a.laz", "b.LAS", "[c].ply"):
        (tmp_path / "tiles" / name).touch()
    recipe = str(tmp_path / "train.json")
    found = find_files(recipe, ["tiles/*", "tiles/a.laz", "tiles/[c].ply", str(tmp_path / "tiles" / "b.LAS")])
    assert sorted(Path(path).name for path in found) == ["[c].ply", "a.laz", "b.LAS"]


def test_all_wrong_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SpecError) as caught:
        find_files(str(tmp_path / "train.json"), ["none*.laz", "gone.laz", "notes.txt"])
    assert [part for part in ("'none*.laz'", "gone.laz", "notes.txt")] == [
        part
        for part, text in zip(("'none*.laz'", "gone.laz", "notes.txt"), caught.value.errors, strict=True)
        if part in text
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"files": []}, "name them in 'files'"),
        ({"networks": ["noise"]}, "add it to 'networks'"),
        ({"objective": "score"}, "'files' is for objectives 'self_supervised', 'strips',"),
        ({"objective": "denoising", "files": [], "noise": 0.1}, "'noise' is for objectives"),
        ({"objective": "score_matching"}, "trains no noise network"),
        ({"objective": "score_matching", "files": []}, "name them in 'files'"),
        ({"noise": 0}, "option 'noise'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, more: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_recipe(str(written(tmp_path, **more)))
    assert len(caught.value.errors) == 1
    assert "is no training recipe" not in str(caught.value)


def test_it_needs_weights_to_start_from_and_files(tmp_path: Path) -> None:
    path = str(written(tmp_path))
    with pytest.raises(SpecError, match=r"train\.json: .*--init"):
        deburr.train.run(path)
    with pytest.raises(SpecError, match=r"nothing matches '\*\.laz'"):
        deburr.train.run(path, init="bundled")


@pytest.mark.slow
@pytest.mark.usefixtures("few_frozen_scenes")
def test_a_short_run_tunes_and_tells_no_file_name(tmp_path: Path) -> None:
    LasWriter(filename=str(tmp_path / "secret.laz")).write(PointCloud(slope()))
    path = written(tmp_path, networks=["score"], learning_rate=2e-4, solids=1, landscape_share=1)
    card = deburr.train.run(str(path), init="bundled")
    assert "secret" not in json.dumps(card)
    assert "laz" not in json.dumps(card)
    link = card["chain"][-1]
    assert link["recipe"]["objective"] == "self_supervised"
    assert link["tiles"] == {"clouds": 1, "points": 2000}
    assert "noisy clouds of 2000 points" in card["data"]
    before, after = Default.load(), Default.load(str(tmp_path / "w.safetensors"))
    changes = [
        (a - b).abs().max().item() for a, b in zip(before.score.parameters(), after.score.parameters(), strict=True)
    ]
    assert 0 < max(changes) < 0.05
    kept = zip(before.noise.parameters(), after.noise.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in kept)
    # Ends again, without --init: the checkpoint holds the weights.
    assert deburr.train.run(str(path), resume=True)["chain"][-1]["steps"] == link["steps"]


def test_a_second_pass_keeps_the_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(
        output="w", minutes=1, objective="self_supervised", files=("x",), second_pass=1, networks=("score",)
    )
    trainer, seen = Trainer(recipe), list[Prepared]()
    prepared = prepare(Tiles([Tile(slope(), 0.1)]).draw(np.random.default_rng(0)), recipe, 0)
    assert prepared.passes
    losses = trainer._score_losses
    monkeypatch.setattr(trainer, "_score_losses", lambda p, scene: seen.append(p) or losses(p, scene))
    assert set(trainer._losses(prepared)) == {"tile"}
    assert seen[0].example.level == pytest.approx(0.4 * prepared.example.level)
    assert seen[0].example.truth is prepared.example.truth
