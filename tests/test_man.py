"""man/deburr.1 is what the commands say of themselves, and a `man` reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import click
import manual
import pytest
from reference_pages import own_commands

ROOT = Path(__file__).parent.parent
TEXT = manual.PAGE.read_text(encoding="utf-8")


def test_it_is_the_commands_help() -> None:
    assert manual.page() == TEXT, "run 'make man'"
    assert (ROOT / "man" / "pipeline.1").read_text(encoding="utf-8") == ".so man1/deburr.1\n"


def test_every_command_and_option_is_in_it() -> None:
    """Read without groff: sections by their names, items by the line behind .TP."""
    lines = TEXT.replace(r"\-", "-").splitlines()
    at = [number for number, line in enumerate(lines) if line.startswith(".SH ")]
    sections = {lines[low][4:]: lines[low:high] for low, high in zip(at, [*at[1:], len(lines)], strict=True)}
    for name, command in own_commands():
        assert f".B {name}" in sections["COMMANDS"]
        section = sections[f"PIPELINE {name.upper()}"]
        items = [section[number + 1] for number, line in enumerate(section) if line == ".TP"]
        for option in (one for one in command.params if isinstance(one, click.Option)):
            assert any(item.startswith(f".B {', '.join(option.opts)}") for item in items), (name, option.name)
    assert len(own_commands()) >= 15


def test_no_line_is_an_order_that_there_is_not() -> None:
    orders = {line.split()[0] for line in TEXT.splitlines() if line.startswith((".", "'"))}
    assert orders <= {".TH", ".SH", ".B", ".PP", ".TP", ".br", ".nf", ".fi", ".RS", ".RE"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_reads_it_without_a_warning() -> None:
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", str(manual.PAGE)], capture_output=True, check=True)
    assert done.stderr == b""
    read = re.sub(r".\x08|\x1b\[[\d;]*m", "", done.stdout.decode())
    assert re.search(r"^ +--max-displacement TEXT$", read, re.MULTILINE)


def test_it_is_installed_where_man_looks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {f"man/{name}.1": f"share/man/man1/{name}.1" for name in project["project"]["scripts"]}
