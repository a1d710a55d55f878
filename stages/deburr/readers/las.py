"""readers.las: LAS 1.0-1.5, LAZ and COPC files."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, ClassVar

import numpy as np
from pydantic import Field

from deburr.core.cloud import Floats, PointCloud
from deburr.core.errors import ReadError
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.core.stage import Reader
from deburr.readers._las_crs import read_crs
from deburr.readers._las_header import (
    EXTRA_BYTES,
    LASZIP,
    WAVEFORM_DATA,
    WAVEFORMS_INSIDE,
    Header,
    LasSource,
    Vlr,
    read_header,
    read_vlrs,
)
from deburr.readers._las_points import Layout, Records, parse_extras

#: Points read at a time: enough to keep all cores busy, little beside the cloud itself.
_CHUNK = 1_000_000

#: Bytes of points in a compressed chunk up to which chunks are decompressed side by side; LASzip's own have some MB.
_LARGEST_CHUNK = 2**28


class LasReader(Reader):
    """Read a LAS, LAZ or COPC file with all it holds: header, records, every attribute of every point.

    Dimensions carry PDAL's names; scaled extra bytes and the scan angles of point formats 6-10 come as floats.
    """

    type_name: ClassVar[str] = "readers.las"

    start: int = Field(0, ge=0, description="number of points to skip at the beginning")
    count: int | None = Field(None, ge=0, description="largest number of points to read; default: all")
    nosrs: bool = Field(False, description="read no coordinate reference system; its records are still copied")
    override_srs: str | None = Field(None, description="coordinate reference system to use instead: WKT, or EPSG:n")

    def check(self, before: tuple[Any, ...]) -> list[str]:
        """Refuse two contradicting answers."""
        if self.nosrs and self.override_srs:
            return ["options 'nosrs' and 'override_srs' exclude each other; remove one"]
        return []

    def read(self) -> PointCloud:
        """Read the points into float64 world coordinates, in the file's own units."""
        try:
            with open(self.filename, "rb") as file:
                source, warnings = self._read(file)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReadError(
                f"{self.filename}: cannot be read ({reason}); check the path and its permissions"
            ) from error
        except MemoryError as error:
            raise ReadError(
                f"{self.filename}: needs more memory than there is; read a part with 'start' and 'count'"
            ) from error
        n = len(source.records)
        figures = {
            "file": self.filename,
            "points": n,
            "las_version": f"1.{source.header.field('minor')}",
            "point_format": source.layout.format,
            "units": source.units,
        }
        return PointCloud(
            xyz=_world(source.records, source.header),
            dims={name: source.layout.get(source.records, name) for name in source.layout.names},
            rows=np.arange(source.start, source.start + n, dtype=np.int64),
            crs=self.override_srs or source.crs,
            source=source,
        ).note(self.type_name, figures, *warnings)

    def _read(self, file: BinaryIO) -> tuple[LasSource, list[str]]:
        path, size = self.filename, os.fstat(file.fileno()).st_size
        header = read_header(file, path, size)
        points_at = header.field("points_at")
        vlrs, end = read_vlrs(
            file, path, header.field("header_size"), header.field("vlr_count"), points_at, extended=False
        )
        file.seek(end)
        gap = file.read(points_at - end)
        evlrs = _read_evlrs(file, path, header, size)
        layout, warning = _layout(header, vlrs, evlrs, path)
        total = _point_count(header)
        start = min(self.start, total)
        wanted = total - start if self.count is None else min(self.count, total - start)
        laszip = next((v for v in vlrs if v.id == LASZIP), None)
        if header.field("format") & 0x80 and laszip is None and total:
            raise ReadError(f"{path}: is compressed but says not how (no LASzip record); get an intact copy")
        if laszip is not None and header.field("format") & 0x80:
            records = _decompress(file, path, header, laszip.data, layout, (total, start, wanted))
        else:
            records = _read_plain(file, path, header, layout, (total, start, wanted), size)
        records.flags.writeable = False
        crs, units = (None, None) if self.nosrs else read_crs([*vlrs, *evlrs])
        source = LasSource(path, header, tuple(vlrs), tuple(evlrs), gap, layout, records, start, crs, units)
        warnings = [warning] if warning else []
        if laszip is not None and layout.format in (9, 10) and len(np.unique(layout.get(records, "ScanChannel"))) > 1:
            # Measured: lazrs 0.8 does not give back what it was given; which half is wrong cannot be told.
            warnings.append("waveform fields of several scanner channels in LAZ may be misread; read a .las file")
        return source, [f"{path}: {text}" for text in warnings]


def _read_evlrs(file: BinaryIO, path: str, header: Header, size: int) -> list[Vlr]:
    """The extended records, and the waveforms of LAS 1.3, which its header alone points at."""
    evlrs: list[Vlr] = []
    if header.field("minor") >= 4 and header.field("evlr_count"):
        evlrs, _ = read_vlrs(file, path, header.field("evlr_at"), header.field("evlr_count"), size, extended=True)
    inside = header.field("global_encoding") & WAVEFORMS_INSIDE and header.field("waveform_at")
    if inside and all(v.id != WAVEFORM_DATA for v in evlrs):
        evlrs += read_vlrs(file, path, header.field("waveform_at"), 1, size, extended=True)[0]
    return evlrs


def _layout(header: Header, vlrs: list[Vlr], evlrs: list[Vlr], path: str) -> tuple[Layout, str]:
    """What a point record holds, and a warning. Raises `ReadError` for numbers that make no sense."""
    number, length = header.field("format") & 0x3F, header.field("record_length")
    if number > 10:
        raise ReadError(f"{path}: has the unknown point format {number} (0 to 10 exist); get an intact copy")
    room = length - Layout(number).dtype.itemsize
    if room < 0:
        raise ReadError(f"{path}: point format {number} does not fit its record length {length}; get an intact copy")
    lattice = np.array([header.field("scale"), header.field("offset")])
    reach = np.abs(lattice[0]) * 2.0**31 + np.abs(lattice[1])
    if not np.isfinite(reach).all() or (lattice[0] == 0).any():
        raise ReadError(
            f"{path}: has the scale {lattice[0].tolist()} and offset {lattice[1].tolist()}, which give no coordinates; "
            "get an intact copy"
        )
    extras, warning = parse_extras(b"".join(v.data for v in (*vlrs, *evlrs) if v.id == EXTRA_BYTES), room)
    used = Layout(number, extras).dtype.itemsize - Layout(number).dtype.itemsize
    return Layout(number, extras, room - used), warning


def _point_count(header: Header) -> int:
    """How many points the header promises; some LAS 1.4 files fill in the legacy field alone."""
    return int((header.field("count") if header.field("minor") >= 4 else 0) or header.field("legacy_count"))


def _read_plain(
    file: BinaryIO, path: str, header: Header, layout: Layout, span: tuple[int, int, int], size: int
) -> Records:
    total, start, wanted = span
    begin, length = header.field("points_at"), layout.dtype.itemsize
    there = (size - begin) // length
    if there < total:
        raise ReadError(f"{path}: promises {total} points and holds {there}; it is cut off, get a complete copy")
    file.seek(begin + start * length)
    records = np.empty(wanted, dtype=layout.dtype)
    for done in range(0, wanted, _CHUNK):
        part = records[done : done + _CHUNK]
        if file.readinto(part.view(np.uint8)) != part.nbytes:  # type: ignore[attr-defined]  # BinaryIO lacks it
            raise ReadError(f"{path}: shrank while it was read; try again when nothing writes to it")
        advance("readers.las", done + len(part), wanted)
    return records


def _decompress(
    file: BinaryIO, path: str, header: Header, laszip: bytes, layout: Layout, span: tuple[int, int, int]
) -> Records:
    import lazrs

    total, start, wanted = span
    try:
        size = lazrs.LazVlr(laszip).item_size()
        if size != layout.dtype.itemsize:
            raise ReadError(f"{path}: says two point sizes, {size} and {layout.dtype.itemsize}; get an intact copy")
        if wanted == 0:
            return np.empty(0, dtype=layout.dtype)
        largest = _check_chunks(file, path, header, lazrs.LazVlr(laszip), total)
        file.seek(header.field("points_at"))
        # The parallel one asks for the memory of whole chunks, of whatever size a damaged file says they have.
        if threads() > 1 and start == 0 and largest * size <= _LARGEST_CHUNK:
            decompressor = lazrs.ParLasZipDecompressor(file, laszip)
        else:
            decompressor = lazrs.LasZipDecompressor(file, laszip)
            decompressor.seek(start)
        records = np.empty(wanted, dtype=layout.dtype)
        for done in range(0, wanted, _CHUNK):
            part = records[done : done + _CHUNK]
            decompressor.decompress_many(part.view(np.uint8))
            advance("readers.las", done + len(part), wanted)
        return records
    except lazrs.LazrsError as error:
        raise ReadError(
            f"{path}: its compressed points cannot be read ({error}); it is cut off or damaged, get a complete copy"
        ) from error


def _check_chunks(file: BinaryIO, path: str, header: Header, vlr: Any, total: int) -> int:
    """Hold the table of compressed chunks against the file and the count of points, before memory is asked for.

    LASzip's implementation ends the whole process where a damaged table asks for more than there is.

    Returns the number of points of the largest chunk.
    """
    import lazrs

    begin, size = header.field("points_at"), os.fstat(file.fileno()).st_size
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
    if number > (at - begin - 8) // header.field("record_length") + 1:
        raise damaged
    file.seek(begin)
    chunks = lazrs.read_chunk_table(file, vlr)
    if sum(length for _, length in chunks) > at - begin - 8:
        raise damaged
    # Chunks of fixed size say that size, whatever the last one holds: the sum is an upper bound.
    most = sum(points for points, _ in chunks)
    if total > most:
        raise ReadError(f"{path}: promises {total} points and holds {most} at most; it is damaged, get a complete copy")
    return max((points for points, _ in chunks), default=0)


def _world(records: Records, header: Header) -> Floats:
    """(N, 3) float64: ``raw * scale + offset``, axis by axis."""
    xyz = np.empty((len(records), 3), dtype=np.float64)
    for axis, (name, scale, offset) in enumerate(
        zip("XYZ", header.field("scale"), header.field("offset"), strict=True)
    ):
        np.multiply(records[name], scale, out=xyz[:, axis])
        xyz[:, axis] += offset
    return xyz
