"""The points of a LAZ file, chunk by chunk through lazrs, and never more than the file can hold.

Measured with lazrs 0.8.2. It believes what a file says: the sizes of the layers inside a chunk are asked for as memory
before a byte of them is read (2 kB ask for 4 GB), and where that fails the process ends. Items that do not belong
together make it panic, which is no `Exception`. Its own readers go on where the last chunk ended, or begin anew where
the table says, depending on the threads, and `seek` takes all chunks to be of one size. So chunks are found by the
table alone and handed over one by one, held against the file before; the answer is then the same however they are read.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple

import lazrs
import numpy as np

from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.core.neighbors import threads
from deburr.formats.las.header import LasSource
from deburr.formats.las.points import Records
from deburr.formats.las.records import LASZIP

#: LASzip's items: bytes of a point; layers in a chunk of point formats 6-10 (0: extra bytes, one layer a byte).
_SIZES = {6: 20, 7: 8, 8: 6, 9: 29, 10: 30, 11: 6, 12: 8, 13: 29}
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
_EXTRA_BYTES = (0, 14)
#: The items of each point format, without extra bytes.
_ITEMS = ((6,), (6, 7), (6, 8), (6, 7, 8), (6, 7, 9), (6, 7, 8, 9), (10,), (10, 11), (10, 12), (10, 13), (10, 12, 13))

#: LASzip's ways to compress that have chunks: point by point, and in layers.
_CHUNKED = (2, 3)

#: The most points that a byte of a chunk can hold. Each takes at least one symbol of LASzip's smallest changing model,
#: 64 symbols, and the length codes of its coordinates, 33 symbols each. No symbol of a model of n is ever more likely
#: than 1 - (n - 1) / 2**15, so that a point takes log2(e) * (63 + 32) / 2**15 bits = 1 / 1,900 byte or more.
_DENSEST = 2_000

#: Points decompressed by one call, and at a time where they are passed over.
_CALL = 1_000_000


class Chunk(NamedTuple):
    """Where a compressed chunk lies in the file, its bytes, and how many of its points the file counts."""

    at: int
    size: int
    points: int


#: The four bytes with which no arithmetic code begins.
_NO_CODE = b"\xff" * 4


class Laz:
    """The compressed points of ``source``, whose file is open as ``file``. All raises `ReadError` for damage."""

    def __init__(self, file: BinaryIO, source: LasSource) -> None:
        self._file, self._path, self._dtype = file, source.path, source.layout.dtype
        record = next((v.data for v in source.vlrs if v.id == LASZIP), None)
        if record is None:
            raise ReadError(f"{self._path}: is compressed but says not how (no LASzip record); get an intact copy")
        kind = int.from_bytes(record[:2], "little")
        if kind not in _CHUNKED:
            raise ReadError(
                f"{self._path}: is compressed in a way of LASzip's ({kind}) that has no chunks, which cannot be read; "
                "write it anew with LASzip or PDAL"
            )
        self._record = record
        items = _items(record, self._path)
        self._check_items(items, source.layout.format)
        self._layers = sum(_LAYERS.get(kind, size) for kind, size in items) if source.layout.format >= 6 else 0
        with self._damage():
            self._vlr = lazrs.LazVlr(record)
        self._begin = source.header.offset_to_point_data

    def _check_items(self, items: list[tuple[int, int]], number: int) -> None:
        known = [kind for kind, _ in items if kind not in _EXTRA_BYTES]
        sizes = all(_SIZES.get(kind, size) == size for kind, size in items)
        total, extras_last = sum(size for _, size in items), items[: len(known)] == [i for i in items if i[0] in _SIZES]
        if total != self._dtype.itemsize:
            raise ReadError(
                f"{self._path}: says two point sizes, {total} and {self._dtype.itemsize}; get an intact copy"
            )
        if tuple(known) != _ITEMS[number] or not sizes or not extras_last:
            raise ReadError(
                f"{self._path}: its LASzip record does not describe point format {number}; get an intact copy"
            )

    def chunks(self, count: int) -> list[Chunk]:
        """The chunks of ``count`` points, by the file's table."""
        return self._counted(self._table(), count)

    def count_at_least(self) -> int:
        """How many points the file is sure to hold, whatever its header counts."""
        table = [(points, length) for points, length in self._table() if length]
        if not table:
            return 0
        whole, points = table[:-1], table[-1][0]
        before = sum(points for points, _ in whole)
        if self._vlr.uses_variable_size_chunks():
            return before + points
        # The last chunk holds as many as it says itself, in point formats 6-10, and else one or more.
        self._file.seek(self._begin + 8 + sum(size for _, size in whole) + self._dtype.itemsize)
        said = int.from_bytes(self._file.read(4), "little") if self._layers else 0
        return before + (said if said <= points else 0)

    def _table(self) -> list[tuple[int, int]]:
        """Points and bytes of each chunk; all lie within the file."""
        begin, size = self._begin, size_of(self._file)
        damaged = ReadError(
            f"{self._path}: the table of its compressed points is cut off or damaged; get a complete copy"
        )
        self._file.seek(begin)
        at = int.from_bytes(self._file.read(8), "little", signed=True)
        if at == -1:  # written as a stream: the place follows at the very end
            self._file.seek(size - 8)
            at = int.from_bytes(self._file.read(8), "little", signed=True)
        if not begin + 8 <= at <= size - 8:
            raise damaged
        self._file.seek(at + 4)
        number = int.from_bytes(self._file.read(4), "little")
        # Every chunk begins with one point as it is.
        if number > (at - begin - 8) // self._dtype.itemsize + 1:
            raise damaged
        self._file.seek(begin)
        with self._damage():
            table: list[tuple[int, int]] = lazrs.read_chunk_table(self._file, self._vlr)
        if sum(length for _, length in table) > at - begin - 8:
            raise damaged
        return table

    def _counted(self, table: list[tuple[int, int]], count: int) -> list[Chunk]:
        # Chunks of fixed size say that size, whatever the last one holds: the sum is an upper bound.
        most, left, place, found = sum(points for points, _ in table), count, self._begin + 8, []
        if count > most:
            raise ReadError(
                f"{self._path}: promises {count} points and holds {most} at most; it is damaged, get a complete copy"
            )
        for points, length in table:
            points = min(points, left)
            if points > _DENSEST * length:
                raise ReadError(
                    f"{self._path}: promises {points} points in {length} bytes, which cannot hold them; "
                    "it is damaged, get a complete copy"
                )
            found.append(Chunk(place, length, points))
            left, place = left - points, place + length
        return found

    def read(self, chunks: Sequence[Chunk], out: Records) -> None:
        """All points of consecutive ``chunks`` into ``out``."""
        first, last = chunks[0], chunks[-1]
        data = self._bytes(first.at, last.at + last.size - first.at)
        for chunk in chunks:
            self._check_codes(memoryview(data)[chunk.at - first.at :][: chunk.size])
        table = [(chunk.points, chunk.size) for chunk in chunks]
        with self._damage():
            lazrs.decompress_points_with_chunk_table(data, self._record, out.view(np.uint8), table)

    def walk(self, chunk: Chunk) -> Any:
        """lazrs' reader of the points of one ``chunk`` in pieces, for those of which only some are wanted."""
        data = self._bytes(chunk.at, chunk.size)
        self._check_codes(memoryview(data))
        alone = io.BytesIO()
        alone.write(struct.pack("<q", 8 + chunk.size) + data)
        with self._damage():
            lazrs.write_chunk_table(alone, [(chunk.points, chunk.size)], self._vlr)
            alone.seek(0)
            return lazrs.LasZipDecompressor(alone, self._record)

    def _bytes(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(size)
        if len(data) < size:
            raise ReadError(f"{self._path}: shrank while it was read; try again when nothing writes to it")
        return data

    def step(self, reader: Any, out: Records) -> None:
        """The next points of a `walk` into ``out``."""
        with self._damage():
            reader.decompress_many(out.view(np.uint8))

    def _check_codes(self, chunk: memoryview) -> None:
        """Refuse a chunk whose layers would not lie inside it, before lazrs asks for their memory; and one with a code
        that no coder writes, on which lazrs reads where no memory is."""
        begins = [self._dtype.itemsize]
        if self._layers and len(chunk):
            head = self._dtype.itemsize + 4 * (1 + self._layers)
            sizes = np.frombuffer(chunk[head - 4 * self._layers : head], "<u4")
            if len(sizes) < self._layers or head + int(sizes.sum(dtype=np.uint64)) > len(chunk):
                raise ReadError(
                    f"{self._path}: a chunk of its compressed points says sizes beyond its own; "
                    "it is damaged, get a complete copy"
                )
            ends = head + np.cumsum(sizes, dtype=np.int64)
            begins = (ends - sizes)[sizes >= len(_NO_CODE)].tolist()
        # A code is a number below the coder's first interval, 2^32 - 1 long.
        if any(chunk[begin : begin + 4] == _NO_CODE for begin in begins):
            raise ReadError(
                f"{self._path}: a chunk of its compressed points holds a code that no coder writes; "
                "it is damaged, get a complete copy"
            )

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """What lazrs says of the file becomes a `ReadError`, its panics too, which pass by ``except Exception``."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, lazrs.LazrsError) and type(error).__name__ != "PanicException":
                raise
            raise ReadError(
                f"{self._path}: its compressed points cannot be read ({error}); "
                "it is cut off or damaged, get a complete copy"
            ) from error


class LazPoints:
    """The points of ``source`` in their order, from row ``source.start`` on; it has at least one from there."""

    def __init__(self, file: BinaryIO, source: LasSource) -> None:
        self._laz = Laz(file, source)
        self.chunks = self._laz.chunks(source.header.point_count)
        self._ends = list(accumulate(chunk.points for chunk in self.chunks))
        self.seek(source.start)

    def seek(self, row: int) -> None:
        """Go on at this row."""
        self._row = row
        self._walk: Any = None

    def place(self, begin: int, end: int) -> tuple[int, int]:
        """The bytes [first, last) of the chunks that hold the rows [begin, end), of which there is one or more."""
        first, last = (self.chunks[bisect_right(self._ends, row)] for row in (begin, end - 1))
        return first.at, last.at + last.size

    def fill(self, records: Records) -> None:
        """The next points into ``records``. Raises `ReadError`."""
        done = 0
        while done < len(records):
            done += self._some(records[done:])

    def _some(self, records: Records) -> int:
        """The next points into the begin of ``records``, as many as go together; how many these are."""
        number = int(np.searchsorted(self._ends, self._row, side="right"))
        begin, end = self._ends[number] - self.chunks[number].points, self._ends[number]
        if self._row == begin and end - begin <= len(records):
            last = number + 1
            while threads() > 1 and last < len(self._ends) and self._ends[last] - begin <= min(len(records), _CALL):
                last += 1
            some = self._ends[last - 1] - begin
            self._laz.read(self.chunks[number:last], records[:some])
        else:
            if self._walk is None:
                self._walk = self._laz.walk(self.chunks[number])
                self._pass_over(self._row - begin, records.dtype)
            some = min(end - self._row, len(records))
            self._laz.step(self._walk, records[:some])
            self._walk = None if self._row + some == end else self._walk
        self._row += some
        return some

    def _pass_over(self, count: int, dtype: np.dtype[Any]) -> None:
        unused = np.empty(min(count, _CALL), dtype=dtype)
        for at in range(0, count, _CALL):
            self._laz.step(self._walk, unused[: count - at])


def _items(record: bytes, path: str) -> list[tuple[int, int]]:
    """Kind and size of each item that LASzip's ``record`` lists. Raises `ReadError`."""
    number = int.from_bytes(record[32:34], "little")
    if len(record) < 34 + 6 * number:
        raise ReadError(f"{path}: its LASzip record is cut off or damaged; get an intact copy")
    return [struct.unpack_from("<HH", record, 34 + 6 * i) for i in range(number)]
