"""The header of a PCD file, shared by its reader and its writer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Dims
from deburr.core.errors import ReadError
from deburr.formats.text.source import TextSource

Array = npt.NDArray[Any]

ENCODINGS = ("ascii", "binary", "binary_compressed")
#: Kinds of numbers by PCD's letter, and the sizes that each may have, bytes.
_KINDS = {"F": ("f", (4, 8)), "I": ("i", (1, 2, 4, 8)), "U": ("u", (1, 2, 4, 8))}
_LETTERS = {kind: letter for letter, (kind, _) in _KINDS.items()}
#: A header is text; one that goes on for longer than this is no header.
MAX_HEADER = 1 << 20
#: Bytes of a point, at most.
_MAX_POINT = 1 << 20


@dataclass(frozen=True)
class Field:
    """A field: ``count`` numbers of type ``dtype`` in each point."""

    name: str
    dtype: np.dtype[Any]
    count: int = 1

    @property
    def size(self) -> int:
        """Bytes in a point."""
        return self.dtype.itemsize * self.count

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a point's value."""
        return (self.count,) if self.count != 1 else ()


@dataclass(frozen=True)
class Header:
    """``remarks`` are the lines before the first entry; ``viewpoint`` as it was spelt; ``size`` the header's length in
    bytes; ``fixed``: the version as it was spelt."""

    fields: tuple[Field, ...]
    width: int
    height: int
    points: int
    encoding: str
    viewpoint: str = "0 0 0 1 0 0 0"
    version: str = "0.7"
    remarks: tuple[str, ...] = ("# .PCD v0.7 - Point Cloud Data file format",)
    size: int = 0

    @property
    def axes(self) -> tuple[int, int, int]:
        """The numbers of the fields x, y and z."""
        names = [field.name.lower() if field.count == 1 else "" for field in self.fields]
        return names.index("x"), names.index("y"), names.index("z")

    @property
    def dtype(self) -> np.dtype[Any]:
        """One point of a binary file. Names of fields are not unique; numbers are."""
        return np.dtype([(f"f{i}", f.dtype, f.shape) for i, f in enumerate(self.fields)])

    def text(self) -> bytes:
        """The header as it stands in a file."""
        lines = [*self.remarks, f"VERSION {self.version}"]
        entries: dict[str, list[object]] = {
            "FIELDS": [f.name for f in self.fields],
            "SIZE": [f.dtype.itemsize for f in self.fields],
            "TYPE": [_LETTERS[f.dtype.kind] for f in self.fields],
            "COUNT": [f.count for f in self.fields],
        }
        for key, values in entries.items():
            lines.append(" ".join(map(str, (key, *values))))
        lines += [f"WIDTH {self.width}", f"HEIGHT {self.height}", f"VIEWPOINT {self.viewpoint}"]
        lines += [f"POINTS {self.points}", f"DATA {self.encoding}"]
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


@dataclass(frozen=True, eq=False)
class PcdSource:
    """What a PCD file holds, as it was read: ``head`` are the bytes of its ``header``; ``values`` are those of each
    field, (N,) or (N, count), in its type; ``text`` are the points of an ascii file as they are spelt. ``dims``: for
    each dimension, the number of the field that it came from; ``columns`` are the dimensions of all points."""

    header: Header
    head: bytes
    values: tuple[Array, ...]
    dims: Mapping[str, int]
    columns: Dims
    text: TextSource | None = None

    def beside_points(self) -> str:
        """What there is beside points, as a list in words; '' if nothing."""
        header = self.header
        grid = f"the grid of {header.width} x {header.height} pixels" if header.height > 1 else ""
        view = "" if header.viewpoint.split() == ["0", "0", "0", "1", "0", "0", "0"] else "the viewpoint"
        return ", ".join(filter(None, (grid, view)))


def parse_header(head: bytes, path: str) -> Header:
    """The header at the start of a file, of which ``head`` is the first `MAX_HEADER` bytes. Raises `ReadError`."""
    end = re.search(rb"(?:\A|\n)[ \t]*DATA[ \t]+(\S+)[ \t\r]*(?:\n|\Z)", head)
    if end is None or b"\0" in head[: end.start()]:
        raise ReadError(
            f"{path}: has no line 'DATA ...' with which the header of a PCD file ends; it is truncated or no PCD file, "
            "check the file name and its format"
        )
    entries: dict[str, list[str]] = {}
    remarks: list[str] = []
    for line in head[: end.end()].decode("utf-8", "surrogateescape").split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            remarks += [line] if not entries else []
            continue
        if words[0] in entries:
            raise ReadError(f"{path}: the PCD header has two lines '{words[0][:40]}'; give it one")
        entries[words[0]] = words[1:]
    return _header(entries, tuple(remarks), end.end(), path)


def _header(entries: Mapping[str, list[str]], remarks: tuple[str, ...], size: int, path: str) -> Header:
    names = entries.get("FIELDS", entries.get("COLUMNS", []))
    sizes = _numbers(entries, "SIZE", ["4"] * len(names), path)
    letters = entries.get("TYPE", ["F"] * len(names))
    counts = _numbers(entries, "COUNT", ["1"] * len(names), path)
    if not names or not len(names) == len(sizes) == len(letters) == len(counts):
        raise ReadError(
            f"{path}: the PCD header has {len(names)} FIELDS, {len(sizes)} SIZE, {len(letters)} TYPE and {len(counts)} "
            "COUNT; there must be one of each for every field"
        )
    fields = []
    for name, bytes_, letter, count in zip(names, sizes, letters, counts, strict=True):
        kind, allowed = _KINDS.get(letter, ("", ()))
        if bytes_ not in allowed or count < 1:
            raise ReadError(
                f"{path}: the PCD header gives field '{name[:40]}' type {letter[:10]}, {bytes_} bytes, {count} times, "
                "which is none (F of 4 or 8, I and U of 1, 2, 4 or 8 bytes); the file is damaged, get it again"
            )
        fields.append(Field(name, np.dtype(f"<{kind}{bytes_}"), count))
    if sum(field.size for field in fields) > _MAX_POINT:
        raise ReadError(
            f"{path}: the PCD header gives a point more than {_MAX_POINT:,} bytes; the file is damaged, get it again"
        )
    (width,), (height,) = (_one(entries, key, path) for key in ("WIDTH", "HEIGHT"))
    points = _one(entries, "POINTS", path)[0] if "POINTS" in entries else width * height
    if points != width * height:
        raise ReadError(
            f"{path}: the PCD header announces {points} POINTS, and WIDTH {width} times HEIGHT {height}; correct "
            "what is wrong"
        )
    (encoding, *_) = entries["DATA"]
    if encoding not in ENCODINGS:
        raise ReadError(
            f"{path}: its DATA is '{encoding[:40]}', which is none of {', '.join(ENCODINGS)}; convert it to one"
        )
    viewpoint, version = (
        " ".join(entries.get("VIEWPOINT", ["0", "0", "0", "1", "0", "0", "0"])),
        " ".join(entries.get("VERSION", ["0.7"])),
    )
    lower = [field.name.lower() for field in fields if field.count == 1]
    missing = [letter for letter in "xyz" if letter not in lower]
    if missing:
        raise ReadError(
            f"{path}: its points have no field {' or '.join(missing)}; rename those that hold the coordinates"
        )
    return Header(tuple(fields), width, height, points, encoding, viewpoint, version, remarks, size)


def _numbers(entries: Mapping[str, list[str]], key: str, default: list[str], path: str) -> list[int]:
    found = entries.get(key, default)
    for word in found:
        if not (word.isascii() and word.isdigit() and len(word) < 19):
            raise ReadError(
                f"{path}: the PCD header's line {key} has {word[:40]!r}, which is no whole number; correct it"
            )
    return [int(word) for word in found]


def _one(entries: Mapping[str, list[str]], key: str, path: str) -> list[int]:
    found = _numbers(entries, key, [], path)
    if len(found) != 1:
        raise ReadError(f"{path}: the PCD header has no line {key} with one number; the file is damaged, get it again")
    return found
