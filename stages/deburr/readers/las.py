"""readers.las: LAS 1.0-1.5, LAZ and COPC files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr

from deburr.core import web
from deburr.core.addresses import shown
from deburr.core.arrays import Floats
from deburr.core.bounds import Bounds
from deburr.core.bounds import parse as parse_bounds
from deburr.core.bounds import unfit as unfit_bounds
from deburr.core.cloud import Extent, PointCloud, kinds
from deburr.core.crs import wkt
from deburr.core.errors import ReadError
from deburr.core.figure import Reports, Same
from deburr.core.files import size_of
from deburr.core.reading import opened
from deburr.core.stage import Outline, Reader
from deburr.formats.las.crs import given_crs, read_crs, unfit_crs
from deburr.formats.las.points import Layout, parse_extras

if TYPE_CHECKING:
    from deburr.formats.las.header import Header, LasSource
    from deburr.formats.las.records import Vlr
    from deburr.formats.las.window import Window


#: Of options that PDAL's pipelines have, and that change nothing.
_PDALS = "taken from PDAL's pipelines, without effect"
#: Options that ask for some of the points.
_PARTS = ("start", "count", "bounds", "resolution", "all_points")
_CHANNELS = "waveform fields of several scanner channels in LAZ may be misread; read a .las file"


class LasReader(Reader):
    """Read a LAS, LAZ or COPC file with all it holds: header, records, every attribute of every point.

    Dimensions carry PDAL's names; scaled extra bytes and the scan angles of point formats 6-10 come as floats.
    """

    type_name: ClassVar[str] = "readers.las"
    extensions: ClassVar[tuple[str, ...]] = ("las", "laz")
    has_head: ClassVar[bool] = True
    reports: ClassVar[Reports] = {
        "scale": Same(unit="exact", description="of the coordinates in the file, x, y, z: the smallest steps"),
        "offset": Same(unit="exact", description="of the coordinates in the file, x, y, z"),
    }
    synonyms: ClassVar[Mapping[str, str]] = {"spatialreference": "override_srs"}

    start: int = Field(0, ge=0, description="number of points to skip at the beginning")
    count: int | None = Field(None, ge=0, description="largest number of points to read; default: all")
    bounds: str | None = Field(
        None,
        description="read the points of this box alone, ([xmin, xmax], [ymin, ymax]), or with [zmin, zmax] behind; "
        "of COPC, only the parts of the file that may hold some",
        json_schema_extra={"unit": "cloud units"},
    )
    resolution: float | None = Field(
        None,
        gt=0,
        description="of COPC: leave out the levels of its octree that are finer than this distance between points",
        json_schema_extra={"unit": "cloud units"},
    )
    all_points: bool = Field(False, description="read points behind those that the header counts, if there are any")
    nosrs: bool = Field(False, description="read no coordinate reference system; its records are still copied")
    override_srs: str | None = Field(
        None, description="coordinate reference system to use instead: EPSG:n, EPSG:n+m, WKT or a PROJ string"
    )
    default_srs: str | None = Field(None, description="the same, where the file tells none")
    compression: bool | str | None = Field(None, description=f"{_PDALS}: the file says how it is compressed")
    threads: int | None = Field(None, ge=1, description=f"{_PDALS}: DEBURR_THREADS limits the threads")
    fix_dims: bool = Field(True, description=f"{_PDALS}: names of dimensions are taken as they are")
    #: Whether parts may have the extent of the whole file, rather than that of the window, for which it is read twice.
    _guessed: bool = PrivateAttr(False)
    use_eb_vlr: bool = Field(True, description=f"{_PDALS}: extra bytes are as their record says, in every version")

    def check(self, before: tuple[Any, ...]) -> list[str]:
        """Refuse two contradicting answers, and what is no coordinate reference system."""
        errors = unfit_bounds("bounds", self.bounds)
        for option in ("start", "count", "all_points"):
            if self._window_options and getattr(self, option) != type(self).model_fields[option].default:
                errors.append(f"options '{self._window_options[0]}' and '{option}' exclude each other; remove one")
        for option in ("override_srs", "default_srs"):
            given = getattr(self, option)
            errors += unfit_crs(option, given)
            if self.nosrs and given is not None:
                errors.append(f"options 'nosrs' and '{option}' exclude each other; remove one")
        return errors

    def read(self) -> PointCloud:
        """Read the points into float64 world coordinates, in the file's own units."""
        (cloud,) = self._clouds(None)
        return cloud

    def outline(self) -> Outline:
        """What the header and the records tell. Points are read only where the header's bounds cannot be true, and
        where only some are wanted."""
        from deburr.formats.las.copc import is_copc
        from deburr.formats.las.outline import layout_of

        with _opened(self.filename) as file:
            source, wanted, _ = self._head(file)
            columns = kinds({name: source.layout.get(source.records, name) for name in source.layout.names})
            step = float(np.abs(source.header.scales[:2]).max())
            extent, layout = self._extent(file, source, wanted), layout_of(source)
            plan, height, doubts = self._told(source)
            indexed = is_copc(source)
            return Outline(extent, self._crs(source), plan, layout, columns, step, height, doubts, indexed)

    def within(self, low: Floats, high: Floats) -> Self | None:
        """By 'bounds', if no option asks for a part already."""
        own = {name: field.default for name, field in type(self).model_fields.items()}
        if any(getattr(self, option) != own[option] for option in _PARTS):
            return None
        ends = ", ".join(f"[{a!r}, {b!r}]" for a, b in zip(low.tolist(), high.tolist(), strict=True))
        found = self.model_copy(update={"bounds": f"({ends})"})
        found._guessed = True
        return found

    def cost(self, low: Floats, high: Floats) -> int:
        """By the octree, which says how long each of its parts is."""
        from deburr.formats.las.copc import cost

        with _opened(self.filename) as file:
            box = Bounds(np.append(low, -np.inf), np.append(high, np.inf))
            return cost(file, self._head(file)[0], box)

    def parts(self, size: int) -> Iterator[PointCloud]:
        """What `read` gives, ``size`` points at a time; of no points, one empty cloud.

        The extent of each part is that of the whole, by the header, which may say it wrongly. Its note counts the
        part's own points, and holds each warning once. LAZ comes in chunks of 50,000 points, which are decompressed
        side by side: parts should hold a good many of them.
        """
        if size < 1:
            raise ValueError(f"a part must have a size of at least 1, not {size}")
        return self._clouds(size)

    def _clouds(self, size: int | None) -> Iterator[PointCloud]:
        """The file in parts of ``size`` points; None: in one part, with the extent of its points."""
        with _opened(self.filename) as file:
            source, wanted, warnings = self._head(file)
            extent = None if size is None else self._extent(file, source, wanted, self._guessed)
            watched = source.layout.format in (9, 10) and source.header.are_points_compressed
            channels: set[int] = set()
            for part in self._read(file, source, wanted, size):
                if watched and len(channels) < 2:
                    channels.update(np.unique(source.layout.get(part.records, "ScanChannel")).tolist())
                    # Measured: lazrs 0.8 does not give back what it was given; which half is wrong cannot be told.
                    warnings += [f"{source.path}: {_CHANNELS}"] if len(channels) > 1 else []
                if self._window_options and not len(part.records) and not self._guessed:
                    warnings.append(f"{source.path}: none of its {source.header.point_count:,} points was asked for")
                yield self._cloud(part, extent, warnings)
                del part  # see read_points
                warnings = []

    def _read(self, file: BinaryIO, source: LasSource, wanted: int, size: int | None) -> Iterator[LasSource]:
        """``source`` with the points that are asked for, ``size`` at a time (None: all at once)."""
        from deburr.formats.las.body import read_points

        if self._window_options:
            for rows, records in self._window.points(file, source, size):
                yield replace(source, records=records, chosen=rows)
            return
        web.fetch(file, [(0, size_of(file) if wanted else 0)])
        start = source.start
        for records in read_points(file, source, wanted, size or max(wanted, 1)):
            part, start = replace(source, records=records, start=start), start + len(records)
            del records
            yield part
            del part

    @property
    def _window_options(self) -> list[str]:
        """The options that ask for a part of the cloud in space."""
        return [option for option in ("bounds", "resolution") if getattr(self, option) is not None]

    @property
    def _window(self) -> Window:
        from deburr.formats.las.window import Window

        return Window(None if self.bounds is None else parse_bounds(self.bounds), self.resolution)

    def _extent(self, file: BinaryIO, source: LasSource, wanted: int, guessed: bool = False) -> Extent:
        from deburr.formats.las.outline import extent_of

        found = self._window_options and not guessed
        return self._window.extent(file, source) if found else extent_of(file, source, wanted)

    def _cloud(self, source: LasSource, extent: Extent | None, warnings: list[str]) -> PointCloud:
        n = len(source.records)
        plan, height, _ = self._told(source)
        figures: dict[str, Any] = {
            "file": shown(self.filename),
            "points": n,
            "las_version": f"1.{source.header.minor}",
            "point_format": source.layout.format,
            "units": plan,
        }
        if height is not None:
            figures["height_units"] = height
        return PointCloud(
            xyz=_world(source),
            dims={name: source.layout.get(source.records, name) for name in source.layout.names},
            rows=source.rows,
            crs=self._crs(source),
            units=plan,
            height_units=height,
            source=source,
            extent=extent,  # type: ignore[arg-type]  # filled in by the cloud itself
        ).note(self.type_name, figures, *warnings)

    def _given(self, source: LasSource) -> str | None:
        """The system that an option gives, if it is to be taken."""
        given = self.override_srs or (None if source.crs else self.default_srs)
        return None if given is None else given_crs(given)

    def _crs(self, source: LasSource) -> str | None:
        return self._given(source) or source.crs

    def _told(self, source: LasSource) -> tuple[str | None, str | None, tuple[str, ...]]:
        """The units of x and y, and of heights, and what must be said of them."""
        given = self._given(source)
        told = source.units if given is None else wkt.units(given)
        plan, height = (None if unit is None else unit.name for unit in (told.plan, told.height))
        return plan, height, tuple(filter(None, [wkt.apart(told)]))

    def _head(self, file: BinaryIO) -> tuple[LasSource, int, list[str]]:
        """All but the points, how many of them are to be read from ``start`` on, and warnings."""
        from deburr.formats.las.count import recount
        from deburr.formats.las.header import LasSource, read_evlrs, read_header

        path, size = shown(self.filename), size_of(file)
        header, vlrs = read_header(file, path, size)
        evlrs = read_evlrs(file, path, header, size)
        layout, warning = _layout(header, vlrs, evlrs, path)
        crs, units = (None, wkt.Units()) if self.nosrs else read_crs([*vlrs, *evlrs])
        none = np.empty(0, dtype=layout.dtype)
        source = LasSource(path, header, tuple(vlrs), tuple(evlrs), layout, none, 0, crs, units)
        told = (warning, recount(file, source, self.all_points), *self._told(source)[2])
        warnings = [f"{path}: {text}" for text in told if text]
        start = min(self.start, header.point_count)
        left = header.point_count - start
        return replace(source, start=start), left if self.count is None else min(self.count, left), warnings


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """The file at ``path``; what goes wrong with it becomes a `ReadError`."""
    with opened(path, parts=True) as file:
        try:
            yield file
        except MemoryError as error:
            path = shown(path)
            raise ReadError(f"{path}: needs more memory than there is; read a part with 'start' and 'count'") from error


def _layout(header: Header, vlrs: list[Vlr], evlrs: list[Vlr], path: str) -> tuple[Layout, str]:
    """What a point record holds, and a warning. Raises `ReadError` for a lattice that makes no sense."""
    from deburr.formats.las.records import EXTRA_BYTES

    with np.errstate(over="ignore"):
        reach = np.abs(header.scales) * 2.0**31 + np.abs(header.offsets)
    if not np.isfinite(reach).all() or (header.scales == 0).any():
        raise ReadError(
            f"{path}: has the scale {header.scales.tolist()} and offset {header.offsets.tolist()}, which give no "
            "coordinates; get an intact copy"
        )
    number, room = header.point_format.id, header.point_format.num_extra_bytes
    descriptors = b"".join(v.data for v in (*vlrs, *evlrs) if v.id == EXTRA_BYTES)
    extras, warning = parse_extras(descriptors, room, Layout(number).names)
    return Layout(number, extras, room - Layout(number, extras).extra_size), warning


def _world(source: LasSource) -> Floats:
    """(N, 3) float64: ``raw * scale + offset``, axis by axis."""
    xyz = np.empty((len(source.records), 3), dtype=np.float64)
    for axis, name in enumerate("XYZ"):
        np.multiply(source.records[name], source.header.scales[axis], out=xyz[:, axis])
        xyz[:, axis] += source.header.offsets[axis]
    return xyz
