"""The stages in words, in Markdown and as JSON Schema, all from the code that runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from inspect import cleandoc
from typing import Any

from deburr.core.errors import SpecError
from deburr.core.registry import hosts, stage_class, stage_types
from deburr.pipeline.options import words

#: Every stage has these; they are said once, not in every table.
_SHARED = ("tag", "user_data")


@dataclass(frozen=True)
class Option:
    """One option: what it takes in words, its default as JSON (``required`` where it has none), its unit."""

    name: str
    allowed: str
    default: str
    unit: str
    description: str


@dataclass(frozen=True)
class Described:
    """A stage: its type, the first line and the whole of its docstring, its options."""

    name: str
    text: str
    options: tuple[Option, ...]

    @property
    def summary(self) -> str:
        return " ".join(self.text.split("\n\n")[0].split())

    def as_json(self) -> dict[str, Any]:
        return {"type": self.name, "description": self.text, "options": [asdict(option) for option in self.options]}


def stages() -> list[Described]:
    """All stages that can be loaded, in the registry's order."""
    return [stage(name) for name in _sound()]


def _sound() -> list[str]:
    """The types of the stages that can be loaded."""
    found = []
    for name in stage_types():
        with suppress(SpecError):
            stage_class(name)
            found.append(name)
    return found


def elsewhere() -> list[str]:
    """One line for each program that runs stages which are not deburr's."""
    return [
        f"Stages of {host.name} {version} take part as well; 'pipeline stages filters.NAME' shows their options."
        for host in hosts()
        if (version := host.version()) is not None
    ]


def stage(name: str) -> Described:
    """The stage ``name``, or the one that is called so behind its ``filters.`` or the like, if there is just one.

    Raises `deburr.core.errors.SpecError` where there is none.
    """
    short = [one for one in stage_types() if one.partition(".")[2] == name]
    name = short[0] if len(short) == 1 else name
    cls = stage_class(name)
    model = cls.model_json_schema()
    required = model.get("required", [])
    options = []
    for option, form in model["properties"].items():
        if option in _SHARED:
            continue
        default = form.get("default")
        options.append(
            Option(
                option,
                words(form, model.get("$defs", {})),
                "required" if option in required else "" if default is None else _short(default),
                str(form.get("unit", "")),
                form.get("description", ""),
            )
        )
    return Described(name, cleandoc(cls.__doc__ or ""), tuple(options))


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def markdown(described: Sequence[Described], options: bool) -> str:
    """A table of stages, or of the options of each."""
    if not options:
        rows = [(f"`{stage.name}`", stage.summary, _names(stage)) for stage in described]
        return _table(("stage", "what it does", "options"), rows)
    parts = []
    for stage in described:
        cells = [(f"`{o.name}`", o.allowed, o.default, o.unit, o.description) for o in stage.options]
        parts.append(_table(("option", "takes", "default", "unit", "what it is"), cells))
    return "\n\n".join(parts)


def _names(stage: Described) -> str:
    return ", ".join(f"`{option.name}`" for option in stage.options)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the whole dialect: an array of stages, or an object with ``pipeline``."""
    definitions: dict[str, Any] = {}
    for name in _sound():
        model = stage_class(name).model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, form in model.pop("$defs", {}).items():
            definitions[f"{name}.{inner}"] = form
        inputs = {"description": "the tag of the stage just before", "type": ["string", "array"]}
        others = {other: model["properties"][one] for other, one in stage_class(name).synonyms.items()}
        model["properties"] = {"type": {"const": name}, **model["properties"], **others, "inputs": inputs}
        # A file name may also come from --input, --output, which an editor cannot know.
        model["required"] = ["type", *(option for option in model.get("required", []) if option != "filename")]
        definitions[name] = model
    # Options of other programs' stages are theirs to know; a stage that both have takes the options of both.
    theirs = sorted(frozenset[str]().union(*(host.types() for host in hosts())))
    elsewhere = {"type": "object", "properties": {"type": {"enum": theirs}}, "required": ["type"]}
    definitions["file"] = {
        "description": "a file to read (first entry) or to write (last entry); its extension chooses the stage",
        "type": "object",
        "properties": {"filename": {"type": "string"}, "tag": {"type": "string"}, "user_data": {}},
        "required": ["filename"],
        "not": {"required": ["type"]},
    }
    text = {"description": "a file name (first or last) or a stage type", "type": "string"}
    forms: list[dict[str, Any]] = [text, *({"$ref": f"#/$defs/{name}"} for name in (*_sound(), "file"))]
    forms += [elsewhere] if theirs else []
    pipeline = {"type": "array", "minItems": 1, "items": {"anyOf": forms}}
    wrapped = {
        "type": "object",
        "properties": {"pipeline": pipeline, "user_data": {}, "$schema": {"type": "string"}},
        "required": ["pipeline"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "deburr pipeline",
        "anyOf": [pipeline, wrapped],
        "$defs": definitions,
    }
