"""The header and the variable length records of LAS 1.0-1.5: laspy's header, and the bytes that laspy would lose.

Measured with laspy 2.7 on real files and on damaged ones. Reading, it counts on every number: records that run beyond
the file are cut short in silence, and a count of 2**32 - 1 records is walked through. Writing, it clears the reserved
bytes of records, ends their texts early, writes known records anew (GeoTIFF texts, WKT, smallest and largest values of
extra bytes), clears the legacy counts of LAS 1.4 and dates files without a date today. Hence what is by hand here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import laspy
import numpy as np
from laspy.header import LAS_HEADERS_SIZE, Version

from deburr.core.arrays import Floats, Ints
from deburr.core.crs.wkt import Units
from deburr.core.errors import ReadError
from deburr.formats.las.crs import CRS_RECORDS
from deburr.formats.las.points import Layout, Records
from deburr.formats.las.records import COPC_PAGES, EXTRA_BYTES, LASZIP, Vlr

_TEXTS_AND_DATE = struct.Struct("<32s32sHH")


class Header(laspy.LasHeader):  # type: ignore[misc]  # laspy has no types
    """laspy's header, whose ``write_to`` keeps texts, dates and legacy counts byte by byte, and writes ``records``."""

    mins: Any
    maxs: Any
    records: tuple[Vlr, ...] = ()
    system_bytes: bytes = b"OTHER"
    software_bytes: bytes = b""
    creation_doy: int = 0
    creation_year: int = 0

    @classmethod
    def parse(cls, start: bytes) -> Header:
        """The header in the bytes ``start``, without its records."""
        (points_at,) = struct.unpack_from("<I", start, 96)
        data, minor = bytearray(start), start[25]
        if minor == 3 and len(start) < LAS_HEADERS_SIZE["1.3"]:
            # LAS 1.3 with the header of 1.2 exists, and says only that it has no waveforms.
            data[25], data[LAS_HEADERS_SIZE["1.2"] :] = 2, b""
        # No date, of which laspy makes one that there may not be, and which is kept below; no records: see above.
        struct.pack_into("<HHHII", data, 90, 0, 0, len(data), len(data), 0)
        header: Header = cls.read_from(io.BytesIO(data))
        header.offset_to_point_data = points_at
        header.become(minor, header.point_format)
        names = ("system_bytes", "software_bytes", "creation_doy", "creation_year")
        header.__dict__.update(zip(names, _TEXTS_AND_DATE.unpack_from(start, 26), strict=True))
        if header.point_count == 0:  # some LAS 1.4 files fill in the legacy field alone
            header.point_count = struct.unpack_from("<I", start, 107)[0]
        return header

    def become(self, minor: int, point_format: Any) -> None:
        """Set both; laspy's own setters refuse LAS 1.5 with formats 0-5, which exists, and describe extra bytes."""
        self._version, self._point_format = Version(1, minor), point_format

    @property
    def minor(self) -> int:
        """x of LAS 1.x."""
        return int(self.version.minor)

    def grow(self, points: Any) -> None:
        """Take the counts and bounds of ``points`` in; laspy's own takes the scale to be positive."""
        before = np.array([self.mins, self.maxs])
        self.mins, self.maxs = np.full(3, np.inf), np.full(3, -np.inf)
        super().grow(points)
        found = np.array([self.mins, self.maxs])
        self.mins, self.maxs = np.fmin(before[0], found.min(0)), np.fmax(before[1], found.max(0))

    def write_to(self, stream: BinaryIO, ensure_same_size: bool = False, encoding_errors: str = "strict") -> None:
        """What laspy writes (with LASzip's record alone), and what it would lose."""
        buffer = io.BytesIO()
        super().write_to(buffer, encoding_errors="replace")
        data = bytearray(buffer.getvalue())
        texts = self.system_bytes, self.software_bytes
        _TEXTS_AND_DATE.pack_into(data, 26, *texts, self.creation_doy, self.creation_year)
        if self.minor == 4 and self.point_format.id < 6 and self.point_count < 2**32:
            struct.pack_into("<6I", data, 107, self.point_count, *map(int, self.number_of_points_by_return[:5]))
        (size,) = struct.unpack_from("<H", data, 94)
        data[size:size] = b"".join(record.pack(extended=False) for record in self.records)
        struct.pack_into("<II", data, 96, len(data), len(self.records) + len(self.vlrs))
        stream.write(data)


@dataclass(frozen=True, eq=False)
class LasSource:
    """A LAS file as it was read: what `writers.las` copies from.

    ``records`` are those of the file's ``chosen`` rows (N,), ascending; None: of as many from row ``start`` on.
    """

    path: str
    header: Header
    vlrs: tuple[Vlr, ...]
    evlrs: tuple[Vlr, ...]
    layout: Layout
    records: Records
    start: int
    crs: str | None
    units: Units
    chosen: Ints | None = None

    @property
    def rows(self) -> Ints:
        """(N,) int64: the records' rows in the file, ascending."""
        return np.arange(self.start, self.start + len(self.records)) if self.chosen is None else self.chosen

    def taken(self, rows: Ints) -> Records:
        """The records (M,) of the file's ``rows`` (M,), which are among those that were read."""
        taken: Records = self.records[rows - self.start if self.chosen is None else np.searchsorted(self.chosen, rows)]
        return taken

    def along(self, axis: int, records: Records) -> Floats:
        """(N,) float64: x, y or z of ``records`` (N,), world coordinates."""
        return np.asarray(records["XYZ"[axis]] * self.header.scales[axis] + self.header.offsets[axis])

    def beside_points(self) -> str:
        """What there is beside points and their CRS, as a list in words; '' if nothing."""
        records = [*self.vlrs, *self.evlrs]
        known = {LASZIP, EXTRA_BYTES, *CRS_RECORDS}
        other = [r for r in records if r.id not in known and r.id[0] != "copc" and not r.has_waveforms]
        found = ["the waveforms"] if any(r.has_waveforms for r in records) else []
        return ", ".join([*found, *([f"{len(other)} records"] if other else [])])

    def joined(self, others: Sequence[LasSource]) -> tuple[LasSource, list[int], list[str]] | None:
        """See `deburr.core.merging.Joinable`."""
        from deburr.formats.las.join import joined

        return joined([self, *others])


def read_header(file: BinaryIO, path: str, size: int) -> tuple[Header, list[Vlr]]:
    """Header and records of an open file of ``size`` bytes, checked before laspy sees them. Raises `ReadError`."""
    file.seek(0)
    start = file.read(LAS_HEADERS_SIZE["1.1"])
    if start[:4] != b"LASF":
        raise ReadError(f"{path}: is not a LAS or LAZ file (it does not begin with 'LASF'); give another file")
    if len(start) < LAS_HEADERS_SIZE["1.1"]:
        raise ReadError(f"{path}: is cut off inside its header ({size} bytes); get a complete copy")
    major, minor = start[24:26]
    if major != 1 or minor > 5:
        raise ReadError(f"{path}: is LAS {major}.{minor}, and only 1.0 to 1.5 can be read; convert it to LAS 1.4 first")
    length, points_at, count, number, record_length = struct.unpack_from("<HIIBH", start, 94)
    least = LAS_HEADERS_SIZE[f"1.{minor}" if minor >= 4 else "1.1"]
    if not least <= length <= points_at:
        raise ReadError(f"{path}: has a damaged header (header size {length}); get an intact copy")
    if points_at > size:
        raise ReadError(f"{path}: is cut off before its points ({size} bytes); get a complete copy")
    if number & 0x3F > 10:
        raise ReadError(f"{path}: has the unknown point format {number & 0x3F} (0 to 10 exist); get an intact copy")
    if record_length < Layout(number & 0x3F).dtype.itemsize:
        raise ReadError(
            f"{path}: point format {number & 0x3F} does not fit its record length {record_length}; get an intact copy"
        )
    header = Header.parse(start + file.read(length - len(start)))
    header.are_points_compressed = bool(number & 0x80)
    vlrs, end = read_vlrs(file, path, length, count, points_at, extended=False)
    file.seek(end)
    header.extra_vlr_bytes = file.read(points_at - end)
    return header, vlrs


def read_vlrs(
    file: BinaryIO, path: str, at: int, count: int, end: int, extended: bool, waveforms_at: int = 0
) -> tuple[list[Vlr], int]:
    """``count`` records from byte ``at``, none beyond byte ``end``; also where they end. Raises `ReadError`.

    Pages of an index (COPC) are passed over: they can be large, and say nothing to who does not look for places.
    """
    kind = struct.Struct("<H16sHQ32s" if extended else "<H16sHH32s")
    what = "extended variable length record" if extended else "variable length record"
    found: list[Vlr] = []
    for number in range(1, count + 1):
        head = b""
        if at + kind.size <= end:  # before seeking: a damaged place may be beyond what a file can have
            file.seek(at)
            head = file.read(kind.size)
        length = kind.unpack(head)[3] if len(head) == kind.size else end
        if at + kind.size + length > end:
            raise ReadError(
                f"{path}: {what} {number} of {count} runs beyond its place; the file is cut off or damaged, "
                "get a complete copy"
            )
        reserved, user, record, _, description = kind.unpack(head)
        vlr = Vlr(user, record, b"", description, reserved, at == waveforms_at != 0)
        found.append(vlr if vlr.id == COPC_PAGES else replace(vlr, data=file.read(length)))
        at += kind.size + length
    return found, at


def read_evlrs(file: BinaryIO, path: str, header: Header, size: int) -> list[Vlr]:
    """The extended records, and the waveforms of LAS 1.3, which its header alone points at and laspy reads not."""
    inside = header.global_encoding.waveform_data_packets_internal
    waveforms_at = header.start_of_waveform_data_packet_record if inside else 0
    first, count = header.start_of_first_evlr, header.number_of_evlrs
    evlrs, _ = read_vlrs(file, path, first, count, size, extended=True, waveforms_at=waveforms_at)
    if waveforms_at and not any(v.has_waveforms for v in evlrs):
        evlrs += read_vlrs(file, path, waveforms_at, 1, size, extended=True, waveforms_at=waveforms_at)[0]
    return evlrs
