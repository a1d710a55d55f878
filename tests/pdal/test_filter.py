"""deburr's filters in real PDAL pipelines: the coordinates of `pipeline run`, all else untouched, mistakes told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import numpy.typing as npt
import pytest

import deburr.plugins.pdal_filter
from deburr.pipeline import run

RunPdal = Callable[..., "subprocess.CompletedProcess[str]"]
LIDAR = Path("data", "lidar")
#: One file of point format 3, 1 and 8 each.
FILES = ["pdal_autzen_trim.las", "3dfier_ahn3_cropped_2.laz", "ign_several_extra_bytes.laz"]
EXTRA = {"extra_dims": "all", "forward": "all"}


def python(function: str, **options: Any) -> dict[str, Any]:
    """The stage, as users write it."""
    script = deburr.plugins.pdal_filter.__file__
    return {"type": "filters.python", "script": script, "module": "deburr_filter", "function": function, **options}


def las(path: Path) -> dict[str, Any]:
    return {"type": "writers.las", "filename": str(path), **EXTRA}


@pytest.fixture(scope="module")
def crop(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`crop(name)`: 12,000 points of a real file, some of them noise, withheld or key points."""
    made: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("crops")

    def make(name: str) -> Path:
        if name not in made:
            made[name] = folder / f"{Path(name).stem}.las"
            reader = {"type": "readers.las", "filename": str(data_dir / LIDAR / name), "count": 12_000}
            run([reader, {"type": "writers.las", "filename": str(made[name])}])
            with laspy.open(made[name]) as file:
                points = file.read()
            points.classification[100:150] = 7
            points.withheld[200:300] = 1
            points.key_point[250:400] = 1
            points.write(made[name])
        return made[name]

    return make


def integers(path: Path) -> npt.NDArray[np.int32]:
    with laspy.open(path) as file:
        points = file.read()
    return np.stack((points.X, points.Y, points.Z), axis=1)


def records(path: Path, *leave_out: str) -> dict[str, npt.NDArray[Any]]:
    """Every dimension of the file, unscaled."""
    with laspy.open(path) as file:
        points = file.read().points.array
    return {name: points[name] for name in points.dtype.names if name not in {*"XYZ", *leave_out}}


def sorted_points(path: Path) -> Any:
    """The file as laspy gives it, its points in an order that no filter changes."""
    points = laspy.read(path)
    keys = (points.point_source_id, points.user_data, points.intensity, points.return_number, points.gps_time)
    points.points = points.points[np.lexsort(keys)]
    return points


def assert_equal(found: dict[str, npt.NDArray[Any]], wanted: dict[str, npt.NDArray[Any]]) -> None:
    assert found.keys() == wanted.keys()
    for name, column in wanted.items():
        assert found[name].tobytes() == column.tobytes(), name


@pytest.mark.parametrize("name", FILES)
def test_denoise_is_pipeline_run(name: str, crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal) -> None:
    source, plain, theirs, ours = crop(name), *(tmp_path / f"{n}.las" for n in ("plain", "theirs", "ours"))
    run_pdal([str(source), las(plain)])
    done = run_pdal([str(source), python("denoise"), las(theirs)])
    run([str(source), "filters.spd", str(ours)])
    assert "deburr (filters.spd): 12,000 points, noise" in done.stderr
    assert done.stdout == ""
    assert np.array_equal(integers(theirs), integers(ours))
    assert_equal(records(theirs), records(plain))
    stays = np.r_[100:150, 200:300]
    moved = (integers(theirs) != integers(source)).any(axis=1)
    assert moved.mean() > 0.3
    assert not moved[stays].any()


def test_options_and_dimensions(crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal) -> None:
    source, theirs, ours = crop(FILES[1]), tmp_path / "theirs.las", tmp_path / "ours.las"
    options = {
        "noise": 0.05,
        "where": "Classification == 2 && Z < 10",
        "dimensions": ["Uncertainty", "Displacement", "NoiseLevel"],
        "keep_original": True,
    }
    room = [
        "Uncertainty=float",
        "Displacement=float",
        "NoiseLevel=float",
        "OriginalX=double",
        "OriginalY=double",
        "OriginalZ=double",
    ]
    run_pdal([str(source), python("denoise", pdalargs=options, add_dimension=room), las(theirs)])
    run([str(source), {"type": "filters.spd", **options}, str(ours)])
    assert np.array_equal(integers(theirs), integers(ours))
    added = {line.partition("=")[0] for line in room}
    # The names of fields are those of the files, whose order of extra bytes may differ.
    a, b = laspy.read(theirs), laspy.read(ours)
    for name in added:
        assert np.array_equal(a[name], b[name], equal_nan=True), name


def test_where_of_pdal_and_of_ours(crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal) -> None:
    source, outer, inner, alone = crop(FILES[1]), *(tmp_path / f"{name}.las" for name in ("outer", "inner", "alone"))
    condition = "Classification == 2"
    run_pdal([str(source), python("denoise", where=condition), las(outer)])
    run_pdal([str(source), python("denoise", pdalargs={"where": condition}), las(inner)])
    run_pdal([str(source), {"type": "filters.range", "limits": "Classification[2:2]"}, python("denoise"), las(alone)])
    # PDAL puts what it held back behind the rest.
    before, outside, inside = (sorted_points(path) for path in (source, outer, inner))
    chosen = np.asarray(before.classification == 2)
    may = chosen & (np.asarray(before.withheld) == 0)
    assert 0 < may.sum() < chosen.sum() < len(chosen)
    for found in (outside, inside):
        assert np.array_equal(found.intensity, before.intensity)
        assert np.array_equal(found.Z[~may], before.Z[~may])
        assert (found.Z[may] != before.Z[may]).mean() > 0.3
    assert (outside.Z != inside.Z).any()
    # What PDAL holds back is not seen. (PDAL up to 2.5 takes the flags for a part of the class.)
    chosen &= np.isin(np.asarray(before.points.array["raw_classification"]), [2])
    assert np.array_equal(sorted_points(alone).Z, outside.Z[chosen])


@pytest.mark.parametrize("name", FILES[1:])
def test_outliers_classified_and_removed(
    name: str, crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal
) -> None:
    source, plain, classed, masked = crop(name), *(tmp_path / f"{n}.las" for n in ("plain", "classed", "masked"))
    run_pdal([str(source), las(plain)])
    run_pdal([str(source), python("outlier", pdalargs={"class": 18}), las(classed)])
    run_pdal([str(source), python("outlier_mask"), las(masked)])
    cloud = run([str(source), {"type": "filters.outlier", "class": 18}]).cloud
    found = np.asarray(cloud.dims["Classification"]) == 18
    assert 0 < found.sum() < 6_000
    early = "raw_classification" in records(plain)
    field = "raw_classification" if early else "classification"
    assert_equal(records(classed, field), records(plain, field))
    byte = records(plain)[field]
    assert np.array_equal(records(classed)[field], np.where(found, (byte & 0xE0 if early else 0) | 18, byte))
    assert np.array_equal(integers(masked), integers(plain)[~found])
    assert_equal(records(masked), {key: column[~found] for key, column in records(plain).items()})


@pytest.mark.parametrize("name", FILES[1:])
def test_outliers_withheld(name: str, crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal) -> None:
    source, plain, held = crop(name), tmp_path / "plain.las", tmp_path / "held.las"
    run_pdal([str(source), las(plain)])
    run_pdal([str(source), python("outlier", pdalargs={"action": "withhold"}), las(held)])
    cloud = run([str(source), {"type": "filters.outlier", "action": "withhold"}]).cloud
    before, after = laspy.read(plain), laspy.read(held)
    assert np.array_equal(after.withheld, cloud.dims["Withheld"])
    assert np.asarray(after.withheld).sum() > 100
    for other in ("classification", "key_point", "synthetic", "intensity"):
        assert np.array_equal(after[other], before[other]), other


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (python("denoise", pdalargs={"stepsize": 1}), "unknown option 'stepsize'; did you mean 'step_size'?"),
        (python("denoise", pdalargs={"noise": "much"}), "option 'noise' must be 'auto' or a number greater than 0"),
        (python("denoise", pdalargs={"keep_original": True}), 'add "add_dimension": ["OriginalX=double", '),
        (python("denoise", pdalargs={"where": "Class == 2"}), "the cloud has no dimension 'Class'; "),
        (python("denoise", pdalargs={"weights": "/none"}), "/none: "),
        (python("outlier", pdalargs={"action": "remove"}), "use function 'outlier_mask'"),
        (python("denoise") | {"module": "deburr"}, "option 'module' is 'deburr', the name of a package"),
    ],
)
def test_mistakes_end_pdal(
    stage: dict[str, Any], sentence: str, crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal
) -> None:
    out = tmp_path / "out.las"
    done = run_pdal([str(crop(FILES[2])), stage, las(out)], fails=True)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not out.exists()


def test_a_python_without_deburr(crop: Callable[[str], Path], run_pdal: RunPdal, tmp_path: Path) -> None:
    # The script alone, where the package is not to be found.
    script = tmp_path / "script.py"
    text = Path(deburr.plugins.pdal_filter.__file__).read_text()
    script.write_text("import sys\nsys.modules['deburr.plugins'] = None\n" + text.replace("from __future__", "# "))
    done = run_pdal([str(crop(FILES[1])), python("denoise") | {"script": str(script)}], fails=True)
    assert done.returncode == 1
    assert "pip install deburr" in done.stderr
    assert sys.prefix in done.stderr


@pytest.mark.parametrize("cutter", [{"type": "filters.splitter", "length": 20}, {"type": "filters.chipper"}])
def test_views_are_filtered_one_by_one(
    cutter: dict[str, Any], crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal
) -> None:
    source, whole, cut = crop(FILES[1]), tmp_path / "whole.las", tmp_path / "cut.las"
    options = {"noise": 0.04}
    done = run_pdal([str(source), python("denoise", pdalargs=options), las(whole)])
    assert "one by one" not in done.stderr
    done = run_pdal([str(source), cutter, python("denoise", pdalargs=options), {"type": "filters.merge"}, las(cut)])
    assert done.stderr.count("warning: views are filtered one by one") == 1
    first, second = sorted_points(whole), sorted_points(cut)
    assert np.array_equal(first.intensity, second.intensity)
    apart = np.abs(first.z - second.z)
    assert 0 < (apart > 0.001).mean() < 0.5


def test_two_readers_and_two_stages(crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal) -> None:
    one, two, out = crop(FILES[0]), crop(FILES[1]), tmp_path / "out.las"
    done = run_pdal([str(one), str(two), python("outlier"), python("denoise"), {"type": "writers.null"}])
    # They lie in other countries.
    assert "one by one" not in done.stderr
    assert done.stderr.count("deburr (filters.spd): 12,000 points") == 2
    assert done.stderr.count("deburr (filters.outlier): 12,000 points") == 2
    # Two stages that see the same view have not cut it.
    done = run_pdal([str(one), python("denoise"), python("denoise"), {"type": "writers.null"}])
    assert "one by one" not in done.stderr
    nothing = {"type": "filters.range", "limits": "Z[90000:]"}
    done = run_pdal([str(one), nothing, python("outlier"), python("denoise"), python("outlier_mask"), las(out)])
    assert "0 points" in done.stderr


def test_options_on_the_command_line_and_metadata(
    crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal
) -> None:
    stages = [str(crop(FILES[0])), python("denoise"), {"type": "writers.null"}]
    told = tmp_path / "told.json"
    done = run_pdal(stages, '--filters.python.pdalargs={"noise": 0.5}', f"--metadata={told}")
    assert "noise 0.5 ft (given)" in done.stderr
    figures = json.loads(told.read_text())["stages"]["filters.python"]["children"]
    assert (figures["noise"], figures["points"], figures["points_left_out"]) == (0.5, 11_850, 150)


def test_threads_and_what_is_loaded(
    crop: Callable[[str], Path], tmp_path: Path, run_pdal: RunPdal, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "look.py"
    script.write_text(
        "import sys, json\n"
        "def look(ins, outs):\n"
        "    import torch\n"
        "    from deburr.core.neighbors import threads\n"
        "    bad = [m for m in ('laspy', 'lazrs', 'pyproj', 'igl', 'click') if m in sys.modules]\n"
        "    print('LOOK', json.dumps([threads(), torch.get_num_threads(), bad]), file=sys.stderr)\n"
        "    return True\n"
    )
    look = {"type": "filters.python", "script": str(script), "module": "look", "function": "look"}
    monkeypatch.setenv("DEBURR_THREADS", "1")
    done = run_pdal([str(crop(FILES[0])), python("denoise"), python("outlier"), look, {"type": "writers.null"}])
    line = next(line for line in done.stderr.splitlines() if line.startswith("LOOK"))
    assert json.loads(line[5:]) == [1, torch_threads(), []]
    monkeypatch.setenv("DEBURR_THREADS", "many")
    done = run_pdal([str(crop(FILES[0])), python("denoise"), {"type": "writers.null"}], fails=True)
    assert "DEBURR_THREADS: must be a whole number" in done.stderr


def torch_threads() -> int:
    """What torch takes where nobody tells it."""
    return len(os.sched_getaffinity(0))
