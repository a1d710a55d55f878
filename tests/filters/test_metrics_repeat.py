"""filters.metrics with ``repeatability``: strips and halves whose offset and noise are known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.stage import Reach
from deburr.filters.metrics import Metrics
from deburr.show.words import lines

UTM = np.array([500_000.0, 5_400_000.0, 100.0])
#: Points a strip on a square of 30 m: a tenth of a metre apart or so.
COUNT = 30_000


def ground(random: np.random.Generator, noise: float, lift: float = 0.0) -> Floats:
    """A gentle hill of 30 x 30 m."""
    plan = random.uniform(0, 30, (COUNT, 2))
    xyz = np.column_stack([plan, 0.1 * plan[:, 0] + 0.2 * np.sin(plan[:, 1] / 5) + lift])
    return xyz + random.normal(0, noise, xyz.shape) + UTM


def two_strips() -> PointCloud:
    """Strip 12 with 1 cm of noise, 5 cm above strip 7 with 2 cm; their points in turn."""
    random = np.random.default_rng(0)
    xyz = np.stack((ground(random, 0.01, 0.05), ground(random, 0.02)), axis=1).reshape(-1, 3)
    return PointCloud(xyz, {"PointSourceId": np.tile(np.array([12, 7], np.uint16), COUNT)})


def record(cloud: PointCloud, **options: Any) -> Any:
    return Metrics.model_validate(options).run(cloud).history[-1]


def figures(cloud: PointCloud, **options: Any) -> dict[str, Any]:
    return dict(record(cloud, **options).figures["repeatability"])


@pytest.fixture(scope="module")
def strips() -> dict[str, Any]:
    """Of two strips, of which one was lowered by 5 cm and the other left alone."""
    cloud = two_strips()
    lowered = cloud.xyz - np.where(cloud.dims["PointSourceId"] == 12, 0.05, 0.0)[:, None] * [0, 0, 1]
    return dict(record(cloud.with_xyz(lowered), repeatability="strips").figures)


def test_two_strips_have_their_offset_and_their_noise(strips: dict[str, Any]) -> None:
    found = strips["repeatability"]
    assert found["by"] == "strips"
    assert found["points"] > COUNT
    assert found["as_read"]["offset"] == pytest.approx(0.05, abs=0.002)
    assert found["as_read"]["random"] == pytest.approx(np.sqrt((0.01**2 + 0.02**2) / 2), rel=0.05)


def test_an_offset_has_the_sign_of_the_strip_of_the_lesser_number(strips: dict[str, Any]) -> None:
    (pair,) = strips["repeatability"]["pairs"]
    assert pair["strips"] == [7, 12]
    assert pair["points"] == strips["repeatability"]["points"]
    assert pair["as_read"]["offset"] == pytest.approx(-0.05, abs=0.002)
    assert pair["as_read"]["random"] == strips["repeatability"]["as_read"]["random"]


def test_now_is_judged_by_now(strips: dict[str, Any]) -> None:
    found = strips["repeatability"]["now"]
    # What is left is chance in cells of some hundred points.
    assert found["offset"] < 0.004
    assert abs(strips["repeatability"]["pairs"][0]["now"]["offset"]) < 0.001
    assert found["random"] == pytest.approx(strips["repeatability"]["as_read"]["random"], rel=0.03)


def test_the_summary_says_both_before_and_after(strips: dict[str, Any]) -> None:
    said = dict(lines({"type": "filters.metrics", "figures": strips}, "m"))
    assert said["strip offset, median"].startswith(("4.9", "5"))
    assert " -> 0." in said["strip offset, median"]
    assert said["strip noise, random part"].startswith("1.5")


def test_halves_tell_the_noise_whatever_the_strips() -> None:
    random = np.random.default_rng(1)
    cloud = PointCloud(ground(random, 0.02))
    found = figures(cloud, repeatability="halves")
    assert found["as_read"] == found["now"] == {"random": pytest.approx(0.02, rel=0.05)}
    assert found["points"] == pytest.approx(COUNT / 2, rel=0.1)
    other = figures(cloud, repeatability="halves", seed=1)
    assert other["as_read"] == {"random": pytest.approx(0.02, rel=0.05)}
    assert other["as_read"] != found["as_read"]
    said = dict(lines({"type": "filters.metrics", "figures": record(cloud, repeatability="halves").figures}, "m"))
    assert said["noise, by random halves"].endswith(" cm")
    assert "strip offset, median" not in said


def test_halves_of_a_cloud_without_noise_agree_after_noise_was_taken_out() -> None:
    random = np.random.default_rng(2)
    truth = ground(random, 0.0)
    noisy = PointCloud(truth + random.normal(0, 0.02, truth.shape))
    found = figures(noisy.with_xyz(truth), repeatability="halves")
    assert found["as_read"]["random"] == pytest.approx(0.02, rel=0.05)
    assert found["now"]["random"] < 0.0005


def test_the_order_of_the_points_and_equal_points_do_not_matter() -> None:
    cloud = two_strips().select(np.arange(10_000))
    order = np.random.default_rng(3).permutation(len(cloud))
    for by in ("strips", "halves"):
        found = figures(cloud, repeatability=by)
        again = figures(cloud.select(order), repeatability=by)
        assert again["points"] == found["points"]
        assert again["as_read"]["random"] == pytest.approx(found["as_read"]["random"])
    twice = PointCloud(np.concatenate((cloud.xyz, cloud.xyz)))
    assert (
        figures(twice, repeatability="halves")["as_read"]
        == figures(PointCloud(cloud.xyz), repeatability="halves")["as_read"]
    )


def test_points_that_do_not_count_do_not_judge() -> None:
    cloud = two_strips().select(np.arange(20_000))
    wild = np.random.default_rng(4).uniform(0, 30, (20_000, 3)) + UTM
    both = PointCloud(
        np.concatenate((cloud.xyz, wild)),
        {
            "PointSourceId": np.concatenate(
                (cloud.dims["PointSourceId"], np.tile(np.array([12, 9], np.uint16), 10_000))
            ),
            "Classification": np.repeat(np.array([2, 7], np.uint8), 20_000),
        },
    )
    for by in ("strips", "halves"):
        assert figures(both, repeatability=by) == figures(cloud, repeatability=by)


def test_strips_that_do_not_overlap_are_told() -> None:
    cloud = two_strips().select(np.arange(20_000))
    aside = cloud.xyz + np.where(cloud.dims["PointSourceId"] == 12, 100.0, 0.0)[:, None] * [1, 0, 0]
    found = record(PointCloud(aside, cloud.dims), repeatability="strips")
    told = found.figures["repeatability"]
    assert told["points"] == 0
    assert told["as_read"] == told["now"] == {"random": None, "offset": None}
    assert told["pairs"] == []
    assert "only 0 points lie on planes that two strips see" in found.warnings[0]
    json.dumps(found.figures, allow_nan=False)
    assert not any("strip" in name for name, _ in lines({"type": "filters.metrics", "figures": found.figures}, "m"))


def test_what_makes_no_sense_is_refused() -> None:
    cloud = PointCloud(np.zeros((5, 3)))
    with pytest.raises(RunError, match=r"needs the dimension 'PointSourceId', which the cloud has not; use \"halves\""):
        figures(cloud, repeatability="strips")
    for count, told in ((5, "only that of 4"), (0, "none")):
        one = PointCloud(np.zeros((count, 3)), {"PointSourceId": np.full(count, 4, np.uint16)})
        with pytest.raises(RunError, match=rf"needs two flight strips \(PointSourceId\), and there is {told}"):
            figures(one, repeatability="strips")
    assert "needs 'repeatability'" in Metrics(seed=3).check(())[0]
    assert Metrics(seed=3, repeatability="halves").check(()) == []
    assert figures(PointCloud(np.zeros((0, 3))), repeatability="halves")["points"] == 0


def test_it_must_see_the_whole_cloud() -> None:
    assert isinstance(Metrics().reach({}), Reach)
    assert Metrics(repeatability="halves").reach({}) is None
    assert "PointSourceId" in Metrics(repeatability="strips").looks_at
