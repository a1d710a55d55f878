"""PDAL pipelines run unchanged by `pipeline run`: our stages where we have them, PDAL's for the rest, equal results."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Stages = list[Any]
Table = npt.NDArray[np.void]

#: What a writer is told: the defaults of versions and programs differ.
LAS = {"type": "writers.las", "forward": "all", "extra_dims": "all"}
MM = {"scale_x": 0.001, "scale_y": 0.001, "scale_z": 0.001, "offset_x": 85000.0, "offset_y": 0.0, "offset_z": 447000.0}

#: Pipelines as people write them: IN and OUT stand for files.
PIPELINES: dict[str, Stages] = {
    "ground": [
        "IN",
        {"type": "filters.outlier", "method": "statistical", "mean_k": 8, "multiplier": 3.0},
        {"type": "filters.smrf", "ignore": "Classification[7:7]", "slope": 0.2, "window": 16, "threshold": 0.45},
        {"type": "filters.range", "limits": "Classification[2:2]"},
        LAS | {"filename": "OUT/ground.las"},
    ],
    "low noise": [
        "IN",
        {"type": "filters.assign", "assignment": "Classification[:]=0"},
        {"type": "filters.elm"},
        {"type": "filters.outlier", "method": "radius", "radius": 2.0, "min_k": 4},
        {"type": "filters.range", "limits": "Classification![7:7]"},
        LAS | {"filename": "OUT/clean.laz"},
    ],
    "terrain model": [
        "IN",
        {"type": "filters.assign", "assignment": "Classification[:]=0"},
        {"type": "filters.pmf", "max_window_size": 12},
        {"type": "filters.range", "limits": "Classification[2:2]"},
        {"type": "writers.gdal", "filename": "OUT/dtm.tif", "resolution": 2.0, "output_type": "idw", "window_size": 2},
    ],
    "height above ground": [
        "IN",
        {"type": "filters.smrf"},
        {"type": "filters.hag_nn"},
        {"type": "filters.ferry", "dimensions": "HeightAboveGround=>Z"},
        LAS | {"filename": "OUT/hag.las"},
    ],
    "first returns": [
        {"type": "readers.las", "filename": "IN"},
        {"type": "filters.range", "limits": "ReturnNumber[1:1]"},
        {"type": "filters.ferry", "dimensions": "Z=>Elevation, Intensity => Brightness"},
        LAS | {"filename": "OUT/first.las"},
    ],
    "squares": [
        "IN",
        {"type": "filters.splitter", "length": 60},
        LAS | {"filename": "OUT/square_#.las"},
    ],
    "chips": [
        {"type": "readers.las", "filename": "IN", "tag": "all"},
        {"type": "filters.chipper", "capacity": 9000, "inputs": ["all"]},
        {"type": "filters.outlier", "mean_k": 6},
        LAS | {"filename": "OUT/chip_#.laz"},
    ],
    "classes": [
        "IN",
        {"type": "filters.groupby", "dimension": "Classification"},
        LAS | {"filename": "OUT/class_#.las"},
    ],
    "thinned": [
        "IN",
        {"type": "filters.sample", "radius": 1.5},
        {"type": "filters.normal", "knn": 8},
        {"type": "filters.sort", "dimension": "Z"},
        {"type": "filters.head", "count": 3000},
        LAS | {"filename": "OUT/thin.las"},
    ],
    "table": [
        "IN",
        {"type": "filters.decimation", "step": 50},
        {"type": "filters.stats", "dimensions": "Z,Intensity"},
        {"type": "writers.text", "filename": "OUT/points.csv", "order": "X,Y,Z,Intensity", "keep_unspecified": False},
    ],
    "moved": [
        "IN",
        {"type": "filters.transformation", "matrix": "1 0 0 10.5  0 0 -1 20  0 1 0 -3  0 0 0 1"},
        LAS | MM | {"filename": "OUT/moved.las"},
    ],
    "longitudes": [
        {"type": "readers.las", "filename": "IN", "override_srs": "EPSG:28992"},
        {"type": "filters.reprojection", "out_srs": "EPSG:4326"},
        LAS | {"scale_x": 1e-7, "scale_y": 1e-7, "scale_z": 0.001, "filename": "OUT/degrees.las"}
        | {"offset_x": 4.0, "offset_y": 52.0, "offset_z": 0.0},
    ],
    "surface": [
        "IN",
        {"type": "filters.skewnessbalancing"},
        {"type": "filters.crop", "bounds": "([85040,85140],[447400,447500])"},
        {"type": "writers.gdal", "filename": "OUT/dsm.tif", "resolution": 1.0, "output_type": "max", "radius": 1.0},
    ],
}  # fmt: skip


def filled(stages: Stages, source: Path, folder: Path) -> Stages:
    """The stages with IN and OUT replaced."""
    text = json.dumps(stages).replace('"IN"', json.dumps(str(source))).replace("OUT/", f"{folder}/")
    return list(json.loads(text))


def read(path: Path) -> Table:
    """A LAS file as PDAL reads it."""
    import pdal

    pipeline = pdal.Pipeline(json.dumps([{"type": "readers.las", "filename": str(path)}]))
    pipeline.execute()
    return np.asarray(pipeline.arrays[0])


@pytest.fixture(scope="session")
def tile(data_dir: Path) -> Path:
    """An airborne tile of 208,432 points, LAS 1.2, format 1, on a lattice of 1 mm."""
    return data_dir / "data" / "lidar" / "3dfier_ahn3_cropped_2.laz"


@pytest.mark.parametrize("name", list(PIPELINES))
def test_a_pipeline_of_pdal_runs_unchanged(name: str, tile: Path, tmp_path: Path, run_pdal: Callable[..., Any]) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    run_pdal(filled(PIPELINES[name], tile, theirs))
    spec = json.dumps(filled(PIPELINES[name], tile, ours))
    done = subprocess.run(
        [sys.executable, "-m", "deburr.cli.main", "run", spec], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in theirs.iterdir())
    assert files
    # Nothing is left beside the outputs, and all of them are told.
    assert sorted(path.name for path in ours.iterdir()) == files
    assert sorted(done.stdout.split()) == [str(ours / file) for file in files]
    for file in files:
        if file.endswith((".las", ".laz")):
            compare(read(ours / file), read(theirs / file))
        elif file.endswith(".csv"):  # deburr's own writer: more decimals of coordinates, none of whole numbers
            one, other = ((folder / file).read_text().splitlines() for folder in (ours, theirs))
            assert one[0] == other[0]
            numbers = [np.array([row.split(",") for row in rows[1:]], float) for rows in (one, other)]
            np.testing.assert_allclose(numbers[0], numbers[1], rtol=0, atol=0.0005001)
        else:
            assert (ours / file).read_bytes() == (theirs / file).read_bytes()


def compare(ours: Table, theirs: Table) -> None:
    """The same points in the same order, dimension by dimension, bit by bit."""
    assert len(theirs) > 0
    assert set(ours.dtype.names or ()) == set(theirs.dtype.names or ())
    for column in theirs.dtype.names or ():
        np.testing.assert_array_equal(ours[column], theirs[column], err_msg=column)
