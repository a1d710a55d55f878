"""filters.outlier flags the very points that real PDAL's flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agreement
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deburr.core.cloud import PointCloud
from deburr.filters.outlier import Outlier
from deburr.readers.las import LasReader

Options = dict[str, Any]

STATISTICAL: list[Options] = [{}, {"mean_k": 3, "multiplier": 0.5}, {"mean_k": 24, "multiplier": 3.0, "class": 18}]
RADIUS: list[Options] = [
    {"radius": 1.0, "min_k": 2},
    {"radius": 2.5, "min_k": 12, "class": 18},
    {"radius": 0.5, "min_k": 1},
]
#: A real file and the length that its radii are told in: feet on a lattice of 0.01; point format 8; millimetres.
REAL = [("pdal_autzen_trim.las", 5.0), ("ign_several_extra_bytes.laz", 0.5), ("3dfier_ahn3_cropped_2.laz", 0.5)]


def ours(cloud: PointCloud, options: Options) -> Any:
    return Outlier.model_validate(options).run(cloud).dims["Classification"]


def agree(xyz: Any, options: Options) -> int:
    """Assert that both flag the same points of ``xyz`` (N, 3); returns how many."""
    xyz = np.asarray(xyz, np.float64)
    classes = {"Classification": np.full(len(xyz), 2, np.uint8)}
    points, _ = agreement.run_stages([{"type": "filters.outlier", **options}], [agreement.structured(xyz, classes)])
    found = ours(PointCloud(xyz, classes), options)
    np.testing.assert_array_equal(agreement.places(points), xyz)
    np.testing.assert_array_equal(found, points["Classification"])
    return int((found != 2).sum())


@pytest.mark.parametrize("options", [*STATISTICAL, *({"method": "radius", **r} for r in RADIUS)], ids=str)
@pytest.mark.parametrize(("name", "length"), REAL)
def test_real_files(data_dir: Path, name: str, length: float, options: Options) -> None:
    if "radius" in options:
        options = {**options, "radius": options["radius"] * length}
    path = data_dir / "data" / "lidar" / name
    read = {"type": "readers.las", "filename": str(path), "count": 60_000}
    points, _ = agreement.run_stages([read, {"type": "filters.outlier", **options}])
    cloud = LasReader(filename=str(path), count=60_000).read()
    np.testing.assert_array_equal(cloud.xyz, agreement.places(points))

    found = ours(cloud, options)
    theirs = points["Classification"]
    if not {"Synthetic", "ClassFlags"} & {*(points.dtype.names or ())}:
        theirs = theirs & 0x1F  # PDAL 2.2 keeps the flags of point formats 0-5 in the upper bits
    np.testing.assert_array_equal(found, theirs)
    flagged = int((found == options.get("class", 7)).sum())
    assert 0 < flagged < len(cloud)


def test_a_real_lattice_has_the_ties_that_matter(data_dir: Path) -> None:
    """Radii at which some neighbours lie to the last bit: nearer than the radius, not as far, is what counts."""
    cloud = LasReader(filename=str(data_dir / "data" / "lidar" / "laspy_plane.laz"), count=4000).read()
    scale = 0.01
    counts = [agree(cloud.xyz, {"method": "radius", "radius": k * scale, "min_k": 9}) for k in (2, 3, 4, 5)]
    assert counts[0] > counts[-1]
    for multiplier in (0.0, 0.5, 2.0):
        assert agree(cloud.xyz, {"multiplier": multiplier})


def grid(step: float, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Any:
    axis = np.arange(9)
    return np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3) * step + origin


@pytest.mark.parametrize("far", [(0.0, 0.0, 0.0), (637_000.3, 849_000.7, 400.1)], ids=["near", "far"])
def test_lattices(far: tuple[float, float, float]) -> None:
    flagged = [
        agree(grid(0.1, far), {"method": "radius", "radius": radius, "min_k": min_k})
        for radius in (0.1, 0.2, 0.1 * 2**0.5, 0.1 * 3**0.5)
        for min_k in (1, 3, 7, 13)
    ]
    assert any(flagged)
    assert agree(grid(0.1, far), {"multiplier": 1.0}) == agree(grid(0.1, far)[::-1], {"multiplier": 1.0}) > 0


def test_duplicates_and_few_points() -> None:
    random = np.random.default_rng(1)
    some = random.normal(0, 1, (40, 3))
    assert agree(np.vstack([np.repeat(some, 12, axis=0), some + 9]), {}) > 0
    assert agree(np.full((30, 3), 0.3), {}) == 0
    for n in (1, 2, 7, 8, 9, 10):
        choices: list[dict[str, Any]] = [{}, {"multiplier": 0.0}, {"mean_k": 1}, {"method": "radius", "radius": 1.0}]
        for options in choices:
            agree(some[:n], options)


def test_where_all_are_outliers_none_is_flagged() -> None:
    assert agree(np.arange(30.0).reshape(-1, 3) * 100, {"method": "radius"}) == 0
    assert agree(np.arange(30.0).reshape(-1, 3) * 100, {"multiplier": -9.0}) == 0


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 300),
    step=st.sampled_from([1.0, 0.25, 0.1, 0.01, 0.001]),
    origin=st.sampled_from([0.0, 83_000.0, 637_000.37, 5.4e6]),
    options=st.one_of(
        st.fixed_dictionaries(
            {"mean_k": st.integers(1, 12), "multiplier": st.sampled_from([-0.5, 0.0, 0.5, 1.0, 2.0])}
        ),
        st.fixed_dictionaries({"square": st.integers(1, 14), "min_k": st.integers(0, 9)}),
    ),
)
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_points_drawn_from_a_lattice(seed: int, size: int, step: float, origin: float, options: Options) -> None:
    xyz = np.random.default_rng(seed).integers(0, 12, (size, 3)) * step + origin
    if "square" in options:  # a distance that occurs between points of the lattice
        options = {"method": "radius", "radius": options["square"] ** 0.5 * step, "min_k": options["min_k"]}
    agree(xyz, options)
