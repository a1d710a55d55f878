"""filters.spd around the published network, with small random weights made here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, RunError
from deburr.core.stage import Stage
from deburr.filters.normalize import Normalize
from deburr.filters.patch import Patch
from deburr.filters.spd import Spd
from deburr.nn.published_net import SpdNet
from deburr.nn.weights import save


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "spd.safetensors"
    save(path, SpdNet().state_dict(), {"model": "spd"})
    return str(path)


def sheet(n: int = 300) -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(1)
    return np.stack([rng.uniform(0, 10, n), rng.uniform(0, 10, n), rng.normal(0, 0.1, n)], axis=1)


def spd(weights: str, **options: Any) -> Spd:
    return Spd.model_validate({"model": "spd", "weights": weights, "steps": 3, **options})


def test_moves_points_and_keeps_all_else(weights: str) -> None:
    xyz = sheet()
    cloud = PointCloud(xyz.copy(), {"Intensity": np.arange(300, dtype=np.uint16)})
    out = spd(weights).run(cloud)
    assert (out.xyz != xyz).any(axis=1).mean() > 0.9
    assert (cloud.xyz == xyz).all()
    assert out.original is cloud.xyz
    assert (out.dims["Intensity"] == np.arange(300)).all()
    assert out.history[-1].figures["points"] == 300
    assert out.history[-1].warnings == ()


def test_withheld_and_noise_points_are_neither_used_nor_moved(weights: str) -> None:
    xyz = sheet()
    rng = np.random.default_rng(2)
    extra = xyz[:60] + rng.normal(0, 0.5, (60, 3))
    every = rng.permutation(360)
    dims = {
        "Classification": np.array([2] * 300 + [7] * 20 + [18] * 20 + [1] * 20, dtype=np.uint8)[every],
        "Withheld": np.array([0] * 340 + [1] * 20, dtype=np.uint8)[every],
    }
    mixed = PointCloud(np.concatenate([xyz, extra])[every], dims)
    out = spd(weights).run(mixed)
    assert (out.moved == mixed.active).mean() > 0.9
    assert not out.moved[~mixed.active].any()
    assert out.history[-1].figures["points_left_out"] == 60
    alone = spd(weights).run(PointCloud(xyz)).xyz
    back = np.argsort(every)[:300]
    np.testing.assert_allclose(out.xyz[back], alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 20])
def test_few_points_stay_with_a_warning(weights: str, count: int) -> None:
    cloud = PointCloud(sheet(300)[:count])
    out = spd(weights).run(cloud)
    assert not out.moved.any()
    assert f"{count} different points" in out.history[-1].warnings[0]


def test_equal_points_stay_with_a_warning(weights: str) -> None:
    cloud = PointCloud(np.full((5000, 3), 7.0))
    out = Patch(method="knn").run(Normalize(method="unit_sphere").run(cloud))
    out = spd(weights).run(out)
    assert not out.moved.any()
    assert "1 different points" in out.history[-1].warnings[0]


def test_many_twins_do_not_hang_and_move_together(weights: str) -> None:
    xyz = np.concatenate([np.repeat(sheet(40), 50, axis=0), sheet(300)])
    out = spd(weights).run(Patch(method="knn", size=32).run(PointCloud(xyz)))
    twins = out.xyz[:2000].reshape(40, 50, 3)
    assert (twins == twins[:, :1]).all()
    assert out.moved.mean() > 0.9


@pytest.mark.parametrize(("strength", "limit"), [(0.0, None), (1.0, 1e-3), (0.5, None)])
def test_strength_and_limit(weights: str, strength: float, limit: float | None) -> None:
    cloud = PointCloud(sheet())
    full = spd(weights).run(cloud).xyz - cloud.xyz
    part = spd(weights, strength=strength, max_displacement=limit).run(cloud).xyz - cloud.xyz
    if limit is None:
        np.testing.assert_allclose(part, strength * full, rtol=0, atol=1e-12)
    else:
        length = np.linalg.norm(full, axis=1)
        assert (length > limit).any()
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), np.minimum(length, limit), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "before", "word"),
    [
        ({"model": "spd"}, (), "weights import"),
        ({"model": "spd", "weights": "w", "noise": 0.1}, (), "noise"),
        ({"step_size": 0.1}, (), "step_size"),
        ({"neighbors": 3}, (), "neighbors"),
        ({"model": "spd", "weights": "w"}, (Patch(method="blocks"),), "filters.patch"),
        ({}, (Patch(method="knn"),), "filters.patch"),
        ({}, (Normalize(method="unit_sphere"),), "filters.normalize"),
    ],
)
def test_what_a_model_would_ignore_is_refused(options: dict[str, Any], before: tuple[Stage, ...], word: str) -> None:
    (error,) = Spd.model_validate(options).check(before)
    assert word in error


def test_what_a_model_uses_is_accepted() -> None:
    before = (Normalize(method="spacing"), Patch(method="knn"))
    assert Spd(model="spd", weights="w", step_size=0.1, steps=10, max_displacement=1).check(before) == []
    assert Spd(noise=0.1).check((Normalize(), Patch())) == []


@pytest.mark.parametrize(
    "options", [{"stepsize": 1}, {"steps": 0}, {"strength": 1.5}, {"noise": "loud"}, {"noise": -1}, {"steps": "many"}]
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Spd.model_validate(options)


def test_missing_weights_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not found"):
        spd(str(tmp_path / "none.safetensors")).run(PointCloud(sheet()))


@pytest.mark.parametrize(
    ("xyz", "options", "said"),
    [
        (sheet(), {}, None),
        (sheet(), {"noise": 0.2}, None),
        (sheet(), {"noise": 9.0}, "noise 9 is 1[0-9] times the point spacing.* check that it is in the cloud's units"),
        (sheet() * [1, 1, 0], {}, "the estimated noise, .* is nearly nothing beside the point spacing"),
        (sheet() * [1, 1, 0], {"noise": 0.001}, None),
    ],
)
def test_results_that_will_surprise_come_with_a_warning(xyz: Any, options: dict[str, Any], said: str | None) -> None:
    warnings = Spd.model_validate(options).run(PointCloud(xyz)).history[-1].warnings
    assert len(warnings) == (said is not None)
    if said is not None:
        assert re.search(said, warnings[0])


def test_noise_wider_than_the_cloud_is_refused() -> None:
    with pytest.raises(RunError, match=r"noise 30 is more than the whole cloud, which is 9\.\d+ wide"):
        Spd(noise=30.0).run(PointCloud(sheet()))


def test_degrees_are_told_of() -> None:
    cloud = PointCloud(sheet()).note("readers.las", {"units": "degree"})
    assert "x and y are in degrees" in Spd().run(cloud).history[-1].warnings[0]
