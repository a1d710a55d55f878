"""A part of a LAS file's points: those of a box, and of an octree's upper levels, by the index where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from deburr.core import web
from deburr.core.arrays import Ints
from deburr.core.bounds import Bounds
from deburr.core.cloud import Extent
from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.core.progress import advance
from deburr.formats.las import copc
from deburr.formats.las.body import open_points
from deburr.formats.las.header import LasSource
from deburr.formats.las.laz import LazPoints
from deburr.formats.las.points import Records

#: Points read at a time.
_CHUNK = 1_000_000


@dataclass(frozen=True)
class Window:
    """The points in ``bounds`` (None: everywhere) of the levels down to ``resolution``, cloud units (None: of all)."""

    bounds: Bounds | None
    resolution: float | None

    def points(self, file: BinaryIO, source: LasSource, size: int | None) -> Iterator[tuple[Ints, Records]]:
        """Rows and records in the file's order, ``size`` at a time (None: all at once); of no points, once none.

        Raises `ReadError`.
        """
        kept: list[tuple[Ints, Records]] = [(np.empty(0, np.int64), np.empty(0, source.layout.dtype))]
        count = 0
        for some in self._found(file, source):
            kept.append(some)
            count += len(some[0])
            while size is not None and count > size:
                rows, records = _joined(kept)
                yield rows[:size], records[:size]
                kept, count = [(rows[size:], records[size:])], count - size
        yield _joined(kept)

    def extent(self, file: BinaryIO, source: LasSource) -> Extent:
        """How many points there are, and their bounds, found by reading them. Raises `ReadError`."""
        count, low, high = 0, np.full(3, np.inf), np.full(3, -np.inf)
        for _, records in self._found(file, source):
            count += len(records)
            for axis in range(3):
                world = source.along(axis, records)
                low[axis] = min(low[axis], world.min(initial=np.inf))
                high[axis] = max(high[axis], world.max(initial=-np.inf))
        return Extent(count, low, high)

    def _found(self, file: BinaryIO, source: LasSource) -> Iterator[tuple[Ints, Records]]:
        indexed = copc.is_copc(source)
        if self.resolution is not None and not indexed:
            raise ReadError(f"{source.path}: is no COPC, which alone has levels; leave 'resolution' out")
        if not source.header.point_count:
            return
        points = open_points(file, source)
        runs = [(0, int(source.header.point_count))]
        if indexed and isinstance(points, LazPoints):
            runs = copc.runs(file, source, points.chunks, self.bounds, self.resolution)
            web.fetch(file, [points.place(*run) for run in runs])
        else:
            web.fetch(file, [(0, size_of(file))])
        done, total = 0, sum(end - begin for begin, end in runs)
        for begin, end in runs:
            points.seek(begin)
            for at in range(begin, end, _CHUNK):
                records = np.empty(min(_CHUNK, end - at), source.layout.dtype)
                points.fill(records)
                done += len(records)
                advance("read points", done, total)
                yield self._inside(source, at, records)

    def _inside(self, source: LasSource, begin: int, records: Records) -> tuple[Ints, Records]:
        rows = np.arange(begin, begin + len(records))
        if self.bounds is None:
            return rows, records
        inside = np.ones(len(records), dtype=np.bool_)
        for axis in range(3):
            inside &= self.bounds.holds(axis, source.along(axis, records))
        return rows[inside], records[inside]


def _joined(kept: list[tuple[Ints, Records]]) -> tuple[Ints, Records]:
    rows, records = np.concatenate([rows for rows, _ in kept]), np.concatenate([records for _, records in kept])
    records.flags.writeable = False
    return rows, records
