"""From a type and its JSON options to a stage: every wrong option becomes one plain sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from os import PathLike
from typing import Any

from pydantic import ValidationError

from deburr.core.errors import did_you_mean
from deburr.core.stage import Stage
from deburr.pipeline.spec import show

#: Numbers in quotes, and how many characters they have at most; infinite ones are refused where they are checked.
_NUMBER, _LONGEST = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"), 40
#: pydantic's errors whose own message is the sentence that a stage's validator wrote.
_SPOKEN = ("value_error", "assertion_error")


def build(cls: type[Stage], options: Mapping[str, Any]) -> tuple[Stage | None, list[str]]:
    """The stage, or all that is wrong with its options. As in PDAL, a number may stand in quotes; true is no number."""
    twice = [(other, one) for other, one in cls.synonyms.items() if other in options and one in options]
    if twice:
        return None, [f"options '{one}' and '{other}' are two names of one; remove '{other}'" for other, one in twice]
    options = {cls.synonyms.get(name, name): value for name, value in options.items()}
    try:
        text = json.dumps(dict(options), default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        return None, [f"its options are not JSON ({error}); use text, numbers, true, false, lists and objects"]
    failure = _failure(cls, text)
    if failure is not None:
        text = json.dumps({**options, **_unquoted(options, failure)}, default=_plain)
        failure = _failure(cls, text)
    if failure is not None:
        return None, _sentences(cls, options, failure)
    return cls.model_validate_json(text, strict=True), []


def _failure(cls: type[Stage], text: str) -> ValidationError | None:
    try:
        cls.model_validate_json(text, strict=True)
    except ValidationError as error:
        return error
    return None


def _plain(value: Any) -> Any:
    """What Python callers pass: paths, numpy's numbers and arrays."""
    if isinstance(value, PathLike):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _unquoted(options: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """The refused options whose text is a number or boolean, as such; 8.0 as 8; a list with commas as a list."""
    found: dict[str, Any] = {}
    for name in {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]} & set(options):
        value = options[name]
        if isinstance(value, str) and _takes_list(error, name):
            found[name] = _split(value)
            continue
        if isinstance(value, str):
            value = _number(value)
        if isinstance(value, float) and value.is_integer() and _takes_whole(error, name):
            value = int(value)
        if isinstance(value, bool | int | float):
            found[name] = value
    return found


def _takes_list(error: ValidationError, name: str) -> bool:
    return any(problem["type"] == "list_type" and problem["loc"][:1] == (name,) for problem in error.errors())


def _split(text: str) -> list[Any]:
    """The parts of ``text`` between commas: whole numbers as such, all else as text."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return [int(part) if re.fullmatch(r"-?\d{1,18}", part) else part for part in parts]


def _number(text: str) -> Any:
    """The number or boolean that ``text`` is, a number as C and PDAL read it: ``.03``, ``+1.``; else the text."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if len(text) > _LONGEST or _NUMBER.fullmatch(text) is None:
        return text
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _takes_whole(error: ValidationError, name: str) -> bool:
    kinds = {problem["type"] for problem in error.errors() if problem["loc"] and problem["loc"][0] == name}
    return any(kind.startswith("int") for kind in kinds)


def _sentences(cls: type[Stage], options: Mapping[str, Any], error: ValidationError) -> list[str]:
    schema = _schema(cls)
    properties: dict[str, Any] = schema["properties"]
    found: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            hint = did_you_mean(name, properties) or f"; 'pipeline stages {cls.type_name}' lists its options"
            found[name] = f"unknown option '{name}'{hint}"
        elif problem["type"] == "missing" and len(problem["loc"]) == 1:
            what = properties[name].get("description", "give it")
            found[name] = f"option '{name}' is missing: {what}"
        elif problem["type"] in _SPOKEN:
            found[name] = (f"option '{name}': " if name else "") + str(problem["ctx"]["error"])
        elif name in properties:
            limits = words(properties[name], schema.get("$defs", {}))
            found.setdefault(name, f"option '{name}' must be {limits}, not {show(options.get(name))}")
        else:
            found.setdefault(name, f"its options cannot be read: {problem['msg']}")
    return list(found.values())


@cache
def _schema(cls: type[Stage]) -> dict[str, Any]:
    return cls.model_json_schema()


def words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """What a JSON Schema allows, in plain words: ``'auto' or a number greater than 0``."""
    if "$ref" in schema:
        return words(defs[schema["$ref"].rpartition("/")[2].rpartition(".")[2]], defs)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _either([words(part, defs) for part in schema[several] if part.get("type") != "null"])
    if "const" in schema:
        return show(schema["const"])
    if "enum" in schema:
        return _either([show(value) for value in schema["enum"]])
    if schema.get("type") == "array":
        return _list_words(schema, defs)
    simple = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "an object"}
    return simple.get(schema.get("type", ""), "text" if schema.get("type") == "string" else "anything") + _range(schema)


def _list_words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    count = f"{low} " if low == high and low is not None else f"at least {low} " if low else ""
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    return f"a list of {count}values, each {words(items, defs)}" if items else "a list"


def _either(parts: list[str]) -> str:
    parts = list(dict.fromkeys(parts))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _range(schema: Mapping[str, Any]) -> str:
    # Bounds of the machine's integers tell a reader nothing.
    schema = {key: value for key, value in schema.items() if not isinstance(value, int | float) or abs(value) < 1e15}
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    limits = []
    if low is not None:
        limits.append(f"of at least {low:g}")
    if "exclusiveMinimum" in schema:
        limits.append(f"greater than {schema['exclusiveMinimum']:g}")
    if high is not None:
        limits.append(f"of at most {high:g}")
    if "exclusiveMaximum" in schema:
        limits.append(f"less than {schema['exclusiveMaximum']:g}")
    if "pattern" in schema:
        limits.append(f"of the form {schema['pattern']}")
    return (" " + " and ".join(limits)) if limits else ""
