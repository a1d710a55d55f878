"""filters.patch: what it sets, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from deburr.core.cloud import Patches, PointCloud
from deburr.filters.patch import Patch


@pytest.mark.parametrize(
    ("options", "patches"),
    [
        ({}, Patches("blocks", 4096, 1.0)),
        ({"size": 500}, Patches("blocks", 500, 1.0)),
        ({"method": "knn"}, Patches("knn", 1000, 3.0)),
        ({"method": "knn", "size": 64, "overlap": 5}, Patches("knn", 64, 5.0)),
    ],
)
def test_sets_patches_and_moves_nothing(options: dict[str, Any], patches: Patches) -> None:
    stage = Patch.model_validate(options)
    assert stage.check(()) == []
    cloud = PointCloud(np.random.default_rng(0).normal(size=(10, 3)))
    out = stage.run(cloud)
    assert out.patches == patches
    assert out.xyz is cloud.xyz
    assert out.history[-1].warnings == ()


def test_overlap_has_no_meaning_for_blocks() -> None:
    (error,) = Patch(overlap=3).check(())
    assert "overlap" in error
    assert "knn" in error


def test_no_points_give_a_warning() -> None:
    assert len(Patch().run(PointCloud(np.zeros((0, 3)))).history[-1].warnings) == 1


@pytest.mark.parametrize("options", [{"size": 3}, {"size": 0}, {"method": "knn", "overlap": 0.5}, {"method": "octree"}])
def test_senseless_values_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Patch.model_validate(options)
