"""The bytes of a LAS file: header, point records chunk by chunk, extended records, and the header again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import lazrs
import numpy as np
from laspy import LazBackend
from laspy.laswriter import UncompressedPointWriter

from deburr.core.cloud import PointCloud, located
from deburr.core.errors import WriteError
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.formats.las.header import LasSource
from deburr.formats.las.outline import layout_of
from deburr.formats.las.points import Records, UnfitValue
from deburr.writers._las_fill import fill
from deburr.writers._las_target import Target, check_finite

#: Points written at a time: enough to keep all cores busy, and the memory that writing takes beside the parts.
_CHUNK = 1_000_000


def emit(file: BinaryIO, parts: Iterable[PointCloud], target: Target, total: int, compressed: bool) -> None:
    """Write the ``total`` points of ``parts`` as ``target`` says. Raises `WriteError`, `UnfitValue` and `OSError`."""
    header, layout = target.header, target.layout
    header.are_points_compressed = compressed
    header.partial_reset()
    # Not laspy's LasWriter, which refuses LAS 1.5 with formats 0-5 and the extended records of LAS 1.3.
    backend = LazBackend.LazrsParallel if threads() > 1 else LazBackend.Lazrs
    out = backend.create_writer(file, header) if compressed else UncompressedPointWriter(file)
    try:
        out.write_initial_header_and_vlrs(header, "strict")
        channels: set[int] = set()
        done = 0
        for records in chunks(parts, target):
            header.grow(layout.as_laspy(records))
            if compressed and layout.format in (9, 10):
                channels |= set(np.unique(layout.get(records, "ScanChannel")).tolist())
            if compressed and layout.format in (4, 5, 9, 10):
                _check_waves(records)
            # As bytes: laspy hands the array on as a buffer, whose field names must not hold a colon.
            out.write_points(layout.as_laspy(records.view(np.uint8)))
            done += len(records)
            advance("writers.las", done, total)
        if len(channels) > 1:
            # Measured: lazrs 0.8 gives back other waveform fields than it was given once the channel changes.
            raise UnfitValue("waveforms of several scanner channels do not survive compression; write a .las file")
        out.done()
        finish(file, target)
        out.write_updated_header(header, "strict")
    except lazrs.LazrsError as error:
        # The compressor writes through the file: what fails there is the disk.
        raise OSError(None, str(error)) from error


def chunks(parts: Iterable[PointCloud], target: Target) -> Iterator[Records]:
    """The records of all parts, `_CHUNK` at a time however long the parts are; valid until the next are asked for."""
    size = target.layout.dtype.itemsize
    buffer = np.empty(_CHUNK * size, dtype=np.uint8)  # bytes: copied faster than fields
    used, layout = 0, None
    for part in parts:
        text = layout_of(part.source) if isinstance(part.source, LasSource) else ""
        layout = text if layout is None else layout
        if text != layout:
            raise WriteError(
                f"{target.path}: its parts come from files that cannot share one, '{layout}' and '{text}'; "
                "convert one kind to the other first"
            )
        if not part.located.all():
            there = part.located | located(part.original)
            target.lost += int((~there).sum())
            part = part.select(there)
        _check_places(part, target)
        begin = 0
        while begin < len(part):
            records = fill(part, target, slice(begin, begin + _CHUNK - used))
            buffer[used * size :][: records.nbytes] = records.view(np.uint8)
            begin, used = begin + len(records), used + len(records)
            if used == _CHUNK:
                yield buffer.view(target.layout.dtype)
                used = 0
        del part  # gone before the next is made: two parts at a time would take twice the memory
    if used:
        yield buffer[: used * size].view(target.layout.dtype)


def _check_waves(records: Records) -> None:
    """Refuse waveforms of gigabytes a point whose places LAZ would mix up. Raises `UnfitValue`.

    Measured: lazrs 0.8 compares the step from one waveform to the next with the size of the first by 32 bits, so that
    it takes a step back of 2^32 bytes less the size for one as long as the size.
    """
    size = records["wavepacket_size"][:-1].astype(np.uint64)
    step = np.diff(records["wavepacket_offset"])  # modulo 2^64, as the compressor's
    if ((size >= 2**31) & (step + np.uint64(2**32) == size)).any():
        raise UnfitValue("waveforms of 2 GB a point that overlap do not survive compression; write a .las file")


def _check_places(part: PointCloud, target: Target) -> None:
    """Refuse coordinates that the lattice, chosen beforehand, cannot hold. Raises `WriteError`."""
    for axis, (name, grid) in enumerate(zip("XYZ", target.axes, strict=True) if len(part) else ()):
        low, high = float(part.xyz[:, axis].min()), float(part.xyz[:, axis].max())
        check_finite(target.path, low, high)
        if not grid.fits(low, high):
            raise WriteError(
                f"{target.path}: {name} from {low} to {high} goes beyond the bounds announced, and does not fit "
                f"scale {grid.scale} and offset {grid.offset}; correct the bounds in the inputs' headers"
            )


def finish(file: BinaryIO, target: Target) -> None:
    """Write the extended records behind the points, and say where; figures of no points at all are 0."""
    header = target.header
    file.seek(0, 2)
    header.start_of_first_evlr = file.tell() if target.evlrs else 0
    header.number_of_evlrs = len(target.evlrs)
    header.start_of_waveform_data_packet_record = 0
    for record in target.evlrs:
        if record.has_waveforms and (record.pointed_at or not header.start_of_waveform_data_packet_record):
            header.start_of_waveform_data_packet_record = file.tell()
            header.global_encoding.waveform_data_packets_internal |= record.pointed_at
        # Packed by hand: laspy would lose reserved bytes, and has no extended records before LAS 1.4.
        file.write(record.pack(extended=True))
    if header.point_count > header.max_point_count():
        raise UnfitValue(f"LAS 1.{header.minor} takes 4,294,967,295 points at most; set 'minor_version' to 4")
    if header.point_count == 0:
        header.mins, header.maxs = np.zeros(3), np.zeros(3)
    if not -np.inf < header.min_gps_time <= header.max_gps_time < np.inf:
        header.min_gps_time = header.max_gps_time = 0.0
