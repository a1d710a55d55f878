"""filters.outlier: the points that PDAL's rules, written out plainly here, flag."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.filters.outlier import Outlier


def squared_distances(xyz: np.ndarray, i: int) -> list[float]:
    """Squares to all points, itself counted, nearest first; summed in the order x, y, z."""
    return sorted((a - xyz[i][0]) ** 2 + (b - xyz[i][1]) ** 2 + (c - xyz[i][2]) ** 2 for a, b, c in xyz.tolist())


def pdal_statistical(xyz: np.ndarray, mean_k: int, multiplier: float) -> list[bool]:
    """Running means and one-pass variance; what a small cloud lacks is distance 0; all flagged means none."""
    means = []
    for i in range(len(xyz)):
        near = (squared_distances(xyz, i) + [0.0] * (mean_k + 1))[: min(mean_k + 1, len(xyz))]
        near += [0.0] * (mean_k + 1 - len(near))
        mean = 0.0
        for j in range(1, mean_k + 1):
            mean += (math.sqrt(near[j]) - mean) / j
        means.append(mean)
    center, squares = 0.0, 0.0
    for n, value in enumerate(means, 1):
        delta = value - center
        center += delta / n
        squares += delta * (delta / n) * (n - 1)
    threshold = center + multiplier * (math.sqrt(squares / (len(xyz) - 1)) if len(xyz) > 1 else math.nan)
    flagged = [not value < threshold for value in means]
    return [False] * len(xyz) if all(flagged) else flagged


def pdal_radius(xyz: np.ndarray, radius: float, min_k: int) -> list[bool]:
    """Strictly nearer than the radius, itself counted, more than min_k; all flagged means none."""
    flagged = [not sum(d < radius * radius for d in squared_distances(xyz, i)) > min_k for i in range(len(xyz))]
    return [False] * len(xyz) if all(flagged) else flagged


def flags(xyz: np.ndarray, **options: Any) -> list[bool]:
    result = Outlier.model_validate(options).run(PointCloud(xyz))
    return (result.dims["Classification"] == 7).tolist()


def scattered(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.vstack([random.normal(0, 1, (150, 3)), random.uniform(-9, 9, (12, 3))])


def lattice(seed: int) -> np.ndarray:
    """Points on a lattice of 1 cm, as LAS stores them: many distances are equal, many are the radius itself."""
    return np.random.default_rng(seed).integers(0, 60, (250, 3)) * 0.01 + [0, 0, 5.0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [scattered, lattice])
def test_statistical_flags_what_pdal_flags(make: Any, seed: int) -> None:
    xyz = make(seed)
    for mean_k, multiplier in [(8, 2.0), (3, 1.0), (1, 0.5), (20, 0.0)]:
        expected = pdal_statistical(xyz, mean_k, multiplier)
        assert any(expected)
        assert flags(xyz, mean_k=mean_k, multiplier=multiplier) == expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("make", "radius"), [(scattered, 1.0), (lattice, 0.1), (lattice, 0.05)])
def test_radius_flags_what_pdal_flags(make: Any, radius: float, seed: int) -> None:
    xyz = make(seed)
    for min_k in (0, 1, 2, 5):
        expected = pdal_radius(xyz, radius, min_k)
        assert flags(xyz, method="radius", radius=radius, min_k=min_k) == expected


def test_a_neighbour_at_the_radius_does_not_count() -> None:
    line = np.array([[0.0, 0, 0], [1.0, 0, 0], [1.5, 0, 0]])
    assert flags(line, method="radius", radius=1.0, min_k=1) == [True, False, False]
    assert flags(line, method="radius", radius=1.0 + 1e-12, min_k=1) == [False, False, False]


def test_small_clouds_follow_pdal_too() -> None:
    for n in range(1, 12):
        xyz = scattered(n)[-n:]
        assert flags(xyz) == pdal_statistical(xyz, 8, 2.0)
        assert flags(xyz, multiplier=0.0) == pdal_statistical(xyz, 8, 0.0)


def test_when_all_would_go_none_goes_and_it_is_said() -> None:
    result = Outlier(method="radius", radius=0.5).run(PointCloud(np.arange(9.0).reshape(3, 3)))
    assert result.dims["Classification"].tolist() == [0, 0, 0]
    assert "all 3 points would be outliers" in result.history[-1].warnings[0]


def test_actions() -> None:
    xyz = np.vstack([np.random.default_rng(0).normal(0, 0.1, (40, 3)), [[50.0, 0, 0]]])
    cloud = PointCloud(xyz, {"Classification": np.full(41, 2, np.uint8), "Withheld": np.zeros(41, np.uint8)})
    classified = Outlier.model_validate({"class": 18, "multiplier": 4}).run(cloud)
    assert classified.dims["Classification"].tolist() == [2] * 40 + [18]
    assert not classified.dims["Withheld"].any()
    withheld = Outlier(action="withhold", multiplier=4).run(cloud)
    assert withheld.dims["Withheld"].tolist() == [0] * 40 + [1]
    assert (withheld.dims["Classification"] == 2).all()
    removed = Outlier(action="remove", multiplier=4).run(cloud)
    assert removed.rows.tolist() == list(range(40))
    for result in (classified, withheld, removed):
        figures = result.history[-1].figures
        assert figures["flagged"] == 1
        assert 0.1 < figures["threshold"] < 50
        assert figures["units"] == "cloud units"


def test_points_of_a_noise_class_take_part_as_in_pdal() -> None:
    xyz = scattered(5)
    noisy = PointCloud(xyz, {"Classification": np.full(len(xyz), 7, np.uint8)})
    figures = Outlier().run(noisy).history[-1].figures
    assert figures["flagged"] == sum(pdal_statistical(xyz, 8, 2.0))
