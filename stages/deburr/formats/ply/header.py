"""What a PLY file consists of, shared by its reader and its writer: header, columns, and how they are decoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.errors import ReadError

Array = npt.NDArray[Any]

#: Every spelling of a type in a header, and what it is in memory.
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float32": "f4", "float64": "f8"},
}
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}

#: A header is text; one that goes on for longer than this is no header.
MAX_HEADER = 1 << 20


@dataclass(frozen=True)
class Property:
    """``property TYPE NAME``, or ``property list COUNT_TYPE TYPE NAME``; types are kept as they were spelt."""

    name: str
    type: str
    count_type: str | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a value in memory."""
        return np.dtype(TYPES[self.type])

    def stored(self, order: str = "") -> np.dtype[Any]:
        """The type of a value in a file of byte order ``order`` (``<`` or ``>``)."""
        return np.dtype(order + TYPES[self.type])

    def first(self, order: str = "") -> np.dtype[Any]:
        """The type of what stands first in a row of a file: a list's length, or the value."""
        return np.dtype(order + TYPES[self.count_type or self.type])


@dataclass(frozen=True)
class Element:
    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Header:
    """``remarks`` are the ``comment`` and ``obj_info`` lines, in order; ``size`` the header's length in bytes."""

    format: str
    elements: tuple[Element, ...]
    remarks: tuple[str, ...] = ()
    size: int = 0

    @property
    def vertex(self) -> Element:
        return next(element for element in self.elements if element.name == "vertex")


@dataclass(frozen=True, eq=False)
class Lists:
    """A list property: row i holds ``counts[i]`` of the ``values``, one row after the other."""

    counts: npt.NDArray[np.int64]
    values: Array

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, rows: npt.NDArray[np.int64]) -> Lists:
        """The lists of ``rows``, in that order."""
        counts = self.counts[rows]
        starts = (np.cumsum(self.counts) - self.counts)[rows]
        ends = np.cumsum(counts)
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return Lists(counts, self.values[np.repeat(starts, counts) + inside])


Columns = Mapping[str, Array | Lists]


@dataclass(frozen=True, eq=False)
class PlySource:
    """What a PLY file holds besides its points: the header, each vertex property's dimension, vertex lists, and every
    other element. ``wide`` names the ``float`` properties whose text had more digits than a float32 holds."""

    header: Header
    dims: Mapping[str, str]
    lists: Mapping[str, Lists]
    others: Mapping[str, Columns]
    wide: frozenset[str] = frozenset()

    def beside_points(self) -> str:
        """What there is beside points, as a list in words; '' if nothing."""
        found = [f"{e.count:,} x '{e.name}'" for e in self.header.elements if e.name != "vertex" and e.count]
        found += [f"the lists '{name}'" for name in self.lists]
        return ", ".join(found).encode("utf-8", "replace").decode()


def parse_header(head: bytes, path: str) -> Header:
    """The header at the start of a file, of which ``head`` is the first `MAX_HEADER` bytes. Raises `ReadError`."""
    if not re.match(rb"ply[ \t]*[\r\n]", head):
        raise ReadError(f"{path}: is not a PLY file (its first line is not 'ply'); check the file name and its format")
    # The first line tells how lines end: a binary body may itself begin with a line feed.
    ending = re.match(rb"ply[ \t]*(\r\n|\n|\r)", head)
    newline = ending.group(1) if ending else b"\n"
    end = re.search(re.escape(newline) + rb"end_header[ \t]*" + re.escape(newline), head)
    if end is None:
        raise ReadError(
            f"{path}: the PLY header has no 'end_header' line; the file is truncated or damaged, get it again"
        )
    lines = head[: end.start()].decode("utf-8", "surrogateescape").split(newline.decode())[1:]
    return _Parser(path).parse(lines, end.end())


class _Parser:
    """Turns header lines into a `Header`, or into one sentence that names the line."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = ""

    def wrong(self, what: str) -> ReadError:
        shown = self.line[:60]
        return ReadError(f"{self.path}: header line {shown!r} {what}; the file is damaged or not a PLY 1.0 file")

    def parse(self, lines: list[str], size: int) -> Header:
        kind, remarks = "", []
        elements: list[tuple[str, int, dict[str, Property]]] = []
        for self.line in lines:
            words = self.line.split()
            match words:
                case []:
                    continue
                case ["comment" | "obj_info", *_]:
                    remarks.append(self.line)
                case ["format", name, "1.0"] if name in FORMATS and not kind:
                    kind = name
                case ["element", name, count] if count.isascii() and count.isdigit() and len(count) < 20:
                    elements.append((name, int(count), {}))
                case ["property", *rest] if elements:
                    found, known = self.property(rest), elements[-1][2]
                    if known.setdefault(found.name, found) is not found:
                        raise self.wrong("names a property twice")
                case _:
                    raise self.wrong("is not understood")
        if not kind:
            raise ReadError(f"{self.path}: the PLY header has no 'format' line; the file is damaged, get it again")
        names = [name for name, _, _ in elements]
        if len(set(names)) < len(names):
            raise ReadError(f"{self.path}: the PLY header names an element twice; give each element its own name")
        return Header(kind, tuple(Element(n, c, tuple(p.values())) for n, c, p in elements), tuple(remarks), size)

    def property(self, words: list[str]) -> Property:
        match words:
            case ["list", count, kind, name] if count in TYPES and kind in TYPES and TYPES[count][0] != "f":
                return Property(name, kind, count)
            case [kind, name] if kind in TYPES:
                return Property(name, kind)
            case _:
                raise self.wrong(f"is not a property of a known type ({', '.join(TYPES)})")
