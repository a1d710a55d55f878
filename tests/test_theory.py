"""The page on theory leads to functions that are there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "theory.md"


def test_every_name_on_the_page_is_there() -> None:
    names = re.findall(r"`(deburr(?:\.\w+)+)`", PAGE.read_text("utf-8"))
    assert len(set(names)) >= 15
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


def test_every_section_leads_somewhere() -> None:
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        assert "`deburr." in section, section.splitlines()[0]
