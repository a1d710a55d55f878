"""From JSON to a `Spec`: the text is read, limited, parsed and taken apart; nothing is looked up or built yet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from os import PathLike
from typing import Any

from deburr.core.errors import SpecError, did_you_mean

#: A spec names a few stages; what is longer or deeper is something else, or an attack.
MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_STAGES = 1000

#: What `load` and `run` take: a path, the JSON text itself, or the parsed JSON.
Source = str | PathLike[str] | Sequence[Any] | Mapping[str, Any]

#: A string, or all that follows a quote without an end, or else such a text is searched anew from each of its quotes.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
#: A string, which is left alone, or a comment as PDAL takes it: to the end of the line, or between ``/*`` and ``*/``
#: (to the end of the text where that is missing, so that no text is searched anew from each of its beginnings).
_STRING_OR_COMMENT = re.compile(rf"(?P<string>{_STRING.pattern})|//[^\n\r]*|/\*.*?(?:(?P<end>\*/)|\Z)", re.DOTALL)
#: What JSON text begins with, behind comments; each is read once, or many of them are tried in all combinations.
_JSON = re.compile(r"(?:\s++|//[^\n\r]*+[\n\r]|(?>/\*.*?\*/))*+[\[{]", re.DOTALL)
_BRACKETS = {"[": 1, "{": 1, "]": -1, "}": -1}


@dataclass(frozen=True)
class Entry:
    """One stage as the spec has it.

    ``label`` says where: ``stage 3``, or the command-line option that added it. ``bare`` is what stood there as a mere
    string: a file name or a type; which one, its place decides.
    """

    label: str
    type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    bare: str = ""

    @property
    def tag(self) -> str | None:
        tag = self.options.get("tag")
        return tag if isinstance(tag, str) else None


@dataclass(frozen=True)
class Spec:
    """A parsed spec. ``origin`` is the file's path, or empty where there is no file."""

    origin: str
    entries: tuple[Entry, ...]

    def where(self, entry: Entry) -> str:
        """`denoise.json: stage 3 (filters.spd)`."""
        kind = f" ({entry.type})" if entry.type else ""
        return f"{self.origin}: {entry.label}{kind}" if self.origin else f"{entry.label}{kind}"


def parse(source: Source) -> Spec:
    """The spec in ``source``. Raises `SpecError`, with every problem of its form."""
    origin, value = decode(source)
    return taken_apart(origin, value)


def decode(source: Source) -> tuple[str, Any]:
    """The file's path, or empty where there is no file, and the JSON value in ``source``. Raises `SpecError`."""
    if isinstance(source, str) and _JSON.match(source):
        return "", decode_bytes("the spec", source.encode("utf-8", "surrogatepass"))
    if isinstance(source, str | PathLike):
        origin = str(source)
        return origin, decode_bytes(origin, _read(origin))
    return "", source


def taken_apart(origin: str, value: Any) -> Spec:
    """The spec that the JSON ``value`` is. Raises `SpecError`, with every problem of its form."""
    return Spec(origin, _entries(origin or "the spec", value))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; check the path of the spec") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"{path!r}: the spec cannot be read ({reason}); check its path") from error


def decode_bytes(origin: str, data: bytes) -> Any:
    """The JSON value in ``data``; refuses what is too long or deep, before parsing it. Raises `SpecError`."""
    if data[:4] in (b"LASF", b"ply\n", b"ply\r"):
        raise SpecError(f"{origin}: is a point cloud, not a spec; clean it with 'pipeline denoise IN OUT'")
    if len(data) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1_000_000} MB"
        raise SpecError(
            f"{origin}: longer than {limit}, the limit for a spec; is this really the pipeline's JSON file?"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{origin}: byte {error.start} is not UTF-8; save the spec as UTF-8 text") from None
    text = _STRING_OR_COMMENT.sub(_blanked, text)
    brackets = (_BRACKETS.get(c, 0) for c in _STRING.sub("", text))
    if max(accumulate(brackets), default=0) > MAX_DEPTH:
        raise SpecError(f"{origin}: nested deeper than {MAX_DEPTH} levels; a pipeline is a flat list of stages")
    return _loads(origin, text)


def _blanked(found: re.Match[str]) -> str:
    """A string as it is; of a comment, as many blanks and lines, so that errors are told where they are."""
    endless = found[0].startswith("/*") and not found["end"]
    return found[0] if found["string"] or endless else re.sub(r"[^\n\r]", " ", found[0])


def _loads(origin: str, text: str) -> Any:
    errors: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                errors.append(f"{origin}: key '{key}' stands twice in one object; keep one of them")
            seen[key] = value
        return seen

    def constant(word: str) -> None:
        errors.append(f"{origin}: {word} is not JSON; give a finite number, or leave the option out")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SpecError(f"{origin}: {place}: {_syntax(text, error)}") from None
    except ValueError as error:  # a number of thousands of digits
        raise SpecError(f"{origin}: holds a number that cannot be read ({error}); shorten it") from None
    if errors:
        raise SpecError(errors)
    return value


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong at ``error``, with a hint for what people write most often."""
    ahead, before = text[error.pos :].lstrip()[:2], text[: error.pos].rstrip()[-1:]
    if not text.strip():
        return 'the file is empty; a spec is a list such as ["in.laz", "filters.spd", "out.laz"]'
    if ahead == "/*":
        return "this comment has no end; close it with */"
    if ahead[:1] == "#":
        return "a comment begins with // here, not with #; write it so, or remove it"
    if (before == "," and ahead[:1] in ("]", "}")) or error.msg.startswith("Illegal trailing"):
        return "comma before the closing bracket; remove it"
    if ahead[:1] == "'":
        return "JSON strings stand in double quotes; replace the single ones"
    return f"not JSON ({error.msg[:1].lower()}{error.msg[1:]}); correct it there"


def _entries(origin: str, value: Any) -> tuple[Entry, ...]:
    """Take an array, or an object with ``pipeline``, apart. Other keys of the object are the author's, as in PDAL."""
    if isinstance(value, Mapping):
        if "pipeline" not in value:
            hints = [
                f"{origin}: unknown key '{key}'{hint}; stages go under 'pipeline'"
                for key in value
                if (hint := did_you_mean(str(key), ["pipeline"]))
            ]
            raise SpecError([*hints, f"{origin}: has no key 'pipeline'; put the list of stages there"])
        value = value["pipeline"]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise SpecError(f"{origin}: must be a list of stages, or an object with 'pipeline', not {show(value)}")
    if len(value) > MAX_STAGES:
        raise SpecError(f"{origin}: has {len(value):,} stages, more than {MAX_STAGES:,}; split the pipeline")
    errors: list[str] = []
    entries = []
    for number, item in enumerate(value, 1):
        entry, problems = _entry(f"stage {number}", item)
        entries.append(entry)
        errors += [f"{origin}: {problem}" for problem in problems]
    if errors:
        raise SpecError(errors)
    return tuple(entries)


def _entry(label: str, item: Any) -> tuple[Entry, list[str]]:
    if isinstance(item, str | PathLike):
        return Entry(label, bare=str(item)), [] if str(item) else [f"{label}: is an empty text; name a file or a type"]
    if not isinstance(item, Mapping):
        return Entry(label), [f"{label}: must be an object, a file name or a stage type, not {show(item)}"]
    options = {str(key): value for key, value in item.items()}
    kind, inputs = options.pop("type", None), options.pop("inputs", ())
    problems = []
    if kind is not None and not isinstance(kind, str):
        problems.append(f"{label}: 'type' must be text such as 'filters.spd', not {show(kind)}")
    inputs = (inputs,) if isinstance(inputs, str) else inputs
    if not isinstance(inputs, Sequence) or not all(isinstance(name, str) for name in inputs):
        problems.append(f"{label}: 'inputs' must be a tag or a list of tags, not {show(inputs)}")
        inputs = ()
    return Entry(label, kind if isinstance(kind, str) else None, options, tuple(inputs)), problems


def show(value: Any) -> str:
    """A value in an error message: JSON, short, text in single quotes."""
    if isinstance(value, str):
        text = f"'{value}'"
    elif isinstance(value, Mapping):
        text = "an object"
    else:
        try:
            text = json.dumps(value, default=str)
        except ValueError:  # a list that holds itself
            text = "a list"
    return text if len(text) <= 60 else f"{text[:57]}..."
