"""Where the denoiser is put into PDAL pipelines, and why."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.core.errors import SpecError
from deburr.pipeline import load
from deburr.pipeline.spec import Entry
from deburr.plugins.pdal import preset
from deburr.plugins.pdal.convert import convert
from deburr.plugins.pdal.convert.roles import _kept

SPD = {"type": "filters.spd"}


def f(name: str, **options: Any) -> dict[str, Any]:
    return {"type": f"filters.{name}", **options}


RESET = f("assign", assignment="Classification[:]=0")
UTM = f("reprojection", in_srs="EPSG:4326", out_srs="EPSG:32632")
SMRF, OUTLIER, GDAL = (
    f("smrf", ignore="Classification[7:7]"),
    f("outlier"),
    {"type": "writers.gdal", "filename": "a.tif"},
)
GROUND = f("range", limits="Classification[2:2]")
QUIET = f("range", limits="Classification![7:7]")

#: A pipeline, how many of its stages stand before the denoiser, and words of the reason.
LINEAR: dict[str, tuple[list[Any], int, str]] = {
    "translation": (["a.las", "b.laz"], 1, "after the points are read, before the points are written"),
    "ground": (
        ["a.laz", RESET, f("elm"), OUTLIER, SMRF, GROUND, "b.laz"],
        4,
        "between stage 4 (filters.outlier) and stage 5 (filters.smrf): after noise is classified, before the ground is",
    ),
    "ground without noise": (["a.laz", RESET, SMRF, "b.laz"], 1, "before classes are wiped"),
    "ground, noise dropped later": (["a.laz", RESET, SMRF, QUIET, "b.laz"], 1, "before classes are wiped"),
    "noise dropped by range": (
        ["a.laz", OUTLIER, QUIET, f("pmf"), "b.laz"],
        3,
        "and noise is removed, before the ground",
    ),
    "noise dropped by expression": (
        ["a.laz", OUTLIER, f("expression", expression="Classification != 7 && Z < 99 && Red > 4.5"), f("csf"), "b"],
        3,
        "noise is removed, before the ground",
    ),
    "noise dropped by a negated expression": (
        ["a.laz", f("expression", expression="!(Classification == 7)"), f("csf"), "b.laz"],
        2,
        "after noise is removed, before the ground",
    ),
    "classes picked by a longer expression": (
        ["a.laz", f("expression", expression="(Classification == 2 || Classification == 6) && Red < 2"), "b.laz"],
        1,
        "before classes are picked out",
    ),
    "points picked by another dimension": (
        ["a.laz", f("expression", expression="ReturnNumber == NumberOfReturns && Z > 3"), f("pmf"), "b.laz"],
        2,
        "after the points are read, before the ground",
    ),
    "noise by our own filter": (
        ["a.laz", f("python", script="/x/pdal_filter.py", function="outlier", module="m"), f("pmf"), "b.laz"],
        2,
        "after noise is classified",
    ),
    "noise by assignment": (
        ["a.laz", f("assign", value=["Classification = 18 WHERE Z > 900"]), f("hag_nn"), "b.laz"],
        2,
        "after noise is classified, before heights",
    ),
    "noise by lof": (
        ["a.laz", f("lof"), f("range", limits="LocalOutlierFactor[:1.2]"), f("normal"), "b.ply"],
        3,
        "after noise is told by what was measured, before features",
    ),
    "lof kept": (["a.laz", f("lof"), "b.laz"], 1, "before features"),
    "classes picked": (["a.laz", GROUND, GDAL], 1, "before classes are picked out"),
    "part of the classes": (
        ["a.laz", f("range", limits="Classification[0:6], Z[0:]"), SMRF, "b.laz"],
        2,
        "noise is removed",
    ),
    "degrees in": (
        ["a.laz", UTM, OUTLIER, SMRF, "b.laz"],
        3,
        "projected from degrees to lengths and noise is classified",
    ),
    "degrees out": (
        ["a.laz", f("crop", bounds="([0,1],[0,1])"), f("reprojection", out_srs="EPSG:4326+3855"), "b.laz"],
        2,
        "after the points are read, before x and y become degrees",
    ),
    "merged": (["a.laz", "b.laz", f("merge"), OUTLIER, f("hag_delaunay"), "c.laz"], 4, "files are merged and noise is"),
    "raster": (["a.laz", OUTLIER, GDAL], 2, "before a surface or raster is made"),
    "thinned": (["a.laz", f("crop", point="POINT(0 0)", distance=5), f("sample", radius=1), "b.laz"], 2, "thinned out"),
    "thinned by another name": (["a.laz", f("gridDecimation", resolution=1), "b.laz"], 1, "thinned out"),
    "split": (
        ["a.laz", f("splitter", length=100), {"type": "writers.las", "filename": "o_#.laz"}],
        1,
        "lack what lay around",
    ),
    "chipped": (["a.laz", OUTLIER, f("chipper", capacity=500), "o_#.laz"], 2, "cut into pieces"),
    "colours": (["a.laz", f("colorization", raster="a.tif"), "b.laz"], 1, "colours from their places"),
    "features": (
        ["a.laz", f("covariancefeatures"), {"type": "writers.las", "extra_dims": "all", "filename": "b"}],
        1,
        "features",
    ),
    "unknown": (["a.laz", f("ours", x=1), OUTLIER, f("theirs"), SMRF, "b.laz"], 3, "before the ground is found"),
    "unknown alone": (["a.laz", f("ours", x=1), "b.laz"], 1, "what follows may need clean points"),
    "too late": (["a.laz", SMRF, OUTLIER, "b.laz"], 1, "before the ground is found"),
    "counted": (["a.laz", f("stats"), f("hexbin"), OUTLIER, f("info"), SMRF, "b.laz"], 4, "after noise is classified"),
    "counted last": (["a.laz", OUTLIER, f("stats"), SMRF, "b.laz"], 2, "before places are counted"),
    "culled by Z": (["a.laz", f("mad", dimension="Z"), f("pmf"), "b.laz"], 2, "after outliers are removed, before"),
    "culled by height": (["a.laz", f("hag_nn"), f("iqr", dimension="HeightAboveGround"), "b.laz"], 1, "before heights"),
    "copy": (
        ["a.laz", {"type": "writers.las", "filename": "raw.laz"}, OUTLIER, SMRF, "b.laz"],
        3,
        "noise is classified",
    ),
    "two outputs": (["a.laz", OUTLIER, {"type": "writers.las", "filename": "b.las"}, "c.laz"], 2, "points are written"),
    "no reader": ([SMRF], 0, "before stage 1 (filters.smrf): before the ground is found"),
    "no writer": (
        [{"type": "readers.las", "filename": "a.las"}, OUTLIER],
        2,
        "after stage 2 (filters.outlier): after noise",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_where_and_why(name: str) -> None:
    stages, place, why = LINEAR[name]
    before = deepcopy(stages)
    found = convert.convert(stages, {}, "deburr")
    assert found.value == [*before[:place], SPD, *before[place:]], found.reasons
    assert stages == before
    assert why in found.reasons[0]
    assert found.changed


def test_noise_that_is_told_too_late_is_said() -> None:
    reasons = convert.convert(LINEAR["too late"][0], {}).reasons
    assert len(reasons) == 2
    assert reasons[1].startswith("stage 3 (filters.outlier) tells noise from surface too late")
    assert reasons[1].endswith("move that stage before stage 2 (filters.smrf)")
    assert len(convert.convert(LINEAR["ground"][0], {}).reasons) == 1


@pytest.mark.parametrize(
    "behind",
    [[QUIET], [f("range", limits="Classification[0:6]")], [f("iqr", dimension="HeightAboveGround")], [OUTLIER]],
)
def test_noise_that_was_told_in_time_may_be_removed_later(behind: list[Any]) -> None:
    found = convert.convert(["a.las", f("elm"), SMRF, f("hag_nn"), *behind, "b.las"], {}, "deburr")
    assert found.value[2] == SPD
    assert len(found.reasons) == 1


def test_an_output_before_the_denoiser_is_said() -> None:
    reasons = convert.convert(LINEAR["copy"][0], {}).reasons
    assert reasons[1:] == ("stage 2 (writers.las) writes the points as they were",)


def test_the_stage_for_pdal_has_all_it_needs() -> None:
    found = convert.convert(["a.las", "b.las"], {"noise": "0.03", "keep_original": True})
    stage = found.value[1]
    assert stage == {
        "type": "filters.python",
        "script": str(preset.script()),
        "module": "deburr_pdal",
        "function": "denoise",
        "pdalargs": {"noise": 0.03, "keep_original": True},
        "add_dimension": "OriginalX=double,OriginalY=double,OriginalZ=double",
    }
    assert '"extra_dims": "OriginalX=double,' in found.reasons[1]


def test_the_stage_for_deburr_is_one_that_deburr_takes() -> None:
    found = convert.convert(["a.las", "b.las"], {"noise": 0.03, "dimensions": ["Displacement"]}, "deburr")
    assert load(found.value).as_json()[1] == {"type": "filters.spd", "noise": 0.03, "dimensions": ["Displacement"]}
    assert "Displacement=float" in found.reasons[1]


def test_an_object_keeps_its_other_keys_and_a_file_its_text(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    value = {
        "comment": "Größe",
        "pipeline": ["a.las", {"type": "filters.smrf", "slope": 0.15, "user_data": {"x": [1]}}, "b"],
    }
    path.write_text(json.dumps(value))
    found = convert.convert(path, {}, "deburr")
    value["pipeline"].insert(1, SPD)  # type: ignore[attr-defined]  # a list, above
    assert found.value == value
    assert json.loads(convert.as_text(found.value)) == value
    assert "Größe" in convert.as_text(found.value)


@pytest.mark.parametrize(
    "stage",
    [SPD, "filters.spd", f("python", script="C:\\x\\pdal_filter.py", function="denoise", module="m")],
)
def test_a_denoiser_that_is_there_is_enough(stage: Any) -> None:
    stages = ["a.las", SMRF, stage, "b.las"]
    found = convert.convert(stages, {})
    assert (found.value, found.changed) == (stages, False)
    assert "stage 3 (filters." in found.reasons[0]
    assert "is the denoiser already" in found.reasons[0]


def test_a_denoiser_in_an_option_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "o.json").write_text(preset.as_option_file(preset.options("denoise", {})))
    (tmp_path / "q.json").write_text(preset.as_option_file(preset.options("outlier", {})))
    (tmp_path / "t.txt").write_text("--function=denoise --script=pdal_filter.py")
    for file, changed in (("o.json", False), ("q.json", True), ("absent.json", True), ("t.txt", True)):
        (tmp_path / "p.json").write_text(json.dumps(["a.las", f("python", option_file=file), "b.las"]))
        assert convert.convert(tmp_path / "p.json", {}).changed == changed, file


def test_another_script_is_no_denoiser() -> None:
    assert convert.convert(["a.las", f("python", script="pdal_filter.py", function="outlier"), "b.las"], {}).changed


# Branches, tags, several files


def _tagged(stage: Any, tag: str, *inputs: str) -> dict[str, Any]:
    given = {"type": "readers.las", "filename": stage} if isinstance(stage, str) else stage
    return {**given, "tag": tag, **({"inputs": list(inputs)} if inputs else {})}


def test_those_who_named_the_stage_before_name_the_denoiser() -> None:
    a, b = {"type": "writers.las", "filename": "b.las"}, {"type": "writers.las", "filename": "c.las"}
    stages = ["a.las", _tagged(OUTLIER, "o"), _tagged(SMRF, "s", "o"), a, {**f("hag_nn"), "inputs": "o"}, b]
    found = convert.convert(stages, {"noise": 0.1}, "deburr").value
    assert found[2] == {"type": "filters.spd", "tag": "denoised", "noise": 0.1}
    assert found[3]["inputs"] == "denoised"
    assert found[5]["inputs"] == "denoised"
    assert [found[i] for i in (0, 1, 4, 6)] == [stages[i] for i in (0, 1, 3, 5)]


def test_merged_files_are_denoised_together() -> None:
    stages = [_tagged("a.las", "a"), _tagged("b.las", "b"), {**f("merge"), "inputs": ["a", "b"]}, SMRF, "c.las"]
    found = convert.convert(stages, {}, "deburr")
    assert found.value == [*stages[:3], SPD, *stages[3:]]
    assert (
        found.reasons[1] == "'pipeline run' takes pipelines without branches and with one reader; let PDAL run this one"
    )
    assert len(convert.convert(stages, {}, "pdal").reasons) == 1


def test_files_that_are_not_merged_are_said() -> None:
    stages = ["a.las", {"type": "readers.las", "filename": "b.las"}, SMRF, "c.las"]
    found = convert.convert(stages, {})
    assert [s["type"] for s in found.value[2:4]] == ["filters.python", "filters.smrf"]
    assert found.reasons[1].startswith("each file is denoised without its neighbours")


def test_files_projected_one_by_one_then_merged() -> None:
    stages = [
        _tagged("a.las", "a"),
        _tagged(UTM, "u", "a"),
        _tagged("b.las", "b"),
        _tagged(f("merge"), "m", "u", "b"),
        {**SMRF, "inputs": "m"},
        "c.las",
    ]
    found = convert.convert(stages, {}, "deburr").value
    assert found[4] == {"type": "filters.spd", "tag": "denoised"}
    assert found[5]["inputs"] == "denoised"


def test_sources_that_are_not_at_hand_are_named() -> None:
    # Nothing merges the two before the ground filter: the denoiser takes both, by name.
    stages = [
        _tagged("a.las", "a"),
        _tagged("b.las", "b"),
        _tagged(f("sort"), "s", "b"),
        {**SMRF, "inputs": ["a", "s"]},
    ]
    found = convert.convert(stages, {}, "deburr").value
    assert found[3] == {"type": "filters.spd", "tag": "denoised", "inputs": ["a", "s"]}
    assert found[4]["inputs"] == "denoised"


def test_a_tag_that_is_taken_is_not_taken_again() -> None:
    stages = [_tagged("a.las", "denoised"), {**SMRF, "inputs": "denoised"}, "b.las"]
    found = convert.convert(stages, {}, "deburr").value
    assert found[1]["tag"] == "denoised2"
    assert found[2]["inputs"] == "denoised2"


def test_branches_are_denoised_before_they_part() -> None:
    stages = [
        _tagged("a.las", "a"),
        {**f("range", limits="Z[0:10]"), "inputs": "a"},
        {"type": "writers.las", "filename": "low.las"},
        {**f("range", limits="Z[10:]"), "inputs": "a"},
        {"type": "writers.las", "filename": "high.las"},
    ]
    found = convert.convert(stages, {}, "deburr").value
    assert [s.get("type") for s in found[:2]] == ["readers.las", "filters.spd"]
    assert found[2]["inputs"] == found[4]["inputs"] == "denoised"


def test_branches_that_never_meet_are_refused() -> None:
    write = {"type": "writers.las", "filename": "x.las"}
    stages = [
        _tagged("a.las", "a"),
        {**SMRF, "inputs": "a"},
        write,
        _tagged("b.las", "b"),
        {**SMRF, "inputs": "b"},
        write,
    ]
    with pytest.raises(SpecError, match=r"there is no place where all points pass.*by hand"):
        convert.convert(stages, {})
    with pytest.raises(SpecError, match=r"stage 2: 'inputs' names 'aa', which no stage before has.*did you mean 'a'"):
        convert.convert([stages[0], {**SMRF, "inputs": "aa"}], {})


def test_degrees_that_are_never_projected_are_said() -> None:
    reader = {"type": "readers.las", "filename": "a.las", "override_srs": 'GEOGCS["WGS 84"]'}
    assert "x and y are in degrees there" in convert.convert([reader, SMRF, "b.las"], {}).reasons[1]
    assert len(convert.convert([{**reader, "override_srs": "EPSG:28992"}, SMRF, "b.las"], {}).reasons) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a.las", # comment\n"b.las"]', "line 1, column 11: a comment begins with // here, not with #"),
        ('["a.las",]', "comma before the closing bracket"),
        ('{"pipelin": []}', "has no key 'pipeline'|must be"),
        ("[]", "has no stages"),
        ('["a.las", 3]', "stage 2: must be an object"),
        ("[" * 100, "nested deeper than"),
    ],
)
def test_what_is_no_pipeline_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        convert.convert(path, {})
    assert str(caught.value).startswith(str(path))


_STAGES = st.sampled_from(
    [
        SMRF,
        OUTLIER,
        RESET,
        GROUND,
        QUIET,
        UTM,
        GDAL,
        f("merge"),
        f("x"),
        f("lof"),
        f("splitter"),
        {"type": "writers.las"},
    ]
)


@given(st.lists(_STAGES, max_size=8))
def test_whatever_the_chain_one_stage_is_added_and_nothing_lost(middle: list[Any]) -> None:
    stages = ["a.las", *middle, "z.las"]
    found = convert.convert(stages, {}, "deburr").value
    places = [i for i, stage in enumerate(found) if stage == SPD]
    assert len(places) == 1
    assert found[: places[0]] + found[places[0] + 1 :] == stages
    before = [stage.get("type") for stage in found[1 : places[0]]]
    assert not {"filters.smrf", "writers.gdal", "filters.splitter"} & set(before)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "Classification" * 7000,
        "Classification[" * 7000,
        "Classification[" + " " * 100_000,
        "a[1" * 30_000,
    ],
)
def test_long_limits_that_say_nothing_let_all_pass(text: str) -> None:
    assert _kept("filters.range", Entry("stage 1", "filters.range", {"limits": text})) == set(range(19))
    dropping = Entry("stage 1", "filters.range", {"limits": text + " ,Classification![7:7],Classification![18:18]"})
    assert _kept("filters.range", dropping) == set(range(19)) - {7, 18}
