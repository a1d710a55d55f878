"""A text that was read, with other numbers in it: whatever did not change comes out byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.core.progress import advance
from deburr.formats.text.lines import BLOCK, blocks, fields
from deburr.formats.text.source import Scan, TextSource
from deburr.writers._text_spelling import Words, columns_of, rounding, spelt, woven

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Change:
    """New ``values`` (M,) for column ``place`` of the text, which count in those of the M ``rows`` that are written."""

    place: int
    rows: Bools
    values: Array


class Rows:
    """The rows of ``cloud`` in the text that its points were read from; all rows of a grid, those of other texts that
    are left.

    ``order`` (M,) are the text's rows as they are written. ``warnings`` say what has no place in the text;
    ``rounding`` is, once `blocks` has been walked over, the furthest that a coordinate was moved to the decimals of
    its column, in the cloud's units."""

    def __init__(self, cloud: PointCloud, source: TextSource, path: str) -> None:
        self.cloud, self.source, self.path = cloud, source, path
        self.warnings: list[str] = []
        self.rounding = 0.0
        if (np.bincount(cloud.rows) > 1).any():
            raise WriteError(f"{path}: would hold rows of the text twice; write these points to another format")
        self._sorted = np.argsort(cloud.rows if self.grid else source.scan_of[cloud.rows], kind="stable")
        self._rows: Ints = cloud.rows[self._sorted]
        self.order: Ints = np.arange(len(source.lines)) if self.grid else self._rows
        self._changes = [*self._moves(), *self._changed()]
        self._added = self._new()

    @property
    def grid(self) -> bool:
        """Whether every row has a place of its own, and none can be left out."""
        return self.source.kind == "ptx"

    def _moves(self) -> Iterator[Change]:
        moved, now = self.cloud.moved[self._sorted], self.cloud.xyz[self._sorted]
        if self.grid:
            gone = np.ones(len(self.order), np.bool_)
            gone[self._rows] = gone[self.source.missed] = False
            rows, values = self._spread(moved, self._local(now)[moved])
            was = [rows | gone] * 3
        else:
            values = now
            was = list((moved[:, None] & (now != self.cloud.original[self._sorted])).T)
        for axis, place in enumerate(self.source.layout.axes):
            yield Change(place, was[axis], values[:, axis])

    def _local(self, xyz: Floats) -> Floats:
        """World coordinates of the points, row by row, in those of their scans."""
        local = xyz.copy()
        for scan in self.source.scans:
            assert scan.pose is not None
            part = (self._rows >= scan.first) & (self._rows < scan.last)
            local[part] = (xyz[part] - scan.pose[3, :3]) @ np.linalg.inv(scan.pose[:3, :3])
        return local

    def _spread(self, which: Bools, values: Array) -> tuple[Bools, Array]:
        """Those of the written rows that ``which`` of the points are, and their ``values`` in place; zeros
        elsewhere."""
        if not self.grid:
            whole = np.zeros((len(which), *values.shape[1:]), values.dtype)
            whole[which] = values
            return which, whole
        rows = np.zeros(len(self.order), np.bool_)
        rows[self._rows[which]] = True
        whole = np.zeros((len(self.order), *values.shape[1:]), values.dtype)
        whole[rows] = values
        return rows, whole

    def _changed(self) -> Iterator[Change]:
        """The columns whose values a stage has changed."""
        for place, name in enumerate(self.source.layout.dims):
            was, now = self.source.dims.get(name), self.cloud.dims.get(name)
            if was is None or now is None or was is now:
                continue
            old, new = was[self._rows], now[self._sorted]
            differs = (old != new) & ~((old != old) & (new != new))
            yield Change(place, *self._spread(differs, new[differs]))

    def _new(self) -> list[tuple[str, Array]]:
        """Name and values of each column that the text has not had."""
        known = {*self.source.layout.dims, *self.source.given}
        new = [name for name in self.cloud.dims if name not in known]
        if new and self.source.layout.named is None:
            self.warnings.append(
                f"{self.path}: a text without names of columns has no place for {', '.join(new)}, left out; write "
                ".csv, PLY or LAS to keep what is new"
            )
            return []
        return [pair for name in new for pair in columns_of(name, self.cloud.dims[name][self._sorted], self.path)]

    def blocks(self) -> Iterator[bytes]:
        """The whole file, piece by piece."""
        data, lines, scans = self.source.lines.data, self.source.lines, self.source.scans
        bounds = np.searchsorted(self.source.scan_of[self.order], np.arange(len(scans) + 1))
        for number, scan in enumerate(scans):
            first, last = int(bounds[number]), int(bounds[number + 1])
            yield self._head(scan, last - first)
            yield from self._scan(scan, first, last)
        yield data[int(lines.ends[-1]) if scans[-1].last > scans[-1].first else scans[-1].end :]

    def _head(self, scan: Scan, count: int) -> bytes:
        """What stands before a scan's rows, with their number and the names of new columns."""
        data, layout = self.source.lines.data, self.source.layout
        changes: list[tuple[int, int, bytes]] = []
        if scan.counted is not None and count != scan.last - scan.first:
            changes.append((*scan.counted, str(count).encode()))
        if self._added and layout.named is not None:
            names = b"".join(self._mark + name.encode() for name, _ in self._added)
            changes.append((layout.named[1], layout.named[1], names))
        found, at = b"", scan.begin
        for begin, end, text in changes:
            found += data[at:begin] + text
            at = end
        return found + data[at : scan.end]

    @property
    def _mark(self) -> bytes:
        separator = self.source.layout.separator
        return b" " if separator is None else bytes([separator])

    def _scan(self, scan: Scan, first: int, last: int) -> Iterator[bytes]:
        """What is written from place ``first`` to before ``last``: runs of rows that follow one another in the text,
        too."""
        breaks = np.flatnonzero(np.diff(self.order[first:last]) != 1) + first + 1
        stops = [*breaks.tolist(), last] if last > first else []
        for at, stop in zip([first, *stops], stops, strict=False):
            start = int(self.order[at])
            for begin, end in self._blocks(start, start + stop - at):
                yield self._block(begin, end, at + begin - start, begin > scan.first)
                advance("write points", at + end - start, len(self.order))

    def _block(self, begin: int, end: int, place: int, inner: bool) -> bytes:
        """The text's rows from ``begin`` to before ``end``, which are written from ``place`` on; ``inner``: other rows
        of the scan come before. What stands between two rows belongs to the second."""
        lines, layout, n = self.source.lines, self.source.layout, end - begin
        opened = int(lines.ends[begin - 1]) if inner else int(lines.begins[begin])
        closed = int(lines.ends[end - 1])
        unended = place + n < len(self.order) and lines.data[closed - 1] != lines.newline
        tail = bytes([lines.newline]) if unended else b""
        here = slice(place, place + n)
        changes = sorted((one for one in self._changes if one.rows[here].any()), key=lambda one: one.place)
        if not changes and not self._added:
            return lines.data[opened:closed] + tail
        found = fields(lines, begin, end, layout.width, layout.separator, self.path)
        view = np.frombuffer(found.text, np.uint8)
        lasts = lines.ends[begin:end] + found.shift
        at = np.append(lines.begins[begin] + found.shift, lasts[:-1])
        columns: list[Words | bytes] = []
        for change in changes:
            begins, ends = found.begins[:, change.place], found.ends[:, change.place]
            rows = np.flatnonzero(change.rows[here])
            word = self._words(change, change.values[here][rows])
            word = word if len(rows) == n else Words.cut(view, begins, ends).with_others(rows, word)
            columns += [Words.cut(view, at, begins), word]
            at = ends
        if self._added:
            columns.append(Words.cut(view, at, found.ends[:, -1]))
            for _, values in self._added:
                columns += [self._mark, spelt(values[here], None, layout.mark)]
            at = found.ends[:, -1]
        columns.append(Words.cut(view, at, lasts))
        return lines.data[opened : int(lines.begins[begin])] + woven(columns, n) + tail

    def _blocks(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The rows in blocks whose longest row times their number is bounded: so much room does weaving take."""
        lines = self.source.lines
        for begin, end in blocks(lines, first, last):
            edges = np.append(lines.begins[begin], lines.ends[begin:end])
            step = max(4 * BLOCK // int(np.diff(edges).max()), 1)
            yield from ((at, min(at + step, end)) for at in range(begin, end, step))

    def _words(self, change: Change, values: Array) -> Words:
        layout = self.source.layout
        decimals = self.source.decimals[change.place]
        if change.place in layout.axes:
            self.rounding = max(self.rounding, rounding(values, decimals))
        return spelt(values, decimals, layout.mark)
