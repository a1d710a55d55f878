"""The manual page, made of the commands' help: `make man` writes man/deburr.1, and a test holds it to that.

Its lines are those of man(7), which every `man` reads.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
from reference_pages import options, own_commands, paragraphs, summary, usage

from deburr.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "man" / "deburr.1"
_CODES = {"0": "done", "1": "the run failed: file, data, machine", "2": "the spec or the command is wrong",
          "130": "interrupted"}  # fmt: skip
_VARIABLES = {
    "DEBURR_THREADS": "how many threads; default: all",
    "DEBURR_CACHE": "a folder for what was fetched from the web, for later runs; default: nothing is kept",
    "DEBURR_CACHE_SIZE": "how much may lie there, such as 20GB; default: 10GB",
}


def page() -> str:
    """The text of the manual page."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    lines = [f'.TH DEBURR 1 "" "deburr {version}" "User Commands"', *_section("NAME")]
    lines += [_text("deburr, pipeline - clean LiDAR and scan point clouds by declarative JSON pipelines")]
    lines += [*_section("SYNOPSIS"), ".B pipeline", _text("COMMAND [OPTIONS] ..."), ".br", ".B deburr"]
    lines += [_text("COMMAND [OPTIONS] ..."), *_section("DESCRIPTION"), _text(paragraphs(cli)[0])]
    lines += [_text("The shortest pipeline is"), ".PP", '.nf\n.RS\n["noisy.laz", "filters.spd", "clean.laz"]\n.RE\n.fi']
    lines += [
        ".PP",
        _text("Results go to stdout, all else to stderr. 'pipeline stages' lists the stages of pipelines,"),
    ]
    lines += [_text("'pipeline stages NAME' the options of one.")]
    lines += [*_section("COMMANDS")]
    for name, command in own_commands():
        lines += [*_item(name), _text(summary(command) + ".")]
    for name, command in own_commands():
        lines += _command(name, command)
    lines += _section("EXIT STATUS")
    for number, meaning in _CODES.items():
        lines += [*_item(number), _text(meaning)]
    lines += _section("ENVIRONMENT")
    for name, meaning in _VARIABLES.items():
        lines += [*_item(name), _text(meaning)]
    return "\n".join(lines) + "\n"


def _command(name: str, command: click.Command) -> Iterator[str]:
    yield from _section(f"PIPELINE {name.upper()}")
    yield f".B {_text(usage(name, command))}"
    for part in paragraphs(command):
        yield ".PP"
        yield _text(part)
    for written, default, text in options(command):
        yield from _item(written)
        yield _text(f"{text} [default: {default}]" if default else text)


def _section(title: str) -> Iterator[str]:
    yield f".SH {_text(title)}"


def _item(name: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_text(name)}"


def _text(text: str) -> str:
    """The text as it is to be read: dashes are dashes, and no line begins with what would be an order."""
    plain = re.sub(r"``?", "", text).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
