"""PDAL's columns become the cloud that readers.las gives, and only what changed goes back, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deburr.core.errors import RunError
from deburr.plugins.pdal.columns import (
    FLAGS,
    back,
    flags_are_within,
    from_array,
    lost_flags,
    to_array,
    to_cloud,
    to_columns,
)
from deburr.readers.las import LasReader

BYTES = hnp.arrays(np.uint8, 5)


def columns(**more: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.arange(5.0) + offset for offset, name in enumerate("XYZ")} | more


def test_coordinates_are_copied_and_columns_shared() -> None:
    given = columns(Intensity=np.arange(5, dtype=np.uint16))
    cloud = to_cloud(given)
    assert cloud.xyz[2].tolist() == [2.0, 3.0, 4.0]
    assert not np.shares_memory(cloud.xyz, given["X"])
    assert np.shares_memory(cloud.dims["Intensity"], given["Intensity"])


def test_units_are_in_the_first_record() -> None:
    wkt = 'PROJCS["a",GEOGCS["b",UNIT["degree",0.0174]],UNIT["foot",0.3048]]'
    cloud = to_cloud(columns(), wkt, stage="filters.python")
    assert cloud.history[0].stage == "filters.python"
    assert cloud.history[0].figures == {"points": 5, "units": "foot"}
    assert cloud.crs == wkt
    assert to_cloud(columns(), "").crs is None


def test_points_without_place() -> None:
    with pytest.raises(RunError, match="no Y and no Z"):
        to_cloud({"X": np.zeros(2)})
    with pytest.raises(RunError, match="2 of 5 points have a coordinate that is NaN"):
        to_cloud(columns() | {"Z": np.array([1, np.nan, 2, np.inf, 3])})


def test_flags_of_both_layouts() -> None:
    late = to_cloud(columns(ClassFlags=np.array([0, 1, 2, 4, 8 + 4], np.uint8)))
    assert {name: late.dims[name].tolist() for name in late.dims} == {
        "Synthetic": [0, 1, 0, 0, 0],
        "KeyPoint": [0, 0, 1, 0, 0],
        "Withheld": [0, 0, 0, 1, 1],
        "Overlap": [0, 0, 0, 0, 1],
    }
    early = to_cloud(columns(Classification=np.array([2, 34, 66, 130, 255], np.uint8)), flags_within=True)
    assert {name: early.dims[name].tolist() for name in early.dims} == {
        "Classification": [2, 2, 2, 2, 31],
        "Synthetic": [0, 1, 0, 0, 1],
        "KeyPoint": [0, 0, 1, 0, 1],
        "Withheld": [0, 0, 0, 1, 1],
    }


def test_where_flags_are() -> None:
    none: dict[str, npt.NDArray[Any]] = columns(Classification=np.zeros(5, np.uint8))
    split = none | {name: np.zeros(5, np.uint8) for name in FLAGS}
    packed = none | {"ClassFlags": np.zeros(5, np.uint8)}
    assert flags_are_within(none, frozenset({0, 3}))
    assert not flags_are_within(none, frozenset())
    assert not flags_are_within(none, frozenset({3, 6}))
    assert not flags_are_within(split, frozenset({3}))
    assert not flags_are_within(packed, frozenset({3}))
    # Somebody may add one of them where PDAL has none.
    assert flags_are_within(none | {"Withheld": np.zeros(5, np.uint8)}, frozenset({3}))


def test_merged_formats_are_told_of() -> None:
    merged = columns(Classification=np.array([2, 2, 7, 135, 2], np.uint8), ClassFlags=np.zeros(5, np.uint8))
    assert "point formats 0-5 and 6-10 were merged" in lost_flags(merged, frozenset({1, 8}))[0]
    for other, formats in ((merged, {6, 8}), (merged, set()), (merged | {"Classification": np.zeros(5)}, {1, 8})):
        assert lost_flags(other, frozenset(formats)) == []


@given(BYTES, st.booleans(), hnp.arrays(np.uint8, 5, elements=st.integers(0, 31)), hnp.arrays(np.bool_, 5))
def test_what_a_stage_sets_is_read_again(
    byte: npt.NDArray[np.uint8], within: bool, classes: npt.NDArray[np.uint8], withheld: npt.NDArray[np.bool_]
) -> None:
    given = columns(Classification=byte) if within else columns(Classification=byte, ClassFlags=byte)
    cloud = to_cloud(given, flags_within=within)
    after = cloud.with_dims({"Classification": classes, "Withheld": withheld.astype(np.uint8)})
    again = to_cloud(given | back(cloud, after, given, flags_within=within), flags_within=within)
    assert again.dims.keys() == cloud.dims.keys()
    for name in cloud.dims:
        wanted = {"Classification": classes, "Withheld": withheld}.get(name, cloud.dims[name])
        assert np.array_equal(again.dims[name], wanted), name


def test_nothing_but_the_change_goes_back() -> None:
    given = columns(Classification=np.full(5, 2, np.uint8), ClassFlags=np.full(5, 0xF0, np.uint8))
    cloud = to_cloud(given)
    assert back(cloud, cloud.note("x"), given) == {}
    held = back(cloud, cloud.with_dims({"Withheld": np.array([0, 1, 0, 0, 0], np.uint8)}), given)
    assert {name: column.tolist() for name, column in held.items()} == {"ClassFlags": [0xF0, 0xF4, 0xF0, 0xF0, 0xF0]}
    moved = back(cloud, cloud.with_xyz(cloud.xyz + 1), given)
    assert moved.keys() == set("XYZ")
    assert all(column.flags.c_contiguous and column.dtype == np.float64 for column in moved.values())


def test_types_of_the_host() -> None:
    given = columns(Uncertainty=np.zeros(5, "<f8"), Displacement=np.zeros(5, ">f4"), Small=np.zeros(5, np.uint8))
    cloud = to_cloud(given)
    values = np.full(5, 0.25, np.float32)
    found = back(cloud, cloud.with_dims({"Uncertainty": values, "Displacement": values}), given)
    assert (found["Uncertainty"].dtype, found["Displacement"].dtype) == (np.dtype("=f8"), np.dtype("=f4"))
    assert found["Displacement"].tolist() == [0.25] * 5
    with pytest.raises(RunError, match=r"'Small' is of type uint8 in PDAL.*declare it as Small=float"):
        back(cloud, cloud.with_dims({"Small": values}), given)


def test_a_class_that_leaves_no_room_for_flags() -> None:
    given = columns(Classification=np.zeros(5, np.uint8))
    cloud = to_cloud(given, flags_within=True)
    with pytest.raises(RunError, match="class 64 does not exist in point formats 0-5"):
        back(cloud, cloud.with_dims({"Classification": np.full(5, 64)}), given, flags_within=True)


def test_arrays_and_columns() -> None:
    array = np.array([(1.0, 2.0, 3.0, 4)], [("X", "f8"), ("Y", "f8"), ("Z", "f8"), ("Red", ">u2")])
    cloud = to_cloud(from_array(array))
    assert cloud.dims["Red"].tolist() == [4]
    assert not np.shares_memory(cloud.dims["Red"], array)
    made = to_array(to_columns(cloud.with_dims({"Many": np.zeros((1, 3)), "Set": np.array([True])})))
    assert made.dtype == np.dtype([("X", "f8"), ("Y", "f8"), ("Z", "f8"), ("Red", "u2"), ("Set", "u1")])
    assert made.tolist() == [(1.0, 2.0, 3.0, 4, 1)]


@pytest.mark.parametrize("name", ["pdal_autzen_trim.las", "laspy_simple1_4.las", "pdal_4_6_crop.las"])
def test_a_file_through_columns_is_the_same_cloud(data_dir: Path, name: str) -> None:
    cloud = LasReader(filename=str(data_dir / "data" / "lidar" / name)).read()
    host = to_columns(cloud)
    early = "Overlap" not in host
    byte = host["Classification"].copy()
    for bit, flag in enumerate(FLAGS[:3] if early else FLAGS):
        part = host.pop(flag) << (5 + bit if early else bit)
        byte = byte | part if early else (part | (byte if bit else 0)).astype(np.uint8)
    host["Classification" if early else "ClassFlags"] = byte
    again = to_cloud(host, flags_within=early)
    assert np.array_equal(again.xyz, cloud.xyz)
    assert again.dims.keys() == cloud.dims.keys()
    for dimension, column in cloud.dims.items():
        assert np.array_equal(again.dims[dimension], column), dimension
