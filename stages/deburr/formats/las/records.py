"""The variable length records of a LAS file, with the bytes of their own headers."""

from __future__ import annotations

import struct
from dataclasses import dataclass

LASZIP = ("laszip encoded", 22204)
EXTRA_BYTES = ("LASF_Spec", 4)
#: COPC's description of its octree, and the pages that say where its nodes lie.
COPC, COPC_PAGES = ("copc", 1), ("copc", 1000)
WAVEFORM_DATA = ("LASF_Spec", 65535)


@dataclass(frozen=True)
class Vlr:
    """A variable length record, extended or not, with the bytes of its own header as they were.

    ``pointed_at``: the header says that the waveforms are here, whatever the record is called.
    """

    user: bytes
    record: int
    data: bytes
    description: bytes = b""
    reserved: int = 0
    pointed_at: bool = False

    @property
    def id(self) -> tuple[str, int]:
        """User id and record number: what says what the record means."""
        return self.user.split(b"\0")[0].decode("ascii", "replace"), self.record

    @property
    def has_waveforms(self) -> bool:
        """Whether the waveforms of the points are in this record."""
        return self.pointed_at or self.id == WAVEFORM_DATA

    def pack(self, extended: bool) -> bytes:
        """The record as it stands in a file."""
        kind = "<H16sHQ32s" if extended else "<H16sHH32s"
        return struct.pack(kind, self.reserved, self.user, self.record, len(self.data), self.description) + self.data
