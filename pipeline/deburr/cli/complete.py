"""What the shell completes: files, folders, names of stages, overrides. Imports nothing that help would wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from deburr.core.errors import SpecError

#: The tags of the stages of a spec, and what overrides begin with for each.
_TAGGED = "stage"


class Text(click.ParamType[str]):
    """Any text, of which the shell completes what ``begun`` makes of its beginning."""

    name = "text"

    def __init__(self, begun: Callable[[str], list[CompletionItem]]) -> None:
        self._begun = begun

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What the text may become."""
        return self._begun(incomplete)


def _stages(begun: str) -> list[CompletionItem]:
    from deburr.core.registry import stage_types

    return [CompletionItem(name) for name in stage_types() if name.startswith(begun)]


FILE = Text(lambda begun: [CompletionItem(begun, type="file")])
FOLDER = Text(lambda begun: [CompletionItem(begun, type="dir")])
STAGE = Text(_stages)


def overrides(spec: Any, begun: str) -> list[CompletionItem]:
    """The overrides that begin so: the options of the stages of ``spec``, or of all stages where that tells none, as
    ``--TYPE.OPTION``, and those of its stages with a tag as ``--stage.TAG.OPTION``."""
    if len(begun.lstrip("-")) < 1:
        return []
    from deburr.core.registry import stage_types

    told = dict.fromkeys(_told(spec))
    named = [*told] or [(name, name) for name in stage_types()]
    # Only what may begin so is imported.
    near = [(name, kind) for name, kind in named if begun.startswith(f"--{name}."[: len(begun)])]
    written = [f"--{name}.{option}" for name, kind in near for option in _options(kind)]
    return [CompletionItem(one) for one in written if one.startswith(begun)]


def _told(spec: Any) -> Iterator[tuple[str, str]]:
    """Of each stage of a spec whose type is written out: what overrides call it, and its type."""
    from deburr.core.registry import stage_types
    from deburr.pipeline.spec import parse

    with suppress(SpecError):
        for entry in parse(spec).entries if spec else ():
            kind = entry.type or entry.bare
            if kind in stage_types():
                yield kind, kind
                if entry.tag is not None:
                    yield f"{_TAGGED}.{entry.tag}", kind


def _options(kind: str) -> list[str]:
    from deburr.pipeline.describe import stage

    with suppress(SpecError):
        return [option.name for option in stage(kind).options]
    return []
