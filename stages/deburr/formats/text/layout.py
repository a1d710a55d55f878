"""How a table in a text is laid out: separator, decimal mark, names; found in its first lines, or told."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.errors import ReadError
from deburr.formats.text.lines import Lines, fields, is_comment, split, wrong
from deburr.formats.text.names import dimension, dimensions, guessed
from deburr.formats.text.numbers import number

POINT, COMMA = 0x2E, 0x2C
#: Rows that are looked at, where names or a decimal mark must be guessed.
_SAMPLE = 1000
_PAIR = re.compile(rb"[+-]?\d+,\d+")
_BETWEEN = re.compile(r"[\s,;|:/]+")


@dataclass(frozen=True)
class Layout:
    """``names`` of the columns as the file has them, ``dims`` what they are. ``separator``: None for blanks. ``named``
    tells where the names stand: from one byte of the file to another, without line end; None: they were guessed, or
    told. ``texts``: the columns that hold no numbers."""

    separator: int | None
    mark: int
    names: tuple[str, ...]
    dims: tuple[str, ...]
    named: tuple[int, int] | None = None
    texts: frozenset[int] = frozenset()
    guessed: bool = False

    @property
    def width(self) -> int:
        return len(self.names)

    @property
    def axes(self) -> tuple[int, int, int]:
        """The columns of x, y and z."""
        return self.dims.index("X"), self.dims.index("Y"), self.dims.index("Z")


@dataclass(frozen=True)
class Asked:
    """What options say of a layout."""

    separator: str | None = None
    header: str | None = None


def is_whole(lines: Lines, place: int) -> bool:
    """Whether a line holds one whole number alone, as one that counts the rows behind it."""
    return place < len(lines) and re.fullmatch(rb"\s*\d{1,18}\s*", lines.line(place)) is not None


def layout_of(lines: Lines, rows: tuple[int, int], names: int | None, asked: Asked, path: str) -> Layout:
    """The layout of the table whose ``rows`` are from one of the ``lines`` to before another, and whose names are line
    ``names``, if that is there. Raises `ReadError`."""
    place = rows[0]
    separator, mark = _separator(lines, place, asked.separator)
    spans, line = split(lines.line(place), separator), lines.line(place)
    if len(spans) > 3 and spans[-1][0] == spans[-1][1]:
        del spans[-1]
    width = len(spans)
    texts = frozenset(i for i, (a, b) in enumerate(spans) if a < b and not _is_number(line[a:b].strip(b'"'), mark))
    plain = Layout(separator, mark, ("",) * width, ("",) * width, texts=texts)
    if asked.header is not None:
        told = _told(asked.header, asked.separator)
        if len(told) != width:
            raise wrong(lines, place, f"has {width} values, and option 'header' {len(told)} names", path)
        return _checked(replace(plain, names=told, dims=dimensions(told)), lines, place, path)
    found = _named(lines, place, names, width, separator, path)
    if found is not None:
        return _checked(replace(plain, names=found[0], dims=dimensions(found[0]), named=found[1]), lines, place, path)
    dims = guessed(width, lambda: _sample(lines, rows, plain, path))
    return _checked(replace(plain, names=dims, dims=dims, guessed=width > 3), lines, place, path)


def _checked(layout: Layout, lines: Lines, place: int, path: str) -> Layout:
    missing = [name for name in "XYZ" if name not in layout.dims]
    if missing:
        names = ", ".join(name[:40] for name in layout.names[:20])
        raise ReadError(
            f"{path}: its columns are called {names}, and none of them {' or '.join(missing)}; name them all by "
            "the reader's option 'header', such as \"X,Y,Z,Intensity\""
        )
    if layout.texts & set(layout.axes):
        raise wrong(lines, place, "has no number where coordinates should be", path)
    return layout


def _is_number(word: bytes, mark: int) -> bool:
    try:
        number(word, mark)
    except ValueError:
        return False
    return True


def numbers_in(line: bytes) -> int:
    """How many of a line's fields are numbers, whatever separates them."""
    words = re.split(rb"[\s,;|:]+", line.strip())
    return sum(_is_number(word.strip(b'"'), POINT) for word in words if word)


def _separator(lines: Lines, place: int, asked: str | None) -> tuple[int | None, int]:
    """The separator and the decimal mark, by the first row and, where that leaves a doubt, by more."""
    line = lines.line(place)
    stripped = line.strip()
    if asked is not None:
        separator = None if asked.isspace() and asked != "\t" else ord(asked)
    elif b";" in stripped:
        separator = ord(";")
    elif b"\t" in stripped and b" " not in stripped:
        separator = ord("\t")
    elif b"," in stripped:
        words = stripped.split()
        pairs = sum(_PAIR.fullmatch(word) is not None for word in words)
        separator = (
            None
            if len(words) >= 3 and pairs and all(_is_number(w.replace(b",", b"."), POINT) for w in words)
            else COMMA
        )
    else:
        separator = next((ord(mark) for mark in "|:" if mark.encode() in stripped and len(stripped.split()) < 3), None)
    if separator == COMMA:
        return separator, POINT
    some = lines.data[lines.begins[place] : lines.ends[min(place + _SAMPLE, len(lines)) - 1]]
    return separator, COMMA if b"," in some and (b"." not in some or b"," in stripped) else POINT


def _told(header: str, separator: str | None) -> tuple[str, ...]:
    words = (
        header.split(separator)
        if separator and separator in header and not separator.isspace()
        else _BETWEEN.split(header.strip())
    )
    return tuple(word.strip().strip('"') for word in words)


def _named(
    lines: Lines, place: int, names: int | None, width: int, separator: int | None, path: str
) -> tuple[tuple[str, ...], tuple[int, int]] | None:
    """The columns' names, and where they stand: in the line ``names``, or in a comment before the first row."""
    if names is not None:
        begin = int(lines.begins[names])
        end = begin + len(lines.line(names).rstrip(b"\r\n"))
        for found in _readings(lines.data[begin:end], separator):
            if len(found) == width:
                return found, (begin, end)
        most = max(len(found) for found in _readings(lines.data[begin:end], separator))
        raise wrong(lines, place, f"has {width} values, and line {lines.number(names)} names {most} columns", path)
    found_in, begin = None, 0
    for line in lines.data[: int(lines.begins[place])].splitlines(keepends=True):
        if is_comment(line.lstrip()):
            for found in _readings(line.strip().lstrip(b"#%/"), separator):
                if len(found) == width and {"X", "Y", "Z"} <= {dimension(name) for name in found}:
                    found_in = found, (begin, begin + len(line.rstrip(b"\r\n")))
                    break
        begin += len(line)
    return found_in


def _readings(line: bytes, separator: int | None) -> list[tuple[str, ...]]:
    """The names in a line, by the table's separator and by others: programs do not always use the same."""
    found = []
    for mark in (separator, None, ord(","), ord(";"), ord("\t")):
        spans = split(line, mark)
        if len(spans) > 1 and spans[-1][0] == spans[-1][1]:
            del spans[-1]
        found.append(tuple(decoded(line[a:b]).strip('"') for a, b in spans))
    return found


def decoded(name: bytes) -> str:
    """A name, in UTF-8 or as Windows programs write it."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp1252", "replace")


def _sample(lines: Lines, rows: tuple[int, int], layout: Layout, path: str) -> Floats:
    """The first rows of numbers, columns of words as zeros; at least one."""
    first, last = rows[0], min(rows[0] + _SAMPLE, rows[1])
    found = fields(lines, first, last, layout.width, layout.separator, path)
    sample = np.zeros((last - first, layout.width))
    for place in set(range(layout.width)) - layout.texts:
        sample[:, place] = found.numbers(place, layout.mark, blank=True).values
    sample = sample[~np.isnan(sample).any(axis=1)]
    return sample if len(sample) else np.zeros((1, layout.width))
