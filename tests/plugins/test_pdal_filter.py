"""The script for PDAL in a stand-in for PDAL: the same results as `pipeline run`, and a sentence for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fake_pdal import Columns, FakePdal
from hypothesis import given, settings
from hypothesis import strategies as st

import deburr.plugins.pdal_filter
from deburr.core.errors import RunError, SpecError
from deburr.pipeline import run

SCRIPT = Path(deburr.plugins.pdal_filter.__file__)


def surface(n: int = 400, seed: int = 0) -> Columns:
    """A rough plane, a few points of it noise or withheld, and three far away."""
    draw = np.random.default_rng(seed)
    xyz = draw.uniform(0, np.sqrt(n), (n, 3))
    xyz[:, 2] = 0.1 * xyz[:, 0] + draw.normal(0, 0.05, n)
    xyz[:3, 2] += 40
    classes = np.full(n, 2, np.uint8)
    classes[5:15] = 7
    classes[n // 2 :] = 6
    xyz += (500_000, 5_400_000, 100)
    columns: Columns = {name: xyz[:, axis].copy() for axis, name in enumerate("XYZ")}
    return columns | {"Intensity": np.arange(n, dtype=np.uint16), "Classification": classes}


def expected(columns: Columns, stage: dict[str, Any], **dims: npt.NDArray[Any]) -> Any:
    """The cloud that `pipeline run` makes of the same points."""
    points = np.stack([columns[name] for name in "XYZ"], axis=1)
    there = {name: columns[name] for name in columns if name not in "XYZ"}
    return run([stage], points=points, dims={**there, **dims}).cloud


def host(function: str, **given: Any) -> FakePdal:
    return FakePdal(SCRIPT, function, **given)


def assert_moved(after: Columns, before: Columns, cloud: Any, *filled: str) -> None:
    for axis, name in enumerate("XYZ"):
        assert np.array_equal(after[name], cloud.xyz[:, axis]), name
    for name in before.keys() - {*"XYZ", *filled}:
        assert np.array_equal(after[name], before[name]), name


@pytest.mark.parametrize("options", [{}, {"noise": 0.05, "strength": 0.5}, {"where": "Classification == 6"}])
def test_denoise_is_pipeline_run(options: dict[str, Any]) -> None:
    before = surface()
    after = host("denoise", pdalargs=options).run(before)
    cloud = expected(before, {"type": "filters.spd", **options})
    assert cloud.moved.any()
    assert_moved(after, before, cloud)


def test_flags_of_formats_6_to_10() -> None:
    before = surface()
    held = np.zeros(400, np.uint8)
    held[20:60] = 1
    with_flags = before | {"ClassFlags": (held << 2) | 0x81}
    after = host("denoise", formats=(7,)).run(with_flags)
    cloud = expected(before, {"type": "filters.spd"}, Withheld=held)
    assert_moved(after, with_flags, cloud)
    assert not cloud.moved[20:60].any()


def test_flags_of_formats_0_to_5() -> None:
    before = surface()
    held = np.zeros(400, np.uint8)
    held[20:60] = 1
    with_flags = before | {"Classification": before["Classification"] | held << 7 | 1 << 5}
    cloud = expected(before, {"type": "filters.spd"}, Withheld=held)
    assert_moved(host("denoise", formats=(1, 3)).run(with_flags), with_flags, cloud)
    # Where nothing tells that they are flags they are classes.
    everything = expected(with_flags, {"type": "filters.spd"})
    assert everything.moved[20:60].any()
    assert_moved(host("denoise").run(with_flags), with_flags, everything)


def test_flags_of_late_pdal() -> None:
    held = np.zeros(400, np.uint8)
    held[20:60] = 1
    zero = np.zeros(400, np.uint8)
    before = surface() | {"Synthetic": zero, "KeyPoint": zero, "Withheld": held, "Overlap": zero}
    cloud = expected(before, {"type": "filters.spd"})
    assert_moved(host("denoise", formats=(1,)).run(before), before, cloud)
    assert not cloud.moved[20:60].any()


def test_merged_formats_are_told_of(capfd: pytest.CaptureFixture[str]) -> None:
    before = surface() | {"ClassFlags": np.zeros(400, np.uint8)}
    before["Classification"][0] = 0x87
    stage = host("outlier", formats=(1, 7))
    stage.run(before)
    stage.run(before)
    assert capfd.readouterr().err.count("warning: files of point formats 0-5 and 6-10 were merged") == 1


def test_views_without_coordinates() -> None:
    with pytest.raises(RunError, match=r"filters.python \(filters.outlier\): the points have no Y and no Z"):
        host("outlier_mask").run({"X": np.zeros(3)})


def test_options_as_text() -> None:
    before = surface()
    text = host("denoise", pdalargs=json.dumps({"noise": 0.04})).run(before)
    assert np.array_equal(text["Z"], host("denoise", pdalargs={"noise": 0.04}).run(before)["Z"])


def test_added_dimensions() -> None:
    options = {"dimensions": ["Uncertainty", "Displacement", "NoiseLevel"], "keep_original": True}
    new = {
        "Uncertainty": "f4",
        "Displacement": "f8",
        "NoiseLevel": "f4",
        "OriginalX": "f8",
        "OriginalY": "f8",
        "OriginalZ": "f8",
    }
    before = surface()
    roomy = before | {name: np.zeros(400, kind) for name, kind in new.items()}
    after = host("denoise", pdalargs=options).run(roomy)
    cloud = expected(before, {"type": "filters.spd", **options})
    assert_moved(after, roomy, cloud, *new)
    for name, kind in new.items():
        assert after[name].dtype == kind
        assert np.array_equal(after[name], cloud.dims[name], equal_nan=True), name
    # What a first denoising has kept, a second one keeps.
    again = host("denoise", pdalargs={"keep_original": True}).run(after)
    assert np.array_equal(again["OriginalZ"], before["Z"])
    assert not np.array_equal(again["Z"], after["Z"])


def test_dimensions_without_room() -> None:
    options = {"dimensions": ["Displacement"], "keep_original": True}
    before = surface(50) | {"OriginalX": np.zeros(50)}
    with pytest.raises(SpecError) as raised:
        host("denoise", pdalargs=options).run(before)
    assert '"add_dimension": ["Displacement=float", "OriginalY=double", "OriginalZ=double"]' in str(raised.value)


def test_dimensions_of_a_type_that_cannot_hold_them() -> None:
    before = surface(50) | {"Displacement": np.zeros(50, np.int32)}
    with pytest.raises(RunError, match=r"'Displacement' is of type int32 in PDAL.*Displacement=float"):
        host("denoise", pdalargs={"dimensions": ["Displacement"]}).run(before)


def test_denoise_classifies_outliers() -> None:
    before = surface(900)
    before["Classification"] = np.full(900, 2, np.uint8)
    before["Z"] = before["Z"].copy()
    before["Z"][:20] += 40
    options = {"outliers": "classify"}
    after = host("denoise", pdalargs=options).run(before)
    cloud = expected(before, {"type": "filters.spd", **options})
    assert (after["Classification"] == cloud.dims["Classification"]).all()
    assert (after["Classification"][:20] == 7).sum() > 15
    assert (after["X"] == cloud.xyz[:, 0]).all()
    assert (after["Z"][after["Classification"] == 7] == before["Z"][after["Classification"] == 7]).all()


def test_outliers_keep_their_flags() -> None:
    before = surface()
    before["Classification"] |= np.uint8(0x40)
    after = host("outlier", pdalargs={"class": 18}, formats=(1,)).run(before)
    cloud = expected(before, {"type": "filters.outlier", "class": 18})
    found = np.asarray(cloud.dims["Classification"]) == 18
    assert found[:3].all()
    assert np.array_equal(after["Classification"], np.where(found, 0x40 | 18, before["Classification"]))


@pytest.mark.parametrize("layout", ["own", "packed", "within"])
def test_outliers_withheld(layout: str) -> None:
    before = surface()
    home = {"own": ("Withheld", 1), "packed": ("ClassFlags", 4), "within": ("Classification", 0x80)}[layout]
    if layout != "within":
        before[home[0]] = np.zeros(400, np.uint8)
    after = host("outlier", pdalargs={"action": "withhold"}, formats=(1,) if layout == "within" else ()).run(before)
    found = np.asarray(expected(before, {"type": "filters.outlier", "action": "withhold"}).dims["Withheld"]) == 1
    assert found[:3].all()
    assert np.array_equal(after[home[0]], before[home[0]] | found * np.uint8(home[1]))


def test_outliers_withheld_without_room() -> None:
    with pytest.raises(SpecError, match=r'no dimension Withheld to fill; add "add_dimension": \["Withheld=uint8"\]'):
        host("outlier", pdalargs={"action": "withhold"}).run(surface())


def test_mask_removes_outliers() -> None:
    before = surface()
    after = host("outlier_mask", pdalargs={"mean_k": 6}).run(before)
    cloud = expected(before, {"type": "filters.outlier", "mean_k": 6, "action": "remove"})
    assert 0 < len(cloud) < 400
    assert np.array_equal(after["Intensity"], before["Intensity"][cloud.rows])


@pytest.mark.parametrize(
    ("function", "options", "sentence"),
    [
        (
            "denoise",
            {"stepsize": 1},
            "filters.python (filters.spd): unknown option 'stepsize'; did you mean 'step_size'?",
        ),
        ("denoise", {"step_size": 1}, "option 'step_size' has no effect on model 'deburr'; remove it"),
        ("denoise", {"where": "Classification = 2"}, "write '=='"),
        ("denoise", {"where": "Clasification == 2"}, "did you mean 'Classification'?"),
        ("denoise", "{", "'pdalargs' is no JSON"),
        ("denoise", [1], "'pdalargs' is a list; write an object of options"),
        ("outlier", {"action": "remove"}, "use function 'outlier_mask'"),
        ("denoise", {"outliers": "remove"}, "'denoise' cannot remove points ('outliers' is 'remove'); use 'classify'"),
        ("outlier_mask", {"action": "classify"}, "cannot do 'classify'; remove the option 'action'"),
        ("outlier", {"meank": 3}, "filters.python (filters.outlier): unknown option 'meank'; did you mean 'mean_k'?"),
        ("outlier", {"class": 64}, "class 64 does not exist in point formats 0-5"),
    ],
)
def test_mistakes(function: str, options: Any, sentence: str) -> None:
    with pytest.raises((SpecError, RunError)) as raised:
        host(function, pdalargs=options, formats=(3,)).run(surface(100))
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(SpecError, match=r"\(1\) .*strength.*; \(2\) unknown option 'nois'; did you mean 'noise'\?"):
        host("denoise", pdalargs={"nois": 1, "strength": 2}).run(surface(50))


@pytest.mark.parametrize("function", ["denoise", "outlier", "outlier_mask"])
@pytest.mark.parametrize("n", [0, 1, 2, 31])
def test_small_views(function: str, n: int) -> None:
    before = {name: column[40 : 40 + n] for name, column in surface().items()}
    after = host(function).run(before)
    assert {name: column.dtype for name, column in after.items()} == {k: c.dtype for k, c in before.items()}
    if n < 31 or function == "outlier":
        assert np.array_equal(after["X"], before["X"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(33, 120), st.integers(0, 30))
def test_any_small_cloud(seed: int, n: int, twice: int) -> None:
    before = surface(n, seed)
    # The same place more than once.
    before |= {name: np.concatenate((before[name], before[name][:twice])) for name in before}
    assert_moved(host("denoise").run(before), before, expected(before, {"type": "filters.spd"}))


def test_several_views_of_one_stage(capfd: pytest.CaptureFixture[str]) -> None:
    before = surface(900)
    left = before["X"] < 500_015
    stage = host("denoise", pdalargs={"noise": 0.05})
    parts = [{name: column[rows] for name, column in before.items()} for rows in (left, ~left, left)]
    for part in parts:
        assert_moved(stage.run(part), part, expected(part, {"type": "filters.spd", "noise": 0.05}))
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("warning: views are filtered one by one") == 1
    assert "put filters.python before the splitter or chipper" in said.err
    assert said.err.count(" points, noise 5 cm (given)") == 0  # nothing tells that the unit is metres
    assert said.err.count(" points, noise 0.05 units (given), moved by ") == 3


def test_what_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    wkt = 'GEOGCS["WGS 84",UNIT["degree",0.0174532925199433]]'
    host("denoise", wkt=wkt).run(surface())
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("deburr (filters.spd): warning: x and y are in degrees")
    assert lines[-1].startswith("deburr (filters.spd): 400 points, noise 0.")
    host("outlier", pdalargs={"method": "radius", "radius": 0.001}).run(surface())
    assert "deburr (filters.outlier): warning: all 400 points would be outliers" in capfd.readouterr().err


def test_metadata_for_pdal() -> None:
    stage = host("denoise", pdalargs={"noise": 9.0})
    stage.run(surface())
    assert stage.metadata["name"] == "deburr"
    told = {child["name"]: (child["value"], child["type"]) for child in stage.metadata["children"]}
    assert told["points"] == ("390", "integer")
    assert told["noise"] == ("9.0", "double")
    assert "more than the network knows" in told["warning"][0]


def test_no_stdout_and_no_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        """What PDAL puts in the place of stdout."""

        def write(self, text: str) -> None:
            raise AssertionError(text)

    monkeypatch.setattr(sys, "stdout", Stream())
    host("denoise").run(surface(100))
    monkeypatch.setattr(sys, "stderr", None)
    host("denoise").run(surface(100))


def test_names_of_packages_are_refused() -> None:
    with pytest.raises(ImportError, match="option 'module' is 'deburr', the name of a package"):
        host("denoise", module="deburr")
    with pytest.raises(ImportError, match="option 'module' is 'json'"):
        exec(compile(SCRIPT.read_text(), "json", "exec"), {"__name__": "json", "__path__": []})


def test_a_python_without_deburr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deburr.plugins.pdal.inside", None)
    with pytest.raises(ImportError) as raised:
        exec(compile(SCRIPT.read_text(), "script", "exec"), {"__name__": "deburr_filter"})
    for part in ("pip install deburr", "pipeline pdal-doctor", sys.prefix, sys.version.split()[0]):
        assert part in str(raised.value)


def test_what_crashes_pdal_is_not_imported() -> None:
    script = f"""
import sys, runpy, numpy as np
names = runpy.run_path({str(SCRIPT)!r}, run_name="deburr_filter")
draw = np.random.default_rng(0)
ins = {{name: draw.uniform(0, 9, 200) for name in "XYZ"}} | {{"Classification": np.zeros(200, np.uint8)}}
for function in ("denoise", "outlier", "outlier_mask"):
    assert names[function](ins, {{}}) is True
print([name for name in ("laspy", "lazrs", "pyproj", "igl", "matplotlib", "click", "pdal") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
