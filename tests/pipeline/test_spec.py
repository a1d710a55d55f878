"""From text to a Spec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deburr.core.errors import SpecError
from deburr.pipeline.spec import MAX_BYTES, Entry, parse


def _refused(source: object) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        parse(source)  # type: ignore[arg-type]  # wrong types are the subject
    return caught.value.errors


def test_array_and_object_are_the_same_pipeline() -> None:
    stages = ["in.las", {"type": "filters.spd", "tag": "a", "noise": 0.1}, "out.las"]
    entries = parse(stages).entries
    assert entries == parse({"pipeline": stages}).entries == parse(json.dumps(stages)).entries
    assert entries[0] == Entry("stage 1", bare="in.las")
    assert entries[1] == Entry("stage 2", "filters.spd", {"tag": "a", "noise": 0.1})
    assert entries[1].tag == "a"


def test_a_file_gives_its_name_to_errors(tmp_path: Path) -> None:
    path = tmp_path / "denoise.json"
    path.write_text('\ufeff["a.las"]', encoding="utf-8")  # editors on Windows begin files so
    spec = parse(path)
    assert spec.where(spec.entries[0]) == f"{path}: stage 1"
    assert parse('["a.las"]').where(spec.entries[0]) == "stage 1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["a",]', "comma before the closing bracket"),
        ('[\n "a" # why\n]', "line 2, column 6: a comment begins with // here, not with #"),
        ('[\n "a" /* why\n]', "line 2, column 6: this comment has no end; close it with */"),
        ('["a" /*/ ]', "line 1, column 6: this comment has no end"),
        (
            "[" + "/* " * 100_000,
            "line 1, column 2: this comment has no end",
        ),  # for hours, were it searched anew from each
        ('[\n // why\n "a" "b"]', "line 3, column 6: not JSON"),
        ("['a']", "line 1, column 2: JSON strings stand in double quotes"),
        ('["a"', "line 1, column 5: not JSON"),
        ('[{"type": "x", "noise": NaN}]', "NaN is not JSON"),
        ('[{"type": "x", "noise": -Infinity}]', "-Infinity is not JSON"),
        ('[{"type": "x", "type": "y"}]', "key 'type' stands twice"),
        ('[{"type": "x", "n": ' + "9" * 5000 + "}]", "holds a number that cannot be read"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('[{"user_data": ' + "[" * 100 + "]" * 100 + "}]", "nested deeper than 64 levels"),
        ('["' + "a" * MAX_BYTES + '"]', "longer than 1 MB"),
        ('["' + '\\"' * 100_000, "line 1, column 2: not JSON"),  # for hours, were it searched anew from each quote
        ('{"pipline": []}', "unknown key 'pipline'; did you mean 'pipeline'?"),
        ("{}", "has no key 'pipeline'"),
        ('{"pipeline": 3}', "must be a list of stages, or an object with 'pipeline', not 3"),
        ("[3]", "stage 1: must be an object, a file name or a stage type, not 3"),
        ('[""]', "stage 1: is an empty text"),
        ('[{"type": 3}]', "stage 1: 'type' must be text such as 'filters.spd', not 3"),
        ('[{"type": "x", "inputs": 3}]', "stage 1: 'inputs' must be a tag or a list of tags, not 3"),
    ],
)
def test_each_fault_has_its_sentence(text: str, said: str) -> None:
    errors = _refused(text)
    assert any(said in error for error in errors), errors


def test_comments_are_as_in_pdal() -> None:
    text = '{ // the birds [[[\n "pipeline": ["http://a/*b.las", /* then "\n */ "c // d.las"] //'
    assert [entry.bare for entry in parse(text + "\n}").entries] == ["http://a/*b.las", "c // d.las"]
    nested = "[" + "/* [ */" * 200 + '"a.las"]'
    assert parse(nested).entries[0].bare == "a.las"


def test_a_text_of_many_comments_and_no_pipeline_is_a_file_s_name() -> None:
    """Comments end where they first can: to try each way to end sixty of them takes longer than anybody lives."""
    assert "no such file" in _refused("/**/" * 60 + "x.json")[0]


def test_other_keys_beside_the_pipeline_are_the_authors() -> None:
    spec = {"name": "clean", "version": 1, "metadata": {"a": [1]}, "pipeline": ["a.las"]}
    assert parse(spec) == parse(["a.las"])


def test_brackets_in_text_are_no_nesting() -> None:
    assert parse(json.dumps([{"type": "x", "user_data": "[" * 1000 + '\\"['}])).entries[0].type == "x"


def test_all_faults_of_form_come_at_once() -> None:
    assert len(_refused([3, {"type": 4}, "", "fine"])) == 3


def test_files_that_are_no_spec(tmp_path: Path) -> None:
    assert "no such file" in _refused(tmp_path / "missing.json")[0]
    assert "cannot be read" in _refused(tmp_path)[0]
    binary = tmp_path / "a.json"
    binary.write_bytes(b'["\xff\xfe"]')
    assert _refused(binary)[0] == f"{binary}: byte 2 is not UTF-8; save the spec as UTF-8 text"
    binary.write_bytes(b"")
    assert "the file is empty" in _refused(binary)[0]
    assert "a null" in _refused("a\0b")[0] or "cannot be read" in _refused("a\0b")[0]
