"""Where the lines of a text begin and end, and the fields in them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Ints
from deburr.core.errors import ReadError
from deburr.formats.text.numbers import PAD, Bytes, Parsed, parse

#: Bytes of text that are looked at together.
BLOCK = 1_000_000
#: What begins a comment.
_COMMENTS = (b"#", b"%", b"//")
_WORD = re.compile(rb"[^\x00-\x20]+")


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of ``data`` that hold something: neither blank nor comments. Each from ``begins`` up to ``ends``,
    (N,), its line end included."""

    data: bytes
    newline: int
    begins: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.begins)

    def line(self, place: int) -> bytes:
        return self.data[self.begins[place] : self.ends[place]]

    def number(self, place: int) -> int:
        """The number that an editor shows for it."""
        return self.data.count(bytes([self.newline]), 0, int(self.begins[place])) + 1


def lines_of(data: bytes, start: int = 0) -> Lines:
    """The lines from byte ``start`` on."""
    view = np.frombuffer(data, np.uint8)
    newline = 0x0A if b"\n" in data else 0x0D
    ends = np.flatnonzero(view[start:] == newline) + start + 1
    if len(data) > start and (not len(ends) or ends[-1] < len(data)):
        ends = np.append(ends, len(data))
    begins = np.concatenate([[start], ends[:-1]]).astype(np.int64)[: len(ends)]
    firsts = _firsts(data, view, begins, ends)
    live = firsts < ends
    byte = view[np.where(live, firsts, 0)] if len(view) else np.zeros(len(ends), np.uint8)
    odd = live & np.isin(byte, [mark[0] for mark in _COMMENTS])
    for place in np.flatnonzero(odd).tolist():
        live[place] = not is_comment(data[firsts[place] : firsts[place] + 2])
    return Lines(data, newline, begins[live], ends[live])


def is_comment(line: bytes) -> bool:
    """Whether a line that begins so is a comment."""
    return line.startswith(_COMMENTS)


def _firsts(data: bytes, view: Bytes, begins: Ints, ends: Ints) -> Ints:
    """Where the first byte that is not blank stands in each line; its end, if there is none."""
    firsts = begins.copy()
    left = np.arange(len(begins))
    for _ in range(64):
        left = left[(firsts[left] < ends[left])]
        left = left[view[firsts[left]] <= 0x20]
        if not len(left):
            return firsts
        firsts[left] += 1
    for place in left.tolist():
        found = _WORD.search(data, firsts[place], ends[place])
        firsts[place] = found.start() if found else ends[place]
    return firsts


@dataclass(frozen=True, eq=False)
class Fields:
    """The fields of some lines: ``text`` in which they lie, and where each begins and ends, (n, width); ``shift``: of
    a place in ``text`` against the same in the file."""

    text: bytes
    begins: Ints
    ends: Ints
    shift: int

    def numbers(self, column: int, mark: int, blank: bool = False) -> Parsed:
        """Those of a column; see `parse`."""
        begins, ends = np.ascontiguousarray(self.begins[:, column]), np.ascontiguousarray(self.ends[:, column])
        return parse(self.text, np.frombuffer(self.text, np.uint8), begins, ends, mark, blank)

    def word(self, row: int, column: int) -> str:
        """What stands there, as it is shown."""
        return self.text[self.begins[row, column] : self.ends[row, column]][:40].decode("utf-8", "replace")


def split(line: bytes, separator: int | None) -> list[tuple[int, int]]:
    """Where the fields of a line begin and end, blanks around them left out; between quotes nothing separates."""
    if separator is None:
        return [found.span() for found in _WORD.finditer(line)]
    mark = bytes([separator])
    spans, begin, end = [], 0, len(line.rstrip(b"\r\n"))
    while True:
        stop = line.find(mark, begin, end)
        quote = line.find(b'"', begin, end if stop < 0 else stop)
        if quote >= 0 and not line[begin:quote].strip():
            close = line.find(b'"', quote + 1, end)
            stop = line.find(mark, close, end) if close >= 0 else -1
        spans.append(_trimmed(line, begin, end if stop < 0 else stop))
        if stop < 0:
            return spans
        begin = stop + 1


def _trimmed(line: bytes, begin: int, end: int) -> tuple[int, int]:
    while begin < end and line[begin] <= 0x20:
        begin += 1
    while end > begin and line[end - 1] <= 0x20:
        end -= 1
    return begin, end


def fields(lines: Lines, first: int, last: int, width: int, separator: int | None, path: str) -> Fields:
    """The ``width`` fields of each of the lines from ``first`` to before ``last``. Raises `ReadError` for a line of
    others."""
    begin, end = int(lines.begins[first]), int(lines.ends[last - 1])
    text = b" " * PAD + lines.data[begin:end] + b"\n"
    shift = PAD - begin
    found = _regular(text, lines, first, last, width, separator, shift)
    if found is None:
        found = _one_by_one(lines, first, last, width, separator, path, shift)
    return Fields(text, *found, shift)


def _regular(
    text: bytes, lines: Lines, first: int, last: int, width: int, separator: int | None, shift: int
) -> tuple[Ints, Ints] | None:
    """Of lines that have exactly one word for each field; None of others."""
    view = np.frombuffer(text, np.uint8)
    dark = view > 0x20
    if separator is not None:
        dark &= view != separator
    edges = np.flatnonzero(dark[1:] != dark[:-1]) + 1
    n = last - first
    if len(edges) != 2 * n * width:
        return None
    begins, ends = edges[0::2].reshape(n, width), edges[1::2].reshape(n, width)
    lasts = lines.ends[first:last] + shift
    if (begins[:, 0] < lines.begins[first:last] + shift).any() or (ends[:, -1] > lasts).any():
        return None
    if separator is not None:
        marks = np.flatnonzero(view == separator)
        if len(marks) != n * (width - 1):
            return None
        between = marks.reshape(n, width - 1)
        if (between < ends[:, :-1]).any() or (between >= begins[:, 1:]).any():
            return None
    return begins, ends


def _one_by_one(
    lines: Lines, first: int, last: int, width: int, separator: int | None, path: str, shift: int
) -> tuple[Ints, Ints]:
    spans: list[
        list[tuple[int, int]]
    ] = []  # of no more fields than there are: the first line may be the one that is wrong
    for place in range(first, last):
        line, begin = lines.line(place), int(lines.begins[place]) + shift
        found = split(line, separator)
        if len(found) == width + 1 and found[-1][0] == found[-1][1]:
            del found[-1]  # a separator at the end of the line
        if len(found) != width:
            raise wrong(lines, place, f"has {len(found)} values instead of {width}", path)
        spans.append([(begin + a, begin + b) for a, b in found])
    both = np.array(spans, np.int64)
    return np.ascontiguousarray(both[:, :, 0]), np.ascontiguousarray(both[:, :, 1])


def blocks(lines: Lines, first: int, last: int) -> list[tuple[int, int]]:
    """The lines from ``first`` to before ``last`` in pieces of about `BLOCK` bytes."""
    found, at = [], first
    while at < last:
        stop = int(np.searchsorted(lines.ends[at:last], lines.begins[at] + BLOCK)) + at
        found.append((at, max(stop, at + 1)))
        at = max(stop, at + 1)
    return found


def wrong(lines: Lines, place: int, what: str, path: str) -> ReadError:
    """That a line is not as it should be, and what it says."""
    shown = lines.line(place).strip()[:40].decode("utf-8", "replace")
    return ReadError(f"{path}: line {lines.number(place)} {what} ({shown!r}); correct that line")
