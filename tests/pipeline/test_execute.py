"""Plans that run: numpy in, numpy out; reports; what stops a run, and where it says so."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import DeburrWarning, ReadError, RunError, SpecError, WriteError
from deburr.core.progress import listening
from deburr.core.stage import Filter
from deburr.pipeline import load, run
from deburr.pipeline.execute import execute
from deburr.pipeline.plan import Plan, Step
from deburr.show.words import lines

NOISE = {"type": "filters.noise", "sigma": 0.1}


class Hook(Filter):
    """Calls ``act`` with the cloud."""

    type_name: ClassVar[str] = "filters.hook"
    act: Any = Field(None, exclude=True)

    def run(self, cloud: PointCloud) -> PointCloud:
        result = self.act(cloud)
        return result if isinstance(result, PointCloud) else cloud


def _hooked(act: Callable[[PointCloud], object]) -> Plan:
    return Plan("a.json", (Step("a.json: stage 2 (filters.hook)", Hook(act=act)),))


def test_numpy_in_numpy_out(hill: Floats) -> None:
    before = hill.copy()
    result = run([NOISE], points=hill, dims={"Intensity": np.arange(600)})
    assert np.array_equal(hill, before)
    assert result.xyz.shape == (600, 3)
    assert 0.08 < np.std(result.xyz - hill) < 0.12
    assert np.array_equal(result.cloud.dims["Intensity"], np.arange(600))
    assert result.cloud.moved.all()


def test_later_changes_of_the_callers_array_change_nothing(hill: Floats) -> None:
    result = run(["filters.outlier"], points=hill)
    copy = result.xyz.copy()
    hill += 1
    assert np.array_equal(result.xyz, copy)


@pytest.mark.parametrize("bad", [[[1, 2]], [[1, 2, float("nan")]], [["a", "b", "c"]], np.inf * np.ones((3, 3)), 5])
def test_points_that_are_none(bad: Any) -> None:
    with pytest.raises(ReadError, match=r"^points: "):
        run(["filters.outlier"], points=bad)


def test_dims_of_another_length(hill: Floats) -> None:
    with pytest.raises(ReadError, match="'Intensity' has 3 values for 600 points"):
        run(["filters.outlier"], points=hill, dims={"Intensity": [1, 2, 3]})


def test_points_and_a_reader_contradict(hill: Floats) -> None:
    with pytest.raises(SpecError, match="points are given by the caller; remove the reader"):
        run(["a.ply", "filters.outlier"], points=hill)


def test_report_has_every_stage(hill: Floats, save: Callable[..., Path], tmp_path: Path) -> None:
    source = save("in.ply", hill)
    report = run([str(source), NOISE, str(tmp_path / "out.las")], overrides={"filters.noise.seed": 5}).report
    assert [stage["type"] for stage in report["stages"]] == ["readers.ply", "filters.noise", "writers.las"]
    assert [(stage["points_in"], stage["points_out"]) for stage in report["stages"]] == [
        (None, 600),
        (600, 600),
        (600, 600),
    ]
    assert report["stages"][1]["figures"]["sigma"] == 0.1
    assert report["spec"][1] == {"type": "filters.noise", "sigma": 0.1, "seed": 5}
    assert report["input"]["bytes"] == source.stat().st_size
    assert len(report["input"]["sha256"]) == 64
    assert report["outputs"] == [str(tmp_path / "out.las")]
    assert report["seconds"] >= max(stage["seconds"] for stage in report["stages"]) >= 0
    assert report["peak_memory_mb"] > 1
    assert {"python", "deburr", "numpy"} <= set(report["versions"])
    # The spec of a report is a spec, and runs the same.
    assert load(report["spec"]).as_json() == report["spec"]


def test_warnings_of_history_and_log_reach_the_report(hill: Floats) -> None:
    def act(cloud: PointCloud) -> PointCloud:
        logging.getLogger("deburr.any").warning("logged %d", 1)
        logging.getLogger("deburr.any").info("not this")
        return cloud.note("filters.hook", {"value": np.float32("nan"), "list": np.arange(2)}, "noted")

    (stage,) = execute(_hooked(act), PointCloud(hill)).report["stages"]
    assert stage["warnings"] == ["noted", "logged 1"]
    assert stage["figures"] == {"value": None, "list": [0, 1]}


def _raise(error: BaseException) -> Callable[[PointCloud], None]:
    def act(_: PointCloud) -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ReadError("x.ply: broken; mend it"), ReadError, "x.ply: broken; mend it"),
        (WriteError("x"), WriteError, "x"),
        (MemoryError(), RunError, "not enough memory for 600 points; "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), RunError, "not enough memory"),
        (OSError(28, "No space left on device", "/tmp/x"), RunError, "/tmp/x: No space left on device"),
        (SpecError("late"), SpecError, "late"),
    ],
)
def test_errors_say_which_stage(hill: Floats, error: Exception, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        execute(_hooked(_raise(error)), PointCloud(hill))
    assert str(caught.value).startswith(f"a.json: stage 2 (filters.hook): {said}")


def test_mistakes_in_code_are_not_dressed_up(hill: Floats) -> None:
    with pytest.raises(ZeroDivisionError):
        execute(_hooked(lambda _: 1 / 0), PointCloud(hill))


def test_a_missing_dimension_is_named(hill: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hook, "needs", frozenset({"GpsTime"}))
    with pytest.raises(RunError, match="needs the dimension 'GpsTime'"):
        execute(_hooked(lambda cloud: cloud), PointCloud(hill))


def test_outputs_are_checked_before_anything_is_read(save: Callable[..., Path], tmp_path: Path, hill: Floats) -> None:
    save("in.ply", hill)
    heard: list[str] = []
    with listening(lambda label, *_: heard.append(label)), pytest.raises(WriteError, match="does not exist; create it"):
        run([str(tmp_path / "in.ply"), "filters.outlier", str(tmp_path / "no" / "out.ply")])
    assert heard == []


def test_progress_names_stages(hill: Floats) -> None:
    heard: list[str] = []
    with listening(lambda label, *_: heard.append(label)):
        run([NOISE, "filters.outlier"], points=hill)
    assert "1/2 filters.noise" in heard
    assert "2/2 filters.outlier" in heard


def test_the_report_folder_of_a_failed_run_goes_again(hill: Floats, tmp_path: Path) -> None:
    with pytest.raises(WriteError):
        execute(_hooked(_raise(WriteError("x"))), PointCloud(hill), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    for bad in ("file", "file/below"):
        with pytest.raises(WriteError, match="the report's folder cannot be made"):
            execute(_hooked(lambda cloud: cloud), PointCloud(hill), tmp_path / bad)


def test_files_that_filters_read_are_looked_for_before_the_long_work(save: Callable[..., Path], hill: Floats) -> None:
    save("in.las", hill)
    read: list[str] = []
    with (
        listening(lambda what, *_: read.append(what)),
        pytest.raises(ReadError, match=r"stage 2 \(filters.metrics\): no.las: does not exist; .* 'reference'"),
    ):
        run(["in.las", {"type": "filters.metrics", "reference": "no.las"}])
    assert read == []


def test_points_straight_into_a_file(hill: Floats, tmp_path: Path) -> None:
    path = str(tmp_path / "out.ply")
    assert np.array_equal(run([path], points=hill).xyz, hill)
    assert np.array_equal(run([path]).xyz, hill)


@pytest.mark.parametrize("overrides", ["filters.noise.seed=1", ["filters.noise.seed=1"]])
def test_overrides_that_are_no_mapping(hill: Floats, overrides: Any) -> None:
    with pytest.raises(SpecError, match="overrides: must be a mapping"):
        run([NOISE], points=hill, overrides=overrides)


def test_dims_that_are_no_mapping_and_a_list_that_holds_itself(hill: Floats) -> None:
    with pytest.raises(ReadError, match="dims: is a list; give a mapping"):
        run([NOISE], points=hill, dims=[1, 2])  # type: ignore[arg-type]
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(SpecError, match="stage 1: must be an object, a file name or a stage type, not a list"):
        load(endless)


def test_it_says_how_far_points_moved(hill: Floats) -> None:
    shift = np.zeros((600, 3))
    shift[:100, 2] = np.linspace(0.01, 1.0, 100)

    def act(cloud: PointCloud) -> PointCloud:
        return cloud.with_xyz(cloud.xyz + shift).note("filters.hook", {"max_displacement": 3.0})

    (stage,) = execute(_hooked(act), PointCloud(hill)).report["stages"]
    told = stage["moved"]
    assert told["points"] == 100
    # Of 0.01, 0.02, ... 1.00, as numpy.quantile has it: halfway from the 50th to the 51st, 0.05 from the 95th.
    np.testing.assert_allclose([told["median"], told["p95"], told["max"]], [0.505, 0.9505, 1.0], atol=1e-8)
    said = dict(lines(stage, "m"))
    # What a stage does not report is told as it stands.
    assert said == {"max displacement": "3", "moved": "median 50.5 cm, 95 % below 95.1 cm, at most 1 m"}
    (still,) = execute(_hooked(lambda cloud: cloud), PointCloud(hill)).report["stages"]
    assert still["moved"] is None


def test_the_report_has_every_option_and_every_checksum(
    hill: Floats, save: Callable[..., Path], tmp_path: Path
) -> None:
    source, truth, out = save("in.ply", hill), save("truth.ply", hill), tmp_path / "out.las"
    metrics = {"type": "filters.metrics", "reference": str(truth)}
    report = run([str(source), {"type": "filters.spd", "noise": 0.05}, metrics, str(out)]).report
    options = report["stages"][1]["options"]
    assert (options["noise"], options["strength"], options["weights"]) == (0.05, 1.0, None)
    assert options.keys() == type(load(["a.las", "filters.spd"]).stages[1]).model_fields.keys() - {"tag", "user_data"}
    from deburr.nn.deburr import BUNDLED

    files = {"input": source, "weights": BUNDLED, "reference": truth, "output": out}
    assert [(one["role"], one["path"]) for one in report["files"]] == [(k, str(v)) for k, v in files.items()]
    for one in report["files"]:
        assert one["sha256"] == hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest()


def test_what_stages_warn_of_reaches_python(hill: Floats) -> None:
    with pytest.warns(DeburrWarning, match=r"^stage 1 \(filters\.spd\): 3 different points are too few") as caught:
        run(["filters.spd"], points=hill[:3])
    assert [one.filename for one in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(["filters.outlier"], points=hill)


@pytest.mark.parametrize(("step", "warned"), [(0.1, True), (0.001, False)])
def test_steps_coarser_than_the_noise_are_warned_of(hill: Floats, tmp_path: Path, step: float, warned: bool) -> None:
    writer = {"type": "writers.las", "filename": str(tmp_path / "o.las"), "scale_x": 0.001, "scale_y": 0.001}
    report = execute(load([{"type": "filters.spd", "noise": 0.05}, {**writer, "scale_z": step}], reads=False),
                     PointCloud(hill)).report  # fmt: skip
    said = [warning for warning in report["stages"][-1]["warnings"] if "coarser" in warning]
    assert len(said) == warned
    if warned:
        assert said[0].endswith("give the writer a finer 'scale_z'")
        assert "rounded to 0.1, which is coarser than the noise of 0.05" in said[0]


def test_of_coarse_steps_each_writer_names_its_own_option(hill: Floats, tmp_path: Path) -> None:
    rows = "\n".join(" ".join(f"{value:.1f}" for value in point) for point in hill.tolist())
    (tmp_path / "in.xyz").write_text(rows + "\n")
    report = run([str(tmp_path / "in.xyz"), {"type": "filters.spd", "noise": 0.05}, str(tmp_path / "out.xyz")]).report
    said = [warning for warning in report["stages"][-1]["warnings"] if "coarser" in warning]
    assert [one.rpartition("; ")[2] for one in said] == ["give the writer a finer 'precision'"]
