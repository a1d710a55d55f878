"""Real files through `pipeline run` with filters.spd, checked with laspy: nothing changes but the places of points."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deburr.pipeline import run

laspy = pytest.importorskip("laspy")

SMALL = (
    "laspy_fullwave.laz",
    "laspy_plane.laz",
    "laspy_simple1_4.las",
    "laspy_vegetation_1_3.las",
    "pdal_4_6_crop.las",
    "pdal_extrabytes.las",
)
LARGE = (
    "3dfier_ahn3_cropped_1.laz",
    "3dfier_ahn3_cropped_2.laz",
    "ign_77055_627755.laz",
    "ign_several_extra_bytes.laz",
    "lasR_bcts_1.laz",
    "pdal_autzen_trim.las",
    "pdal_autzen_trim.laz",
    "pdal_lone-star.copc.laz",
    "pdal_lone-star.laz",
)
#: What a rewrite must drop: LASzip's own record, and COPC's, which describe bytes that are no longer there.
DROPPED = ("laszip encoded", "copc")
NEW = ("X", "Y", "Z")


def record_bytes(records: Any) -> list[tuple[str, int, str, bytes]]:
    kept = [v for v in records or [] if v.user_id not in DROPPED]
    return [(v.user_id, v.record_id, v.description, v.record_data_bytes()) for v in kept]


def check(data: Path, name: str, folder: Path) -> None:
    source, target = data / "data" / "lidar" / name, folder / Path(name).with_suffix(".las").name
    result = run([str(source), "filters.spd", str(target)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = laspy.read(source), laspy.read(target)
    old, new = before.header, after.header
    assert new.point_count == old.point_count
    assert new.version == old.version
    assert new.point_format.id == old.point_format.id
    assert (new.scales == old.scales).all()
    assert (new.offsets == old.offsets).all()
    assert new.global_encoding.value == old.global_encoding.value
    assert new.file_source_id == old.file_source_id
    # Recounted: the header of laspy_simple1_4.las has them all zero.
    returns = np.bincount(np.asarray(before.return_number), minlength=16)[1:]
    assert (new.number_of_points_by_return[: len(returns)] == returns[: len(new.number_of_points_by_return)]).all()
    assert record_bytes(new.vlrs) == record_bytes(old.vlrs)
    assert record_bytes(after.evlrs) == record_bytes(before.evlrs)
    assert new.generating_software.startswith("deburr")

    assert list(after.point_format.dimension_names) == list(before.point_format.dimension_names)
    one, other = before.points.array, after.points.array
    assert one.dtype == other.dtype
    for field in one.dtype.names:
        if field not in NEW:
            assert one[field].tobytes() == other[field].tobytes(), field

    raw = [np.stack([p[axis] for axis in NEW], 1) for p in (one, other)]
    moved = (raw[0] != raw[1]).any(1)
    assert moved.any()
    if "Withheld" in result.cloud.dims or "Classification" in result.cloud.dims:
        assert not moved[~result.cloud.active].any()
    assert (raw[0][~result.cloud.moved] == raw[1][~result.cloud.moved]).all()
    rounding = np.abs(raw[1] * new.scales + new.offsets - result.xyz).max(0)
    assert (rounding <= 0.5001 * np.abs(new.scales) + 1e-9 * np.abs(result.xyz).max(0)).all()
    world = raw[1] * new.scales + new.offsets
    assert np.asarray(new.mins) == pytest.approx(world.min(0), abs=1e-6)
    assert np.asarray(new.maxs) == pytest.approx(world.max(0), abs=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_small_files(data_dir: Path, tmp_path: Path, name: str) -> None:
    check(data_dir, name, tmp_path)


@pytest.mark.long
@pytest.mark.alldata
@pytest.mark.parametrize("name", LARGE)
def test_large_files(data_dir: Path, tmp_path: Path, name: str) -> None:
    check(data_dir, name, tmp_path)


def test_every_real_file_is_covered(data_dir: Path) -> None:
    found = {p.name for p in (data_dir / "data" / "lidar").iterdir() if p.suffix in (".las", ".laz")}
    assert found == {*SMALL, *LARGE}


def test_a_spinning_lidars_ply(data_dir: Path, tmp_path: Path) -> None:
    source, target = data_dir / "data" / "lidar" / "small_gicp_source.ply", tmp_path / "out.ply"
    result = run([str(source), "filters.spd", str(target)])
    again = run([str(target)], report_dir=tmp_path)
    assert len(again.cloud) == len(result.cloud) == 69_792
    assert list(again.cloud.dims) == list(result.cloud.dims)
    for name, column in result.cloud.dims.items():
        assert again.cloud.dims[name].tobytes() == column.tobytes()
    assert again.xyz == pytest.approx(result.xyz, abs=1e-4)
