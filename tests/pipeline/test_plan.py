"""From a Spec to a Plan: types, overrides, options, order, files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deburr.core.errors import SpecError
from deburr.core.stage import Filter
from deburr.pipeline import load
from deburr.pipeline.options import words

NOISE = {"type": "filters.noise", "sigma": 0.1, "tag": "n"}


def _types(*args: Any, **kwargs: Any) -> list[str]:
    return [stage.type_name for stage in load(*args, **kwargs).stages]


def _errors(*args: Any, **kwargs: Any) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        load(*args, **kwargs)
    assert caught.value.exit_code == 2
    return caught.value.errors


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def _option(type_name: str, **options: Any) -> tuple[str, ...]:
    return _errors(["in.ply", {"type": type_name, **options}, "out.ply"])


def test_place_and_extension_choose_reader_and_writer() -> None:
    assert _types(["a.LAZ", "filters.outlier", {"filename": "b.LAZ"}]) == [
        "readers.las",
        "filters.outlier",
        "writers.las",
    ]
    assert _types(["a.copc.laz", "b.copc.laz"]) == ["readers.las", "writers.copc"]
    assert _types([{"type": "readers.ply", "filename": "no-extension"}, "x.ply"]) == ["readers.ply", "writers.ply"]
    assert _types(["a.ply"]) == ["readers.ply"]


def test_input_and_output_add_or_replace() -> None:
    assert _types([NOISE], input="a.ply", output="b.las") == ["readers.ply", "filters.noise", "writers.las"]
    plan = load(["a.ply", NOISE, {"type": "writers.ply", "filename": "b.ply"}], input="c.las", output="d.ply")
    assert plan.reader is not None
    assert (plan.reader.type_name, plan.reader.filename) == ("readers.las", "c.las")
    assert [writer.filename for writer in plan.writers] == ["d.ply"]
    assert _types(["a.ply"], output="b.ply") == ["readers.ply", "writers.ply"]
    # Options of a named reader stay; only its file changes.
    named = load([{"type": "readers.ply", "filename": "x", "tag": "r"}], input="y")
    assert named.as_json() == [{"type": "readers.ply", "filename": "y", "tag": "r"}]


def test_overrides_by_type_and_tag() -> None:
    spec = ["a.ply", NOISE, {**NOISE, "tag": "m"}, "b.ply"]
    plan = load(spec, overrides={"filters.noise.seed": "7", "stage.m.sigma": "0.5", "readers.ply.filename": "1"})
    assert [(stage["sigma"], stage["seed"]) for stage in plan.as_json()[1:3]] == [(0.1, 7), (0.5, 7)]
    assert plan.reader is not None
    assert plan.reader.filename == "1"


def test_overrides_that_hit_nothing_are_errors() -> None:
    errors = _errors(["a.ply", NOISE, "b.ply"], overrides={"filters.noize.sigma": 1, "stage.x.a": 1, "stage.n.sigm": 1})
    assert (
        errors[0] == "--filters.noize.sigma: the pipeline has no stage 'filters.noize'; did you mean 'filters.noise'?"
    )
    assert "no stage 'stage.x'" in errors[1]
    assert errors[2] == "stage 2 (filters.noise): unknown option 'sigm'; did you mean 'sigma'?"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stepsize": 1}, "unknown option 'stepsize'; did you mean 'step_size'?"),
        ({"noise": -1}, "option 'noise' must be 'auto' or a number greater than 0, not -1"),
        ({"noise": "much"}, "option 'noise' must be 'auto' or a number greater than 0, not 'much'"),
        ({"noise": True}, "option 'noise' must be 'auto' or a number greater than 0, not true"),
        ({"noise": [1]}, "option 'noise' must be 'auto' or a number greater than 0, not [1]"),
        ({"noise": float("inf")}, "option 'noise' must be 'auto' or a number greater than 0, not Infinity"),
        ({"steps": "ten"}, "option 'steps' must be a whole number from 1 to 1000, not 'ten'"),
        ({"steps": 2.5}, "option 'steps' must be a whole number from 1 to 1000, not 2.5"),
        ({"strength": 2}, "option 'strength' must be a number from 0 to 1, not 2"),
        ({"device": "gpu"}, "option 'device' must be 'auto', 'cpu' or 'cuda', not 'gpu'"),
        ({"weights": 3}, "option 'weights' must be text, not 3"),
        ({"noise": {1, 2}}, "its options are not JSON"),
        ({"user_data": _nested(100_000)}, "its options are not JSON"),
    ],
)
def test_wrong_options_in_plain_words(options: dict[str, Any], said: str) -> None:
    errors = _option("filters.spd", **options)
    assert len(errors) == 1
    assert errors[0].startswith(f"stage 2 (filters.spd): {said}")


def test_all_errors_of_all_stages_in_their_order() -> None:
    errors = _errors(["a.ply", {"type": "filters.spd", "steps": 0, "nois": 1}, "filters.x", "b.nnn"])
    assert [error.partition(" (")[0].partition(":")[0] for error in errors] == [
        "stage 2",
        "stage 2",
        "stage 3",
        "stage 4",
    ]


def test_numbers_in_quotes_are_numbers_as_in_pdal() -> None:
    plan = load(["a.ply", {"type": "filters.outlier", "mean_k": "12", "multiplier": "2.5", "class": 18.0}, "b.ply"])
    assert plan.as_json()[1] == {"type": "filters.outlier", "mean_k": 12, "multiplier": 2.5, "class": 18}


def test_python_values_are_taken() -> None:
    import numpy as np

    plan = load([Path("a.ply"), {"type": "filters.noise", "sigma": np.float32(0.5)}], output=Path("b.ply"))
    assert plan.as_json()[1]["sigma"] == 0.5


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ([], "the spec: has no stages"),
        (["filters.outlier", "b.ply"], "the spec: has no reader; begin with a file name, or give --input FILE"),
        (
            ["filters.outlier", {"type": "readers.ply", "filename": "a"}],
            "stage 2 (readers.ply): a reader must come first",
        ),
        (
            ["a.ply", NOISE, {"type": "readers.ply", "filename": "a"}, "b.ply"],
            "stage 3 (readers.ply): a reader must come first",
        ),
        (["a.ply", NOISE, "b.ply", "c.ply"], "stage 3: 'b.ply' is no stage type; a file name may stand first"),
        (
            ["a.ply", {"type": "writers.ply", "filename": "b.ply"}, "filters.outlier"],
            "(writers.ply): a writer must come last",
        ),
        (["a.ply", NOISE, NOISE, "b.ply"], "stage 3 (filters.noise): tag 'n' is already that of stage 2"),
        (["a.nnn", "b.ply"], "'a.nnn' has no extension that is known ("),
        (["a.ply", {"tag": "x"}, "b.ply"], "stage 2: has no 'type'"),
        (["a.ply", "filters.spdd", "b.ply"], "unknown stage type 'filters.spdd'; did you mean 'filters.spd'?"),
        (
            ["a.ply", {"type": "filters.spdd"}, "b.ply"],
            "unknown stage type 'filters.spdd'; did you mean 'filters.spd'?",
        ),
        (["a.ply", {"type": "filters.merge", "inputs": ["x"]}, "b.ply"], "'inputs' must name the stage just before"),
        (["a.ply", "b\0.ply"], "holds a character that no file name may have"),
        (["a.ply", {"type": "filters.spd", "model": "spd"}, "b.ply"], "model 'spd' has no bundled weights"),
    ],
)
def test_order_and_names(spec: list[Any], said: str) -> None:
    errors = _errors(spec)
    assert any(said in error for error in errors), errors


def test_what_one_stage_takes_away_no_later_one_can_need() -> None:
    sentence = "stage 3 (filters.restore): needs the dimension 'OriginalX', which filters.restore before it has removed"
    assert _errors(["a.ply", "filters.restore", "filters.restore", "b.ply"])[0].startswith(sentence)
    # A denoising in between keeps them anew, if it is asked to.
    again = {"type": "filters.spd", "keep_original": True}
    assert load(["a.ply", "filters.restore", again, "filters.restore", "b.ply"])
    assert len(_errors(["a.ply", "filters.restore", "filters.spd", "filters.restore", "b.ply"])) == 3
    # Whether the file has them, the run finds out.
    assert load(["a.ply", "filters.restore", "b.ply"])


def test_a_plan_for_other_files_is_the_one_that_is_loaded_for_them() -> None:
    spec = [
        {"type": "readers.las", "filename": "x.las", "count": 5},
        NOISE,
        {"type": "filters.metrics", "reference": "b.ply"},
    ]
    spec.append({"type": "writers.las", "filename": "y.las", "scale_x": 0.5})
    first = load(spec, input="a/one.las", output="o/one.las")
    other = first.for_files("a/two.las", "o/two.las")
    assert other == load(spec, input="a/two.las", output="o/two.las")
    assert [mine is its for mine, its in zip(first.stages, other.stages, strict=True)] == [False, True, True, False]
    assert first.stages[0] == load(spec, input="a/one.las", output="o/one.las").stages[0]
    # What is wrong with the names is said as it is of those that are loaded.
    for pair in (("a/two.las", "a/two.las"), ("c.las", "b.ply"), ("c.las", "bad\0name.las")):
        said = [_refused(lambda pair=pair: first.for_files(*pair))]
        said.append(_refused(lambda pair=pair: load(spec, input=pair[0], output=pair[1])))
        assert said[0] == said[1] != []


def _refused(call: Callable[[], object]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        call()
    return list(caught.value.errors)


def test_who_looks_around_is_told_by_the_reach_alone() -> None:
    around = {"filters.merge": False, "filters.restore": False, "filters.patch": False, "filters.outlier": True,
              "filters.spd": True, "filters.metrics": True, "filters.normalize": True}  # fmt: skip
    for name, expected in around.items():
        (step,) = load([name], reads=False).steps
        assert isinstance(step.stage, Filter)
        assert step.stage.looks_around == expected, name
    (step,) = load([{"type": "filters.patch", "method": "knn"}], reads=False).steps
    assert isinstance(step.stage, Filter)
    assert step.stage.looks_around


def test_linear_inputs_and_several_writers_are_fine() -> None:
    spec = [
        "a.ply",
        NOISE,
        {"type": "filters.outlier", "inputs": "n"},
        {"type": "writers.las", "filename": "b.las"},
        "c.ply",
    ]
    assert len(load(spec).writers) == 2
    assert "written twice" in _errors(["a.ply", {"type": "writers.ply", "filename": "./c.ply"}, "c.ply"])[0]


def test_output_over_input_is_refused_through_every_kind_of_link(tmp_path: Path) -> None:
    source = tmp_path / "a.ply"
    source.write_bytes(b"ply")
    (tmp_path / "soft.ply").symlink_to(source)
    os.link(source, tmp_path / "hard.ply")
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("a.ply", "soft.ply", "hard.ply", "folder/a.ply"):
        (error,) = _errors([str(source)], output=tmp_path / name)
        assert error.startswith("--output (writers.ply): output ")
        assert "is the input file itself" in error
    assert load([str(source)], output=tmp_path / "b.ply")


@pytest.mark.parametrize(
    ("stage", "option"),
    [
        ({"type": "filters.metrics", "reference": "t.ply"}, "reference"),
        ({"type": "filters.spd", "weights": "t.ply"}, "weights"),
    ],
)
def test_output_over_another_file_that_is_read_is_refused(stage: dict[str, Any], option: str) -> None:
    (error,) = _errors(["a.ply", stage, "./t.ply"])
    assert f"output './t.ply' is the {option} file itself" in error
    assert load(["a.ply", stage, "b.ply"])


def test_a_file_that_does_not_exist_is_no_matter_of_the_spec() -> None:
    assert load(["/nowhere/a.ply", "/nowhere/b.ply"])


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer", "minimum": 1}, "a whole number of at least 1"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}, "a whole number of at least 0"),
        ({"anyOf": [{"type": "null"}, {"const": "auto"}, {"type": "boolean"}]}, "'auto' or true or false"),
        ({"enum": ["a", "b", 3]}, "'a', 'b' or 3"),
        ({"type": "array", "items": {"type": "string"}}, "a list of values, each text"),
        ({"$ref": "#/$defs/X"}, "a number less than 2"),
    ],
)
def test_schemas_in_words(schema: dict[str, Any], said: str) -> None:
    assert words(schema, {"X": {"type": "number", "exclusiveMaximum": 2}}) == said


def test_lists_may_be_text_with_commas() -> None:
    spec = ["a.las", {"type": "filters.spd", "classes": "2, 6", "dimensions": "Displacement,NoiseLevel"}, "b.las"]
    stage = load(spec, overrides={"filters.spd.classes": "2,6,9"}).as_json()[1]
    assert (stage["classes"], stage["dimensions"]) == ([2, 6, 9], ["Displacement", "NoiseLevel"])
    (error,) = _option("filters.spd", classes="2,low")
    assert "not '2,low'" in error
