"""The header and the variable length records of LAS 1.0-1.5, byte by byte: read here, written from the same table."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from deburr.core.errors import ReadError
from deburr.readers._las_points import Layout, Records

#: name -> (byte, struct format); LAS 1.4 table 3, and LAS 1.5 for what lies beyond byte 375.
FIELDS = {
    "filesource_id": (4, "H"),
    "global_encoding": (6, "H"),
    "project_id": (8, "16s"),
    "major": (24, "B"),
    "minor": (25, "B"),
    "system_id": (26, "32s"),
    "software_id": (58, "32s"),
    "creation_doy": (90, "H"),
    "creation_year": (92, "H"),
    "header_size": (94, "H"),
    "points_at": (96, "I"),
    "vlr_count": (100, "I"),
    "format": (104, "B"),
    "record_length": (105, "H"),
    "legacy_count": (107, "I"),
    "legacy_returns": (111, "5I"),
    "scale": (131, "3d"),
    "offset": (155, "3d"),
    "bounds": (179, "6d"),
    "waveform_at": (227, "Q"),
    "evlr_at": (235, "Q"),
    "evlr_count": (243, "I"),
    "count": (247, "Q"),
    "returns": (255, "15Q"),
    "gps_range": (375, "2d"),
}

#: Size of the header by minor version.
SIZES = (227, 227, 227, 235, 375, 393)
#: Highest point format by minor version.
HIGHEST_FORMAT = (1, 1, 3, 5, 10, 10)

GPS_STANDARD, WAVEFORMS_INSIDE, WAVEFORMS_OUTSIDE, WKT = 1, 2, 4, 16


class Header(bytearray):
    """A header's bytes; ``header.field("minor")`` reads a field, ``header.set(minor=4)`` writes it (see `FIELDS`)."""

    def field(self, name: str) -> Any:
        """The value of a field; a tuple where it has several; zeros beyond the header's end."""
        at, kind = FIELDS[name]
        size = struct.calcsize("<" + kind)
        values = struct.unpack("<" + kind, bytes(self[at : at + size]).ljust(size, b"\0"))
        return values[0] if len(values) == 1 else values

    def set(self, **fields: Any) -> None:
        """Write fields; those beyond the header's end do not exist in its version and are left out."""
        for name, value in fields.items():
            at, kind = FIELDS[name]
            if at + struct.calcsize("<" + kind) <= len(self):
                struct.pack_into("<" + kind, self, at, *(value if isinstance(value, tuple | list) else (value,)))


@dataclass(frozen=True)
class Vlr:
    """A variable length record, extended or not, with the bytes of its own header as they were."""

    user: bytes
    record: int
    data: bytes
    description: bytes = b""
    reserved: int = 0

    @property
    def id(self) -> tuple[str, int]:
        """User id and record number: what says what the record means."""
        return self.user.split(b"\0")[0].decode("ascii", "replace"), self.record

    def pack(self, extended: bool) -> bytes:
        """The record as it stands in a file."""
        kind = "<H16sHQ32s" if extended else "<H16sHH32s"
        return struct.pack(kind, self.reserved, self.user, self.record, len(self.data), self.description) + self.data


LASZIP = ("laszip encoded", 22204)
EXTRA_BYTES = ("LASF_Spec", 4)
WAVEFORM_DATA = ("LASF_Spec", 65535)


@dataclass(frozen=True, eq=False)
class LasSource:
    """A LAS file as it was read: what `writers.las` copies from. ``records`` begin at row ``start`` of the file."""

    path: str
    header: Header
    vlrs: tuple[Vlr, ...]
    evlrs: tuple[Vlr, ...]
    gap: bytes
    layout: Layout
    records: Records
    start: int
    crs: str | None
    units: str | None


def read_header(file: BinaryIO, path: str, size: int) -> Header:
    """The header of an open file of ``size`` bytes, checked as far as it can be alone. Raises `ReadError`."""
    file.seek(0)
    start = file.read(SIZES[0])
    if start[:4] != b"LASF":
        raise ReadError(f"{path}: is not a LAS or LAZ file (it does not begin with 'LASF'); give another file")
    header = Header(start)
    if len(start) < SIZES[0]:
        raise ReadError(f"{path}: is cut off inside its header ({size} bytes); get a complete copy")
    major, minor, length = header.field("major"), header.field("minor"), header.field("header_size")
    if major != 1 or minor >= len(SIZES):
        raise ReadError(f"{path}: is LAS {major}.{minor}, and only 1.0 to 1.5 can be read; convert it to LAS 1.4 first")
    # LAS 1.3 files with the header of 1.2 exist, and say only that they have no waveforms.
    least = SIZES[4] if minor >= 4 else SIZES[0]
    if not least <= length <= header.field("points_at"):
        raise ReadError(f"{path}: has a damaged header (header size {length}); get an intact copy")
    if header.field("points_at") > size:
        raise ReadError(f"{path}: is cut off before its points ({size} bytes); get a complete copy")
    header += file.read(length - SIZES[0])
    return header


def read_vlrs(file: BinaryIO, path: str, at: int, count: int, end: int, extended: bool) -> tuple[list[Vlr], int]:
    """``count`` records from byte ``at``, none beyond byte ``end``; also where they end. Raises `ReadError`."""
    kind = struct.Struct("<H16sHQ32s" if extended else "<H16sHH32s")
    what = "extended variable length record" if extended else "variable length record"
    found: list[Vlr] = []
    for number in range(1, count + 1):
        file.seek(at)
        head = file.read(kind.size) if at + kind.size <= end else b""
        length = kind.unpack(head)[3] if len(head) == kind.size else end
        if at + kind.size + length > end:
            raise ReadError(
                f"{path}: {what} {number} of {count} runs beyond its place; the file is cut off or damaged, "
                "get a complete copy"
            )
        reserved, user, record, _, description = kind.unpack(head)
        found.append(Vlr(user, record, file.read(length), description, reserved))
        at += kind.size + length
    return found, at
