"""Decodes what follows a PLY header: one element after the other, binary or text, into columns."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from itertools import islice
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from deburr.core.errors import ReadError
from deburr.core.progress import advance
from deburr.formats.ply.header import FORMATS, Array, Element, Header, Lists, Property

#: Rows decoded at a time; bounds the memory that text and guesses about list lengths take.
CHUNK = 1 << 16


def truncated(path: str, element: Element, holds: int | None = None) -> ReadError:
    found = "" if holds is None else f" but holds {holds}"
    return ReadError(
        f"{path}: the header announces {element.count} rows of element '{element.name}'{found}; "
        "the file is truncated or its header is wrong, get it again"
    )


def read_element(stream: IO[bytes], element: Element, header: Header, left: int, path: str) -> dict[str, Array | Lists]:
    """The columns of the next element; ``left`` is how many bytes the file still has.

    Memory is taken only for rows that the file is long enough to hold. Raises `ReadError`.
    """
    text = header.format == "ascii"
    shortest = sum(2 if text else p.first().itemsize for p in element.properties)
    if element.count * shortest > left + text:  # the last line of a text may lack its line feed
        raise truncated(path, element, left // shortest)
    if not element.properties or not element.count:
        return {p.name: Lists(np.zeros(0, np.int64), np.zeros(0, p.dtype)) if p.count_type else np.zeros(0, p.dtype)
                for p in element.properties}  # fmt: skip
    if text:
        return _Text(stream, element, path).read()
    order = FORMATS[header.format]
    if any(p.count_type for p in element.properties):
        return _binary_lists(stream, element, order, left, path)
    return _binary(stream, element, order, path)


def _native(column: Array) -> Array:
    """A contiguous copy in this machine's byte order."""
    return column.astype(column.dtype.newbyteorder("="), order="C", copy=True)


def _binary(stream: IO[bytes], element: Element, order: str, path: str) -> dict[str, Array | Lists]:
    row = np.dtype([(p.name, p.first(order)) for p in element.properties])
    columns: dict[str, Array] = {p.name: np.empty(element.count, p.dtype) for p in element.properties}
    for start in range(0, element.count, CHUNK):
        wanted = min(CHUNK, element.count - start)
        block = np.frombuffer(_exactly(stream, wanted * row.itemsize, element, path), row)
        for name, column in columns.items():
            column[start : start + wanted] = block[name]
        advance(f"read {element.name}", start + wanted, element.count)
    return dict(columns)


def _exactly(stream: IO[bytes], size: int, element: Element, path: str) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise truncated(path, element)
    return data


def _binary_lists(stream: IO[bytes], element: Element, order: str, left: int, path: str) -> dict[str, Array | Lists]:
    """Rows of varying length: runs of rows whose lists are equally long are decoded at once."""
    data = stream.read(left)
    parts: dict[str, list[Array]] = {p.name: [] for p in element.properties}
    lengths: dict[str, list[npt.NDArray[np.int64]]] = {p.name: [] for p in element.properties if p.count_type}
    done, at, guess = 0, 0, CHUNK
    while done < element.count:
        row = _row_at(data, at, element, order, path)
        rows = min(guess, element.count - done, (len(data) - at) // row.itemsize)
        if rows == 0:
            raise truncated(path, element, done)
        block = np.frombuffer(data, row, rows, at)
        same = np.ones(rows, np.bool_)
        for name in lengths:
            same &= block["count of " + name] == block["count of " + name][0]
        rows = rows if same.all() else int(same.argmin())
        guess = max(2 * rows, 1)
        for p in element.properties:
            parts[p.name].append(_native(block[p.name][:rows]).reshape(-1))
            if p.count_type:
                lengths[p.name].append(block["count of " + p.name][:rows].astype(np.int64))
        done, at = done + rows, at + rows * row.itemsize
    stream.seek(at - len(data), 1)
    columns = {name: np.concatenate(blocks) for name, blocks in parts.items()}
    return {n: Lists(np.concatenate(lengths[n]), c) if n in lengths else c for n, c in columns.items()}


def _row_at(data: bytes, at: int, element: Element, order: str, path: str) -> np.dtype[Any]:
    """The layout of the row that begins at byte ``at``, its lists as long as their counts say."""
    fields: list[Any] = []
    size = 0
    for p in element.properties:
        if p.count_type:
            kind = p.first(order)
            if at + size + kind.itemsize > len(data):
                raise truncated(path, element)
            count = int(np.frombuffer(data, kind, 1, at + size)[0])
            if not 0 <= count * p.dtype.itemsize <= len(data) - at:
                raise ReadError(
                    f"{path}: a list '{p.name}' of element '{element.name}' claims {count} values, more than the file "
                    "holds; the file is truncated or damaged, get it again"
                )
            fields += [("count of " + p.name, kind), (p.name, p.stored(order), (count,))]
            size += kind.itemsize + count * p.dtype.itemsize
        else:
            fields.append((p.name, p.stored(order)))
            size += p.dtype.itemsize
    return np.dtype(fields)


#: How C libraries of other systems write what is no number: ``-nan(ind)``, ``1.#QNAN0``.
_NO_NUMBER = re.compile(rb"([+-]?)(?:(nan)(?:\([a-z0-9_]*\))?|1\.?#(qnan|snan|ind|inf)0*)", re.IGNORECASE)


def _number(word: bytes) -> float:
    """The number that ``word`` is. Raises ValueError."""
    found = _NO_NUMBER.fullmatch(word)
    if found is not None:
        return math.copysign(
            math.inf if (found[3] or b"").lower() == b"inf" else math.nan, -1 if found[1] == b"-" else 1
        )
    if b"_" in word:  # Python's own way to write 1_000
        raise ValueError(word)
    return float(word)


class _Text:
    """Reads one element's lines. Numbers are parsed as float64, which holds every PLY integer exactly."""

    def __init__(self, stream: IO[bytes], element: Element, path: str) -> None:
        self.lines = (line for line in stream if line.strip())
        self.element = element
        self.path = path

    def read(self) -> dict[str, Array | Lists]:
        properties = self.element.properties
        if any(p.count_type for p in properties):
            return self._lists()
        columns: dict[str, Array] = {p.name: np.empty(self.element.count, np.float64) for p in properties}
        for start in range(0, self.element.count, CHUNK):
            table = self._table(start, len(properties))
            for p, values in zip(properties, table.T, strict=True):
                columns[p.name][start : start + len(table)] = self._checked(p, values)
            advance(f"read {self.element.name}", start + len(table), self.element.count)
        return {p.name: columns[p.name] if p.dtype.kind == "f" else columns[p.name].astype(p.dtype) for p in properties}

    def _table(self, start: int, width: int) -> npt.NDArray[np.float64]:
        """The next chunk of rows, (rows, width) float64."""
        wanted = min(CHUNK, self.element.count - start)
        lines = list(islice(self.lines, wanted))
        if len(lines) < wanted:
            raise truncated(self.path, self.element, start + len(lines))
        words = b" ".join(lines).split()
        # NumPy gives every word the room of the longest one, which a damaged file could make huge.
        if len(words) == wanted * width and max(map(len, words)) <= 64 and not any(b"_" in line for line in lines):
            with suppress(ValueError):  # the loop below finds the row to blame
                return np.array(words, dtype=np.bytes_).astype(np.float64).reshape(wanted, width)
        return np.array([self._numbers(line, start + number, width) for number, line in enumerate(lines)])

    def _numbers(self, line: bytes, row: int, width: int | None = None) -> list[float]:
        words = line.split()
        if width is not None and len(words) != width:
            raise self._wrong(row, f"has {len(words)} values instead of {width}")
        try:
            return [_number(word) for word in words]
        except ValueError:
            raise self._wrong(row, f"is not made of numbers ({line.strip()[:40].decode('latin-1')!r})") from None

    def _wrong(self, row: int, what: str) -> ReadError:
        return ReadError(f"{self.path}: row {row} of element '{self.element.name}' {what}; correct that line")

    def _checked(self, p: Property, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """``values``, unless they do not fit the integer type that the header declares."""
        if p.dtype.kind != "f" and len(values):
            limits = np.iinfo(p.dtype)
            bad = ~((values >= limits.min) & (values <= limits.max) & (values == np.floor(values)))
            if bad.any():
                raise ReadError(
                    f"{self.path}: property '{p.name}' of element '{self.element.name}' is declared {p.type} but holds "
                    f"{values[bad][0]:g}; correct the value or the declared type"
                )
        return values

    def _lists(self) -> dict[str, Array | Lists]:
        properties = self.element.properties
        values: dict[str, list[float]] = {p.name: [] for p in properties}
        counts: dict[str, list[int]] = {p.name: [] for p in properties if p.count_type}
        rows = 0
        for line in islice(self.lines, self.element.count):
            numbers = self._numbers(line, rows)
            at = 0
            for p in properties:
                size = 1
                if p.count_type:
                    if at >= len(numbers) or numbers[at] < 0 or not numbers[at].is_integer():
                        raise self._wrong(rows, f"has no valid length for its list '{p.name}'")
                    size = int(numbers[at])
                    counts[p.name].append(size)
                    at += 1
                values[p.name] += numbers[at : at + size]
                at += size
            if at != len(numbers):
                raise self._wrong(rows, f"has {len(numbers)} values instead of {at}")
            rows += 1
        if rows < self.element.count:
            raise truncated(self.path, self.element, rows)
        columns = {p.name: self._checked(p, np.array(values[p.name], np.float64)).astype(p.dtype) for p in properties}
        return {n: Lists(np.array(counts[n], np.int64), c) if n in counts else c for n, c in columns.items()}
