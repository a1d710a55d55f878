"""The cloud that travels from stage to stage."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from deburr.core.cloud import PointCloud
from deburr.core.crs.words import height_unit, length_unit
from deburr.core.merging import merge


def cloud() -> PointCloud:
    xyz = np.arange(12.0).reshape(4, 3)
    return PointCloud(xyz, {"Classification": np.array([2, 7, 18, 5]), "Withheld": np.array([0, 0, 0, 1])})


def test_rows_and_original_are_those_that_were_read() -> None:
    read = cloud()
    assert read.original is read.xyz
    moved = read.with_xyz(read.xyz + np.array([[0.0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]]))
    assert moved.moved.tolist() == [True, False, True, False]
    kept = moved.select(np.array([True, False, True, True]))
    assert kept.rows.tolist() == [0, 2, 3]
    assert (kept.original == read.xyz[[0, 2, 3]]).all()
    assert kept.moved.tolist() == [True, True, False]
    assert kept.dims["Classification"].tolist() == [2, 18, 5]
    assert kept.select(np.array([2, 0])).rows.tolist() == [3, 0]
    assert not read.moved.any()


def test_what_is_withheld_or_noise_is_not_active() -> None:
    assert cloud().active.tolist() == [True, False, False, False]
    assert PointCloud(np.zeros((2, 3))).active.all()


def test_a_note_is_added_and_nothing_else() -> None:
    read = cloud()
    noted = read.note("filters.x", {"a": 1}, "careful").note("filters.y")
    assert [(r.stage, dict(r.figures), r.warnings) for r in noted.history] == [
        ("filters.x", {"a": 1}, ("careful",)),
        ("filters.y", {}, ()),
    ]
    assert read.history == ()
    assert noted.xyz is read.xyz


def test_a_cloud_is_frozen_and_its_columns_fit() -> None:
    read = cloud()
    with pytest.raises(FrozenInstanceError):
        read.xyz = np.zeros((1, 3))  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError):
        read.dims["New"] = np.zeros(4)  # type: ignore[index]  # that is the point
    assert list(read.with_dims({"New": np.zeros(4)}).dims) == ["Classification", "Withheld", "New"]
    with pytest.raises(ValueError, match="'New' has 3 values for 4 points"):
        read.with_dims({"New": np.zeros(3)})
    with pytest.raises(ValueError, match=r"must have shape \(N, 3\)"):
        PointCloud(np.zeros((4, 2)))


def test_units_are_those_the_reader_found_and_go_with_another_system() -> None:
    cloud = PointCloud(np.zeros((2, 3)), units="US survey foot", height_units="metre")
    assert (length_unit(cloud), height_unit(cloud)) == ("US ft", "m")
    assert (length_unit(cloud.select(np.array([0]))), length_unit(cloud.with_xyz(np.ones((2, 3))))) == (
        "US ft",
        "US ft",
    )
    elsewhere = cloud.in_crs("EPSG:7415", np.ones((2, 3)))
    assert (elsewhere.units, elsewhere.height_units, length_unit(elsewhere)) == (None, None, "units")
    merged, _ = merge([PointCloud(np.zeros((1, 3))), cloud])
    assert (merged.units, merged.height_units) == ("US survey foot", "metre")
