"""The benchmark of outliers judges what filters.outlier does, and adds what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from outliers import KINDS, Target, f1, flagged, outliers

from deburr.core.cloud import PointCloud
from deburr.core.neighbors import cloud_spacing
from deburr.filters.outlier import Outlier


def target(count: int = 700) -> Target:
    random = np.random.default_rng(0)
    plan = random.uniform(0, 26, (count, 2))
    points = np.column_stack((plan, 6 * np.sin(plan[:, 0] / 5) + random.normal(0, 0.1, count)))
    return Target("hills", points, np.tile([0.0, 0.0, -1.0], (count, 1)), 0.1, {})


@pytest.mark.parametrize(
    ("method", "setting", "options"),
    [
        ("statistical", "k 8, 2 s", {}),
        ("statistical", "k 4, 0.5 s", {"mean_k": 4, "multiplier": 0.5}),
        ("radius", "2 x, 4", {"min_k": 4}),
        ("energy", "cloud", {}),
        ("energy", "0.01", {"chance": 0.01}),
    ],
)
def test_all_settings_at_once_flag_what_the_filter_flags(method: str, setting: str, options: dict[str, Any]) -> None:
    hills = target()
    points = np.concatenate((hills.points, outliers(hills, "even", 0.05)))
    if method == "radius":
        options = {**options, "radius": 2 * cloud_spacing(points)}
    done = Outlier.model_validate({"method": method, **options}).run(PointCloud(points))
    found = done.dims["Classification"] == 7
    assert (flagged(points)[method][setting] == found).all()
    assert 0 < found.sum() < 200


@pytest.mark.parametrize("kind", KINDS)
def test_outliers_are_as_many_as_said_and_none_is_near(kind: str) -> None:
    hills = target()
    added = outliers(hills, kind, 0.05)
    assert len(added) == round(0.05 / 0.95 * 700)
    away = np.linalg.norm(added[:, None] - hills.points[None], axis=2).min(1)
    assert away.min() > 4 * hills.noise
    assert (outliers(hills, kind, 0.05) == added).all()


def test_f1_by_hand() -> None:
    """Two of three outliers found, one good point flagged: recall 2/3, precision 2/3."""
    true, found = np.array([1, 1, 1, 0, 0], np.bool_), np.array([1, 1, 0, 1, 0], np.bool_)
    assert f1(found, true) == pytest.approx(2 / 3)
    assert f1(np.zeros(5, np.bool_), true) == 0
