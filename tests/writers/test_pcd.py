"""writers.pcd: what was read is written as it was, and what has no place is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pcds import Columns, pcd, pcds

from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.pipeline import run
from deburr.readers.pcd import Pcd as Reader
from deburr.testing import contract
from deburr.writers.pcd import Pcd

TWICE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
XYZ = [(name, np.arange(4, dtype="<f4") + i) for i, name in enumerate("xyz")]


def put(folder: Path, data: bytes) -> PointCloud:
    (folder / "in.pcd").write_bytes(data)
    return Reader(filename=str(folder / "in.pcd")).read()


def written(folder: Path, cloud: PointCloud, **options: object) -> tuple[bytes, tuple[str, ...], dict[str, object]]:
    """The bytes, the warnings and the figures."""
    record = Pcd.model_validate({"filename": str(folder / "out.pcd"), **options}).write(cloud).history[-1]
    return (folder / "out.pcd").read_bytes(), record.warnings, dict(record.figures)


def same(one: PointCloud, other: PointCloud) -> bool:
    return np.array_equal(one.xyz, other.xyz, equal_nan=True) and all(
        other.dims[name].dtype == column.dtype and other.dims[name].tobytes() == column.tobytes()
        for name, column in one.dims.items()
    )


@TWICE
@given(made=pcds())
def test_what_did_not_move_comes_out_byte_by_byte(made: tuple[bytes, Columns], tmp_path: Path) -> None:
    cloud = put(tmp_path, made[0])
    text, warnings, figures = written(tmp_path, cloud)
    assert text == made[0]
    assert not warnings
    assert "coordinate_rounding_max" not in figures


@TWICE
@given(made=pcds(), kind=st.sampled_from(["ascii", "binary", "compressed"]))
def test_every_encoding_becomes_every_other(made: tuple[bytes, Columns], kind: str, tmp_path: Path) -> None:
    cloud = put(tmp_path, made[0])
    again = put(tmp_path, written(tmp_path, cloud, compression=kind)[0])
    assert same(cloud, again)
    names = [field.name for field in cloud.source.header.fields]  # type: ignore[attr-defined]
    assert [field.name for field in again.source.header.fields] == names  # type: ignore[attr-defined]


@TWICE
@given(made=pcds(), data=st.data())
def test_only_what_moved_changes(made: tuple[bytes, Columns], data: st.DataObject, tmp_path: Path) -> None:
    cloud = put(tmp_path, made[0])
    hit = np.array(data.draw(st.lists(st.booleans(), min_size=len(cloud), max_size=len(cloud))), bool) & cloud.located
    moved = cloud.with_xyz(cloud.xyz + hit[:, None] * np.array([0.125, 0, 3]))
    text, _, figures = written(tmp_path, moved)
    again = put(tmp_path, text)
    away = np.abs(again.xyz - moved.xyz)[cloud.located].max(initial=0.0)
    # Words of a float are rounded again when they are read, by half of its last bit.
    again_by = float(np.spacing(np.float32(1000))) / 2 if figures["encoding"] == "ascii" else 1e-12
    assert away <= figures.get("coordinate_rounding_max", 0.0) + again_by <= 1e-4  # type: ignore[operator]
    assert np.array_equal(again.xyz[~hit], cloud.xyz[~hit], equal_nan=True)
    assert same(cloud.with_xyz(again.xyz), again)


@pytest.mark.parametrize("kind", ["ascii", "binary", "binary_compressed"])
def test_a_pipeline_that_moves_nothing_changes_no_byte(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = [(name, random.normal(0, 1, 300).astype("<f4")) for name in "xyz"]
    columns[0][1][::9] = np.nan
    data = pcd([*columns, ("_", np.full((300, 3), 7, "<u1")), ("label", np.arange(300, dtype="<u2"))], kind, (30, 10))
    (tmp_path / "in.pcd").write_bytes(data)
    run([str(tmp_path / "in.pcd"), {"type": "filters.spd", "strength": 0, "noise": 0.01}, str(tmp_path / "out.pcd")])
    assert (tmp_path / "out.pcd").read_bytes() == data


@pytest.mark.parametrize("kind", ["ascii", "binary", "binary_compressed"])
def test_points_go_and_fields_come(kind: str, tmp_path: Path) -> None:
    cloud = put(tmp_path, pcd([*XYZ, ("rgb", np.arange(4, dtype="<u4"))], kind, (2, 2)))
    fewer = cloud.select(np.array([3, 1])).with_dims({"Classification": np.array([7, 2], np.uint8)})
    text, warnings, _ = written(tmp_path, fewer)
    again = put(tmp_path, text)
    assert again.xyz.tolist() == [[3, 4, 5], [1, 2, 3]]
    assert again.dims["Classification"].tolist() == [7, 2]
    assert again.dims["Blue"].tolist() == [3, 1]
    assert again.source.header.viewpoint == "1 2 3 1 0 0 0"  # type: ignore[attr-defined]
    assert (again.source.header.width, again.source.header.height) == (2, 1)  # type: ignore[attr-defined]
    assert "no grid of pixels any more" in warnings[0]


@pytest.mark.parametrize("kind", ["ascii", "binary"])
def test_values_that_a_stage_changed(kind: str, tmp_path: Path) -> None:
    cloud = put(
        tmp_path, pcd([*XYZ, ("rgb", np.full(4, 0x00FF8040, "<u4")), ("label", np.arange(4, dtype="<u1"))], kind)
    )
    changed = cloud.with_dims({"Green": np.full(4, 1, np.uint8), "label": np.array([1, 2, 3, 300], np.uint16)})
    text, warnings, _ = written(tmp_path, changed)
    again = put(tmp_path, text)
    assert [again.dims[name][0] for name in ("Red", "Green", "Blue")] == [0xFF, 1, 0x40]
    assert again.dims["label"].tolist() == [1, 2, 3, 300]
    assert "field 'label' is written as uint16" in warnings[0]


def test_digits_beyond_a_float_are_not_lost_on_the_way_to_binary(tmp_path: Path) -> None:
    data = pcd(XYZ, "ascii").replace(b"\n0.0 1.0 2.0\n", b"\n500000.123 5400000.456 0.1\n")
    cloud = put(tmp_path, data)
    assert written(tmp_path, cloud)[0] == data
    text, warnings, _ = written(tmp_path, cloud, compression="binary")
    assert put(tmp_path, text).xyz.tobytes() == cloud.xyz.tobytes()
    assert "field 'x' is written as float64" in warnings[0]


def test_a_cloud_from_elsewhere(tmp_path: Path) -> None:
    cloud = contract.surface(20)
    text, warnings, _ = written(tmp_path, cloud)
    again = put(tmp_path, text)
    assert again.xyz.tobytes() == cloud.xyz.tobytes()
    assert "written as double" in warnings[0]
    assert same(cloud, again)
    dims = {name: np.full(20, 256 * 7, np.uint16) for name in ("Red", "Green", "Blue")}
    near = PointCloud(cloud.xyz - cloud.xyz[0], {**dims, "Three": np.zeros((20, 3))})
    text, warnings, figures = written(tmp_path, near, compression="compressed")
    assert b"FIELDS x y z rgb Three\nSIZE 4 4 4 4 8\nTYPE F F F F F\nCOUNT 1 1 1 1 3\n" in text
    assert put(tmp_path, text).dims["Red"].tolist() == [7] * 20
    assert "upper eight bits" in warnings[0]
    assert 0 < figures["coordinate_rounding_max"] < 1e-6  # type: ignore[operator]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    cloud = put(tmp_path, pcd(XYZ, "binary"))
    with pytest.raises(WriteError, match="too large for field 'x'"):
        written(tmp_path, cloud.with_xyz(cloud.xyz + 1e300))
    with pytest.raises(WriteError, match="not finite"):
        written(tmp_path, cloud.with_xyz(cloud.xyz * np.nan))
    with pytest.raises(WriteError, match="does not fit into PCD"):
        written(tmp_path, cloud.with_dims({"words": np.array(["a"] * 4)}))
    assert not (tmp_path / "out.pcd").exists()


def test_precision_wants_text() -> None:
    assert Pcd(filename="x.pcd", precision=3).check(())
    assert not Pcd(filename="x.pcd", precision=3, compression="ascii").check(())


@pytest.mark.filterwarnings("ignore::deburr.core.errors.DeburrWarning")
@pytest.mark.parametrize("name", ["pcl_region_growing", "pcl_kinect_table"])
@pytest.mark.parametrize("target", ["out.laz", "out.ply", "out.csv"])
def test_real_files_become_every_other_format(name: str, target: str, data_dir: Path, tmp_path: Path) -> None:
    source = {"type": "readers.pcd", "filename": str(data_dir / "data" / "real" / f"{name}.pcd"), "missing": "drop"}
    cloud = run([source, str(tmp_path / target)]).cloud
    again = run([str(tmp_path / target)]).cloud
    size = np.ptp(cloud.xyz, axis=0).max()
    assert np.abs(again.xyz - cloud.xyz).max() <= 1e-6 * size
    # LAS has colours of 16 bits.
    assert (again.dims["Red"] // (257 if target == "out.laz" else 1) == cloud.dims["Red"]).all()


def test_a_real_grid_comes_out_as_it_was(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "data" / "real" / "pcl_kinect_table.pcd"
    cloud = Reader(filename=str(path)).read()
    again = put(tmp_path, written(tmp_path, cloud)[0])
    assert same(cloud, again)
    assert again.source.head == cloud.source.head  # type: ignore[attr-defined]
