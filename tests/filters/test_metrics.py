"""filters.metrics: figures that can be computed by hand."""

from __future__ import annotations

from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from deburr.core.cloud import PointCloud
from deburr.core.errors import ReadError, RunError
from deburr.core.registry import by_extension, stage_class
from deburr.core.stage import Writer as AnyWriter
from deburr.filters._mesh import Mesh, read_mesh
from deburr.filters._planes import local_shape
from deburr.filters.metrics import Metrics
from deburr.readers.ply import Ply as Reader
from deburr.writers.ply import Ply as Writer

UTM = np.array([500_000.0, 5_400_000.0, 100.0])
SQUARE = "v 0 0 0\nv 4 0 0\nv 4 4 0\nv 0 4 0\nf 1 2 3\nf 1 3 4\n"


def grid(n: int = 12) -> np.ndarray:
    x, y = np.meshgrid(np.arange(float(n)), np.arange(float(n)))
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(n * n)])


def figures(cloud: PointCloud, **options: Any) -> dict[str, Any]:
    return dict(Metrics.model_validate(options).run(cloud).history[-1].figures)


def test_a_plane_has_no_residual_wherever_it_lies() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    now = figures(PointCloud(grid() @ turn + UTM))["now"]
    assert now["residual_rms"] < 1e-8
    assert now["residual_median"] < 1e-8


def test_a_point_above_a_plane_has_its_height_as_residual() -> None:
    xyz = grid()
    lifted = 5 * 12 + 5
    xyz[lifted, 2] = 0.25
    assert local_shape(xyz + UTM, 16).residuals[lifted] == pytest.approx(0.25, abs=1e-8)


def test_spacing_and_density_of_a_grid() -> None:
    # The 16th neighbour inside a unit grid: 4 at 1, 4 at sqrt 2, 4 at 2, then 8 at sqrt 5.
    now = figures(PointCloud(grid(40)))["now"]
    spacing = sqrt(5) * sqrt(pi / 16)
    assert now["spacing_median"] == pytest.approx(spacing)
    assert now["points_per_square_unit"] == pytest.approx(1 / spacing**2)


def test_displacement_is_measured_from_what_was_read() -> None:
    cloud = PointCloud(grid(10))
    moves = np.zeros((100, 3))
    moves[:60, 2] = 1.0
    moves[99] = [0, 3.0, 4.0]
    found = figures(cloud.with_xyz(cloud.xyz + moves))
    assert found["displacement"]["median"] == 1.0
    assert found["displacement"]["max"] == 5.0
    assert found["displacement"]["rms"] == pytest.approx(sqrt((60 + 25) / 100))
    assert found["as_read"]["residual_rms"] == 0
    assert found["now"]["residual_rms"] > 0
    assert figures(cloud)["as_read"] == figures(cloud)["now"]


def test_points_that_do_not_count_are_left_out() -> None:
    xyz = np.vstack([grid(), [[5.0, 5.0, 99.0]]])
    classes = np.zeros(145, np.uint8)
    classes[144] = 7
    found = figures(PointCloud(xyz, {"Classification": classes}))
    assert found["points_left_out"] == 1
    assert found["now"]["residual_rms"] < 1e-12


def test_reference_cloud_both_ways(tmp_path: Path) -> None:
    path = str(tmp_path / "truth.ply")
    Writer(filename=path).write(PointCloud(np.array([[0.0, 0, 0], [10.0, 0, 0]]) + UTM))
    cloud = PointCloud(np.array([[0.0, 0, 3.0], [0.0, 4.0, 0], [1.0, 0, 0]]) + UTM)
    now = figures(cloud, reference=path)["now"]
    assert now["to_reference_mean"] == pytest.approx((3 + 4 + 1) / 3)
    assert now["from_reference_mean"] == pytest.approx((1 + 9) / 2)
    assert now["to_reference_max"] == pytest.approx(4)
    assert now["from_reference_max"] == now["hausdorff"] == pytest.approx(9)
    assert now["chamfer"] == pytest.approx(8 / 3 + 5)
    assert now["chamfer_squared"] == pytest.approx(26 / 3 + 41)


@pytest.mark.parametrize("extension", ["laz", "ply", "pcd", "xyz", "csv", "e57"])
def test_the_truth_may_have_any_format(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"truth.{extension}"
    kind = by_extension("writers", path)
    assert kind is not None
    writer = stage_class(kind).model_validate({"filename": str(path)})
    assert isinstance(writer, AnyWriter)
    writer.write(PointCloud(grid()))
    found = figures(PointCloud(grid() + np.array([0, 0, 0.25])), reference=str(path), paired=True)["now"]
    assert found["to_reference_rms"] == pytest.approx(0.25)
    assert found["own_rms"] == pytest.approx(0.25)


def test_paired_rows(tmp_path: Path) -> None:
    path = str(tmp_path / "truth.ply")
    clean = PointCloud(grid())
    Writer(filename=path).write(clean)
    noisy = clean.with_xyz(clean.xyz + np.array([0.3, 0, 0.4])).select(np.arange(100))
    assert figures(noisy, reference=path, paired=True)["now"]["own_rms"] == pytest.approx(0.5)
    short = str(tmp_path / "short.ply")
    Writer(filename=short).write(clean.select(np.arange(50)))
    with pytest.raises(ReadError, match="has 50 points, fewer than"):
        figures(noisy, reference=short, paired=True)
    assert Metrics(paired=True).check(()) != []


def test_only_the_named_classes_are_measured(tmp_path: Path) -> None:
    ground, tree = grid(), np.array([[5.0, 5.0, 3.0], [6.0, 5.0, 4.0], [6.0, 6.0, 9.0]])
    classes = np.array([2] * 144 + [5, 5, 7], np.uint8)
    clean = PointCloud(np.vstack([ground, tree]) + UTM, {"Classification": classes})
    path = str(tmp_path / "truth.ply")
    Writer(filename=path).write(clean)
    lift = np.where(classes == 5, 0.5, 0.1)[:, None] * [0, 0, 1]
    noisy = clean.with_xyz(clean.xyz + lift)
    surface = figures(noisy, classes=[2])
    assert (surface["points"], surface["points_left_out"], surface["classes"]) == (144, 3, [2])
    assert surface["now"]["residual_rms"] < 1e-8  # the tree's points span no plane of the ground
    trees = figures(noisy, classes=[5, 7], reference=path, paired=True)
    assert trees["points"] == 2  # class 7 never counts
    assert trees["now"]["own_rms"] == pytest.approx(0.5)
    # The truth's class 7 is 5 m away and named, the ground is neither.
    assert trees["now"]["from_reference_max"] == pytest.approx(np.linalg.norm([0, 1, 4.5]))
    assert figures(noisy, classes=[6])["now"]["residual_rms"] is None
    with pytest.raises(ReadError, match="holds no points of class 6"):
        figures(noisy, classes=[6], reference=path)
    with pytest.raises(RunError, match="needs the dimension 'Classification'"):
        figures(PointCloud(grid()), classes=[2])
    for wrong in ([], [256], ["ground"]):
        with pytest.raises(ValidationError):
            Metrics.model_validate({"classes": wrong})


def test_point_to_mesh(tmp_path: Path) -> None:
    path = tmp_path / "square.obj"
    path.write_text(SQUARE)
    cloud = PointCloud(np.array([[1.0, 1, 0.5], [3.0, 1, -0.5], [7.0, 8.0, 0], [2.0, 2.0, 0]]))
    now = figures(cloud, reference=str(path))["now"]
    assert now["reference"] == "mesh"
    assert now["to_reference_max"] == pytest.approx(5)
    assert now["to_reference_mean"] == pytest.approx(1.5)
    assert now["to_reference_rms"] == pytest.approx(sqrt((0.25 + 0.25 + 25) / 4))
    assert now["from_reference_max"] <= sqrt(8) + 0.5


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
def test_meshes_of_other_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"square{suffix}"
    if suffix == ".ply":
        head = "element vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        faces = "element face 1\nproperty list uchar int vertex_indices\n"
        path.write_text(f"ply\nformat ascii 1.0\n{head}{faces}end_header\n0 0 0\n4 0 0\n4 4 0\n0 4 0\n4 0 1 2 3\n")
    else:
        corners = [[(0, 0), (4, 0), (4, 4)], [(0, 0), (4, 4), (0, 4)]]
        facets = "".join(
            "facet normal 0 0 1\nouter loop\n" + "".join(f"vertex {x} {y} 0\n" for x, y in tri) + "endloop\nendfacet\n"
            for tri in corners
        )
        path.write_text(f"solid s\n{facets}endsolid s\n")
    mesh = read_mesh(str(path))
    assert mesh is not None
    np.testing.assert_allclose(mesh.distances(np.array([[1.0, 3, 2], [3.0, 1, 0]])), [2, 0], atol=1e-12)


def test_mesh_distances_agree_with_brute_force_far_from_the_origin() -> None:
    random = np.random.default_rng(1)
    vertices = random.uniform(-1, 1, (60, 3)) * 50 + UTM
    mesh = Mesh(vertices, random.integers(0, 60, (80, 3)))
    points = random.uniform(-1, 1, (200, 3)) * 60 + UTM
    u, v = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60))
    inside = u + v <= 1
    weights = np.column_stack([u[inside], v[inside], 1 - u[inside] - v[inside]])
    dense = np.einsum("wc,tcd->twd", weights, vertices[mesh.triangles] - UTM).reshape(-1, 3)
    brute = np.array([np.linalg.norm(dense - (point - UTM), axis=1).min() for point in points])
    found = mesh.distances(points)
    assert (found <= brute + 1e-5).all()
    assert (found >= brute - 2.5).all()  # the samples are at most 2.5 apart
    on_surface = mesh.sample(500)
    assert mesh.distances(on_surface).max() < 1e-5


def test_mesh_samples_are_even() -> None:
    mesh = Mesh(np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    sample = mesh.sample(20_000)
    counts, _, _ = np.histogram2d(sample[:, 0], sample[:, 1], bins=4, range=[[0, 4], [0, 4]])
    assert abs(counts / 1250 - 1).max() < 0.12


def test_bad_references(tmp_path: Path) -> None:
    cloud = PointCloud(grid(4))
    with pytest.raises(ReadError, match=r"none\.ply: does not exist"):
        figures(cloud, reference=str(tmp_path / "none.ply"))
    with pytest.raises(ReadError, match=r"none\.laz"):
        figures(cloud, reference=str(tmp_path / "none.laz"))
    with pytest.raises(ReadError, match=r"none\.dwg: is no cloud or mesh that is known"):
        figures(cloud, reference=str(tmp_path / "none.dwg"))
    (tmp_path / "bad.obj").write_text("nonsense")
    with pytest.raises(ReadError, match="holds no triangles"):
        figures(cloud, reference=str(tmp_path / "bad.obj"))
    Writer(filename=str(tmp_path / "empty.ply")).write(PointCloud(np.zeros((0, 3))))
    with pytest.raises(ReadError, match="holds no points"):
        figures(cloud, reference=str(tmp_path / "empty.ply"))


def test_too_few_points_give_none_and_a_warning() -> None:
    record = Metrics().run(PointCloud(np.arange(9.0).reshape(3, 3))).history[-1]
    assert record.figures["now"]["residual_rms"] is None
    assert "too few" in record.warnings[0]


def test_the_real_cloud_has_its_spacing(data_dir: Path) -> None:
    cloud = Reader(filename=str(data_dir / "data" / "lidar" / "small_gicp_source.ply")).read()
    now = figures(cloud)["now"]
    assert 0 < now["residual_median"] < now["residual_rms"] < 1


def test_points_of_the_reference_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    """A noise point of the reference, 100 m up, must not become its Hausdorff distance."""
    xyz = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 100]])
    truth = PointCloud(xyz, {"Classification": np.array([2, 2, 2, 2, 7], np.uint8)})
    path = str(tmp_path / "truth.ply")
    Writer(filename=path).write(truth)
    now = figures(PointCloud(xyz[:4]), reference=path)["now"]
    assert now["hausdorff"] == pytest.approx(0, abs=1e-3)
    assert now["reference_points"] == 4


def test_paired_with_a_mesh_is_refused_before_the_run() -> None:
    errors = Metrics(reference="house.stl", paired=True).check(())
    assert len(errors) == 1
    assert "house.stl" in errors[0]


@pytest.mark.parametrize("away", [1e141, 1e160, 1.7e308])
def test_a_reference_beyond_all_measure_is_one_sentence(tmp_path: Path, away: float) -> None:
    # Squares of such distances overflow, and those of the largest are no numbers at all.
    for here, there in ((0.0, away), (-away, away)):
        path = tmp_path / "far.ply"
        Writer(filename=str(path)).write(PointCloud(grid() + np.array([there, 0, 0])))
        for options in ({}, {"paired": True}):
            with pytest.raises(RunError, match=r"far\.ply lies more than 1e140 away"):
                figures(PointCloud(grid() + np.array([here, 0, 0])), reference=str(path), **options)


def test_neighbours_at_one_place_share_the_last_places_by_their_number() -> None:
    # Three neighbours are asked for; 302 are equally far, 300 of them at one place, so that each counts 3/302.
    around = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [-1.0, 0.0, 0.5]])
    far = np.array([[9.0, 9.0, 0.0], [9.0, -9.0, 0.0], [-9.0, 9.0, 0.0]])
    points = np.concatenate([[[0.0, 0.0, 0.0]], np.repeat(around, [300, 1, 1], axis=0), far])
    spread = np.repeat(around, [300, 1, 1], axis=0)
    middle = spread.mean(axis=0)
    normal = np.linalg.svd(spread - middle)[2][2]
    found = local_shape(points, 3)
    assert found.residuals[0] == pytest.approx(abs(middle @ normal), rel=1e-12)
    assert found.residuals[1:301].tolist() == [0.0] * 300
    again = local_shape(points[::-1], 3)
    assert (again.residuals[::-1] == found.residuals).all()
    assert (again.spacings[::-1] == found.spacings).all()
