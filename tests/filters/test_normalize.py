"""filters.normalize: frames computed by hand."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
from pydantic import ValidationError

from deburr.core.cloud import PointCloud
from deburr.filters.normalize import Normalize


def grid(side: int, step: float) -> PointCloud:
    x, y = np.meshgrid(np.arange(side) * step, np.arange(side) * step)
    return PointCloud(np.stack([x.ravel(), y.ravel(), np.zeros(side * side)], axis=1))


def test_spacing_of_a_plane_grid_by_hand() -> None:
    # In a unit grid 4 neighbours lie at 1, 4 at sqrt 2, 4 at 2 and 8 at sqrt 5: the 16th is one of the last.
    cloud = Normalize().run(grid(41, 0.5))
    assert cloud.frame is not None
    assert cloud.frame.kind == "spacing"
    assert cloud.frame.scale == pytest.approx(0.5 * sqrt(5) * sqrt(pi / 16))
    assert cloud.frame.offset.tolist() == [10.0, 10.0, 0.0]


def test_unit_sphere_by_hand() -> None:
    cloud = PointCloud(np.array([[10.0, 0, 0], [14.0, 0, 0], [10.0, 3, 0]]))
    frame = Normalize(method="unit_sphere").run(cloud).frame
    assert frame is not None
    assert frame.offset.tolist() == [12.0, 1.5, 0.0]
    assert frame.scale == pytest.approx(2.5)


@pytest.mark.parametrize("method", ["spacing", "unit_sphere"])
def test_no_coordinate_changes_and_noise_points_do_not_count(method: str) -> None:
    plain = grid(20, 1.0)
    far = np.concatenate([plain.xyz, [[1e6, 0, 0], [0, 1e6, 0], [0, 0, 1e6]]])
    dims = {
        "Classification": np.array([2] * 400 + [7, 18, 2], dtype=np.uint8),
        "Withheld": np.array([0] * 402 + [1], dtype=np.uint8),
    }
    cloud = PointCloud(far, dims)
    stage = Normalize.model_validate({"method": method})
    out, want = stage.run(cloud), stage.run(plain)
    assert out.xyz is cloud.xyz
    assert out.frame is not None
    assert want.frame is not None
    assert out.frame.scale == want.frame.scale
    assert out.frame.offset.tolist() == want.frame.offset.tolist()
    assert out.history[-1].figures["points"] == 400
    assert out.history[-1].warnings == ()


@pytest.mark.parametrize("method", ["spacing", "unit_sphere"])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_nothing_to_measure_gives_scale_one_and_a_warning(method: str, count: int) -> None:
    out = Normalize.model_validate({"method": method}).run(PointCloud(np.full((count, 3), 5.0)))
    assert out.frame is not None
    assert out.frame.scale == 1.0
    assert np.isfinite(out.frame.offset).all()
    assert len(out.history[-1].warnings) == 1


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValidationError):
        Normalize.model_validate({"method": "sphere"})
