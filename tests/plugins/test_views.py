"""What is said of views that are filtered one by one: only where they touch, only once, with a share that is true."""

from __future__ import annotations

import re

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.filters.outlier import Outlier
from deburr.filters.spd import Spd
from deburr.nn import level
from deburr.plugins.pdal.inside.views import Views


def seen(low: float, high: float, noise: float = 0.01) -> PointCloud:
    """A grid of spacing 1, as wide as deep, from ``low`` to ``high`` in x, with what filters.spd would note."""
    side = np.arange(low, high)
    x, y = (grid.ravel() for grid in np.meshgrid(side, np.arange(len(side))))
    cloud = PointCloud(np.stack((x, y, 0 * x), axis=1))
    return cloud.note("filters.spd", {"noise": noise, "spacing": 1.0})


#: How far the default model sees on that grid: hops as the tiles count them, each to the 16th neighbour.
WIDTH = level.hops({"noise": 0.01, "spacing": 1.0}, [1.0]) * np.sqrt(16 / np.pi)


def test_one_view_is_silent() -> None:
    assert Views().cut(Spd(), seen(0, 100)) is None


def test_views_far_apart_are_silent() -> None:
    views = Views()
    assert [views.cut(Spd(), seen(x, x + 50)) for x in (0, 50 + 2 * WIDTH, 1000)] == [None] * 3


def test_views_that_touch_are_told_of_once() -> None:
    views = Views()
    assert views.cut(Spd(), seen(0, 200)) is None
    said = views.cut(Spd(), seen(200, 400))
    assert said is not None
    assert "each estimates its own noise" in said
    found = re.search(r"(\d+) % of this view's points, those within ([\d.]+) of the cut", said)
    assert found is not None
    assert float(found[2]) == pytest.approx(WIDTH, rel=0.01)
    # All but the points that lie further than that from each of the four sides.
    inner = np.ceil(199 - 2 * WIDTH) / 200
    assert int(found[1]) == pytest.approx(100 * (1 - inner**2), abs=1)
    assert views.cut(Spd(), seen(400, 600)) is None


def test_views_in_each_other() -> None:
    views = Views()
    views.cut(Spd(), seen(0, 300))
    said = views.cut(Spd(noise=0.01), seen(0, 300))
    assert said is not None
    assert "up to 100 % of this view's points" in said
    assert "estimate" not in said


def test_outliers_have_thresholds_of_their_own() -> None:
    views = Views()
    views.cut(Outlier(), seen(0, 50))
    said = views.cut(Outlier(), seen(50, 100))
    assert said is not None
    assert "a threshold and neighbours of its own" in said


def test_a_network_that_sees_patches() -> None:
    views, stage = Views(), Spd(model="spd", weights="weights.safetensors")
    clouds = [seen(x, x + 100) for x in (0, 130, 230)]
    first, far, beside = (cloud.note("filters.spd", {"steps": 30}) for cloud in clouds)
    # A patch of 1000 points is 18 spacings wide in each direction.
    assert [views.cut(stage, cloud) is None for cloud in (first, far, beside)] == [True, True, False]


def test_views_that_were_left_alone() -> None:
    views = Views()
    few = [PointCloud(np.full((3, 3), float(x))).note("filters.spd", {"points": 3}) for x in (0, 1)]
    assert [views.cut(Spd(), cloud) for cloud in few] == [None, None]


def test_empty_views_count_for_nothing() -> None:
    views = Views()
    nothing = PointCloud(np.zeros((0, 3))).note("filters.spd", {})
    assert [views.cut(Spd(), nothing), views.cut(Spd(), nothing)] == [None, None]
    assert views.count == 2


def test_sentences_are_news_once() -> None:
    views = Views()
    assert views.news(["a", "b", "a"]) == ["a", "b"]
    assert views.news(["b", "c"]) == ["c"]
