"""Stages in words, in Markdown, and as JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from click.testing import Result

from deburr.core.registry import stage_types
from deburr.pipeline import describe

Cli = Callable[..., Result]


def test_options_come_from_the_code() -> None:
    options = {option.name: option for option in describe.stage("filters.spd").options}
    assert options["noise"].allowed == "'auto' or a number greater than 0"
    assert (options["noise"].default, options["noise"].unit) == ("auto", "cloud units")
    assert options["strength"].default == "1.0"
    assert "tag" not in options
    assert {option.name: option.default for option in describe.stage("readers.ply").options}["filename"] == "required"
    assert "class" in {option.name for option in describe.stage("filters.outlier").options}


def test_every_stage_and_option_is_described() -> None:
    for stage in describe.stages():
        assert stage.summary, stage.name
        for option in stage.options:
            assert option.description, f"{stage.name}.{option.name}"


def test_commands(cli: Cli) -> None:
    listed = cli("stages")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in stage_types())
    assert {stage["type"] for stage in json.loads(cli("stages", "--json").stdout)} == set(stage_types())
    one = json.loads(cli("stages", "filters.noise", "--json").stdout)
    assert "sigma" in {option["name"] for option in one["options"]}
    assert "sigma" in cli("stages", "filters.noise").stdout
    wrong = cli("stages", "filters.nose")
    assert (wrong.exit_code, wrong.stderr) == (2, "unknown stage type 'filters.nose'; did you mean 'filters.noise'?\n")


def test_markdown_is_a_table(cli: Cli) -> None:
    lines = cli("stages", "--markdown").stdout.strip().splitlines()
    assert len(lines) == 2 + len(stage_types())
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    options = cli("stages", "filters.spd", "--markdown").stdout.strip().splitlines()
    assert len({line.replace("\\|", "").count("|") for line in options}) == 1


GOOD: list[Any] = [
    ["in.laz", "filters.spd", "out.laz"],
    {"pipeline": ["in.laz", {"type": "filters.spd", "noise": 0.1, "tag": "a"}, {"filename": "out.laz"}]},
    [{"type": "filters.outlier", "class": 18, "inputs": ["a"], "user_data": {"any": [1]}}],
    {"$schema": "pipeline.json", "pipeline": [{"type": "readers.las", "filename": "a.las"}]},
]
BAD: list[Any] = [
    3,
    [],
    {"pipelin": []},
    [3],
    [{"type": "filters.unknown"}],
    [{"type": "filters.spd", "nois": 0.1}],
    [{"type": "filters.spd", "noise": -1}],
    [{"type": "filters.spd", "noise": "much"}],
    [{"type": "filters.spd", "steps": 2.5}],
    [{"tag": "a"}],
]


def test_schema_tells_good_from_bad(cli: Cli) -> None:
    schema = json.loads(cli("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for spec in GOOD:
        assert validator.is_valid(spec), spec
    for spec in BAD:
        assert not validator.is_valid(spec), spec


@pytest.mark.parametrize("name", stage_types())
def test_schema_names_every_option(name: str) -> None:
    form = describe.schema()["$defs"][name]
    assert form["properties"]["type"] == {"const": name}
    assert {option.name for option in describe.stage(name).options} <= set(form["properties"])
