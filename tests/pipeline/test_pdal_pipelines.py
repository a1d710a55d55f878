"""Pipelines as PDAL's users have them run as in PDAL: its options, its several readers, its patterns."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError, SpecError
from deburr.pipeline import load, run
from deburr.readers.las import LasReader
from deburr.writers.las import LasWriter

OUTLIER = {"type": "filters.outlier", "method": "radius", "radius": 1.5, "min_k": 2}
UTM = "+proj=utm +zone=32 +ellps=GRS80 +units=m +no_defs"
PROJECT = "8388f1b8-aa1b-4108-bca3-6bc68e7b062e"


def _write(path: Path, xyz: Any, intensity: Any = None, **options: Any) -> Path:
    xyz = np.asarray(xyz, dtype=np.float64)
    dims = {"Intensity": np.asarray(range(len(xyz)) if intensity is None else intensity, np.uint16)}
    options = {"minor_version": 2, "dataformat_id": 3, "scale_x": 0.01, "scale_y": 0.01, "scale_z": 0.01, **options}
    LasWriter(filename=str(path), **options).write(PointCloud(xyz, dims))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "in.las", [[1, 1, 1], [2, 1, 1], [3, 1, 1], [1, 2, 1]])
    return tmp_path


def _geo_keys(source: Any) -> dict[int, int]:
    (data,) = (record.data for record in source.vlrs if record.record == 34735)
    numbers = struct.unpack(f"<{len(data) // 2}H", data)
    return {numbers[i]: numbers[i + 3] for i in range(4, len(numbers), 4)}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"spatialreference": "EPSG:25832"}, {1024: 1, 3072: 25832}),
        ({"default_srs": "EPSG:25832"}, {1024: 1, 3072: 25832}),
        ({"override_srs": "EPSG:25832+7837"}, {1024: 1, 3072: 25832, 4096: 7837}),
        ({"compression": "lazperf", "threads": 4, "fix_dims": "true", "use_eb_vlr": True}, None),
    ],
)
def test_options_of_the_reader(here: Path, options: dict[str, Any], keys: dict[int, int] | None) -> None:
    plan = load([{"type": "readers.las", "filename": "in.las", **options}, OUTLIER, "out.las"])
    assert {stage.host for stage in plan.stages} == {None}
    run([{"type": "readers.las", "filename": "in.las", **options}, OUTLIER, "out.las"])
    source: Any = LasReader(filename="out.las").read().source
    assert (source.header.minor, source.layout.format) == (2, 3)
    assert (_geo_keys(source) if keys else source.vlrs) == (keys or ())


def test_the_system_of_the_file_goes_before_the_default(here: Path) -> None:
    _write(here / "told.las", [[1, 1, 1]], a_srs="EPSG:28992")
    assert LasReader(filename="told.las", default_srs="EPSG:25832").read().crs == "EPSG:28992"
    assert LasReader(filename="in.las", default_srs=UTM).read().crs.startswith('PROJCS["unknown"')  # type: ignore[union-attr]
    assert LasReader(filename="in.las", default_srs=UTM).outline().units == "metre"


def test_two_names_of_one_option_contradict(here: Path) -> None:
    reader = {"type": "readers.las", "filename": "in.las", "spatialreference": "EPSG:1", "override_srs": "EPSG:2"}
    with pytest.raises(SpecError, match="'override_srs' and 'spatialreference' are two names of one"):
        load([reader, "out.las"])


def test_options_of_the_writer(here: Path) -> None:
    given = {"format": 1, "minor_version": "2", "major_version": 1, "forward": "header", "pdal_metadata": "true"}
    given |= {"global_encoding": 0xFFFF, "project_id": PROJECT, "a_srs": UTM}
    result = run(["in.las", {"type": "writers.las", "filename": "out.las", **given}])
    source: Any = LasReader(filename="out.las").read().source
    assert (source.header.minor, source.layout.format) == (2, 1)
    assert source.header.uuid == UUID(PROJECT)
    # LAS 1.2 knows the first bit alone.
    assert source.header.global_encoding.value == 1
    assert source.crs.startswith('PROJCS["unknown",GEOGCS["unknown",DATUM["Unknown based on GRS 1980')
    assert any("only PDAL can write" in warning for warning in result.report["stages"][-1]["warnings"])


def test_the_encoding_cannot_deny_what_is_in_the_file(here: Path) -> None:
    wkt = 'LOCAL_CS["here",UNIT["metre",1]]'
    options = {"filename": "out.las", "minor_version": 4, "dataformat_id": 6, "a_srs": wkt}
    LasWriter(**options).write(PointCloud(np.zeros((1, 3))))
    run(["out.las", {"type": "writers.las", "filename": "again.las", "global_encoding": 1}])
    source: Any = LasReader(filename="again.las").read().source
    assert source.header.global_encoding.value == 0b10001
    assert source.crs == wkt


@pytest.fixture
def halves(here: Path) -> Path:
    """Two rows of points that meet: the last of ``h1`` has one neighbour within 1.5 in its own file, and another in
    ``h2``."""
    _write(here / "h1.las", [[x, 0, 0] for x in range(4)], [10, 11, 12, 13])
    _write(here / "h2.las", [[x, 0, 0] for x in range(4, 8)], [14, 15, 16, 17])
    return here


@pytest.mark.parametrize("front", [["h1.las", "h2.las"], ["h[12].las"], [{"filename": "h?.las", "tag": "r"}]])
def test_several_files_go_through_the_filters_alone_as_in_pdal(halves: Path, front: list[Any]) -> None:
    report = run([*front, OUTLIER, "out.las"]).report
    cloud = LasReader(filename="out.las").read()
    assert cloud.xyz[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert cloud.dims["Intensity"].tolist() == [10, 11, 12, 13, 14, 15, 16, 17]
    # Of each file the first and the last point have one neighbour only.
    assert cloud.dims["Classification"].tolist() == [7, 0, 0, 7, 7, 0, 0, 7]
    assert [(one["type"], one["file"], one["points_out"]) for one in report["stages"]] == [
        ("readers.las", None, 4),
        ("readers.las", None, 4),
        ("filters.outlier", "h1.las", 4),
        ("filters.outlier", "h2.las", 4),
        ("writers.las", None, 8),
    ]
    said = [warning for one in report["stages"] for warning in one["warnings"]]
    assert sum("put 'filters.merge' behind the readers" in warning for warning in said) == 1
    assert [one["path"] for one in report["files"]] == ["h1.las", "h2.las", "out.las"]
    source: Any = cloud.source
    assert (source.header.minor, source.layout.format) == (2, 3)


def test_merged_they_are_one_cloud(halves: Path) -> None:
    spec = [{"filename": "h1.las", "tag": "a"}, {"filename": "h2.las", "tag": "b"}]
    merge = {"type": "filters.merge", "inputs": ["a", "b"]}
    report = run([*spec, merge, OUTLIER, "out.las"]).report
    cloud = LasReader(filename="out.las").read()
    assert cloud.dims["Classification"].tolist() == [7, 0, 0, 0, 0, 0, 0, 7]
    assert not any("behind the readers" in warning for one in report["stages"] for warning in one["warnings"])


def test_what_moves_is_the_same_point_in_the_output(halves: Path) -> None:
    noise = {"type": "filters.noise", "sigma": 0.2, "seed": 3}
    alone = [run([name, noise]).xyz for name in ("h1.las", "h2.las")]
    run(["h1.las", "h2.las", noise, "out.las"])
    np.testing.assert_allclose(LasReader(filename="out.las").read().xyz, np.concatenate(alone), atol=0.0051)


def test_what_differs_in_the_headers_is_not_forwarded(here: Path) -> None:
    first = {"system_id": "same", "filesource_id": 7, "offset_x": 0.0}
    _write(here / "a.las", [[1.01, 0, 0], [2.02, 0, 0]], **first)
    _write(here / "b.las", [[500000.123, 0, 0]], [9], **{**first, "filesource_id": 8, "offset_x": 5e5, "scale_x": 1e-3})
    run(["a.las", "b.las", "out.las"])
    cloud = LasReader(filename="out.las").read()
    source: Any = cloud.source
    assert (source.header.file_source_id, source.header.system_bytes.rstrip(b"\0")) == (0, b"same")
    # The finest scale of both, so that no point of either loses anything.
    assert source.header.scales.tolist() == [0.001, 0.01, 0.01]
    np.testing.assert_allclose(cloud.xyz[:, 0], [1.01, 2.02, 500000.123], rtol=0, atol=1e-9)
    assert cloud.dims["Intensity"].tolist() == [0, 1, 9]


def test_columns_that_a_file_lacks_are_0_and_other_formats_merge(here: Path) -> None:
    LasWriter(filename="c.las", minor_version=4, dataformat_id=7).write(
        PointCloud(np.ones((1, 3)), {"Red": np.array([5], np.uint16), "Height": np.array([2.5])})
    )
    report = run(["in.las", "c.las", "out.las"]).report
    cloud = LasReader(filename="out.las").read()
    assert cloud.dims["Red"].tolist() == [0, 0, 0, 0, 5]
    assert cloud.dims["Height"].tolist() == [0, 0, 0, 0, 2.5]
    assert any("header and records of none are forwarded" in warning for warning in report["stages"][-1]["warnings"])


def test_other_systems_are_not_merged(halves: Path) -> None:
    _write(halves / "x.las", [[1, 1, 1]], a_srs="EPSG:28992")
    _write(halves / "y.las", [[1, 1, 1]], a_srs="EPSG:25832")
    with pytest.raises(RunError, match=r"y\.las: its coordinate reference system is EPSG:25832"):
        run(["x.las", "y.las", "out.las"])
    assert not (halves / "out.las").exists()


def test_input_replaces_all_readers_and_memory_is_refused(halves: Path) -> None:
    from deburr.batch.one_file import too_large

    plan = load(["h1.las", "h2.las", OUTLIER, "out.las"])
    with pytest.raises(SpecError, match="several files are merged in memory"):
        too_large(plan, 10**9)
    assert not too_large(plan, None)
    replaced = load(["h1.las", "h2.las", OUTLIER, "out.las"], input="in.las")
    assert [reader.filename for reader in replaced.readers] == ["in.las"]


def test_a_name_with_brackets_is_a_name_where_the_file_exists(here: Path) -> None:
    _write(here / "t[1].las", [[1, 1, 1]])
    _write(here / "t1.las", [[1, 1, 1]])
    assert [reader.filename for reader in load(["t[1].las", "out.las"]).readers] == ["t[1].las"]
    assert [reader.filename for reader in load(["in*.las", "t?.las", "out.las"]).readers] == ["in.las", "t1.las"]
    with pytest.raises(SpecError, match=r"'nothing\*\.las' matches no file"):
        load(["nothing*.las", "out.las"])
