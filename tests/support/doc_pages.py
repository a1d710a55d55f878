"""The pages of README and docs, taken apart into the blocks that a reader would run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: What docs/reference_pages.py writes; the code says it, and no page repeats it.
GENERATED = ("reference/stages/", "reference/commands/", "reference/report.md", "reference/recipe.md")
#: Words by which a pipeline is known to need PDAL; tests/pdal runs those.
OF_PDAL = ("filters.python", "filters.smrf", "denoise_array")
_FENCE = re.compile(
    r"^```(?:\{code-block\} )?(?P<language>[\w-]+)\n(?::caption: (?P<file>\S+)\n\n)?(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file that it is to be saved as, if the page says so."""

    language: str
    text: str
    file: str | None

    @property
    def of_pdal(self) -> bool:
        return any(word in self.text for word in OF_PDAL)

    def commands(self) -> Iterator[str]:
        """The lines that are typed."""
        for line in self.text.splitlines():
            typed = line.removeprefix("$ ") if self.language == "console" else line.partition(" #")[0]
            if typed.strip():
                yield typed.strip()


def pages() -> list[Path]:
    """README.md, and every page of docs that is written by hand."""
    found = [path for path in sorted(DOCS.rglob("*.md")) if not name(path).startswith(GENERATED)]
    return [ROOT / "README.md", *found]


def name(page: Path) -> str:
    """What a page is called in this folder of pages."""
    return page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT).as_posix()


def text(page: str) -> str:
    """The text of ``README.md`` or of a page below docs."""
    return ((ROOT if page == "README.md" else DOCS) / page).read_text(encoding="utf-8")


def blocks(page: str, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, those of one language or all."""
    found = [Block(one["language"], one["text"], one["file"]) for one in _FENCE.finditer(text(page))]
    return [block for block in found if language in (None, block.language)]


def is_recipe(value: Any) -> bool:
    """Whether it is a training recipe rather than a pipeline."""
    return isinstance(value, dict) and "output" in value


def pipelines(page: str) -> list[Any]:
    """The pipelines of a page that deburr runs without PDAL, in their order."""
    found = [json.loads(block.text) for block in blocks(page, "json") if not block.of_pdal]
    return [one for one in found if not is_recipe(one)]
