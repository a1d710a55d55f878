from __future__ import annotations

from pathlib import Path
from typing import Any

import laspy
import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError, SpecError
from deburr.core.neighbors import cloud_spacing
from deburr.filters.upsample import Upsample, _mean, _most
from deburr.pipeline import run
from deburr.tiles import memory


def grown(xyz: Any, dims: dict[str, Any] | None = None, **options: Any) -> tuple[PointCloud, Floats]:
    """What becomes of a cloud, and the new points' places."""
    cloud = PointCloud(np.asarray(xyz, dtype=np.float64), dims or {})
    done = Upsample(**options).run(cloud)
    assert done.xyz[: len(cloud)].tobytes() == cloud.xyz.tobytes()
    assert done.rows[: len(cloud)].tolist() == cloud.rows.tolist()
    assert done.dims["Synthetic"].tolist() == [0] * len(cloud) + [1] * (len(done) - len(cloud))
    assert done.history[-1].figures["added"] == len(done) - len(cloud)
    return done, done.xyz[len(cloud) :]


def lattice(*sides: int) -> Floats:
    axes = [np.arange(side, dtype=np.float64) for side in sides]
    return np.stack(np.meshgrid(*axes, [0.0], indexing="ij"), -1).reshape(-1, 3)


def plane(count: int, width: float, seed: int = 0) -> Floats:
    return np.column_stack((np.random.default_rng(seed).uniform(0, width, (count, 2)), np.zeros(count)))


def cube(count: int) -> Floats:
    rng = np.random.default_rng(2)
    points, side = rng.uniform(-1, 1, (count, 3)), rng.integers(0, 3, count)
    points[np.arange(count), side] = np.sign(points[np.arange(count), side])
    return points


def test_four_times_a_lattice_is_the_lattice_of_half_the_spacing() -> None:
    _, new = grown(lattice(24, 24), factor=4)
    inside = new[((new[:, :2] > 1.9) & (new[:, :2] < 21.1)).all(1)]
    # From 2 to 21 in halves: 39 of them a side, of which 20 were there.
    assert np.abs(2 * inside - np.rint(2 * inside)).max() < 0.02
    assert len({tuple(place) for place in np.rint(2 * inside[:, :2]).astype(int).tolist()}) == len(inside)
    assert len(inside) == 39**2 - 20**2


@pytest.mark.parametrize("options", [{"factor": 2.0}, {"factor": 4.0}, {"spacing": 0.5}])
def test_a_plane_is_as_dense_as_asked_and_stays_one(options: dict[str, Any]) -> None:
    points = plane(1600, 40)
    done, new = grown(points, **options)
    assert np.abs(new[:, 2]).max() < 0.01

    def inner(xyz: Floats) -> int:
        return int(((xyz[:, :2] > 4) & (xyz[:, :2] < 36)).all(1).sum())

    asked = options.get("factor", 0) * inner(points) or 32**2 / options["spacing"] ** 2
    assert inner(done.xyz) == pytest.approx(asked, rel=0.15)
    # Evenly: none of the new ones is near to any other.
    nearest = cKDTree(done.xyz).query(new, 2)[0][:, 1]
    assert nearest.min() > 0.5 / np.sqrt(asked / inner(points))
    assert ((new[:, :2] > -0.02) & (new[:, :2] < 40.02)).all()


def test_where_points_are_as_near_as_asked_nothing_is_added() -> None:
    done, new = grown(lattice(20, 20), spacing=1.0)
    assert len(new) == 0
    assert "no point was added" in done.history[-1].warnings[0]


def test_on_a_noisy_plane_new_points_are_nearer_to_it_than_the_old() -> None:
    points = plane(2000, 40)
    points[:, 2] = np.random.default_rng(1).normal(0, 0.3, len(points))
    done, new = grown(points, factor=2)
    assert new[:, 2].std() < 0.1
    assert any("run filters.spd before" in warning for warning in done.history[-1].warnings)


def test_new_points_lie_on_a_sphere_between_the_old() -> None:
    points = np.random.default_rng(3).normal(size=(2000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    done, new = grown(points, factor=4)
    assert 3.6 < len(done) / 2000 < 4.4
    off = (np.linalg.norm(new, axis=1) - 1) / cloud_spacing(points)
    # The chord of a hole of that size is 0.02 spacings below.
    assert np.sqrt((off**2).mean()) < 0.012
    assert abs(off.mean()) < 0.01


def test_edges_of_a_cube_stay_sharp_and_their_sides_are_filled_up_to_them() -> None:
    points = cube(3000)
    _, new = grown(points, factor=4)
    spacing = cloud_spacing(points)
    off = np.abs(np.abs(new).max(1) - 1) / spacing
    assert np.quantile(off, 0.98) < 0.05
    assert off.max() < 0.5
    from_edge = (1 - np.sort(np.abs(new), 1)[:, 1]) / spacing
    # Six sides of width 2 in strips of a spacing along each border.
    assert (from_edge < 1).sum() > 0.75 * (from_edge < 3).sum() / 3


def test_leaves_and_wires_get_none() -> None:
    rng = np.random.default_rng(4)
    assert len(grown(rng.uniform(0, 13, (2000, 3)), factor=4)[1]) == 0
    wire = np.column_stack((rng.uniform(0, 200, 1500), rng.normal(0, 0.01, (1500, 2))))
    assert len(grown(wire, factor=4)[1]) < 10
    # Leaves right above dense ground, which vouches for them no more than for those further up.
    leaves = np.array([10, 10, 1.5]) + rng.uniform(-1, 1, (1200, 3)) * [8, 8, 1.1]
    ground = plane(1600, 20)
    _, new = grown(np.concatenate((ground, leaves)), factor=4)
    assert len(new) > 2500
    assert (new[:, 2] > 0.35).sum() < 10


def test_eaves_are_not_bridged() -> None:
    beside = np.concatenate((lattice(30, 15), lattice(30, 15) + np.array([0, 17.5, 0])))
    _, new = grown(beside + plane(900, 0.2), factor=4)
    assert len(new) > 1500
    assert not ((new[:, 1] > 14.3) & (new[:, 1] < 17.4)).any()
    below = np.concatenate((plane(1000, 30), plane(1000, 30, 1) + np.array([0, 29, 1.2])))
    _, new = grown(below, factor=4)
    assert not ((new[:, 2] > 0.3) & (new[:, 2] < 0.9)).any()


def test_attributes_come_from_the_neighbours_by_their_kind() -> None:
    points = lattice(24, 24)
    red = (1000 * points[:, 0]).astype(np.uint16)
    order = np.random.default_rng(5).permutation(len(points))
    dims: dict[str, npt.NDArray[Any]] = {
        "Classification": np.where(points[:, 0] < 11.5, 2, 6).astype(np.uint8),
        "Red": red,
        "GpsTime": order + 0.25,
        "PointSourceId": order.astype(np.uint16),
        "NormalX": np.zeros(len(points), np.float32),
        "NormalY": np.zeros(len(points), np.float32),
        "NormalZ": np.full(len(points), -1, np.float32),
        "OriginalX": points[:, 0] - 5,
        "OriginalY": points[:, 1],
        "OriginalZ": points[:, 2],
    }
    done, new = grown(points, dims, factor=4)
    made = {name: column[len(points) :] for name, column in done.dims.items()}
    assert {name: column.dtype for name, column in dims.items()} == {name: made[name].dtype for name in dims}
    far = np.abs(new[:, 0] - 11.5) > 1.5
    assert (made["Classification"][far] == np.where(new[far, 0] < 11.5, 2, 6)).all()
    # Of a ramp the mean of the five nearest is near the place itself.
    inside = (new[:, 0] > 2) & (new[:, 0] < 21)
    assert np.abs(made["Red"][inside] - 1000 * new[inside, 0]).max() < 501
    away = cKDTree(points).query(new, 2)
    assert (made["GpsTime"] == made["PointSourceId"] + 0.25).all()
    nearest = np.linalg.norm(points[np.argsort(order)[made["PointSourceId"]]] - new, axis=1)
    assert np.abs(nearest - away[0][:, 0]).max() < 0.02
    assert (made["NormalZ"] < -0.999).all()
    assert (np.stack([made[f"Original{axis}"] for axis in "XYZ"], 1) == new).all()


def test_majority_and_mean_of_rows() -> None:
    assert _most(np.array([[2, 6, 6, 2, 2], [6, 2, 2, 6, 1], [9, 1, 2, 3, 4]], np.uint8)).tolist() == [2, 6, 9]
    assert _mean(np.array([[1, 2, 4], [65535, 65535, 65535]], np.uint16)).tolist() == [2, 65535]
    assert _mean(np.array([[1.0, 2.0]], np.float32)).tolist() == [1.5]


def test_withheld_points_and_noise_neither_make_points_nor_stand_in_their_way() -> None:
    points = lattice(20, 20)
    away = np.array([[9.5, 9.5, 0], [9.5, 9.5, 0.3]])
    withheld = np.append(np.zeros(400, np.uint8), [1, 0])
    noise = np.append(np.full(400, 2, np.uint8), [2, 7])
    done, new = grown(np.concatenate((points, away)), {"Withheld": withheld, "Classification": noise}, factor=4)
    assert np.linalg.norm(new - away[0], axis=1).min() < 0.02
    assert (done.dims["Classification"][402:] == 2).all()
    assert (done.dims["Withheld"][402:] == 0).all()


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_turned_moved_and_scaled_the_new_points_are_turned_moved_and_scaled(scale: float) -> None:
    points = plane(1500, 38)
    points[:, 2] = 2 * np.sin(points[:, 0] / 5)
    turn = Rotation.from_euler("xyz", [0.3, 1.1, -0.4]).as_matrix()
    _, new = grown(points, factor=3)
    _, turned = grown(scale * points @ turn.T + [5e5, 4e6, 100], factor=3)
    away = cKDTree(new).query((turned - [5e5, 4e6, 100]) @ turn / scale)[0]
    assert len(turned) == pytest.approx(len(new), rel=0.01)
    # Which of two holes is the larger may hang on rounding; what follows from that stays near.
    assert np.quantile(away, 0.9) < 1e-3


def test_a_las_file_keeps_its_records_and_new_ones_are_flagged(tmp_path: Path) -> None:
    las = laspy.create(point_format=6, file_version="1.4")
    las.header.scales = [0.001] * 3
    points = plane(900, 30)
    las.x, las.y, las.z = points.T
    las.gps_time = np.arange(900.0)
    las.return_number[:] = las.number_of_returns[:] = 1
    las.classification[:] = 2
    las.synthetic[:5] = 1
    source, target = tmp_path / "in.las", tmp_path / "out.las"
    las.write(source)
    result = run([str(source), {"type": "filters.upsample", "factor": 2}, str(target)])
    before, after = laspy.read(source), laspy.read(target)
    assert len(after) == len(result.cloud) > 1600
    assert after.points.array[:900].tobytes() == before.points.array.tobytes()
    assert np.asarray(after.synthetic)[900:].all()
    assert (np.asarray(after.classification)[900:] == 2).all()
    assert np.abs(after.xyz[900:, 2]).max() < 0.01
    nearest = cKDTree(points[:, :2]).query(after.xyz[900:, :2], 2)
    clear = nearest[0][:, 1] - nearest[0][:, 0] > 0.02
    assert (np.asarray(after.gps_time)[900:][clear] == nearest[1][clear, 0]).all()


def test_what_makes_no_sense_is_refused() -> None:
    assert "give 'factor'" in Upsample().check(())[0]
    assert "either 'factor'" in Upsample(factor=2, spacing=1).check(())[0]
    assert Upsample(factor=2).check(()) == []
    with pytest.raises(RunError, match="more than 64 times as many"):
        grown(lattice(10, 10), spacing=0.01)


def test_behind_it_nothing_that_looks_around_is_run_in_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_FEWEST", 500)
    source = tmp_path / "in.las"
    las = laspy.create(point_format=6, file_version="1.4")
    las.x, las.y, las.z = plane(3000, 30).T
    las.write(source)
    spec = [str(source), {"type": "filters.upsample", "factor": 2}, "filters.spd", str(tmp_path / "out.las")]
    with pytest.raises(SpecError, match=r"cannot be run in tiles behind filters\.upsample"):
        run(spec, memory=memory.BASE + memory.PER_POINT * 1000)
    assert not (tmp_path / "out.las").exists()
