"""readers.las: LAS 1.0-1.5, LAZ and COPC files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import numpy as np
from pydantic import Field

from deburr.core.cloud import Floats, PointCloud
from deburr.core.errors import ReadError
from deburr.core.stage import Reader
from deburr.readers._las_crs import read_crs, unfit_crs, wkt_unit
from deburr.readers._las_points import Layout, parse_extras

if TYPE_CHECKING:
    from deburr.readers._las_header import Header, LasSource, Vlr


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
        """Refuse two contradicting answers, and what is no coordinate reference system."""
        errors = unfit_crs("override_srs", self.override_srs)
        if self.nosrs and self.override_srs is not None:
            errors.append("options 'nosrs' and 'override_srs' exclude each other; remove one")
        return errors

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
            "las_version": f"1.{source.header.minor}",
            "point_format": source.layout.format,
            "units": source.units if self.override_srs is None else wkt_unit(self.override_srs),
        }
        return PointCloud(
            xyz=_world(source),
            dims={name: source.layout.get(source.records, name) for name in source.layout.names},
            rows=np.arange(source.start, source.start + n, dtype=np.int64),
            crs=self.override_srs or source.crs,
            source=source,
        ).note(self.type_name, figures, *warnings)

    def _read(self, file: BinaryIO) -> tuple[LasSource, list[str]]:
        from deburr.readers._las_body import read_points
        from deburr.readers._las_header import LASZIP, LasSource, read_evlrs, read_header

        path, size = self.filename, os.fstat(file.fileno()).st_size
        header, vlrs = read_header(file, path, size)
        evlrs = read_evlrs(file, path, header, size)
        layout, warning = _layout(header, vlrs, evlrs, path)
        total = header.point_count
        start = min(self.start, total)
        wanted = total - start if self.count is None else min(self.count, total - start)
        laszip = next((v.data for v in vlrs if v.id == LASZIP), None) if header.are_points_compressed else None
        if header.are_points_compressed and laszip is None and total:
            raise ReadError(f"{path}: is compressed but says not how (no LASzip record); get an intact copy")
        records = read_points(file, path, header, laszip, layout, start, wanted)
        records.flags.writeable = False
        crs, units = (None, None) if self.nosrs else read_crs([*vlrs, *evlrs])
        source = LasSource(path, header, tuple(vlrs), tuple(evlrs), layout, records, start, crs, units)
        warnings = [warning] if warning else []
        if laszip is not None and layout.format in (9, 10) and len(np.unique(layout.get(records, "ScanChannel"))) > 1:
            # Measured: lazrs 0.8 does not give back what it was given; which half is wrong cannot be told.
            warnings.append("waveform fields of several scanner channels in LAZ may be misread; read a .las file")
        return source, [f"{path}: {text}" for text in warnings]


def _layout(header: Header, vlrs: list[Vlr], evlrs: list[Vlr], path: str) -> tuple[Layout, str]:
    """What a point record holds, and a warning. Raises `ReadError` for a lattice that makes no sense."""
    from deburr.readers._las_header import EXTRA_BYTES

    reach = np.abs(header.scales) * 2.0**31 + np.abs(header.offsets)
    if not np.isfinite(reach).all() or (header.scales == 0).any():
        raise ReadError(
            f"{path}: has the scale {header.scales.tolist()} and offset {header.offsets.tolist()}, which give no "
            "coordinates; get an intact copy"
        )
    number, room = header.point_format.id, header.point_format.num_extra_bytes
    extras, warning = parse_extras(b"".join(v.data for v in (*vlrs, *evlrs) if v.id == EXTRA_BYTES), room)
    return Layout(number, extras, room - Layout(number, extras).extra_size), warning


def _world(source: LasSource) -> Floats:
    """(N, 3) float64: ``raw * scale + offset``, axis by axis."""
    xyz = np.empty((len(source.records), 3), dtype=np.float64)
    for axis, name in enumerate("XYZ"):
        np.multiply(source.records[name], source.header.scales[axis], out=xyz[:, axis])
        xyz[:, axis] += source.header.offsets[axis]
    return xyz
