"""The points of a LAS or LAZ file: its records as they are, or through `deburr.formats.las.laz`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.core.progress import advance
from deburr.formats.las.header import LasSource
from deburr.formats.las.laz import LazPoints
from deburr.formats.las.points import Records

#: Points read at a time: enough to keep all cores busy, little beside the cloud itself.
_CHUNK = 1_000_000


def read_points(file: BinaryIO, source: LasSource, wanted: int, size: int) -> Iterator[Records]:
    """``wanted`` point records of ``source`` from row ``source.start`` on, ``size`` at a time; none: once no record.

    Raises `ReadError`.
    """
    layout = source.layout
    points = open_points(file, source) if wanted else None
    for begin in range(0, max(wanted, 1), size):
        records = np.empty(min(size, wanted - begin), dtype=layout.dtype)
        for at in range(0, len(records), _CHUNK):
            assert points is not None  # for mypy
            points.fill(records[at : at + _CHUNK])
            advance("read points", begin + min(at + _CHUNK, len(records)), wanted)
        records.flags.writeable = False
        yield records
        # Gone before the next are made: two parts at a time would take twice the memory.
        del records


def open_points(file: BinaryIO, source: LasSource) -> LasPoints | LazPoints:
    """The points of ``source``, whose file is open. Raises `ReadError`."""
    return (LazPoints if source.header.are_points_compressed else LasPoints)(file, source)


class LasPoints:
    """The points of ``source`` in their order, from row ``source.start`` on."""

    def __init__(self, file: BinaryIO, source: LasSource) -> None:
        header, size = source.header, source.layout.dtype.itemsize
        there = (size_of(file) - header.offset_to_point_data) // size
        if there < header.point_count:
            raise ReadError(
                f"{source.path}: promises {header.point_count} points and holds {there}; "
                "it is cut off, get a complete copy"
            )
        self._file, self._path, self._begin, self._size = file, source.path, header.offset_to_point_data, size
        self.seek(source.start)

    def seek(self, row: int) -> None:
        """Go on at this row."""
        self._file.seek(self._begin + row * self._size)

    def fill(self, records: Records) -> None:
        """The next points into ``records``. Raises `ReadError`."""
        if self._file.readinto(records.view(np.uint8)) != records.nbytes:  # type: ignore[attr-defined]
            raise ReadError(f"{self._path}: shrank while it was read; try again when nothing writes to it")
