"""Files' points leave scratch when no tile needs them any more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deburr.batch.job import Job
from deburr.batch.space import Footprint
from deburr.batch.tasks import Clean
from deburr.core.cloud import PointCloud
from deburr.readers.las import LasReader
from deburr.scratch import store
from deburr.scratch.input_file import FileRef
from deburr.scratch.store import Store
from deburr.tiles.tile import Core
from deburr.writers.las import LasWriter


@pytest.fixture
def row(tmp_path: Path) -> Store:
    """Five files side by side, each 10 wide, in a row along x."""
    refs = []
    for number in range(5):
        path = tmp_path / f"{number}.las"
        xyz = np.random.default_rng(number).uniform([10 * number, 0, 0], [10 * number + 9.99, 10, 1], (50, 3))
        LasWriter(filename=str(path)).write(PointCloud(xyz))
        refs.append(FileRef.of(LasReader(filename=str(path)), number))
    return Store(refs, tmp_path / "points", frozenset())


def task(number: int, halo: float) -> Clean:
    core = Core(np.array([10.0 * number, 0.0]), np.array([10.0 * number + 10, 10.0]), (number,))
    return Clean(id=str(number), points=0, core=core, halo=halo, known=(), folder="", targets=None)


def job(row: Store, independent: bool = False) -> Job:
    return Job((), (), row, None, 100, 100, independent)


def unpacked(row: Store) -> set[int]:
    return {int(folder.name.split("-")[0]) for folder in row.folder.iterdir() if not folder.name.startswith(".")}


def test_a_file_goes_when_the_last_tile_beside_it_is_done(row: Store) -> None:
    footprint = Footprint(job(row), [task(number, 1.0) for number in range(5)])
    for number in range(5):
        row.unpack(number)
    footprint.done("0")
    assert unpacked(row) == {0, 1, 2, 3, 4}  # the next tile looks at it still
    footprint.done("1")
    assert unpacked(row) == {1, 2, 3, 4}
    footprint.done("4")
    assert unpacked(row) == {1, 2, 3, 4}
    footprint.done("3")
    assert unpacked(row) == {1, 2, 3}
    footprint.done("2")
    assert unpacked(row) == set()


def test_the_most_that_is_there_at_once_is_three_files_of_a_row(row: Store) -> None:
    one = store.size(row.files[:1], row.dims, row.chunk)
    assert Footprint(job(row), [task(number, 1.0) for number in range(5)]).most() == 3 * one
    assert Footprint(job(row), [task(number, 100.0) for number in range(5)]).most() == 5 * one
    # Whoever is alone looks at nobody.
    assert Footprint(job(row, True), [task(number, 100.0) for number in range(5)]).most() == one
