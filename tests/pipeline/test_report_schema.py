"""Reports are as their published schema has it. Those that tests leave in files are held to it in conftest.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator, ValidationError

from deburr.core.arrays import Floats
from deburr.pipeline import report_schema, run

VALID = Draft202012Validator(report_schema.schema())


def test_the_schema_is_one_and_the_command_prints_it(cli: Callable[..., Result]) -> None:
    Draft202012Validator.check_schema(report_schema.schema())
    assert json.loads(cli("schema", "--report").stdout) == report_schema.schema()


def test_a_run_without_files(hill: Floats) -> None:
    report = run(["filters.outlier", "filters.spd", "filters.metrics"], points=hill).report
    VALID.validate(report)
    assert (report["kind"], report["version"]) == ("run", 1)


def test_a_run_with_files_and_without_points(hill: Floats, tmp_path: Path) -> None:
    run([str(tmp_path / "a.las")], points=hill)
    merged = run([str(tmp_path / "a.las"), str(tmp_path / "a.las"), "filters.merge", str(tmp_path / "b.ply")])
    VALID.validate(merged.report)
    assert [one["role"] for one in merged.report["files"]] == ["input", "input", "output"]
    VALID.validate(run(["filters.spd"], points=hill[:0]).report)


@pytest.mark.parametrize("change", [{"more": 1}, {"version": 2}, {"kind": "walk"}, {"seconds": -1}, {"stages": [{}]}])
def test_another_report_is_none(change: dict[str, Any], hill: Floats) -> None:
    report = run(["filters.spd"], points=hill).report
    with pytest.raises(ValidationError):
        VALID.validate({**report, **change})


def test_every_name_is_promised(hill: Floats) -> None:
    report = run(["filters.spd"], points=hill).report
    for name in report:
        with pytest.raises(ValidationError):
            VALID.validate({key: value for key, value in report.items() if key != name})
