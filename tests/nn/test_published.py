"""The published network: its arithmetic, its patches, its ascent, and parity with the published results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deburr.core.arrays import Floats
from deburr.core.cloud import Frame, Patches
from deburr.core.errors import ReadError
from deburr.core.neighbors import cloud_spacing
from deburr.core.progress import listening
from deburr.nn.contract import Settings
from deburr.nn.points import canonical, limited
from deburr.nn.spd.knn_patches import Cover, blocks, cover, farthest
from deburr.nn.spd.network import EdgeConv, Head, SpdNet, feature_neighbors, gather
from deburr.nn.spd.published import Published, ascend, nearest
from deburr.nn.weights import import_checkpoint

CHECKPOINT = Path("reference") / "spd_iccv2021_ckpt.pt"


@pytest.fixture(scope="module")
def net() -> SpdNet:
    """Random weights, with normalisations that do something."""
    torch.manual_seed(3)
    net = SpdNet().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data = torch.rand(128) + 0.5
    return net


@pytest.fixture(scope="module")
def published(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    target = str(tmp_path_factory.mktemp("weights") / "spd.safetensors")
    import_checkpoint(str(data_dir / CHECKPOINT), target)
    return Published.load(target)


def sheet(n: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(-1, 1, n), rng.uniform(-1, 1, n), rng.normal(0, 0.01, n)], axis=1)


# --- the networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relative", [True, False])
def test_edge_convolution_equals_its_definition(relative: bool) -> None:
    torch.manual_seed(0)
    conv, x = EdgeConv(relative), torch.randn(2, 40, 24)
    neighbors = feature_neighbors(x, 16)
    other, own = gather(x, neighbors), x.unsqueeze(2).expand(-1, -1, 16, -1)
    edge = other - own if relative else torch.cat([own, other, other - own], dim=-1)
    y = torch.cat([torch.relu(conv.first(edge)), own], dim=-1)
    y = torch.cat([torch.relu(conv.middle(y)), y], dim=-1)
    y = torch.cat([conv.last(y), y], dim=-1)
    torch.testing.assert_close(conv(x, neighbors), y.amax(dim=2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("exact", [True, False])
def test_feature_neighbors_by_hand(exact: bool) -> None:
    line = torch.tensor([0.0, 1.0, 3.0, 7.0]).view(1, 4, 1)
    assert feature_neighbors(line, 2, exact).tolist() == [[[1, 2], [0, 2], [1, 0], [2, 1]]]


def test_folded_score_network_equals_its_definition(net: SpdNet) -> None:
    torch.manual_seed(0)
    offsets, features = torch.randn(700, 4, 3), torch.randn(700, 60)
    given = torch.cat([offsets, features.unsqueeze(1).expand(-1, 4, -1)], dim=-1).view(-1, 63)
    score = net.score
    x: Tensor = score.entry(given)
    block: Any
    for block in score.blocks:
        inner = block.first(torch.relu(block.norm_first(x)))
        x = x + block.second(torch.relu(block.norm_second(inner))) + block.condition(given)
    expected = score.exit(torch.relu(score.norm(x))).view(700, 4, 3)
    head = Head(score)
    torch.testing.assert_close(head.scores(offsets, head.prepare(features)), expected, rtol=1e-4, atol=1e-4)


# --- the patches ----------------------------------------------------------------------------------------------------


def test_farthest_points_by_hand() -> None:
    line = np.array([[0.0, 0, 0], [1, 0, 0], [4, 0, 0], [10, 0, 0]])
    assert farthest(line, 4).tolist() == [0, 3, 2, 1]


def test_blocks_hold_every_point_once() -> None:
    points = canonical(sheet(1000))[0]
    found = blocks(points, 64)
    assert sorted(np.concatenate(found).tolist()) == list(range(1000))
    assert max(map(len, found)) <= 64


@pytest.mark.parametrize(("n", "size", "overlap"), [(1, 1000, 3), (500, 1000, 3), (2000, 100, 3), (3000, 50, 1)])
def test_cover_owns_every_point_where_its_seed_is_nearest(n: int, size: int, overlap: float) -> None:
    points = canonical(np.concatenate([sheet(n - n // 3), sheet(n // 3, 1) * 0.05]))[0]
    found: Cover = cover(points, size, overlap)
    assert found.rows.shape[1] == min(size, n)
    assert (found.rows[found.owner, found.rank] == np.arange(n)).all()
    distance = np.full(n, np.inf)
    for rows in found.rows:
        distance[rows] = np.minimum(distance[rows], np.linalg.norm(points[rows] - points[rows[0]], axis=1))
    seeds = points[found.rows[found.owner, 0]]
    np.testing.assert_allclose(np.linalg.norm(points - seeds, axis=1), distance, rtol=0, atol=1e-12)


# --- the ascent -----------------------------------------------------------------------------------------------------


class ToPlane:
    """A head whose score leads half of the way to z = 0; the feature of a point is its own z."""

    def prepare(self, features: Tensor) -> Tensor:
        return features

    def scores(self, offsets: Tensor, prepared: Tensor) -> Tensor:
        score = torch.zeros_like(offsets)
        score[..., 2] = -0.5 * (offsets[..., 2] + prepared[:, :1])
        return score


def test_ascent_sums_the_scores_that_reach_a_point() -> None:
    # Far apart, k = 1: each point gets its own score alone. z -> z (1 - 0.5 * 0.4), then z (1 - 0.5 * 0.2).
    start = torch.tensor([[[0.0, 0, 1], [50, 0, -2]], [[0, 0, 4], [50, 0, 8]]])
    settings = Settings(steps=2, step_size=0.4, step_decay=0.5, neighbors=1)
    head: Any = ToPlane()
    reached = ascend(head, start, start[..., 2:], settings)
    torch.testing.assert_close(reached[..., 2], start[..., 2] * 0.8 * 0.9)
    # k = 2: both points of a patch give each point its score, -z / 2 each, and the two are summed.
    twice = ascend(head, start, start[..., 2:], Settings(steps=1, step_size=0.4, neighbors=2))
    torch.testing.assert_close(twice[..., 2], start[..., 2] * 0.6)


def test_patches_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    patches = torch.randn(3, 50, 3)
    rows = nearest(patches, patches, 4).view(3, 50, 4)
    for i, patch in enumerate(patches):
        expected = torch.cdist(patch, patch).topk(4, largest=False).indices + 50 * i
        assert (rows[i].sort().values == expected.sort().values).all()


def test_limited_shortens_long_steps_only() -> None:
    step = np.array([[3.0, 4, 0], [0.1, 0, 0], [0, 0, 0]])
    assert limited(step, None) is step
    np.testing.assert_allclose(limited(step, 1.0), np.array([[0.6, 0.8, 0], [0.1, 0, 0], [0, 0, 0]]))


# --- whole clouds ---------------------------------------------------------------------------------------------------

SMALL = Settings(steps=2, patches=Patches("knn", 100, 3.0))


def test_the_order_of_the_points_does_not_matter(net: SpdNet) -> None:
    model, xyz = Published(net), sheet(600)
    order = np.random.default_rng(5).permutation(600)
    np.testing.assert_array_equal(model.denoise(xyz[order], SMALL).xyz, model.denoise(xyz, SMALL).xyz[order])


@pytest.mark.parametrize(("scale", "offset"), [(1.0, [500_000.0, 5_400_000.0, 0.0]), (1000.0, [0.0, 0.0, 0.0])])
def test_neither_place_nor_scale_matters(net: SpdNet, scale: float, offset: list[float]) -> None:
    # Rounding decides near ties between neighbours in the published network, so single points may differ a little.
    model, xyz = Published(net), sheet(600)
    out = model.denoise(xyz, SMALL).xyz
    there = (model.denoise(xyz * scale + offset, SMALL).xyz - offset) / scale
    spacing = cloud_spacing(xyz)
    error = np.linalg.norm(there - out, axis=1) / spacing
    assert (error < 1e-4).mean() >= 0.99
    assert error.max() < 0.01


def test_the_spacing_frame_frees_it_from_the_size_of_the_cloud(net: SpdNet) -> None:
    model, xyz = Published(net), sheet(300)
    frame = Frame("spacing", cloud_spacing(xyz), np.median(xyz, axis=0))
    alone = model.denoise(xyz, Settings(steps=2, frame=frame)).xyz
    double = Frame("spacing", 2 * frame.scale, 2 * frame.offset)
    np.testing.assert_allclose(model.denoise(2 * xyz, Settings(steps=2, frame=double)).xyz, 2 * alone, atol=1e-6)


def test_progress_reaches_the_end(net: SpdNet) -> None:
    told: list[tuple[str, int, int]] = []
    with listening(lambda *event: told.append(event)):
        Published(net).denoise(sheet(600), SMALL)
    assert told[-1] == ("denoising", 600, 600)


def test_torch_gets_its_threads_back(net: SpdNet) -> None:
    Published(net).denoise(sheet(100), SMALL)
    before = torch.get_num_threads()
    Published(net).denoise(sheet(100), SMALL)
    assert torch.get_num_threads() == before


def test_no_weights_is_a_clear_error() -> None:
    with pytest.raises(ReadError, match="weights import"):
        Published.load(None)


# --- parity with the published network ------------------------------------------------------------------------------


def test_features_and_scores_agree_with_the_published(published: Published, data_dir: Path) -> None:
    reference = np.load(data_dir / "reference" / "spd_parity.npz")
    with torch.inference_mode():
        features = published.net.features(torch.from_numpy(reference["patch"])[None])[0]
        head = Head(published.net.score)
        scores = head.scores(torch.from_numpy(reference["offsets"]), head.prepare(features))
    assert np.abs(features.numpy() - reference["features"]).max() < 1e-4
    assert np.abs(scores.numpy() - reference["scores"]).max() < 1e-4


@pytest.mark.parametrize(("steps", "key"), [(1, "after_1_step"), (30, "denoised")])
def test_the_ascent_agrees_with_the_published(published: Published, data_dir: Path, steps: int, key: str) -> None:
    reference = np.load(data_dir / "reference" / "spd_parity.npz")
    as_given = Frame("unit_sphere", 1.0, np.zeros(3))
    out = published.denoise(reference["patch"].astype(np.float64), Settings(steps=steps, frame=as_given)).xyz
    error = np.linalg.norm(out - reference[key], axis=1)
    assert (error < 1e-3).mean() >= 0.99


@pytest.mark.slow
def test_a_noisy_shape_gets_better(published: Published, data_dir: Path) -> None:
    from scipy.spatial import cKDTree

    clean = np.load(data_dir / "data" / "shapes" / "punet_train_clean_10000.npz")["bunny"].astype(np.float64)
    low, high = clean.min(axis=0), clean.max(axis=0)
    clean -= (low + high) / 2
    clean /= np.linalg.norm(clean, axis=1).max()
    noisy = clean + np.random.default_rng(0).normal(0, 0.02, clean.shape)
    out = published.denoise(noisy, Settings()).xyz

    def chamfer(points: Floats) -> float:
        there, back = cKDTree(points).query(clean)[0], cKDTree(clean).query(points)[0]
        return float((there**2).mean() + (back**2).mean())

    assert chamfer(out) < 0.55 * chamfer(noisy)
