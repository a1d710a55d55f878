"""Filters but filters.spd: a cloud cut into tiles gives, point by point, what the whole cloud gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.core.cloud import PointCloud
from deburr.core.registry import stage_class
from deburr.core.stage import Filter, Reach
from deburr.pipeline.plan import load
from deburr.testing import tiling

STATISTICAL = ("filters.outlier", {"multiplier": 1.0})
RADIUS = ("filters.outlier", {"method": "radius", "radius": 0.9, "min_k": 3, "action": "withhold"})
REMOVE = ("filters.outlier", {"multiplier": 1.5, "mean_k": 5, "action": "remove"})
NOISE = ("filters.noise", {"sigma": 0.01, "seed": 3})
METRICS = ("filters.metrics", {})
NORMALIZE = ("filters.normalize", {})
CHAINS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "statistical": [STATISTICAL],
    "radius": [RADIUS],
    "remove": [REMOVE],
    "few neighbours": [("filters.outlier", {"mean_k": 1, "multiplier": 0.0})],
    "many neighbours": [("filters.outlier", {"mean_k": 40, "class": 18})],
    "metrics": [METRICS],
    "planes of 5": [("filters.metrics", {"neighbors": 5, "classes": [2]})],
    "normalize": [NORMALIZE],
    "measured noise": [NOISE, METRICS, NORMALIZE],
    "measured uneven noise": [("filters.noise", {"sigma": 0.01, "kind": "laplace"}), METRICS],
    "classified, then measured": [STATISTICAL, METRICS, NORMALIZE],
    "removed, then measured": [REMOVE, METRICS],
    "removed twice, then measured": [REMOVE, ("filters.outlier", {"multiplier": 1.0, "action": "remove"}), METRICS],
    "all": [NOISE, STATISTICAL, RADIUS, REMOVE, ("filters.patch", {}), NORMALIZE, METRICS],
}
#: Origin of the grid of cells, and cells along each side.
GRIDS = [((0.0, 0.0), 1), ((0.37, -0.11), 2), ((0.0, 0.0), 4), ((1 / 3, 1 / 7), 8)]


@pytest.fixture(autouse=True, scope="module")
def _short_streams() -> Iterator[None]:
    """Noise is drawn in blocks of rows; small tiles need not draw large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deburr.core.chance.BLOCK", 64)
        yield


def chain(name: str) -> list[Filter]:
    stages = [stage_class(kind).model_validate(options) for kind, options in CHAINS[name]]
    assert all(isinstance(stage, Filter) for stage in stages)
    return stages  # type: ignore[return-value]  # just asserted


def scattered(random: Any, n: int) -> Any:
    """A wavy surface with some points far off it."""
    plan = random.uniform(0, 8, (n, 2))
    z = np.sin(plan[:, 0]) + random.normal(0, 0.02, n) + random.exponential(0.5, n) * (random.random(n) < 0.1)
    return np.column_stack([plan, z])


def lattice(random: Any, n: int) -> Any:
    """Equal distances everywhere, and points on the borders of cells; some are twins."""
    return random.integers(0, 33, (n, 3)) * [0.25, 0.25, 0.25]


def decimals(random: Any, n: int) -> Any:
    """As a LAS file holds them: equal distances that rounding makes nearly equal."""
    return random.integers(0, 80, (n, 3)) * [0.1, 0.1, 0.01] + [500_000.0, 5_400_000.0, 12.0]


def twins(random: Any, n: int) -> Any:
    """Few places with many points each, and one far away."""
    places = np.vstack([random.integers(0, 9, (max(n // 30, 1), 3)).astype(float), [[40.0, 4.0, 4.0]]])
    return places[random.integers(0, len(places), n)]


def dense_and_sparse(random: Any, n: int) -> Any:
    """Clumps with little between them: some neighbours lie many cells away."""
    near = random.normal(0, 0.05, (n, 3)) + random.choice([[0.5, 0.5, 0], [7.5, 7.5, 0]], n)
    near[: n // 20] = random.uniform(0, 8, (n // 20, 3))
    return near


CLOUDS = {"scattered": scattered, "lattice": lattice, "decimals": decimals, "twins": twins, "clumps": dense_and_sparse}


def cloud_of(make: Any, seed: int, n: int) -> PointCloud:
    random = np.random.default_rng(seed)
    xyz = make(random, n)
    dims = {
        "Classification": random.choice(np.array([2, 2, 2, 5, 7], np.uint8), n),
        "Withheld": (random.random(n) < 0.05).astype(np.uint8),
        "Intensity": random.integers(0, 999, n).astype(np.uint16),
    }
    return PointCloud(xyz, dims)


def boxes_of(cloud: PointCloud, origin: tuple[float, float], cells: int) -> Any:
    low, high = cloud.extent.low[:2], cloud.extent.high[:2]
    sides = np.maximum(high - low, 1.0) / cells if cells == 1 or origin[0] % 1 else np.full(2, 8.0 / cells)
    return tiling.cells(cloud, low + np.array(origin) * sides, sides)


def untiled(stages: list[Filter], cloud: PointCloud) -> PointCloud:
    for stage in stages:
        cloud = stage.run(cloud)
    return cloud


def counts(records: list[Any]) -> dict[str, int]:
    """The figures that simply add up."""
    found: dict[str, int] = {}
    for record in records:
        for name in ("points", "points_left_out", "flagged"):
            if name in record.figures:
                found[name] = found.get(name, 0) + record.figures[name]
    return found


def check_seams(stages: list[Filter], cloud: PointCloud, boxes: Any, halo: float, file: Any = None) -> Any:
    """Runs ``stages`` tiled and whole, and compares all that comes of it."""
    whole = untiled(stages, cloud)
    tiled, figures, done = tiling.tiled(stages, cloud, boxes, halo, file)
    assert tiled.rows.tolist() == whole.rows.tolist()
    assert tiled.xyz.tobytes() == whole.xyz.tobytes()
    assert tiled.original.tobytes() == whole.original.tobytes()
    assert tiled.dims.keys() == whole.dims.keys()
    for name, column in whole.dims.items():
        assert tiled.dims[name].dtype == column.dtype
        assert tiled.dims[name].tolist() == column.tolist(), name
    for number, record in enumerate(whole.history):
        parts = [part for tile in done for part in tile.records[number]]
        assert counts(parts) == counts([record]), record.stage
        # Nothing is rounded on the way, so nothing differs.
        assert figures[number] == {name: record.figures[name] for name in figures[number]}
        assert bool(figures[number]) == bool(record.sums)
        for name in ("threshold", "scale", "offset"):
            assert all(part.figures.get(name) == record.figures.get(name) for part in parts)
        assert {text for part in parts for text in part.warnings} <= set(record.warnings)
    assert sum(tile.unproved for tile in done) == 0
    return done


@pytest.mark.parametrize("name", CHAINS)
def test_tiled_equals_whole(name: str) -> None:
    for number, (kind, grid, halo) in enumerate(
        zip(CLOUDS, [*GRIDS, GRIDS[2]], (0.5, 1.0, 0.7, 1.0, 0.3), strict=True)
    ):
        cloud = cloud_of(CLOUDS[kind], number, 120)
        check_seams(chain(name), cloud, boxes_of(cloud, *grid), halo)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("name", CHAINS)
def test_every_tiling_of_every_kind_of_cloud_equals_whole(name: str, kind: str) -> None:
    cloud = cloud_of(CLOUDS[kind], len(name), 300)
    for halo, grid in zip((0.5, 1.0, 0.7, 0.3), GRIDS, strict=True):
        check_seams(chain(name), cloud, boxes_of(cloud, *grid), halo)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(sorted(CHAINS)),
    st.sampled_from(sorted(CLOUDS)),
    st.integers(0, 10**6),
    st.integers(1, 80),
    st.sampled_from([1e-3, 0.1, 0.25, 1.0, 3.0]),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    st.floats(1.5, 9.0),
    st.integers(1, 3),
)
def test_any_tiling_equals_whole(
    name: str, kind: str, seed: int, n: int, halo: float, origin: tuple[float, float], side: float, files: int
) -> None:
    cloud = cloud_of(CLOUDS[kind], seed, n)
    boxes = tiling.cells(cloud, cloud.extent.low[:2] + np.array(origin), np.array([side, side * 1.3]))
    file = np.random.default_rng(seed).integers(0, files, n).astype(np.int32)
    check_seams(chain(name), *in_order(cloud, file, boxes, halo))


def in_order(cloud: PointCloud, file: Any, boxes: Any, halo: float) -> tuple[Any, ...]:
    """The same points, file after file, each file's rows counted from 0."""
    order = np.argsort(file, kind="stable")
    sizes = np.bincount(file)
    rows = np.concatenate([np.arange(size) for size in sizes]).astype(np.int64)
    return replace(cloud.select(order), rows=rows), boxes, halo, file[order]


def test_points_that_are_far_from_all_others_are_found_in_ever_wider_halos() -> None:
    # 40 points in one place; the last, 3 km away, has its neighbours there, some 20 halos of a metre doubled 11 times.
    cloud = PointCloud(np.vstack([np.random.default_rng(0).random((40, 3)), [[3000.0, 0.5, 0.5]]]))
    boxes = [(np.array([x, 0.0]), np.array([x + 1.0, 1.0])) for x in (0.0, 3000.0)]
    done = check_seams([*chain("statistical"), *chain("metrics")], cloud, boxes, 1.0)
    assert done[1].attempts > 10


def test_all_points_alone_are_spared_however_they_are_cut() -> None:
    xyz = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0), [0.0]), axis=-1).reshape(-1, 3)
    cloud = PointCloud(xyz, {"Classification": np.full(36, 2, np.uint8)})
    boxes = tiling.cells(cloud, np.array([-0.5, 0.0]), np.array([2.0, 3.0]))
    for options in ({"method": "radius", "radius": 0.5}, {"multiplier": -9.0}, {"mean_k": 1, "multiplier": 0.0}):
        stage = stage_class("filters.outlier").model_validate({**options, "action": "remove"})
        assert isinstance(stage, Filter)
        assert len(stage.run(cloud)) == 36
        check_seams([stage], cloud, boxes, 0.1)


def test_one_point_near_another_in_one_tile_is_enough_to_flag_all_the_rest() -> None:
    xyz = np.array([[float(x), 0.0, 0.0] for x in range(12)] + [[11.1, 0, 0], [11.2, 0, 0]])
    stage = stage_class("filters.outlier").model_validate({"method": "radius", "radius": 0.5, "action": "remove"})
    assert isinstance(stage, Filter)
    cloud = PointCloud(xyz)
    assert stage.run(cloud).rows.tolist() == [11, 12, 13]
    check_seams([stage], cloud, tiling.cells(cloud, np.zeros(2), np.array([4.0, 4.0])), 0.5)


def test_what_too_little_was_read_for_is_said() -> None:
    cloud = cloud_of(scattered, 1, 200)
    boxes = boxes_of(cloud, (0.0, 0.0), 4)
    _, _, done = tiling.tiled(chain("statistical"), cloud, boxes, 0.1, limit=40)
    assert sum(tile.unproved for tile in done) > 0


def test_distances_are_looked_for_once_where_nothing_is_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    from deburr.core.neighbors import Neighbors

    asked = []
    nearest = Neighbors.nearest

    def spy(self: Neighbors, queries: Any, k: int) -> Any:
        asked.append(len(queries))
        return nearest(self, queries, k)

    monkeypatch.setattr(Neighbors, "nearest", spy)
    for name in ("statistical", "radius"):
        asked.clear()
        chain(name)[0].run(cloud_of(scattered, 0, 500))
        assert asked == [500]


def test_what_a_filter_looks_at() -> None:
    counting = {"Classification", "Withheld"}
    looks: list[tuple[str, dict[str, Any], set[str]]] = [
        ("outlier", {"action": "classify"}, {"Classification"}),
        ("outlier", {"action": "withhold"}, {"Withheld"}),
        ("outlier", {"action": "remove"}, set()),
        ("metrics", {}, counting),
        ("normalize", {}, counting),
        ("noise", {"sigma": 1.0}, counting),
        ("patch", {}, counting),
        ("restore", {"remove": ["Uncertainty"]}, {"OriginalX", "OriginalY", "OriginalZ", "Uncertainty"}),
    ]
    for kind, options, expected in looks:
        stage = stage_class(f"filters.{kind}").model_validate(options)
        assert isinstance(stage, Filter)
        assert stage.looks_at == expected


def test_how_far_a_filter_looks() -> None:
    def reach(kind: str, known: Any = None, **options: Any) -> Any:
        stage = stage_class(f"filters.{kind}").model_validate(options)
        assert isinstance(stage, Filter)
        return stage.reach(known or {})

    assert reach("outlier") == reach("metrics") == reach("normalize") == Reach(hops=1)
    assert reach("outlier", mean_k=64) == reach("metrics", neighbors=64) == Reach(hops=2)
    assert reach("outlier", method="radius", radius=2.5) == Reach(length=2.5)
    assert reach("normalize", {"scale": 1.0}) == reach("patch") == reach("noise", sigma=1) == Reach()
    assert reach("normalize", method="unit_sphere") is None
    assert reach("patch", method="knn") is None
    assert reach("metrics", reference="truth.laz") is None


def test_behind_a_restoration_only_the_whole_cloud_is_sure() -> None:
    cloud = cloud_of(scattered, 0, 150)
    cloud = cloud.with_dims({f"Original{axis}": column for axis, column in zip("XYZ", cloud.xyz.T + 0.5, strict=True)})
    stages = [stage_class("filters.restore").model_validate({}), *chain("statistical")]
    done = check_seams(stages, cloud, boxes_of(cloud, (0.0, 0.0), 2), 0.5)  # type: ignore[arg-type]  # both are filters
    assert max(tile.halo for tile in done) > 4


def test_settled_only_in_part_by_the_stage_before() -> None:
    # A stage that is sure of no point near x = 4, wherever the tile ends: all behind it must wait for nothing there.
    class Doubt(Filter):
        type_name: ClassVar[str] = "filters.doubt"

        def run(self, cloud: PointCloud) -> PointCloud:
            wide = cloud.horizon is None or not cloud.horizon.bounded
            return cloud.settle((np.abs(cloud.original[:, 0] - 4) > 0.3) | wide).note(self.type_name)

    cloud = cloud_of(scattered, 3, 200)
    check_seams([Doubt(), *chain("removed, then measured")], cloud, boxes_of(cloud, (0.0, 0.0), 3), 0.5)


@pytest.mark.long
@pytest.mark.parametrize("side", [90.0])
def test_two_neighbouring_airborne_tiles_are_as_if_they_were_one(data_dir: Path, side: float) -> None:
    parts = [load([str(data_dir / "data" / "lidar" / f"3dfier_ahn3_cropped_{i}.laz")]).reader for i in (1, 2)]
    clouds = [part.read() for part in parts if part is not None]
    file = np.repeat(np.arange(2, dtype=np.int32), [len(cloud) for cloud in clouds])
    xyz = np.concatenate([cloud.xyz for cloud in clouds])
    rows = np.concatenate([cloud.rows for cloud in clouds])
    cloud = PointCloud(xyz, {"Classification": np.full(len(xyz), 1, np.uint8)}, rows=rows)
    boxes = tiling.cells(cloud, np.array([84_913.7, 447_301.3]), np.array([side, side]))
    assert len(boxes) > 9
    chain_ = [*chain("radius"), *chain("removed, then measured"), *chain("normalize")]
    check_seams(chain_, cloud, boxes, 3.0, file)
