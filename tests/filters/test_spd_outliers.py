"""filters.spd with outliers: in one pass what filters.outlier and filters.spd do in two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
from click.testing import CliRunner

import deburr
from deburr.cli.run import denoise
from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.filters.outlier import Outlier
from deburr.filters.spd import Spd
from deburr.nn.contract import Settings
from deburr.nn.deburr import default
from deburr.nn.deburr.planes import search
from deburr.pipeline.plan import load
from deburr.testing import contract, tiling

OFFSET = np.array([5e5, 5.4e6, 100.0])


def scan(count: int = 3000, side: float = 20.0, noise: float = 0.08) -> PointCloud:
    """A plane with a step and 60 points in the air, some of them twice, in no order; two strips, some noise class."""
    random = np.random.default_rng(7)
    plan = random.uniform(0, side, (count, 2))
    xyz = np.column_stack((plan, 2.0 * (plan[:, 0] > side / 2))) + random.normal(0, noise, (count, 3))
    air = random.uniform(0, side, (60, 3)) * [1, 1, 0.3] + [0, 0, 2.6]
    xyz = np.concatenate((xyz, air, xyz[:50], air[:3])) + OFFSET
    order = random.permutation(len(xyz))
    classes = np.where(np.arange(len(xyz)) % 97 == 5, 18, 2).astype(np.uint8)
    strips = (xyz[order, 1] > OFFSET[1] + side / 2).astype(np.uint16)
    return PointCloud(xyz[order], {"Classification": classes, "PointSourceId": strips, "GpsTime": order + 0.5})


def in_two(cloud: PointCloud, action: str, chance: float | None = None, **options: Any) -> PointCloud:
    left = Outlier.model_validate({"method": "energy", "action": action, "chance": chance}).run(cloud)
    return Spd(**options).run(replace(left, history=()))


def same(one: PointCloud, two: PointCloud) -> None:
    assert (one.rows == two.rows).all()
    assert one.dims.keys() == two.dims.keys()
    for name, column in two.dims.items():
        assert np.allclose(one.dims[name], column, rtol=1e-4, atol=1e-6, equal_nan=True), name
    spacing = two.history[-1].figures["spacing"]
    assert np.abs(one.xyz - two.xyz).max() < 1e-5 * spacing
    # What filters.spd tells is the same, but for how many it has found.
    figures = {name: value for name, value in one.history[-1].figures.items() if name != "flagged"}
    assert figures == two.history[-1].figures
    assert one.history[-1].warnings == two.history[-1].warnings


@pytest.mark.parametrize("action", ["classify", "remove"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chance": 0.1, "dimensions": ["Energy", "NoiseLevel", "Uncertainty"]},
        {"noise": 0.1, "strength": 0.5},
        {"strips": "apart"},
        {"where": "Classification == 2 && GpsTime < 2000"},
    ],
    ids=["as it comes", "many", "noise told", "strips apart", "where"],
)
def test_in_one_pass_is_as_in_two(action: str, options: dict[str, Any]) -> None:
    cloud = scan()
    one, two = Spd(outliers=action, **options).run(cloud), in_two(cloud, action, **options)
    same(one, two)
    flagged = one.history[-1].figures["flagged"]
    assert flagged > 40
    assert flagged == (len(cloud) - len(one) if action == "remove" else int((one.dims["Classification"] == 7).sum()))
    assert np.abs(one.xyz - cloud.xyz[one.rows]).max() > 0.05
    if action == "classify":
        assert (one.xyz[one.dims["Classification"] == 7] == cloud.xyz[one.dims["Classification"] == 7]).all()


def test_without_outliers_it_is_as_without_the_option() -> None:
    random = np.random.default_rng(1)
    plane = PointCloud(np.column_stack((random.uniform(0, 20, (1500, 2)), random.normal(0, 0.05, 1500))))
    one, plain = Spd(outliers="remove", chance=0.0001).run(plane), Spd().run(plane)
    assert one.history[-1].figures["flagged"] == 0
    assert one.xyz.tobytes() == plain.xyz.tobytes()
    # Classes that nobody has asked for are made, so that all files of a batch have them.
    assert (Spd(outliers="classify", chance=0.0001).run(plane).dims["Classification"] == 0).all()


def test_neighbours_that_were_searched_before_are_those_that_a_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a part of the points, in another order: what is not searched again is the same to the last bit."""
    random = np.random.default_rng(3)
    xyz = random.normal(size=(800, 3)) * [9, 9, 1]
    xyz[700:] = xyz[:100]
    kept = np.sort(random.permutation(np.arange(100, 800))[:600])
    model = default.Default.load()
    before = model.denoise(xyz, Settings(strength=0.0, energy=True)).searched
    assert before is not None
    graphs = []
    made = default._graph
    monkeypatch.setattr(default, "_graph", lambda *given: graphs.append(made(*given)) or graphs[-1])
    model.denoise(xyz[kept], Settings(strength=0.0, earlier=(before, kept)))
    model.denoise(xyz[kept], Settings(strength=0.0))
    shared, fresh = graphs
    for name in ("neighbors", "window", "own", "points", "spacing"):
        assert (getattr(shared, name) == getattr(fresh, name)).all(), name
    # Fewer are searched than there are.
    searched = []
    monkeypatch.setattr("deburr.nn.deburr.searched.Neighbors", lambda points: _Counting(points, searched))
    model.denoise(xyz[kept[1:]], Settings(strength=0.0, earlier=(before, kept[1:])))
    assert 0 < searched[0] < len(kept)
    assert search(xyz[:700]).neighbors.shape == (700, 16)


class _Counting:
    def __init__(self, points: Any, searched: list[int]) -> None:
        from deburr.core.neighbors import Neighbors

        self.tree, self.searched = Neighbors(points), searched

    def nearest(self, queries: Any, k: int) -> Any:
        self.searched.append(len(queries))
        return self.tree.nearest(queries, k)


@pytest.mark.parametrize("options", [{"outliers": "classify"}, {"outliers": "remove", "noise": 0.1}], ids=str)
def test_tiles_find_the_same_and_denoise_the_same(options: dict[str, Any]) -> None:
    cloud = scan()
    stage = Spd(dimensions=["NoiseLevel"], **options)
    whole = stage.run(cloud)
    boxes = tiling.cells(cloud, (5e5 - 0.7, 5.4e6 - 0.3), (11.0, 40.0))
    tiled, _, done = tiling.tiled([stage], cloud, boxes, 3.0)
    assert (tiled.rows == whole.rows).all()
    assert np.abs(tiled.xyz - whole.xyz).max() < 1e-5 * whole.history[-1].figures["spacing"]
    for name, column in whole.dims.items():
        assert np.allclose(tiled.dims[name], column, rtol=1e-4, atol=1e-6, equal_nan=True), name
    told, parts = whole.history[-1].figures, [record.figures for tile in done for record in tile.records[0]]
    for name in ("points", "points_left_out", "flagged"):
        assert sum(part.get(name, 0) for part in parts) == told[name], name
    assert told["flagged"] > 40
    assert parts[0]["noise"] == pytest.approx(told["noise"], rel=2e-3)


def test_a_file_larger_than_memory_is_as_in_one_piece(tmp_path: Path) -> None:
    from deburr.pipeline import run
    from deburr.tiles import memory

    cloud = scan()
    source = tmp_path / "in.las"
    las = laspy.create(point_format=6, file_version="1.4")
    las.header.scales, las.header.offsets = [1e-4] * 3, OFFSET
    las.x, las.y, las.z = cloud.xyz.T
    las.classification, las.gps_time = cloud.dims["Classification"], cloud.dims["GpsTime"]
    las.write(source)
    spec = [str(source), {"type": "filters.spd", "outliers": "classify"}]
    run([*spec, str(tmp_path / "whole.las")])
    patched = pytest.MonkeyPatch()
    with patched.context() as patch:
        patch.setattr(memory, "_FEWEST", 500)
        run([*spec, str(tmp_path / "tiled.las")], memory=memory.BASE + memory.PER_POINT * 2500)
    whole, tiled = laspy.read(tmp_path / "whole.las"), laspy.read(tmp_path / "tiled.las")
    assert (np.asarray(whole.classification) == 7).sum() > 40
    assert (whole.classification == tiled.classification).all()
    assert (whole.gps_time == las.gps_time).all()
    # Nearly none lies so near the middle of two steps of the file that rounding decides.
    assert np.mean(whole.xyz != tiled.xyz) < 0.001
    assert np.abs(whole.xyz - tiled.xyz).max() < 1.5e-4


def test_on_the_command_line(tmp_path: Path) -> None:
    cloud = scan()
    np.savetxt(tmp_path / "in.xyz", cloud.xyz - OFFSET, fmt="%.4f")
    files = [str(tmp_path / name) for name in ("in.xyz", "out.xyz")]
    found = CliRunner().invoke(denoise, [*files, "--outliers", "remove", "--chance", "0.1", "--quiet"])
    assert found.exit_code == 0, found.output
    assert len(cloud) - 300 < len(np.loadtxt(tmp_path / "out.xyz")) < len(cloud) - 60


def test_in_python_it_is_for_clouds_that_can_tell() -> None:
    cloud = scan(900)
    assert (deburr.denoise(cloud, outliers="classify").dims["Classification"] == 7).sum() > 20
    with pytest.raises(SpecError, match="outliers: what is returned has the same points"):
        deburr.denoise(cloud.xyz, outliers="remove")


def test_too_few_points_are_told() -> None:
    few = scan().select(np.arange(25))
    done = Spd(outliers="classify").run(few)
    assert done.xyz.tobytes() == few.xyz.tobytes()
    assert done.history[-1].figures["flagged"] == 0
    assert "too few to denoise" in done.history[-1].warnings[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"chance": 0.01}, "option 'chance' has no effect without 'outliers'; remove it, or let them be classified"),
        ({"outliers": "flag"}, "option 'outliers' must be"),
        ({"model": "spd", "weights": "x", "outliers": "remove"}, "option 'outliers' has no effect on model 'spd'"),
    ],
)
def test_validate_says_what_is_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(["in.laz", {"type": "filters.spd", **options}, "out.laz"])
    (error,) = caught.value.errors
    assert said in error


def test_it_keeps_what_all_filters_promise() -> None:
    contract.check("filters.spd", {"outliers": "classify"}, tolerance=1e-6)
