"""Points on their way to PDAL and back: nothing is lost, nothing but what PDAL changed is new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError, SpecError, WriteError
from deburr.core.stage import Filter
from deburr.pipeline import load, run
from deburr.pipeline.plan import Plan


def filters(*stages: Any) -> Plan:
    return load(list(stages), reads=False)


def passed(cloud: PointCloud, *stages: Any) -> PointCloud:
    """``cloud`` after stages of PDAL, one after the other in one go."""
    plan = filters(*stages)
    host = plan.stages[0].host
    assert host is not None
    return host.run(plan.stages, cloud)


def same(one: PointCloud, other: PointCloud) -> None:
    assert one.xyz.tobytes() == other.xyz.tobytes()
    assert one.rows.tolist() == other.rows.tolist()
    assert one.dims.keys() == other.dims.keys()
    for name, column in one.dims.items():
        assert column.dtype == other.dims[name].dtype, name
        assert column.tobytes() == other.dims[name].tobytes(), name


NOTHING = {"type": "filters.range", "limits": "Z[-1e9:1e9]"}


@pytest.mark.parametrize(
    "file",
    [
        "pdal_autzen_trim.las",
        "ign_several_extra_bytes.laz",
        "pdal_extrabytes.las",
        "laspy_vegetation_1_3.las",
        "laspy_simple1_4.las",
    ],
)
def test_what_pdal_leaves_alone_comes_back_bit_by_bit(data_dir: Path, file: str) -> None:
    cloud = run([str(data_dir / "data" / "lidar" / file)]).cloud
    found = passed(cloud, NOTHING)
    same(found, cloud)
    assert not found.moved.any()
    assert found.crs == cloud.crs
    assert found.source is cloud.source
    # What did not change is not even another array: a writer copies it.
    assert found.xyz is cloud.xyz
    assert all(found.dims[name] is column for name, column in cloud.dims.items())


def test_points_are_known_again_whatever_their_order(data_dir: Path) -> None:
    cloud = run([str(data_dir / "data" / "lidar" / "pdal_autzen_trim.las")]).cloud
    found = passed(cloud, {"type": "filters.range", "limits": "Classification[2:2]"}, {"type": "filters.randomize"})
    ground = np.flatnonzero(cloud.dims["Classification"] == 2)
    assert found.rows.tolist() != ground.tolist()
    assert sorted(found.rows.tolist()) == ground.tolist()
    same(found, cloud.select(found.rows))


def test_what_pdal_has_no_place_for_stays_with_its_point() -> None:
    dims = {
        "odd name!": np.arange(4, dtype=np.float32),
        "Several": np.arange(8.0).reshape(4, 2),
        "Small": np.array([1, 0, 1, 0], np.bool_),
        "intensity": np.array([9, 8, 7, 6], np.uint16),
        "Big": np.array([2**62, 1, 2, 3], np.uint64),
    }
    cloud = PointCloud(np.array([[0, 0, 3], [1, 0, 2], [2, 0, 1], [3, 0, 0.0]]), dims)
    found = passed(cloud, {"type": "filters.sort", "dimension": "Z"})
    same(found, cloud.select(np.array([3, 2, 1, 0])))


def test_values_that_pdal_changed_keep_their_type_where_they_fit() -> None:
    cloud = PointCloud(np.zeros((3, 3)), {"Classification": np.array([1, 2, 3], np.int32)})
    found = passed(cloud, {"type": "filters.assign", "assignment": "Classification[2:2]=9"})
    assert found.dims["Classification"].tolist() == [1, 9, 3]
    assert found.dims["Classification"].dtype == np.int32


def test_dimensions_that_pdal_adds_come_along(data_dir: Path) -> None:
    file = str(data_dir / "data" / "lidar" / "3dfier_ahn3_cropped_2.laz")
    result = run(
        [file, {"type": "filters.range", "limits": "X[:85050]"}, {"type": "filters.normal"}, "filters.metrics"]
    )
    normals = np.stack([result.cloud.dims[f"Normal{axis}"] for axis in "XYZ"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


def test_points_that_pdal_makes_belong_to_no_file() -> None:
    cloud = PointCloud(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1.0]]), {"Intensity": np.zeros(4, np.uint16)})
    found = passed(cloud, {"type": "filters.poisson", "depth": 2})
    assert found.source is None
    assert found.original is found.xyz


def test_a_new_crs_is_known_behind_pdal(data_dir: Path, tmp_path: Path) -> None:
    file, out = str(data_dir / "data" / "lidar" / "pdal_autzen_trim.las"), str(tmp_path / "out.laz")
    result = run([file, {"type": "filters.reprojection", "out_srs": "EPSG:4326"}, "filters.metrics", out])
    assert "WGS 84" in str(result.cloud.crs)
    assert not result.cloud.moved.any()
    read = run([out]).cloud
    assert read.crs is not None
    assert "4326" in read.crs
    low, high = read.xyz.min(axis=0), read.xyz.max(axis=0)
    assert -124 < low[0] < high[0] < -123
    # 1e-9 degrees are a tenth of a millimetre; the lattice of feet would be of no use here.
    np.testing.assert_allclose(read.xyz[:, :2], result.xyz[:, :2], atol=1e-9)
    np.testing.assert_allclose(read.xyz[:, 2], result.xyz[:, 2], atol=1e-6)


def test_pdal_sees_our_crs(data_dir: Path) -> None:
    file = str(data_dir / "data" / "lidar" / "3dfier_ahn3_cropped_2.laz")
    reader = {"type": "readers.las", "filename": file, "count": 100}
    spec = ["filters.metrics", {"type": "filters.reprojection", "out_srs": "EPSG:4326"}]
    with pytest.raises(RunError, match=r"^stage 3 \(filters.reprojection\): PDAL .* no spatial reference"):
        run([reader, *spec])
    placed = run([reader | {"override_srs": "EPSG:28992"}, *spec]).xyz
    np.testing.assert_allclose(placed[:, :2].mean(axis=0), [4.367, 52.01], atol=0.01)


def test_no_points_at_all(tmp_path: Path) -> None:
    cloud = PointCloud(np.zeros((2, 3)), {"Intensity": np.array([1, 2], np.uint16)})
    found = passed(cloud, {"type": "filters.range", "limits": "Z[1:2]"})
    assert len(found) == 0
    assert found.dims["Intensity"].dtype == np.uint16
    assert len(passed(found, NOTHING)) == 0


def test_views_come_back_as_one_cloud() -> None:
    cloud = PointCloud(np.array([[0, 0, 0], [11, 0, 0], [1, 0, 0], [12, 0, 0.0]]))
    found = passed(cloud, {"type": "filters.splitter", "length": 10, "origin_x": 0, "origin_y": 0})
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3]
    same(found, cloud.select(found.rows))


def test_options_are_checked_before_the_run(data_dir: Path) -> None:
    with pytest.raises(SpecError) as caught:
        filters({"type": "filters.smrf", "slop": 0.1})
    assert str(caught.value) == "stage 1 (filters.smrf): unknown option 'slop'; did you mean 'slope'?"
    # Options that only PDAL has make a stage of both PDAL's.
    assert [stage.host is not None for stage in filters({"type": "filters.outlier", "where": "Z > 0"}).stages] == [True]


@pytest.mark.parametrize(
    "stage",
    [
        {"type": "filters.python", "source": "def f(ins, outs):\n  return True", "module": "m", "function": "f"},
        {"type": "readers.numpy", "filename": "make.py", "function": "load"},
    ],
)
def test_no_pipeline_runs_code(stage: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"runs code that the pipeline brings along, which is never done here"):
        load([stage], reads=stage["type"].startswith("readers"))


def test_pdal_s_own_words_say_what_is_wrong(tmp_path: Path) -> None:
    cloud = PointCloud(np.zeros((2, 3)))
    with pytest.raises(RunError) as caught:
        run([NOTHING, {"type": "filters.range", "limits": "Nonsense[1:2]"}], points=cloud.xyz)
    assert str(caught.value) == (
        "stage 1 (filters.range): PDAL 2.2.0 says of one of 2 stages filters.range: Invalid dimension name in 'limits' "
        "option: 'Nonsense'; see https://pdal.io/stages/filters.range.html"
    )


def test_outputs_appear_when_they_are_complete(tmp_path: Path) -> None:
    old = tmp_path / "dtm.tif"
    old.write_text("precious")
    old.chmod(0o640)
    points = np.random.default_rng(0).uniform(0, 10, (100, 3))
    broken = {"type": "writers.gdal", "filename": str(old), "resolution": 1.0, "dimension": "Nonsense"}
    with pytest.raises(RunError):
        run([NOTHING, broken], points=points)
    assert old.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["dtm.tif"]
    result = run([NOTHING, {**broken, "dimension": "Z"}], points=points)
    assert old.read_bytes()[:2] in (b"II", b"MM")
    assert old.stat().st_mode & 0o777 == 0o640
    assert result.report["outputs"] == [str(old)]
    assert [path.name for path in tmp_path.iterdir()] == ["dtm.tif"]
    missing = str(tmp_path / "nowhere" / "dtm.tif")
    with pytest.raises(WriteError, match=r"nowhere does not exist"):
        run([NOTHING, {**broken, "filename": missing}], points=points)


def test_a_header_is_forwarded_to_pdal_s_writer(data_dir: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "in.las")
    las = laspy.read(data_dir / "data" / "lidar" / "pdal_4_6_crop.las")
    las.header.file_source_id, las.header.system_identifier = 77, "Scanner-1"  # PDAL 2.2 cuts texts at a blank
    las.header.vlrs.append(laspy.VLR("someone", 7, "a note", b"\x00\xff note"))
    las.write(file)
    writer = {"type": "writers.las", "filename": str(tmp_path / "part_#.las"), "forward": "all", "creation_year": 1999}
    result = run([file, "filters.metrics", {"type": "filters.splitter", "length": 300}, writer])
    assert len(result.report["outputs"]) > 1
    before = laspy.open(file).header
    for path in result.report["outputs"]:
        after = laspy.open(path).header
        assert after.creation_date.year == 1999
        assert after.scales.tolist() == before.scales.tolist()
        assert after.offsets.tolist() == before.offsets.tolist()
        for name in ("version", "point_format", "file_source_id", "uuid", "system_identifier"):
            assert getattr(after, name) == getattr(before, name), name
        (note,) = after.vlrs.get_by_id("someone")
        assert (note.record_id, note.description, note.record_data) == (7, "a note", b"\x00\xff note")


def test_metadata_of_pdal_s_stages_is_reported() -> None:
    points = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 6.0]])
    report = run([NOTHING, {"type": "filters.stats", "dimensions": "Z"}], points=points).report
    assert report["stages"][1]["figures"]["metadata"]["statistic"][0]["average"] == 3
    json.dumps(report)


def test_a_stage_of_pdal_is_a_stage() -> None:
    (stage,) = filters(NOTHING).stages
    assert isinstance(stage, Filter)
    assert stage.run(PointCloud(np.zeros((2, 3)))).rows.tolist() == [0, 1]


def test_numbers_reach_pdal_with_all_their_digits(tmp_path: Path) -> None:
    points = np.array([[637000.37, 1, 1], [637001.37, 2, 2]])
    writer = {"type": "writers.las", "filename": str(tmp_path / "#.las"), "offset_x": 637000.3712, "scale_x": 0.0001}
    (path,) = run([NOTHING, {"type": "filters.splitter", "length": 1000}, writer], points=points).report["outputs"]
    assert laspy.open(path).header.offsets[0] == 637000.3712


@pytest.mark.parametrize("file", ["pdal_4_6_crop.las", "laspy_simple1_4.las"])
def test_pdal_s_writers_see_the_points_as_they_are(data_dir: Path, tmp_path: Path, file: str) -> None:
    las = laspy.read(data_dir / "data" / "lidar" / file)
    las.withheld[::7], las.synthetic[::5], las.key_point[::3] = 1, 1, 1
    las.classification[::2] = 7
    source, copy = str(tmp_path / "in.las"), str(tmp_path / "#.las")
    las.write(source)
    writers = [
        {"type": "writers.las", "filename": copy, "forward": "all", "extra_dims": "all"},
        {"type": "writers.text", "filename": str(tmp_path / "all.csv")},
    ]
    merged = [{"type": "filters.splitter", "length": 1e6}, {"type": "filters.merge"}]
    result = run([source, "filters.metrics", NOTHING, *merged, *writers])
    assert result.report["outputs"] == [str(tmp_path / "1.las"), str(tmp_path / "all.csv")]
    again = laspy.read(tmp_path / "1.las")
    assert "DeburrNumber" not in {*again.point_format.dimension_names}
    order = np.argsort(result.cloud.rows)
    for name in ("x", "classification", "withheld", "synthetic", "key_point", "intensity"):
        np.testing.assert_array_equal(np.asarray(again[name])[order], np.asarray(las[name]), err_msg=name)
    head = (tmp_path / "all.csv").read_text().splitlines()[0]
    assert head.startswith('"X"')
    assert "DeburrNumber" not in head


def test_a_mesh_reaches_pdal_s_writer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points, out = rng.uniform(0, 10, (50, 3)), tmp_path / "mesh.ply"
    writer = {"type": "writers.ply", "filename": str(out), "faces": True}
    result = run(
        [NOTHING, {"type": "filters.delaunay"}, writer],
        points=points,
        dims={"Intensity": np.arange(50, dtype=np.uint16)},
    )
    head = out.read_text().split("end_header")[0].lower()
    assert "element vertex 50" in head
    assert int(head.split("element face ")[1].split()[0]) > 50
    assert "deburrnumber" not in head
    np.testing.assert_array_equal(result.xyz, points)
    assert result.cloud.rows.tolist() == list(range(50))


def test_a_pattern_never_becomes_the_name_of_what_is_read(tmp_path: Path, data_dir: Path) -> None:
    source = tmp_path / "part_1.las"
    source.write_bytes((data_dir / "data" / "lidar" / "pdal_4_6_crop.las").read_bytes())
    splitter, writer = {"type": "filters.splitter", "length": 300}, {"type": "writers.las"}
    for name in ("part_#.las", f"../{tmp_path.name}/part_#.las", "#art_1.las"):
        spec = [str(source), splitter, writer | {"filename": str(tmp_path / name)}]
        if name.startswith("#"):
            load(spec)
            continue
        with pytest.raises(SpecError, match=r"may become '.*part_1.las', which is read or written before"):
            load(spec)


def test_coordinates_that_pdal_breaks_are_refused() -> None:
    matrix = {"type": "filters.transformation", "matrix": "1e308 0 0 0  0 1 0 0  0 0 1 0  0 0 0 1"}
    with pytest.raises(RunError, match=r"PDAL has made a coordinate of 1 of 2 points NaN or infinite"):
        run([matrix], points=np.array([[0, 0, 0], [1e6, 0, 0]]))


def test_several_files_are_read_at_once(tmp_path: Path, data_dir: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.las").write_bytes((data_dir / "data" / "lidar" / "pdal_4_6_crop.las").read_bytes())
    one = run([str(tmp_path / "a.las")]).cloud
    both = run([str(tmp_path / "*.las"), NOTHING]).cloud
    assert len(both) == 2 * len(one)
    np.testing.assert_array_equal(both.dims["Classification"][: len(one)], one.dims["Classification"])


def test_tags_need_not_be_pdal_s() -> None:
    result = run([NOTHING | {"tag": "1st step"}], points=np.zeros((3, 3)), overrides={"stage.1st step.limits": "Z[1:]"})
    assert len(result.cloud) == 0


def test_a_raster_that_a_filter_reads_is_not_written_over(tmp_path: Path) -> None:
    raster = tmp_path / "colours.tif"
    raster.write_text("precious")
    spec = [{"type": "filters.colorization", "raster": str(raster)}, {"type": "writers.gdal", "filename": str(raster)}]
    with pytest.raises(SpecError, match=r"colours.tif', which is read or written before; choose another output"):
        filters(*spec)


def test_our_stages_may_follow_views_that_were_merged(data_dir: Path, tmp_path: Path) -> None:
    file, out = str(data_dir / "data" / "lidar" / "pdal_4_6_crop.las"), str(tmp_path / "out.las")
    cloud = run([file, {"type": "filters.chipper", "capacity": 500}, "filters.merge", "filters.metrics", out]).cloud
    before = run([file]).cloud
    assert sorted(cloud.rows.tolist()) == list(range(len(before)))
    np.testing.assert_array_equal(run([out]).xyz, before.xyz[cloud.rows])


def test_dimensions_that_pdal_s_writers_leave_out_are_told(tmp_path: Path) -> None:
    writer = {"type": "writers.bpf", "filename": str(tmp_path / "out.bpf")}
    report = run(
        [NOTHING, writer], points=np.zeros((2, 3)), dims={"odd name!": np.zeros(2), "Fine": np.zeros(2)}
    ).report
    assert [stage["warnings"] for stage in report["stages"]] == [
        [],
        ["PDAL has no place for the dimensions odd name!, and its writers leave them out; rename them"],
    ]
