"""writers.las: LAS 1.1-1.5 and LAZ files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.core.files import check_folder, replacing
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.core.stage import Stage, Writer
from deburr.readers._las_crs import unfit_crs
from deburr.readers._las_points import Column, Records, UnfitValue
from deburr.writers._las_options import HIGHEST_FORMAT, parse_extra_dims, unknown_forward

if TYPE_CHECKING:
    from deburr.writers._las_target import Target

#: Points written at a time: the memory that writing takes beside the cloud.
_CHUNK = 1_000_000

Number = float | Literal["auto"] | None


def _lattice(part: str, axis: str) -> Any:
    return Field(
        None,
        description=f"{part} of {axis}, or 'auto'; default: forwarded, else computed",
        json_schema_extra={"unit": "cloud units"},
    )


class LasWriter(Writer):
    """Write a LAS or LAZ file. What was read from LAS and did not change is copied bit by bit.

    Points keep count and order, unmoved points their integers, records their bytes; bounds and counts are computed
    anew. Dimensions that LAS has no place for become extra bytes.
    """

    type_name: ClassVar[str] = "writers.las"

    forward: str = Field("all", description="what to take over from the file that was read, comma-separated: all, "
                         "header, scale, offset, format, vlr, none, or single header fields")  # fmt: skip
    minor_version: int | None = Field(None, ge=1, le=5, description="LAS 1.x; default: forwarded, else 4")
    dataformat_id: int | None = Field(None, ge=0, le=10, description="point format; default: forwarded, else by need")
    scale_x: Number = _lattice("scale", "x")
    scale_y: Number = _lattice("scale", "y")
    scale_z: Number = _lattice("scale", "z")
    offset_x: Number = _lattice("offset", "x")
    offset_y: Number = _lattice("offset", "y")
    offset_z: Number = _lattice("offset", "z")
    a_srs: str | None = Field(None, description="coordinate reference system to write: WKT, or EPSG:n")
    extra_dims: str = Field("all", description="dimensions for the extra bytes: all, or a list of Name=type")
    compression: bool | Literal["laszip", "lazperf", "none"] | None = Field(
        None, description="whether to compress (LAZ); default: by the file name"
    )
    system_id: str | None = Field(None, max_length=32, description="system identifier")
    software_id: str | None = Field(None, max_length=32, description="generating software; default: deburr")
    filesource_id: int | None = Field(None, ge=0, le=65535, description="file source id")
    creation_doy: int | None = Field(None, ge=0, le=366, description="day of the year of creation")
    creation_year: int | None = Field(None, ge=0, le=65535, description="year of creation")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse names that do not exist and versions that lack the point format."""
        errors = unknown_forward(self.forward) + parse_extra_dims(self.extra_dims)[1]
        for option in ("scale_x", "scale_y", "scale_z"):
            value = getattr(self, option)
            if isinstance(value, float) and value <= 0:
                errors.append(f"option '{option}' must be above 0, not {value}")
        if self.minor_version is not None and (self.dataformat_id or 0) > HIGHEST_FORMAT[self.minor_version]:
            errors.append(
                f"LAS 1.{self.minor_version} has no point format {self.dataformat_id}; "
                f"set 'dataformat_id' to {HIGHEST_FORMAT[self.minor_version]} or less, or 'minor_version' to 4"
            )
        return errors + unfit_crs("a_srs", self.a_srs)

    @property
    def compressed(self) -> bool:
        """Whether the points are to be compressed."""
        if self.compression is None:
            return self.filename.lower().endswith(".laz")
        return self.compression not in (False, "none")

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write the cloud; figures and warnings are in the last record of the returned cloud's history."""
        from deburr.writers._las_target import plan

        check_folder(Path(self.filename))
        target = plan(self, cloud)
        if self.filename.lower().endswith(".copc.laz"):
            target.warnings.append(f"{self.filename} is plain LAZ, not COPC; give it a name that ends in .laz alone")
        if target.header.global_encoding.waveform_data_packets_external:
            target.warnings.append("the waveforms lie in a .wdp file beside the input; copy it beside the output")
        with replacing(self.filename) as temporary, open(temporary, "wb") as file:
            try:
                _emit(file, cloud, target, self.compressed)
            except UnfitValue as problem:
                raise WriteError(f"{self.filename}: {problem}") from problem
        header = target.header
        figures = {
            "file": self.filename,
            "points": len(cloud),
            "las_version": f"1.{header.minor}",
            "point_format": target.layout.format,
            "scale": header.scales.tolist(),
            "offset": header.offsets.tolist(),
        }
        return cloud.note(self.type_name, figures, *target.warnings)


def _emit(file: BinaryIO, cloud: PointCloud, target: Target, compressed: bool) -> None:
    """Header and records, points chunk by chunk, extended records; then the header again, now complete."""
    import lazrs
    from laspy import LazBackend
    from laspy.laswriter import UncompressedPointWriter

    header, layout = target.header, target.layout
    header.are_points_compressed = compressed
    header.partial_reset()
    # Not laspy's LasWriter, which refuses LAS 1.5 with formats 0-5 and the extended records of LAS 1.3.
    backend = LazBackend.LazrsParallel if threads() > 1 else LazBackend.Lazrs
    out = backend.create_writer(file, header) if compressed else UncompressedPointWriter(file)
    try:
        out.write_initial_header_and_vlrs(header, "strict")
        channels: set[int] = set()
        for begin in range(0, len(cloud), _CHUNK):
            records = _fill(cloud, target, slice(begin, begin + _CHUNK))
            header.grow(layout.as_laspy(records))
            if compressed and layout.format in (9, 10):
                channels |= set(np.unique(layout.get(records, "ScanChannel")).tolist())
            # As bytes: laspy hands the array on as a buffer, whose field names must not hold a colon.
            out.write_points(layout.as_laspy(records.view(np.uint8)))
            advance("writers.las", min(begin + _CHUNK, len(cloud)), len(cloud))
        if len(channels) > 1:
            # Measured: lazrs 0.8 gives back other waveform fields than it was given once the channel changes.
            raise UnfitValue("waveforms of several scanner channels do not survive compression; write a .las file")
        out.done()
        _finish(file, target)
        out.write_updated_header(header, "strict")
    except lazrs.LazrsError as error:
        # The compressor writes through the file: what fails there is the disk.
        raise OSError(None, str(error)) from error


def _finish(file: BinaryIO, target: Target) -> None:
    """Write the extended records behind the points, and say where; figures of no points at all are 0."""
    from deburr.readers._las_header import WAVEFORM_DATA

    header = target.header
    file.seek(0, 2)
    header.start_of_first_evlr = file.tell() if target.evlrs else 0
    header.number_of_evlrs = len(target.evlrs)
    header.start_of_waveform_data_packet_record = 0
    for record in target.evlrs:
        if record.id == WAVEFORM_DATA:
            header.start_of_waveform_data_packet_record = file.tell()
        # Packed by hand: laspy would lose reserved bytes, and has no extended records before LAS 1.4.
        file.write(record.pack(extended=True))
    if header.point_count > header.max_point_count():
        raise UnfitValue(f"LAS 1.{header.minor} takes 4,294,967,295 points at most; set 'minor_version' to 4")
    if header.point_count == 0:
        header.mins, header.maxs = np.zeros(3), np.zeros(3)
    if not -np.inf < header.min_gps_time <= header.max_gps_time < np.inf:
        header.min_gps_time = header.max_gps_time = 0.0


def _fill(cloud: PointCloud, target: Target, part: slice) -> Records:
    """The point records of one chunk: copied, then set where the cloud differs."""
    source, layout = target.source, target.layout
    count = len(cloud.rows[part])
    if source is None:
        records = np.zeros(count, dtype=layout.dtype)
        if "ReturnNumber" not in cloud.dims:
            layout.put(records, "ReturnNumber", np.ones(count, np.uint8))
            layout.put(records, "NumberOfReturns", np.ones(count, np.uint8))
    else:
        records = source.records[cloud.rows[part] - source.start]
        if layout.dtype != source.layout.dtype:
            old, records = records, np.zeros(count, dtype=layout.dtype)
            kept = set(layout.dtype.names or ()) & set(old.dtype.names or ())
            if (layout.format < 6) != (source.layout.format < 6):
                kept.remove("bit_fields")  # the same name for other bits: the dimensions bring them
            for field in kept:
                if layout.dtype[field] == old.dtype[field]:
                    records[field] = old[field]
            _copy_opaque(old, records)
    for axis, (name, grid) in enumerate(zip("XYZ", target.axes, strict=True)):
        world = cloud.xyz[part, axis]
        if not grid.kept:
            records[name] = grid.raw(world)
        elif cloud.xyz is not cloud.original:
            moved = world != cloud.original[part, axis]
            records[name][moved] = grid.raw(world[moved])
    columns = {name: column[part] for name, column in cloud.dims.items()}
    if source is not None and source.layout.format < 6 <= layout.format:
        _spread_overlap(columns, target)
    names = set(layout.names)
    for name, column in columns.items():
        if name in names and layout.put(records, name, column):
            warning = f"dimension '{name}' takes whole numbers only; fractions were rounded"
            target.warnings += [warning] if warning not in target.warnings else []
    return records


def _copy_opaque(old: Records, records: Records) -> None:
    """Bytes at the end of ``old`` that nothing described and that ``records`` now has as described ones."""
    if "opaque:0" in (records.dtype.names or ()):
        at, size = dict(records.dtype.fields or {})["opaque:0"][1], old.dtype["trailing"].itemsize
        target = records.view(np.uint8).reshape(len(records), -1)
        target[:, at : at + size] = old.view(np.uint8).reshape(len(old), -1)[:, -size:]


def _spread_overlap(columns: dict[str, Column], target: Target) -> None:
    """Class 12 of formats 0-5 means overlap, which is a flag in formats 6-10 and no class (LAS 1.4, table 17)."""
    overlap = np.asarray(columns["Classification"] == 12)
    if overlap.any():
        columns["Classification"] = np.where(overlap, 1, columns["Classification"])
        columns["Overlap"] = overlap | np.asarray(columns.get("Overlap", 0), dtype=np.bool_)
        warning = (
            f"class 12 (overlap) became class 1 with the Overlap flag, as point format {target.layout.format} has it"
        )
        target.warnings += [warning] if warning not in target.warnings else []
