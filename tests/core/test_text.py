"""Foreign text: printable, short, one line, no formula; and every exit shows it so."""

from __future__ import annotations

import csv
import os
import pickle
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.batch import report as batch_report
from deburr.core.errors import ReadError, SpecError
from deburr.core.text import as_json, cell, printable

#: Red letters, a window title, a line of its own, the reading direction, C1's CSI, a byte that is not UTF-8.
NASTY = "a\x1b[31mb\x1b]0;t\x07\nc\u202ed\x9b2J\udcff"
SHOWN = "a\\x1b[31mb\\x1b]0;t\\x07\\nc\\u202ed\\x9b2J\\xff"


def test_escapes_are_shown_and_not_obeyed() -> None:
    assert printable(NASTY) == SHOWN
    assert printable("Höhe über NN, 高さ: 3 m") == "Höhe über NN, 高さ: 3 m"


@given(st.text(st.characters()), st.integers(20, 60))
def test_any_text_is_one_short_printable_line_and_stays_so(text: str, most: int) -> None:
    shown = printable(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    assert printable(shown, most) == shown


def test_of_a_long_text_beginning_and_end_are_left() -> None:
    shown = printable("where: " + "x" * 200_000 + "; the remedy")
    assert shown.startswith("where: xxx")
    assert shown.endswith("xxx; the remedy")
    assert 1900 < len(shown) <= 2000


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "  =1+1", "\t=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).lstrip()[0] not in "=+-@"
    assert cell("tile_1_2") == "tile_1_2"


def test_json_for_people_keeps_letters_and_escapes_the_rest() -> None:
    import json

    value = {"Höhe": "a\x9bb\u202ec\x7f"}
    text = as_json(value)
    assert json.loads(text) == value
    assert "Höhe" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_errors_are_made_fit_where_they_are_made() -> None:
    error = SpecError(["first " + NASTY, "second"])
    assert error.errors == ("first " + SHOWN, "second")
    assert str(error) == f"first {SHOWN}\nsecond"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.errors) == (SpecError, error.errors)
    assert str(ReadError(NASTY)) == SHOWN


def test_a_message_lists_a_hundred_problems_and_holds_all() -> None:
    error = SpecError([f"problem {i}" for i in range(1000)])
    assert str(error).split("\n")[99:] == ["problem 99", "and 900 more problems"]
    assert len(error.errors) == 1000


def test_a_row_of_the_table_is_a_row_and_no_formula(tmp_path: Path) -> None:
    tiles = [{"id": "=cmd|' /C calc'!A1\n2", "files": ["+a\x1b[0m", "b"], "error": "-x\n\x1b]0;t\x07"}]
    batch_report.write(tmp_path, tiles, [], "m")
    lines = (tmp_path / batch_report.NAME).read_text().splitlines()
    assert len(lines) == 2
    (row,) = csv.DictReader(lines)
    assert row["tile"] == "'=cmd|' /C calc'!A1\\n2"
    assert row["files"] == "'+a\\x1b[0m; b"
    assert row["error"] == "'-x \\x1b]0;t\\x07"


def test_a_removed_noise_below_zero_stays_a_number(tmp_path: Path) -> None:
    tile = {"id": "t", "points": 1, "noise_before": 1.0, "noise_after": 1.25}
    batch_report.write(tmp_path, [tile], [], "m")
    (row,) = csv.DictReader((tmp_path / batch_report.NAME).read_text().splitlines())
    assert row["noise_removed_m"] == "-0.75"


COMMANDS = {
    "type": ["validate", '[{"type": "filters.%s"}]'],
    "option": ["validate", '["a.las", {"type": "filters.spd", "%s": 1}, "b.las"]'],
    "file": ["run", "%s"],
    "command": ["%s"],
    "flag": ["info", "--%s"],
    "override": ["run", "[]", "--filters.spd.noise=%s"],
    "tag": ["run", '["a.ply", {"type": "filters.spd", "tag": "%s"}, "b.ply"]', "--stage.x.noise=1"],
    "info": ["info", "%s.las"],
    "weights": ["weights", "show", "%s"],
    "recipe": ["train", "%s"],
    "convert": ["convert-pdal", "%s"],
    "stages": ["stages", "filters.%s"],
    "batch": ["batch", '["filters.spd"]', "%s", "--out", "o"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_echoes_what_a_terminal_obeys(name: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from deburr.cli.main import cli

    word = "a\x1b[31mb\u202e\nc" + "d" * 200_000
    inner = word if not COMMANDS[name][-1].startswith("[") else "a\\u001b[31mb\\u202e\\nc" + "d" * 200_000
    found = CliRunner().invoke(cli, [part % inner if "%" in part else part for part in COMMANDS[name]])
    said = found.output
    assert found.exit_code in (1, 2)
    assert said
    assert len(said) < 10_000
    assert all(line.isprintable() for line in said.split("\n")), said


def test_brackets_and_escapes_in_a_name_on_a_terminal(tmp_path: Path) -> None:
    name = "x[/y]\x1b]0;t\x07.ply"
    points = "\n".join(f"{i % 10} {i // 10} 0" for i in range(100))
    head = (
        "ply\nformat ascii 1.0\nelement vertex 100\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(head + points + "\n")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from deburr.cli.main import main; main()", "info", name]
    with subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        said = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                block = os.read(ours, 65536)
            except OSError:
                break
            if not block:
                break
            said += block
        assert process.wait(60) == 0, said
    os.close(ours)
    assert b"x[/y]\\x1b]0;t\\x07.ply" in said
    assert b"\x1b]0;t" not in said


def test_a_converted_pipeline_is_shown_without_escapes() -> None:
    from deburr.plugins.pdal.convert.convert import as_text, convert

    name = "a\x9b31mb.las"
    text = as_text(convert([name, "b.las"], {"noise": 0.1}).value)
    assert "\x9b" not in text
    assert '"a\\u009b31mb.las"' in text
