"""The points of a LAS or LAZ file, through laspy's point sources; LAZ is held against the file before that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import lazrs
import numpy as np
from laspy import LazBackend
from laspy.lasreader import UncompressedPointReader
from laspy.vlrs.known import LasZipVlr

from deburr.core.errors import ReadError
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.readers._las_header import LASZIP, Header, LasSource
from deburr.readers._las_points import Layout, Records

#: Points read at a time: enough to keep all cores busy, little beside the cloud itself.
_CHUNK = 1_000_000

#: Bytes of points in a compressed chunk up to which chunks are decompressed side by side; LASzip's own have some MB.
_LARGEST_CHUNK = 2**28


def read_points(file: BinaryIO, source: LasSource, wanted: int, size: int) -> Iterator[Records]:
    """``wanted`` point records of ``source`` from row ``source.start`` on, ``size`` at a time; none: once no record.

    Raises `ReadError`.
    """
    path, header, layout = source.path, source.header, source.layout
    try:
        if header.are_points_compressed:
            points = _laz_points(file, source, wanted)
        else:
            points = _las_points(file, path, header, layout)
        if source.start and wanted:
            points.seek(source.start)
        for begin in range(0, max(wanted, 1), size):
            records = np.empty(min(size, wanted - begin), dtype=layout.dtype)
            for at in range(0, len(records), _CHUNK):
                _fill(records[at : at + _CHUNK], points, path)
                advance("readers.las", begin + min(at + _CHUNK, len(records)), wanted)
            records.flags.writeable = False
            yield records
            # Gone before the next are made: two parts at a time would take twice the memory.
            del records
    except lazrs.LazrsError as error:
        raise ReadError(
            f"{path}: its compressed points cannot be read ({error}); it is cut off or damaged, get a complete copy"
        ) from error


def _fill(records: Records, points: Any, path: str) -> None:
    found = points.read_n_points(len(records))
    if len(found) != records.nbytes:
        raise ReadError(f"{path}: shrank while it was read; try again when nothing writes to it")
    records[:] = np.frombuffer(found, dtype=records.dtype)


def _las_points(file: BinaryIO, path: str, header: Header, layout: Layout) -> Any:
    there = (os.fstat(file.fileno()).st_size - header.offset_to_point_data) // layout.dtype.itemsize
    if there < header.point_count:
        raise ReadError(
            f"{path}: promises {header.point_count} points and holds {there}; it is cut off, get a complete copy"
        )
    file.seek(header.offset_to_point_data)
    return UncompressedPointReader(file, header)


def _laz_points(file: BinaryIO, source: LasSource, wanted: int) -> Any:
    path, header, layout = source.path, source.header, source.layout
    laszip = next((v.data for v in source.vlrs if v.id == LASZIP), None)
    if laszip is None:
        if header.point_count:
            raise ReadError(f"{path}: is compressed but says not how (no LASzip record); get an intact copy")
        return None
    vlr = lazrs.LazVlr(laszip)
    size = vlr.item_size()
    if size != layout.dtype.itemsize:
        raise ReadError(f"{path}: says two point sizes, {size} and {layout.dtype.itemsize}; get an intact copy")
    if not wanted:
        return None
    largest = _check_chunks(file, path, header, vlr)
    file.seek(header.offset_to_point_data)
    header.vlrs[:] = [LasZipVlr(laszip)]
    # The parallel one asks for the memory of whole chunks, of whatever size a damaged file says they have.
    parallel = threads() > 1 and source.start == 0 and largest * size <= _LARGEST_CHUNK
    return (LazBackend.LazrsParallel if parallel else LazBackend.Lazrs).create_reader(file, header)


def _check_chunks(file: BinaryIO, path: str, header: Header, vlr: Any) -> int:
    """Hold the table of compressed chunks against the file and the count of points, before memory is asked for.

    lazrs ends the whole process where a damaged table asks for more than there is; laspy has no
    look at the table before that, so lazrs is asked itself.

    Returns the number of points of the largest chunk.
    """
    begin, size = header.offset_to_point_data, os.fstat(file.fileno()).st_size
    damaged = ReadError(f"{path}: the table of its compressed points is cut off or damaged; get a complete copy")
    file.seek(begin)
    at = int.from_bytes(file.read(8), "little", signed=True)
    if at == -1:  # written as a stream: the place follows at the very end
        file.seek(size - 8)
        at = int.from_bytes(file.read(8), "little", signed=True)
    if not begin + 8 <= at <= size - 8:
        raise damaged
    file.seek(at + 4)
    number = int.from_bytes(file.read(4), "little")
    # Every chunk begins with one point as it is.
    if number > (at - begin - 8) // header.point_format.size + 1:
        raise damaged
    file.seek(begin)
    chunks = lazrs.read_chunk_table(file, vlr)
    if sum(length for _, length in chunks) > at - begin - 8:
        raise damaged
    # Chunks of fixed size say that size, whatever the last one holds: the sum is an upper bound.
    most = sum(points for points, _ in chunks)
    if header.point_count > most:
        raise ReadError(
            f"{path}: promises {header.point_count} points and holds {most} at most; it is damaged, get a complete copy"
        )
    return max((points for points, _ in chunks), default=0)
