"""writers.las: LAS 1.1-1.5 and LAZ files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, ClassVar, Literal
from uuid import UUID

import numpy as np
from pydantic import BeforeValidator, Field

from deburr.core.cloud import Extent, PointCloud, Record, extent_of
from deburr.core.errors import WriteError
from deburr.core.figure import Reports, Same
from deburr.core.files import check_folder, replacing
from deburr.core.kept import Kept
from deburr.core.stage import Stage, Writer
from deburr.formats.las.crs import given_crs, unfit_crs
from deburr.formats.las.options import HIGHEST_FORMAT, parse_extra_dims, unknown_forward
from deburr.formats.las.points import UnfitValue
from deburr.writers._parts import checked

if TYPE_CHECKING:
    from deburr.writers._las_target import Asked, Target

Number = float | Literal["auto"] | None


def _lattice(part: str, axis: str) -> Any:
    return Field(
        None,
        description=f"{part} of {axis}, or 'auto'; default: forwarded, else computed",
        json_schema_extra={"unit": "cloud units"},
    )


def _joined(value: Any) -> Any:
    """A list of names, which PDAL takes as well, as one text."""
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return ",".join(value) if names else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class LasWriter(Writer):
    """Write a LAS or LAZ file. What was read from LAS and did not change is copied bit by bit.

    Points keep count and order, unmoved points their integers, records their bytes; bounds and counts are computed
    anew. Dimensions that LAS has no place for become extra bytes.
    """

    type_name: ClassVar[str] = "writers.las"
    extensions: ClassVar[tuple[str, ...]] = ("las", "laz")
    kept: ClassVar[Mapping[str, Kept]] = {
        "las, laz": Kept(
            "the same records, bit by bit", "steps as read; else fine ones, chosen for the cloud",
            "records of the head and behind the points, waveforms", "as PointSourceId", crs=True,
        )
    }  # fmt: skip
    reports: ClassVar[Reports] = {
        "scale": Same(unit="exact", description="of the coordinates in the file, x, y, z: the smallest steps"),
        "offset": Same(unit="exact", description="of the coordinates in the file, x, y, z"),
    }
    synonyms: ClassVar[Mapping[str, str]] = {"format": "dataformat_id"}
    finer: ClassVar[str] = "scale_{axis}"

    forward: Annotated[str, BeforeValidator(_joined)] = Field(
        "all",
        description="what to take over from the file that was read, comma-separated: all, header, scale, offset, "
        "format, vlr, none, or single header fields",
    )
    minor_version: int | None = Field(None, ge=1, le=5, description="LAS 1.x; default: forwarded, else 4")
    dataformat_id: int | None = Field(None, ge=0, le=10, description="point format; default: forwarded, else by need")
    scale_x: Number = _lattice("scale", "x")
    scale_y: Number = _lattice("scale", "y")
    scale_z: Number = _lattice("scale", "z")
    offset_x: Number = _lattice("offset", "x")
    offset_y: Number = _lattice("offset", "y")
    offset_z: Number = _lattice("offset", "z")
    a_srs: str | None = Field(
        None, description="coordinate reference system to write: EPSG:n, EPSG:n+m, WKT or a PROJ string"
    )
    extra_dims: Annotated[str, BeforeValidator(_joined)] = Field(
        "all", description="dimensions for the extra bytes: all, or a list of Name=type"
    )
    compression: Annotated[bool | Literal["laszip", "lazperf", "none"] | None, BeforeValidator(_lower)] = Field(
        None, description="whether to compress (LAZ); default: by the file name"
    )
    system_id: str | None = Field(None, max_length=32, description="system identifier")
    software_id: str | None = Field(None, max_length=32, description="generating software; default: deburr")
    filesource_id: int | None = Field(None, ge=0, le=65535, description="file source id")
    creation_doy: int | None = Field(None, ge=0, le=366, description="day of the year of creation")
    creation_year: int | None = Field(None, ge=0, le=65535, description="year of creation")
    project_id: UUID | None = Field(None, description="project id (GUID); default: forwarded")
    global_encoding: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="global encoding; default: forwarded. The bits that say what is in the file (WKT, waveforms) stay",
    )
    major_version: Literal[1] | None = Field(None, description="LAS 1: there is no other")
    pdal_metadata: bool = Field(False, description="a record of PDAL's own metadata, which is left out with a warning")

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
        for option in ("system_id", "software_id"):
            text = getattr(self, option)
            if text is not None and len(text.encode()) > 32:
                errors.append(f"option '{option}' must be UTF-8 of at most 32 bytes; give another")
        return errors + unfit_crs("a_srs", self.a_srs)

    @property
    def crs(self) -> str | None:
        """What ``a_srs`` means."""
        return None if self.a_srs is None else given_crs(self.a_srs)

    @property
    def compressed(self) -> bool:
        """Whether the points are to be compressed."""
        if self.compression is None:
            return self.filename.lower().endswith(".laz")
        return self.compression not in (False, "none")

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write the cloud; figures and warnings are in the last record of the returned cloud's history."""
        record = self._write([cloud], extent_of(cloud.xyz), _intact(cloud))
        return replace(cloud, history=(*cloud.history, record))

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of ``parts``, byte by byte as `write` would if they were one cloud.

        All parts have the same columns, and may come from several files whose `LasReader.outline` tells the same
        layout: all that is not a point is taken from the first part's. ``extent`` decides scale and offset where they
        do not fit. An index of LAStools inside the file is left out: whether it still holds is known at the end only.
        """
        record = self._write(parts, extent, intact=False)
        return PointCloud(np.zeros((0, 3)), extent=extent, history=(record,))

    def _write(self, parts: Iterable[PointCloud], extent: Extent, intact: bool) -> Record:
        from deburr.writers._las_target import Asked

        if self.path is not None:
            check_folder(Path(self.path))
        with checked(parts, extent, self.filename) as clouds:
            first = next(clouds)
            nowhere = not np.isfinite(extent.low).all()
            target = self._planned(Asked(first, replace(extent, count=0) if nowhere else extent, intact))
            self._warn_of_names(target)
            if self.pdal_metadata:
                target.warn("'pdal_metadata' asks for a record of PDAL's, which only PDAL can write; it was left out")
            with replacing(self.filename) as temporary, open(temporary, "w+b") as file:
                points = chain([first], clouds)
                del first  # not to be kept while the other parts are made
                try:
                    self._emit(file, points, target, extent.count)
                except UnfitValue as problem:
                    raise WriteError(f"{self.filename}: {problem}") from problem
        if target.lost:
            target.warn(f"{self.filename}: LAS has no place for {target.lost:,} points without coordinates; left out")
        header = target.header
        figures = {
            "file": self.filename,
            "points": extent.count - target.lost,
            "las_version": f"1.{header.minor}",
            "point_format": target.layout.format,
            "scale": header.scales.tolist(),
            "offset": header.offsets.tolist(),
        }
        return Record(self.type_name, figures, tuple(target.warnings))

    def _planned(self, asked: Asked) -> Target:
        from deburr.writers._las_target import plan

        return plan(self, asked)

    def _emit(self, file: BinaryIO, parts: Iterable[PointCloud], target: Target, total: int) -> None:
        from deburr.writers._las_body import emit

        emit(file, parts, target, total, self.compressed)

    def _warn_of_names(self, target: Target) -> None:
        if self.type_name == LasWriter.type_name and self.filename.lower().endswith(".copc.laz"):
            target.warn(
                f"{self.filename} is plain LAZ, not COPC; give it a name that ends in .laz alone, or write it with "
                "writers.copc"
            )
        if target.header.global_encoding.waveform_data_packets_external:
            target.warn("the waveforms lie in a .wdp file beside the input; copy it beside the output")


def _intact(cloud: PointCloud) -> bool:
    """Whether the cloud holds all points of its source, in their order and where they were."""
    from deburr.formats.las.header import LasSource

    source = cloud.source
    if not isinstance(source, LasSource) or len(cloud) != source.header.point_count or cloud.moved.any():
        return False
    return bool((cloud.rows == np.arange(len(cloud))).all())
