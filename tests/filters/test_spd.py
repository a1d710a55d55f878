"""filters.spd around the published network, with small random weights made here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from deburr.batch.figures import merged, packed
from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, RunError, SpecError
from deburr.core.noise import noise_by_place
from deburr.core.stage import Stage
from deburr.core.sums import merge
from deburr.filters.normalize import Normalize
from deburr.filters.patch import Patch
from deburr.filters.spd import Spd
from deburr.nn.contract import Denoised, Settings, Surveyor
from deburr.nn.models import KINDS
from deburr.nn.models import load as load_model
from deburr.nn.spd.network import SpdNet
from deburr.nn.weights import save
from deburr.pipeline import load, run
from deburr.testing import tiling


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
    cloud = PointCloud(sheet(), units="degree")
    assert "x and y are in degrees" in Spd().run(cloud).history[-1].warnings[0]


@pytest.mark.parametrize(
    ("scale", "at", "units", "said"),
    [
        ([1e-5, 1e-5, 1], (5.1, 52.3, 0), None, True),
        ([1e-5, 1e-5, 1], (5.1, 52.3, 0), "metre", False),
        ([1e-5, 1e-5, 1], (205.1, 52.3, 0), None, False),
        ([1, 1, 1], (5.1, 52.3, 0), None, False),
        ([1e-5, 1e-5, 1e-5], (5.1, 52.3, 0), None, False),
    ],
)
def test_what_looks_like_degrees_is_told_of(scale: Any, at: Any, units: str | None, said: bool) -> None:
    cloud = PointCloud(sheet() * scale + at, units=units)
    told = [line for line in Spd().run(cloud).history[-1].warnings if "x and y look like degrees" in line]
    assert bool(told) == said


# What may move ------------------------------------------------------------------------------------------------------

CLASSES = np.resize(np.array([2, 5, 6], np.uint8), 300)


def classified(**dims: Any) -> PointCloud:
    return PointCloud(sheet(), {"Classification": CLASSES, **dims})


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"classes": [2, 6]}, CLASSES != 5),
        ({"where": "Classification == 2 || X > 5"}, (CLASSES == 2) | (sheet()[:, 0] > 5)),
        ({"where": "!(Classification == 2)", "classes": [2, 5]}, CLASSES == 5),
    ],
)
def test_only_the_points_asked_for_move_and_as_if_all_did(options: dict[str, Any], rows: Any) -> None:
    """The others are seen as neighbours: what moves, moves as it does without the option."""
    cloud = classified()
    whole = Spd(noise=0.1).run(cloud)
    part = Spd.model_validate({"noise": 0.1, **options}).run(cloud)
    assert whole.moved.mean() > 0.9
    assert part.xyz[rows].tobytes() == whole.xyz[rows].tobytes()
    assert part.xyz[~rows].tobytes() == cloud.xyz[~rows].tobytes()
    assert part.history[-1].figures["points_held"] == (~rows).sum()
    assert "points_held" not in whole.history[-1].figures


def test_noise_classes_do_not_move_even_where_asked() -> None:
    cloud = PointCloud(sheet(), {"Classification": np.where(CLASSES == 5, 7, CLASSES).astype(np.uint8)})
    out = Spd(noise=0.1, where="Classification >= 6").run(cloud)
    assert out.moved[CLASSES == 6].mean() > 0.9
    assert not out.moved[CLASSES != 6].any()
    assert out.history[-1].figures["points_left_out"] == 100
    assert out.history[-1].figures["points_held"] == 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": [9]}, "no point may move; check 'classes'"),
        ({"classes": [2], "where": "Z > 100"}, "no point may move; check 'classes' and 'where'"),
    ],
)
def test_a_choice_of_no_point_is_told(options: dict[str, Any], said: str) -> None:
    out = Spd.model_validate({**options, "dimensions": ["Displacement"]}).run(classified())
    assert not out.moved.any()
    assert out.history[-1].warnings == (said,)
    assert not out.dims["Displacement"].any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": [2]}, "option 'classes' needs the dimension 'Classification', which the cloud has not; remove it"),
        ({"where": "z > 3"}, "option 'where': position 1: the cloud has no dimension 'z'; did you mean 'Z'?"),
    ],
)
def test_a_missing_dimension_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError) as caught:
        Spd.model_validate(options).run(PointCloud(sheet()))
    assert str(caught.value) == said


# What is told -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sinking:
    """A model that lowers every point by 0.3 and knows how sure it is: less and less. Noise ``rises`` by as much from
    west to east, and for the share ``evidence`` of the points there is a surface to read it from."""

    noise: float = 0.5
    rises: float | None = None
    evidence: float | None = None

    def denoise(self, xyz: Any, settings: Settings) -> Denoised:
        return Denoised(
            xyz - [0, 0, 0.3 * settings.strength],
            {"noise": self.noise, "spacing": 1.0, "max_displacement": 0.3},
            uncertainty=np.linspace(0.0, self.noise, len(xyz)),
            level=None if self.rises is None else self.noise + self.rises * xyz[:, 0] / 10,
            evidence=None if self.evidence is None else xyz[:, 1] < 10 * self.evidence,
        )

    def survey(self, xyz: Any, settings: Settings) -> Any:
        model = load_model("deburr", None)
        assert isinstance(model, Surveyor)
        return model.survey(xyz, settings)


@pytest.fixture
def sinking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deburr.filters.spd.load", lambda name, weights: Sinking())
    telling = replace(KINDS["deburr"], dimensions=frozenset({"Displacement", "Uncertainty", "NoiseLevel"}))
    monkeypatch.setitem(KINDS, "deburr", telling)


def test_displacement_is_what_was_applied() -> None:
    cloud = classified()
    out = Spd(noise=0.1, strength=0.7, max_displacement=0.05, classes=[2], dimensions=["Displacement"]).run(cloud)
    column = out.dims["Displacement"]
    assert column.dtype == np.float32
    np.testing.assert_allclose(column, np.linalg.norm(out.xyz - cloud.xyz, axis=1), rtol=1e-6)
    assert (column[CLASSES != 2] == 0).all()
    assert (column[CLASSES == 2] > 0).mean() > 0.9
    assert column.max() <= np.float32(0.05)
    assert list(out.dims) == ["Classification", "Displacement"]


@pytest.mark.usefixtures("sinking")
@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_uncertainty_is_what_is_left(strength: float) -> None:
    """u at full strength, the noise where nothing was applied, in between by the variances; NaN for unseen points."""
    unseen = PointCloud(sheet(), {"Classification": np.where(CLASSES == 5, 18, CLASSES).astype(np.uint8)})
    out = Spd(strength=strength, classes=[2], dimensions=["Uncertainty", "Displacement"]).run(unseen)
    column = out.dims["Uncertainty"]
    assert column.dtype == np.float32
    assert np.isnan(column[CLASSES == 5]).all()
    whole = np.linspace(0.0, 0.5, 200)
    expected = np.sqrt(whole**2 + (1 - strength) ** 2 * (0.25 - whole**2))[CLASSES[CLASSES != 5] == 2]
    np.testing.assert_allclose(column[CLASSES == 2], expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(column[CLASSES == 6], 0.5, rtol=1e-6)
    np.testing.assert_allclose(out.dims["Displacement"][CLASSES == 2], 0.3 * strength, rtol=1e-6)


@pytest.fixture
def rising(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the default model be one whose noise rises."""

    def use(**options: Any) -> None:
        monkeypatch.setattr("deburr.filters.spd.load", lambda name, weights: Sinking(**options))

    return use


def test_the_noise_level_is_told_point_by_point_and_as_figures(rising: Callable[..., None]) -> None:
    rising(rises=0.2, evidence=0.6)
    unseen = PointCloud(sheet(), {"Classification": np.where(CLASSES == 5, 18, CLASSES).astype(np.uint8)})
    out = Spd(classes=[2], dimensions=["NoiseLevel"]).run(unseen)
    column, seen = out.dims["NoiseLevel"], CLASSES != 5
    assert column.dtype == np.float32
    assert np.isnan(column[~seen]).all()
    level = 0.5 + 0.02 * sheet()[seen, 0]
    np.testing.assert_allclose(column[seen], level, rtol=1e-6)
    figures = out.history[-1].figures
    for name, share in {"noise_median": 0.5, "noise_p05": 0.05, "noise_p95": 0.95}.items():
        assert figures[name] == pytest.approx(np.quantile(level, share), rel=2e-3), name
    assert figures["noise"] == 0.5
    assert figures["evidence"] == (sheet()[seen, 1] < 6).mean()
    assert out.history[-1].warnings == ()


def test_uncertainty_is_at_most_the_noise_of_the_point(rising: Callable[..., None]) -> None:
    rising(rises=0.2)
    told = Spd(strength=0.0, dimensions=["Uncertainty", "NoiseLevel"]).run(PointCloud(sheet())).dims
    np.testing.assert_allclose(told["Uncertainty"], told["NoiseLevel"], rtol=1e-6)


def test_one_level_everywhere_has_no_spread() -> None:
    figures = Spd(noise=0.1).run(PointCloud(sheet())).history[-1].figures
    assert figures["noise_median"] == figures["noise_p05"] == figures["noise_p95"] == figures["noise"]
    assert "evidence" not in figures


@pytest.mark.parametrize(("noise", "said"), [("auto", True), (0.5, False)])
def test_little_evidence_is_told(rising: Callable[..., None], noise: Any, said: bool) -> None:
    rising(rises=0.1, evidence=0.3)
    share = 100 * (sheet()[:, 1] < 3).mean()
    warnings = Spd(noise=noise).run(PointCloud(sheet())).history[-1].warnings
    sentence = (
        f"only {share:.0f} % of the points have a surface around them to read the noise from, so it may be too low and "
        "points may hardly move; if the cloud is noisy, give 'noise'"
    )
    assert warnings == ((sentence,) if said else ())


@pytest.mark.parametrize("sides", [(20.0, 20.0), (3.0, 4.5)], ids=["one tile", "many"])
def test_what_is_told_of_the_noise_does_not_show_how_the_cloud_was_cut(
    rising: Callable[..., None], sides: tuple[float, float]
) -> None:
    rising(rises=0.2, evidence=0.4)
    cloud = PointCloud(sheet(2000))
    stage = Spd(dimensions=["NoiseLevel"])
    whole = stage.run(cloud)
    tiled, _, done = tiling.tiled([stage], cloud, tiling.cells(cloud, (-1, -1), sides), 1.0)
    assert tiled.dims["NoiseLevel"].tobytes() == whole.dims["NoiseLevel"].tobytes()
    figures, warnings = merged(stage, [packed(stage, one.records[0]) for one in done])
    assert figures == whole.history[-1].figures
    assert tuple(warnings) == whole.history[-1].warnings
    noted = merge([record.sums for one in done for record in one.records[0]])
    maps = [noise_by_place(sums) for sums in (noted, whole.history[-1].sums)]
    for name in ("cells", "counts", "levels"):
        tiled, alone = (getattr(one, name) for one in maps)
        np.testing.assert_allclose(tiled, alone, rtol=1e-12)


@pytest.mark.usefixtures("sinking")
def test_a_level_that_the_model_has_not_is_an_error() -> None:
    with pytest.raises(
        RunError, match="model 'deburr' gives no NoiseLevel with these weights; remove it from 'dimensions'"
    ):
        Spd(dimensions=["NoiseLevel"]).run(PointCloud(sheet()))


@pytest.mark.usefixtures("sinking")
def test_a_dimension_of_the_input_is_replaced_and_that_is_told() -> None:
    out = Spd(dimensions=["Uncertainty"]).run(classified(Uncertainty=np.zeros(300, np.uint8)))
    assert out.dims["Uncertainty"].dtype == np.float32
    assert out.history[-1].warnings == (
        "the dimension 'Uncertainty' that the cloud had is replaced; it tells of this stage alone",
    )


def test_too_few_points_have_a_displacement_and_no_uncertainty() -> None:
    out = Spd(dimensions=["Uncertainty", "Displacement"]).run(PointCloud(sheet(10)))
    assert (out.dims["Displacement"] == 0).all()
    assert np.isnan(out.dims["Uncertainty"]).all()


@pytest.mark.usefixtures("sinking")
@pytest.mark.parametrize("name", ["out.laz", "out.ply"])
def test_the_dimensions_survive_a_file(tmp_path: Path, name: str) -> None:
    options = {"type": "filters.spd", "dimensions": ["Uncertainty", "Displacement"], "keep_original": True}
    result = run([options, str(tmp_path / name)], points=sheet(), dims={"Classification": CLASSES})
    again = run([str(tmp_path / name), "filters.restore"]).cloud
    for dim in ("Uncertainty", "Displacement"):
        assert again.dims[dim].tobytes() == result.cloud.dims[dim].tobytes()
        assert again.dims[dim].dtype == np.float32
    assert again.xyz.tobytes() == sheet().tobytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"where": "Z >"}, "option 'where': position 4: expected a number, a dimension or '(', found the end"),
        ({"where": "Classification = 2"}, "option 'where': position 16: '=' is not understood; write '=='"),
        ({"where": 3}, "option 'where' must be text, not 3"),
        ({"classes": 2}, "option 'classes' must be a list of at least 1 values, each a whole number from 0 to 255"),
        ({"classes": [2, 300]}, "option 'classes' must be a list"),
        ({"classes": []}, "option 'classes' must be a list"),
        ({"classes": [2, 18]}, "option 'classes' names 18, which means noise and is never moved; remove it"),
        (
            {"dimensions": ["Displacment"]},
            "each 'Displacement', 'Uncertainty', 'NoiseLevel' or 'Energy', not [\"Displacment\"]",
        ),
        ({"keep_original": "perhaps"}, "option 'keep_original' must be true or false, not 'perhaps'"),
        (
            {"model": "spd", "weights": "w", "dimensions": ["Uncertainty"]},
            "model 'spd' cannot tell the dimension 'Uncertainty'; it can tell 'Displacement'",
        ),
        (
            {"model": "spd", "weights": "w", "dimensions": ["NoiseLevel"]},
            "model 'spd' cannot tell the dimension 'NoiseLevel'; it can tell 'Displacement'",
        ),
        (
            {"model": "spd", "weights": "w", "dimensions": ["Energy"]},
            "model 'spd' cannot tell the dimension 'Energy'; it can tell 'Displacement'",
        ),
    ],
)
def test_validate_says_what_is_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(["in.laz", {"type": "filters.spd", **options}, "out.laz"])
    (error,) = caught.value.errors
    assert error.startswith("stage 2 (filters.spd): ")
    assert said in error
