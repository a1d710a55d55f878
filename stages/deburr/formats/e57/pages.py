"""The lowest layer of an E57 file: pages of 1,020 bytes, each with a checksum (CRC-32C) behind it.

Places in the file are told as it lies on the disk, lengths without the checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.core.neighbors import threads

PAGE, DATA = 1024, 1020
HEADER = struct.Struct("<8sIIQQQQ")
SIGNATURE = b"ASTM-E57"
#: Pages checked at a time.
_CHECKED = 1 << 12
#: Pages whose checksums are summed at a time: what is looked up stays in the cache.
_SUMMED = 128
#: With y for eight bits, y^290 + y^136 + y^113 + y^107 + y^32 + 1 is a multiple of the polynomial of CRC-32C.
_FOLD = tuple(290 - power for power in (0, 32, 107, 113, 136))

T = TypeVar("T")
R = TypeVar("R")
Bytes = npt.NDArray[np.uint8]


def physical(logical: int) -> int:
    """Where byte ``logical`` of the data lies in the file."""
    return logical // DATA * PAGE + logical % DATA


@dataclass(frozen=True, eq=False)
class Pages:
    """An open file of ``count`` pages whose checksums are right; ``xml``: the place and length of its tree."""

    path: str
    stream: BinaryIO
    count: int
    xml: tuple[int, int]

    @property
    def size(self) -> int:
        """Bytes of data."""
        return self.count * DATA

    def read(self, place: int, length: int) -> Bytes:
        """The ``length`` bytes of data from the ``place`` in the file on. Raises `ReadError`."""
        begin = self.logical(place)
        end = begin + length
        if length < 0 or end > self.size:
            raise damaged(self.path, f"tells of {length} bytes at {place}, which it does not have")
        first = begin // DATA
        found = np.empty((-(-end // DATA) - first, PAGE), np.uint8)
        self._fill(found, first)
        return found[:, :DATA].reshape(-1)[begin - first * DATA : end - first * DATA]

    def _fill(self, pages: Bytes, first: int) -> None:
        """Read ``pages`` (N, PAGE), the ``first`` and those behind it."""
        self.stream.seek(first * PAGE)
        if self.stream.readinto(pages.data) < pages.size:  # type: ignore[attr-defined]
            raise ReadError(f"{self.path}: shrank while it was read; try again when nothing writes to it")

    def check(self) -> None:
        """Raise `ReadError` for a checksum that is wrong."""
        pages = np.empty((min(_CHECKED, self.count), PAGE), np.uint8)
        for start in range(0, self.count, _CHECKED):
            some = pages[: self.count - start]
            self._fill(some, start)
            wrong = np.flatnonzero(checksums(some[:, :DATA]) != some[:, DATA:].copy().view(">u4")[:, 0])
            if len(wrong):
                raise damaged(self.path, f"the checksum of its page {start + int(wrong[0])} is wrong")

    def logical(self, place: int) -> int:
        """Which byte of the data lies at ``place`` of the file. Raises `ReadError`."""
        page, within = divmod(place, PAGE)
        if place < 0 or within >= DATA:
            raise damaged(self.path, f"tells of data at {place}, where there are none")
        return page * DATA + within


def damaged(path: str, what: str) -> ReadError:
    """The sentence for a file that ``what`` is wrong with."""
    return ReadError(f"{path}: {what}; the file is damaged, get an intact copy")


def open_pages(stream: BinaryIO, path: str) -> Pages:
    """The pages of an open file. Raises `ReadError` where it is none of E57, is cut off, or has a wrong checksum."""
    head = stream.read(HEADER.size)
    size = size_of(stream)
    if len(head) < HEADER.size or not head.startswith(SIGNATURE):
        raise ReadError(f"{path}: is not an E57 file; check the file name and its format")
    _, major, _, length, place, xml, page = HEADER.unpack(head)
    if major != 1 or page != PAGE:
        raise ReadError(
            f"{path}: is E57 of version {major} with pages of {page} bytes, where 1 and {PAGE} are known; "
            "write it anew with another program"
        )
    if length > size or size < PAGE:
        raise ReadError(f"{path}: has {size} of the {length} bytes that it announces; it is cut off, get it again")
    found = Pages(path, stream, size // PAGE, (place, xml))
    found.check()
    return found


class PageWriter:
    """Writes data into a new file, page by page. The first page is written last, with the head of the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._first, self._rest = stream, b"", b""
        #: How many bytes of data there are so far.
        self.at = 0
        self.write(bytes(HEADER.size))

    def write(self, data: bytes) -> None:
        """Append ``data``, filled with zeros to a multiple of 4."""
        data += bytes(-len(data) % 4)
        self.at += len(data)
        data = self._rest + data
        whole = len(data) // DATA * DATA
        self._put(data[:whole])
        self._rest = data[whole:]

    def _put(self, data: bytes) -> None:
        if data and not self._first:
            self._first, data = data[:DATA], data[DATA:]
            self._stream.seek(PAGE)
        if data:
            self._stream.write(paged(data))

    def close(self, place: int, length: int) -> None:
        """End the file, whose tree is the ``length`` bytes from byte ``place`` of its data on."""
        self._put(self._rest + bytes(-len(self._rest) % DATA))
        head = HEADER.pack(SIGNATURE, 1, 0, -(-self.at // DATA) * PAGE, physical(place), length, PAGE)
        self._stream.seek(0)
        self._stream.write(paged(head + self._first[HEADER.size :]))


def paged(data: bytes) -> bytes:
    """``data``, of whole pages, with their checksums."""
    pages = np.empty((len(data) // DATA, PAGE), np.uint8)
    pages[:, :DATA] = np.frombuffer(data, np.uint8).reshape(-1, DATA)
    pages[:, DATA:] = checksums(pages[:, :DATA]).astype(">u4")[:, None].view(np.uint8)
    return pages.tobytes()


def checksums(data: Bytes) -> npt.NDArray[np.uint32]:
    """(N,) uint32: CRC-32C of each row of ``data`` (N, n), n at least 4.

    It is a sum, without carry, of what each byte at its place gives by itself; and a byte gives what the same one gives
    at the five places `_FOLD` behind it together, so that all but the last are moved there first.
    """
    length = data.shape[1]
    left = min(length, _FOLD[0])
    tables, begins = _tables(left), np.arange(0, 256 * left, 256, dtype=np.intp)[:, None]

    def some(start: int) -> npt.NDArray[np.uint32]:
        # Rows as long as a page lie in the cache's way of each other when they are turned; those of a copy do not.
        columns = np.ascontiguousarray(data[start : start + _SUMMED]).T.copy()
        columns[:4] ^= 0xFF  # as if all bits were set before
        for first in range(0, length - left, _FOLD[-1]):
            last = min(first + _FOLD[-1], length - left)
            for far in _FOLD:
                columns[first + far : last + far] ^= columns[first:last]
        places = columns[length - left :].astype(np.intp)
        places += begins
        summed: npt.NDArray[np.uint32] = np.bitwise_xor.reduce(tables.take(places, mode="clip"), axis=0)
        return ~summed

    return np.concatenate([np.empty(0, np.uint32), *each(some, range(0, len(data), _SUMMED))])


def each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What ``function`` makes of each of the ``items``; side by side, as numpy lets go of Python where it works."""
    workers = min(threads(), len(items))
    if workers < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


@cache
def _tables(length: int) -> npt.NDArray[np.uint32]:
    """(256 * length,) uint32: what each value of a byte gives, at each place of a row."""
    last = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = np.where(last & np.uint32(1), (last >> np.uint32(1)) ^ np.uint32(0x82F63B78), last >> np.uint32(1))
    tables = [last]
    while len(tables) < length:
        tables.append((tables[-1] >> np.uint32(8)) ^ last[tables[-1] & np.uint32(0xFF)])
    return np.concatenate(tables[::-1])
