"""A whole text file: its scans, their rows, and the numbers in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Dims, Floats
from deburr.core.errors import ReadError
from deburr.core.progress import advance
from deburr.formats.text import layout as layouts
from deburr.formats.text.layout import Asked, Layout, is_whole
from deburr.formats.text.lines import Lines, blocks, fields, lines_of, split, wrong
from deburr.formats.text.names import typed
from deburr.formats.text.numbers import number
from deburr.formats.text.source import Scan, TextSource

_PTX_HEAD = 10


@dataclass(frozen=True, eq=False)
class Table:
    """``xyz`` (N, 3) float64 world coordinates of all rows, ``dims`` their other columns. Those of pixels
    without return (`TextSource.missed`) mean nothing."""

    xyz: Floats
    dims: Dims
    source: TextSource


def load(data: bytes, path: str, skip: int = 0, asked: Asked | None = None) -> Table:
    """What is in the bytes of a text. Raises `ReadError`."""
    asked = asked or Asked()
    _refuse_what_is_no_text(data, path)
    lines = lines_of(data, _behind(data, skip))
    kind, places, layout = _scans(lines, asked, path)
    rows = np.concatenate([np.arange(scan.first, scan.last) for scan, _ in places] or [np.zeros(0, np.int64)])
    scans = []
    for scan, first in places:
        count = scan.last - scan.first
        scans.append(Scan(scan.begin, scan.end, first, first + count, scan.counted, scan.shape, scan.pose))
    columns, decimals = _columns(lines, [(scan.first, scan.last) for scan, _ in places], layout, path)
    own = Lines(data, lines.newline, lines.begins[rows], lines.ends[rows])
    xyz = np.column_stack([columns[axis] for axis in layout.axes]) if len(rows) else np.empty((0, 3))
    missed = np.zeros(0, np.int64)
    if kind == "ptx":
        missed = np.flatnonzero((xyz == 0).all(axis=1))
        for scan in scans:
            assert scan.pose is not None
            part = slice(scan.first, scan.last)
            xyz[part] = xyz[part] @ scan.pose[:3, :3] + scan.pose[3, :3]
    dims = {
        name: typed(name, columns[place])
        for place, name in enumerate(layout.dims)
        if place not in layout.axes and place not in layout.texts
    }
    given: frozenset[str] = frozenset()
    scan_of = np.repeat(np.arange(len(scans)), [scan.last - scan.first for scan in scans])
    own_dims = dict(dims)
    if (kind == "ptx" or len(scans) > 1) and "PointSourceId" not in dims:
        dims["PointSourceId"] = (scan_of + 1).astype(np.uint16 if len(scans) < 1 << 16 else np.uint32)
        given = frozenset({"PointSourceId"})
    source = TextSource(path, kind, own, layout, tuple(scans), own_dims, decimals, scan_of, missed, given)
    return Table(xyz, dims, source)


def _refuse_what_is_no_text(data: bytes, path: str) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ReadError(f"{path}: is text in UTF-16, which deburr does not read; save it as UTF-8 or plain text")
    if b"\0" in data:
        raise ReadError(f"{path}: is not text (it holds zero bytes); check the file name and its format")


def _behind(data: bytes, skip: int) -> int:
    """The first byte behind ``skip`` lines, and behind the mark that says UTF-8."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    newline = b"\n" if b"\n" in data else b"\r"
    for _ in range(skip):
        at = data.find(newline, at) + 1
        if not at:
            return len(data)
    return at


def _scans(lines: Lines, asked: Asked, path: str) -> tuple[str, list[tuple[Scan, int]], Layout]:
    """What kind of text it is, its scans (by lines) with the number of each one's first row, and the layout of the
    rows."""
    place = names = None
    counted = False
    for at in range(len(lines)):
        if is_whole(lines, at):
            counted = True
            place = at
            break
        if asked.header is not None or layouts.numbers_in(lines.line(at)) >= 3:
            place = at
            break
        if names is not None:
            raise wrong(lines, at, "is neither a row of three numbers or more nor names of columns", path)
        names = at
    if place is None:
        raise ReadError(f"{path}: holds no row of at least three numbers; check the file name and its format")
    if counted and is_whole(lines, place + 1) and _is_grid(lines, place):
        return "ptx", *_grids(lines, place, asked, path)
    if counted:
        return "pts", *_counted(lines, place, names, asked, path)
    layout = layouts.layout_of(lines, (place, len(lines)), names, asked, path)
    return "rows", [(Scan(0, int(lines.begins[place]), place, len(lines)), 0)], layout


def _is_grid(lines: Lines, place: int) -> bool:
    return place + 2 < len(lines) and len(lines.line(place + 2).split()) == 3 and int(lines.line(place)) > 0


def _count(lines: Lines, place: int) -> tuple[int, tuple[int, int]]:
    line, begin = lines.line(place), int(lines.begins[place])
    inner = line.strip()
    at = begin + line.index(inner)
    return int(inner), (at, at + len(inner))


def _counted(
    lines: Lines, place: int, names: int | None, asked: Asked, path: str
) -> tuple[list[tuple[Scan, int]], Layout]:
    found: list[tuple[Scan, int]] = []
    layout, rows, begin = None, 0, 0
    while place < len(lines):
        if not is_whole(lines, place):
            raise wrong(
                lines,
                place,
                f"is one row more than the {found[-1][0].last - found[-1][0].first:,} that are announced",
                path,
            )
        count, where = _count(lines, place)
        first, last = place + 1, place + 1 + count
        if last > len(lines):
            raise _short(lines, place, f"{count:,} rows", len(lines) - first, path)
        if count and layout is None:
            layout = layouts.layout_of(lines, (first, last), names, asked, path)
        end = int(lines.begins[first]) if first < len(lines) and count else int(lines.ends[place])
        found.append((Scan(begin, end, first, last, counted=where), rows))
        begin, rows, place = int(lines.ends[last - 1]), rows + count, last
    return found, layout or Layout(None, layouts.POINT, ("X", "Y", "Z"), ("X", "Y", "Z"))


def _short(lines: Lines, place: int, what: str, there: int, path: str) -> ReadError:
    return ReadError(
        f"{path}: line {lines.number(place)} announces {what}, but {there:,} lines follow; the file is truncated or "
        "that line is wrong, get it again or correct it"
    )


def _grids(lines: Lines, place: int, asked: Asked, path: str) -> tuple[list[tuple[Scan, int]], Layout]:
    found: list[tuple[Scan, int]] = []
    layout, rows, begin = None, 0, 0
    while place < len(lines):
        if not (is_whole(lines, place) and is_whole(lines, place + 1)):
            raise wrong(lines, place, "does not begin a scan by its numbers of columns and rows", path)
        shape = _count(lines, place)[0], _count(lines, place + 1)[0]
        count = shape[0] * shape[1]
        first, last = place + _PTX_HEAD, place + _PTX_HEAD + count
        if last > len(lines):
            raise _short(
                lines, place, f"a scan of {shape[0]:,} x {shape[1]:,} points", max(len(lines) - first, 0), path
            )
        for at, width in zip(range(place + 2, first), (3, 3, 3, 3, 4, 4, 4, 4), strict=True):
            _vector(lines, at, width, path)
        pose = np.array([_vector(lines, at, 4, path) for at in range(first - 4, first)])
        if not np.isfinite(pose).all() or abs(np.linalg.det(pose[:3, :3])) < 1e-6:
            raise wrong(lines, first - 4, "begins a matrix that turns no point into another", path)
        if count and layout is None:
            layout = layouts.layout_of(lines, (first, last), None, asked, path)
        end = int(lines.begins[first]) if count else int(lines.ends[first - 1])
        found.append((Scan(begin, end, first, last, shape=shape, pose=pose), rows))
        begin, rows, place = int(lines.ends[last - 1]), rows + count, last
    return found, layout or Layout(None, layouts.POINT, ("X", "Y", "Z"), ("X", "Y", "Z"))


def _vector(lines: Lines, place: int, width: int, path: str) -> list[float]:
    line = lines.line(place)
    spans = split(line, None)
    if len(spans) != width:
        raise wrong(lines, place, f"has {len(spans)} values instead of {width}", path)
    try:
        return [number(line[a:b])[0] for a, b in spans]
    except ValueError:
        raise wrong(lines, place, "is not made of numbers", path) from None


def _columns(
    lines: Lines, parts: list[tuple[int, int]], layout: Layout, path: str
) -> tuple[list[Floats], tuple[int, ...]]:
    """The numbers of each column, (N,) float64, those of words without any; and their decimals."""
    wanted = [place for place in range(layout.width) if place not in layout.texts]
    # What a row too long or too short would take is not asked for before it is found.
    pieces: list[list[Floats]] = [[] for _ in range(layout.width)]
    decimals = [0] * layout.width
    done, total = 0, sum(last - first for first, last in parts)
    for first, last in (block for part in parts for block in blocks(lines, *part)):
        found = fields(lines, first, last, layout.width, layout.separator, path)
        for place in wanted:
            parsed = found.numbers(place, layout.mark, layout.separator is not None)
            if parsed.wrong is not None:
                raise ReadError(
                    f"{path}: line {lines.number(first + parsed.wrong)} has {found.word(parsed.wrong, place)!r} in "
                    f"column '{layout.names[place][:40]}', which is no number; correct that line"
                )
            pieces[place].append(parsed.values)
            decimals[place] = max(decimals[place], parsed.decimals)
        done += last - first
        advance("read points", done, total)
    columns = []
    for some in pieces:
        columns.append(np.concatenate(some) if some else np.zeros(0))
        some.clear()
    return columns, tuple(decimals)
