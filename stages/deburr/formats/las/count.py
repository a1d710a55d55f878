"""How many points a LAS or LAZ file holds, whatever its header counts: programs that were stopped count too few."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.formats.las.header import LasSource
from deburr.formats.las.laz import Laz
from deburr.formats.las.records import LASZIP


def recount(file: BinaryIO, source: LasSource, take: bool) -> str:
    """A warning where ``source`` holds more points than its header counts, else ''.

    ``take``: let the header count them all. Its bounds are then void, as they leave out what it did not count.
    """
    header = source.header
    there = _compressed(file, source) if header.are_points_compressed else _plain(file, source)
    if there <= header.point_count:
        return ""
    told = f"the header counts {header.point_count:,} points, and {there:,} are there"
    if not take:
        return f"{told}; the others were left out: see 'all_points'"
    header.point_count, header.mins, header.maxs = there, np.zeros(3), np.zeros(3)
    return f"{told}; all were read"


def _plain(file: BinaryIO, source: LasSource) -> int:
    header = source.header
    begin, end = header.offset_to_point_data, size_of(file)
    behind = [header.start_of_waveform_data_packet_record]
    behind += [header.start_of_first_evlr] if header.number_of_evlrs else []
    return int(min([end, *(at for at in behind if at >= begin)]) - begin) // source.layout.dtype.itemsize


def _compressed(file: BinaryIO, source: LasSource) -> int:
    """As many as are sure: in point formats 0-5, the last chunk of fixed size does not say how many it holds."""
    if all(v.id != LASZIP for v in source.vlrs):
        return 0
    try:
        return Laz(file, source).count_at_least()
    except ReadError:
        return 0  # said where the points are read
