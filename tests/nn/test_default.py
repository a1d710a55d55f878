"""The default model and its bundled weights: what it promises whatever it was trained on, and that it denoises."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from deburr.core.cloud import Frame, Patches
from deburr.core.errors import ReadError
from deburr.core.neighbors import cloud_spacing
from deburr.core.progress import listening
from deburr.nn import weights
from deburr.nn.contract import Settings
from deburr.nn.deburr import BUNDLED, climb
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.default import Default, estimate_noise
from deburr.nn.deburr.inputs import Scene
from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork
from deburr.nn.deburr.noise_network import NoiseNetwork
from deburr.nn.deburr.planes import build_graph, fit_planes
from deburr.nn.deburr.uncertainty import Regression
from deburr.nn.schedule import LIMIT

Array = np.ndarray


def house(count: int = 3000, noise: float = 0.1, seed: int = 0) -> tuple[Array, Array]:
    """Ground and a wall that meet at a right angle, spacing about 1; clean and noisy."""
    rng = np.random.default_rng(seed)
    side = np.sqrt(count / 2)
    flat = rng.uniform(0, side, (count, 2))
    clean = np.zeros((count, 3))
    clean[: count // 2, :2] = flat[: count // 2]
    clean[count // 2 :, 1:] = flat[count // 2 :]
    return clean, clean + rng.normal(0, noise, clean.shape)


def lattice() -> Array:
    """Like real LiDAR: rounded to a hundredth, so that many distances are equal."""
    x = np.round(house()[1], 2)
    return np.unique(x, axis=0)


@pytest.fixture(scope="module")
def model() -> Default:
    return Default.load()


def to_surface(points: Array) -> float:
    """RMS distance to the nearer of the half planes z = 0 and x = 0."""
    return float(np.sqrt((np.minimum(np.abs(points[:, 0]), np.abs(points[:, 2])) ** 2).mean()))


@pytest.mark.parametrize("points", [house()[1], lattice()], ids=["random", "lattice"])
class TestSameResult:
    def compare(self, points: Array, other: Array, base: Array) -> None:
        off = np.linalg.norm(other - base, axis=1) / cloud_spacing(points)
        assert (off <= 1e-4).mean() >= 0.999
        assert off.max() < 0.01

    def test_whatever_the_order(self, model: Default, points: Array) -> None:
        order = np.random.default_rng(1).permutation(len(points))
        back = np.empty_like(points)
        back[order] = model.denoise(points[order], Settings()).xyz
        self.compare(points, back, model.denoise(points, Settings()).xyz)

    def test_wherever_it_lies(self, model: Default, points: Array) -> None:
        utm = np.array([500_000.0, 5_400_000.0, 100.0])
        self.compare(points, model.denoise(points + utm, Settings()).xyz - utm, model.denoise(points, Settings()).xyz)

    def test_however_it_is_turned(self, model: Default, points: Array) -> None:
        turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
        base = model.denoise(points, Settings()).xyz
        turned = model.denoise(points @ turn, Settings()).xyz @ turn.T
        assert np.sqrt(((turned - base) ** 2).sum(1).mean()) < 1e-3 * np.sqrt(((base - points) ** 2).sum(1).mean())

    def test_in_any_unit(self, model: Default, points: Array) -> None:
        base = model.denoise(points, Settings()).xyz
        scaled = model.denoise(points * 1000, Settings()).xyz / 1000
        assert np.abs(scaled - base).max() < 1e-5 * np.abs(base - points).max()

    def test_in_blocks_of_any_size(self, model: Default, points: Array) -> None:
        base = model.denoise(points, Settings(patches=Patches("blocks", 10_000))).xyz
        self.compare(points, model.denoise(points, Settings(patches=Patches("blocks", 77))).xyz, base)


def test_noise_falls_and_the_level_is_found(model: Default) -> None:
    clean, noisy = house(noise=0.15)
    out = model.denoise(noisy, Settings())
    assert out.figures["noise"] == pytest.approx(0.15, rel=0.2)
    assert out.figures["noise_source"] == "estimated"
    assert to_surface(out.xyz) < 0.45 * to_surface(noisy)
    assert np.sqrt(((out.xyz - clean) ** 2).sum(1).mean()) < np.sqrt(((noisy - clean) ** 2).sum(1).mean())


def test_random_points_in_space_are_left_nearly_alone(model: Default) -> None:
    """Vegetation has no surface: a denoiser must not invent one."""
    clean = np.random.default_rng(3).uniform(0, 12, (1500, 3))
    noisy = clean + np.random.default_rng(4).normal(0, 0.15, clean.shape)
    out = model.denoise(noisy, Settings(noise=0.15)).xyz
    before, after = (np.sqrt(((p - clean) ** 2).sum(1).mean()) for p in (noisy, out))
    assert after < 1.1 * before


def test_clean_input_hardly_moves(model: Default) -> None:
    clean = house()[0]
    out = model.denoise(clean, Settings()).xyz
    assert np.median(np.linalg.norm(out - clean, axis=1)) < 0.05 * cloud_spacing(clean)


def test_the_noise_given_counts(model: Default) -> None:
    noisy = house()[1]
    out = model.denoise(noisy, Settings(noise=0.02))
    assert out.figures["noise"] == pytest.approx(0.02)
    assert out.figures["noise_source"] == "given"
    assert np.linalg.norm(out.xyz - noisy, axis=1).max() <= 4 * 0.02 * (1 + 1e-9)


def test_no_point_moves_further_than_asked(model: Default) -> None:
    noisy = house()[1]
    out = model.denoise(noisy, Settings(max_displacement=0.05))
    assert np.linalg.norm(out.xyz - noisy, axis=1).max() <= 0.05 * (1 + 1e-9)
    assert out.figures["max_displacement"] == 0.05


def test_strength_scales_every_displacement(model: Default) -> None:
    noisy = house()[1]
    whole, third = (model.denoise(noisy, Settings(strength=s)).xyz - noisy for s in (1.0, 0.3))
    assert third == pytest.approx(0.3 * whole, abs=1e-12)
    assert (model.denoise(noisy, Settings(strength=0.0)).xyz == noisy).all()


def test_a_frame_only_sets_the_unit(model: Default) -> None:
    noisy = house()[1]
    base = model.denoise(noisy, Settings()).xyz
    framed = model.denoise(noisy, Settings(frame=Frame("spacing", cloud_spacing(noisy), noisy.mean(0)))).xyz
    assert framed == pytest.approx(base, abs=1e-5)


def test_equal_points_stay_equal_and_do_not_hang(model: Default) -> None:
    noisy = house(600)[1]
    repeated = np.concatenate((noisy, noisy[:200], np.repeat(noisy[:1], 500, axis=0)))
    out = model.denoise(repeated, Settings()).xyz
    assert (out[:200] == out[600:800]).all()
    assert (out[800:] == out[0]).all()
    assert np.isfinite(out).all()
    assert out[:600] == pytest.approx(model.denoise(noisy, Settings()).xyz, abs=1e-9)


@pytest.mark.parametrize(
    "points",
    [
        np.stack((np.arange(100.0), np.zeros(100), np.zeros(100)), 1),
        np.stack((np.repeat(np.arange(10.0), 10), np.tile(np.arange(10.0), 10), np.zeros(100)), 1),
        np.random.default_rng(0).normal(size=(33, 3)),
    ],
    ids=["line", "flat grid", "33 points"],
)
def test_odd_clouds_come_out_finite(model: Default, points: Array) -> None:
    out = model.denoise(points, Settings()).xyz
    assert out.shape == points.shape
    assert np.isfinite(out).all()


def test_flat_grid_does_not_move(model: Default) -> None:
    flat = np.stack((np.repeat(np.arange(20.0), 20), np.tile(np.arange(20.0), 20), np.zeros(400)), 1)
    out = model.denoise(flat, Settings()).xyz
    assert np.median(np.linalg.norm(out - flat, axis=1)) < 0.02


@pytest.mark.parametrize(
    ("settings", "last"),
    [
        (Settings(), "denoising"),
        (Settings(even=True), "denoising"),
        (Settings(energy=True), "denoising"),
        (Settings(energy=True, strength=0.0), "finding the energies"),
    ],
    ids=["moved", "even", "with energies", "energies alone"],
)
def test_progress_reaches_its_end(model: Default, settings: Settings, last: str) -> None:
    seen: list[tuple[str, int, int]] = []
    with listening(lambda *said: seen.append(said)):
        model.denoise(house()[1], settings)
    for name in ("estimating the noise", last):
        done = [(done, total) for what, done, total in seen if what == name]
        assert done[-1][0] == done[-1][1]
        assert done == sorted(done)
        assert len({total for _, total in done}) == 1
    assert seen[-1][0] == last


def test_score_is_bounded_by_the_noise_for_any_weights() -> None:
    torch.manual_seed(1)
    network = ScoreNetwork()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(5)
    points = house()[1]
    graph = build_graph(points)
    noise = torch.full((len(points),), 0.1)
    score = network(Scene(graph, fit_planes(graph), noise))[0]
    assert float(score.detach().norm(dim=1).max()) <= LIMIT * 0.1 * 1.001


def test_the_score_is_a_gated_mean_of_local_scores_and_a_vector_of_the_points_own() -> None:
    """e_i = g_i (sum_j a_ij S_j(x_i) + u_i)."""
    torch.manual_seed(2)
    points = house(500)[1]
    graph = build_graph(points)
    scene, network = Scene(graph, fit_planes(graph), torch.full((500,), 0.1)), ScoreNetwork()
    score, gate = (part.detach() for part in network(scene))
    shared, own, each = (part.detach() for part in network.parts(scene))
    assert bool(((gate > 0) & (gate < 1)).all())
    mean = shared / gate[:, None]
    assert bool((mean >= each.min(1).values - 1e-5).all())
    assert bool((mean <= each.max(1).values + 1e-5).all())
    short = (shared + own).norm(dim=1) < LIMIT * 0.1
    assert bool(short.any())
    assert torch.allclose(score[short], (shared + own)[short], atol=1e-6)


def test_training_and_inference_compute_the_same() -> None:
    """They sum over neighbours by different operations."""
    torch.manual_seed(3)
    points = house(900)[1]
    graph = build_graph(points)
    scene = Scene(graph, fit_planes(graph), torch.full((len(points),), 0.1))
    network = ScoreNetwork()
    shared, own, _ = network.parts(scene)
    with torch.inference_mode():
        found = network(scene, Blocks(len(points), 100))[0]
    short = (shared + own).norm(dim=1) < LIMIT * 0.1
    assert bool(short.any())
    assert torch.allclose(found[short], (shared + own)[short], atol=1e-6)


def test_parts_leave_no_trace(model: Default, monkeypatch: pytest.MonkeyPatch) -> None:
    points = house()[1]
    base = model.denoise(points, Settings()).xyz
    monkeypatch.setattr(climb, "PART", 500)
    assert np.abs(model.denoise(points, Settings()).xyz - base).max() < 1e-6


def test_estimate_noise_in_the_clouds_units() -> None:
    noisy = house(noise=0.2)[1]
    assert estimate_noise(noisy * 1000) == pytest.approx(1000 * estimate_noise(noisy), rel=1e-4)
    assert estimate_noise(noisy) == pytest.approx(0.2, rel=0.25)


def test_bundled_weights_say_where_they_come_from() -> None:
    tensors, card = weights.read(BUNDLED, model="deburr")
    assert card["licence"] == "BSD-3-Clause"
    assert "no cloud or mesh from outside" in card["data"]
    assert all({"recipe", "steps", "minutes"} <= link.keys() for link in card["chain"])
    assert card["chain"]
    assert {row["scene"] for row in card["validation"]} == {"solid", "landscape", "scan"}
    assert Regression.of(card) is not None
    assert BUNDLED.stat().st_size < 2_000_000
    assert {name.partition(".")[0] for name in tensors} == {"score", "noise"}


@pytest.mark.parametrize(
    "sizes", [None, {}, {"channels": 48}, {**asdict(Sizes()), "heads": "6"}, {**asdict(Sizes()), "channels": 10**9}]
)
def test_weights_whose_card_tells_no_sizes_are_refused(tmp_path: Path, sizes: object) -> None:
    path = tmp_path / "other.safetensors"
    weights.save(path, NoiseNetwork().state_dict(), {"model": "deburr", "sizes": sizes})
    with pytest.raises(ReadError, match="does not tell the network's sizes"):
        Default.load(str(path))


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    weights.save(path, NoiseNetwork().state_dict(), {"model": "spd"})
    with pytest.raises(ReadError, match="spd"):
        Default.load(str(path))


def test_weights_whose_judges_were_shown_less_do_as_they_did(tmp_path: Path) -> None:
    """An earlier version's file is as one of today that heeds nothing of what was added."""
    tensors, card = weights.read(BUNDLED)
    name, shown = "noise.judge.0.weight", 61
    deaf = tensors[name].clone()
    deaf[:, shown:] = 0
    weights.save(tmp_path / "today.safetensors", {**tensors, name: deaf}, card)
    weights.save(tmp_path / "older.safetensors", {**tensors, name: deaf[:, :shown].contiguous()}, card)
    rng = np.random.default_rng(0)
    noisy = np.column_stack((rng.uniform(0, 40, (1600, 2)), rng.normal(0, 0.3, 1600)))
    one, other = (
        Default.load(str(tmp_path / f"{n}.safetensors")).denoise(noisy, Settings()) for n in ("today", "older")
    )
    assert one.level is not None
    assert (one.level == other.level).all()
    assert (one.xyz == other.xyz).all()
    assert (Default.load().denoise(noisy, Settings()).level != one.level).any()
