"""What a LAS file to be written looks like, decided before its first byte: version, point format, records, lattice."""

from __future__ import annotations

import copy
import datetime
from dataclasses import dataclass, field
from importlib.metadata import version
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from laspy import PointFormat
from laspy.header import GlobalEncoding
from laspy.point.format import ExtraBytesParams

from deburr.core.arrays import Floats
from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import WriteError
from deburr.formats.las.crs import wkt_unit
from deburr.formats.las.header import Header, LasSource
from deburr.formats.las.options import FIELDS, FORWARD, HIGHEST_FORMAT, parse_extra_dims, split_names
from deburr.formats.las.points import (
    STANDARD_NAMES,
    Extra,
    Layout,
    UnfitValue,
    describe_extra,
    describe_opaque,
    fitting_name,
)
from deburr.formats.las.records import Vlr
from deburr.writers._las_grid import Axis, Overflow, fit_axis
from deburr.writers._las_records import plan_records
from deburr.writers._parts import beside_points

if TYPE_CHECKING:
    from deburr.writers.las import LasWriter

#: The bits of the global encoding that each minor version knows.
_GLOBAL_BITS = (0, 0, 0b1, 0b1111, 0b11111, 0b1111111)
#: Those that tell what is in the file: waveforms inside and outside, WKT.
_TELLING = 0b10110


@dataclass(frozen=True)
class Asked:
    """What is to be written, as far as it must be known beforehand.

    ``first`` is the first part: its source is where all that is not a point is copied from. ``extent`` is that of all
    parts, ``intact`` whether all points of the source are sure to be written where they were.
    """

    first: PointCloud
    extent: Extent
    intact: bool

    @property
    def source(self) -> LasSource | None:
        return self.first.source if isinstance(self.first.source, LasSource) else None

    @property
    def low(self) -> Floats:
        """(3,) float64; of no points, the origin."""
        return self.extent.low if self.extent.count else np.zeros(3)

    @property
    def high(self) -> Floats:
        return self.extent.high if self.extent.count else np.zeros(3)


@dataclass
class Target:
    """A file to be written. ``path`` is its name in the end; ``warnings`` grow while it is written, and ``lost``, the
    number of points that came without coordinates, and for which LAS has no place."""

    path: str
    header: Header
    layout: Layout
    axes: tuple[Axis, Axis, Axis]
    evlrs: list[Vlr]
    warnings: list[str] = field(default_factory=list)
    lost: int = 0

    def warn(self, text: str) -> None:
        """Say ``text``, once however many parts give reason to."""
        if text not in self.warnings:
            self.warnings.append(text)


def plan(writer: LasWriter, asked: Asked) -> Target:
    """Decide everything that does not need the points one by one. Raises `WriteError`."""
    cloud, source = asked.first, asked.source
    forward = frozenset().union(*(FORWARD[name] for name in split_names(writer.forward)))
    warnings: list[str] = []
    minor, number = _version_and_format(writer, cloud, source, forward, warnings)
    layout = _layout(writer, cloud, source, number, warnings)
    header = _header(writer, source, forward, minor, layout)
    axes = _axes(writer, asked, forward, warnings)
    header.scales, header.offsets = np.array([a.scale for a in axes]), np.array([a.offset for a in axes])
    header.records, evlrs = plan_records(writer, asked, layout, header, forward, warnings)
    if beside := beside_points(asked.first.source, LasSource):
        warnings.append(f"LAS has no place for {beside} of the file that was read, which were left out")
    return Target(writer.filename, header, layout, axes, evlrs, warnings)


def _version_and_format(
    writer: LasWriter, cloud: PointCloud, source: LasSource | None, forward: frozenset[str], warnings: list[str]
) -> tuple[int, int]:
    colors = "Red" in cloud.dims
    minor, number = 4, 8 if colors and "Infrared" in cloud.dims else 7 if colors else 6
    if source is not None and "minor_version" in forward:
        minor = source.header.minor
    if source is not None and "dataformat_id" in forward:
        number = source.layout.format
    if minor == 0 and writer.minor_version is None:
        minor = 2
        warnings.append("LAS 1.0 was read; written as LAS 1.2")
    # A file whose format its version lacks is forwarded as it is; of a new pair, the two have to agree.
    forwarded = source is not None and {"minor_version", "dataformat_id"} <= forward
    asked = not forwarded or writer.minor_version is not None or writer.dataformat_id is not None
    minor = minor if writer.minor_version is None else writer.minor_version
    number = number if writer.dataformat_id is None else writer.dataformat_id
    if asked and number > HIGHEST_FORMAT[minor]:
        if writer.minor_version is not None:
            raise WriteError(
                f"{writer.filename}: LAS 1.{minor} has no point format {number}; "
                f"set 'dataformat_id' to {HIGHEST_FORMAT[minor]} or less, or 'minor_version' to 4"
            )
        minor = next(m for m, highest in enumerate(HIGHEST_FORMAT) if highest >= number)
        warnings.append(f"point format {number} needs LAS 1.{minor}; written as that")
    return minor, number


def _layout(writer: LasWriter, cloud: PointCloud, source: LasSource | None, number: int, warnings: list[str]) -> Layout:
    """The source's extra bytes that are dimensions still, as they are, then those that have no other place."""
    wanted, _ = parse_extra_dims(writer.extra_dims)
    extras = source.layout.extras if source is not None else ()
    # What a stage removed is not to come back; what has no name has no dimension that could be removed. What only the
    # source's point format had no place for goes to its place.
    places = Layout(number).names
    extras = tuple(e for e in extras if e.name is None or (e.name in cloud.dims and e.name not in places))
    trailing = source.layout.trailing if source is not None else 0
    if writer.extra_dims != "all":
        lost = [e.name for e in extras if e.name and e.name not in wanted]
        extras = tuple(e for e in extras if e.name in wanted and e.type == wanted[e.name])
        trailing = 0
        lost += [n for n in cloud.dims if n not in STANDARD_NAMES and n not in wanted and n not in lost]
        if lost:
            warnings.append(f"dimensions {lost} are not in 'extra_dims' and were left out")
    known = {e.name for e in extras}
    labels = {"X", "Y", "Z", *places, *(e.label for e in extras)}
    added: list[Extra] = []
    for name, column in cloud.dims.items():
        if name in STANDARD_NAMES or name in known or (writer.extra_dims != "all" and name not in wanted):
            continue
        label = fitting_name(name, labels)
        labels.add(label)
        if label != name:
            shown = name.encode("utf-8", "replace").decode()
            warnings.append(f"dimension '{shown}' is called '{label}' in the file, where names are UTF-8 of 32 bytes")
        added.append(_new_extra(writer.filename, name, column, wanted.get(name), label))
    if missing := [name for name in wanted if name not in cloud.dims]:
        raise WriteError(f"{writer.filename}: 'extra_dims' names {missing}, which the cloud has not; remove them")
    if added and trailing:
        extras, trailing = (*extras, *describe_opaque(trailing)), 0
    return Layout(number, (*extras, *added), trailing)


def _new_extra(path: str, name: str, column: Any, kind: str | None, label: str) -> Extra:
    small = {np.dtype(np.bool_): np.dtype("u1"), np.dtype("f2"): np.dtype("<f4")}
    type_: Any = np.dtype(kind) if kind else small.get(column.dtype, column.dtype.newbyteorder("<"))
    try:
        if column.ndim != 1:
            raise UnfitValue("several numbers a point")
        return describe_extra(name, type_, label)
    except UnfitValue as error:
        raise WriteError(
            f"{path}: dimension '{label}' ({column.dtype}, shape {column.shape[1:]}) cannot become extra bytes; they "
            "take one number of 8 to 64 bits: leave it out of 'extra_dims'"
        ) from error


def _header(writer: LasWriter, source: LasSource | None, forward: frozenset[str], minor: int, layout: Layout) -> Header:
    header = Header() if source is None else _forwarded(source.header, forward, minor)
    now = datetime.datetime.now(datetime.UTC)
    if source is None or not forward & {"creation_doy", "creation_year"}:
        header.creation_doy, header.creation_year = now.timetuple().tm_yday, now.year
    if "software_id" not in forward or source is None:
        header.software_bytes = f"deburr {version('deburr')}".encode()
    number = PointFormat(layout.format)
    if layout.extra_size:
        # One block of bytes: laspy's own list of them has no place for some that exist, and resets what they say.
        number.add_extra_dimension(ExtraBytesParams("ExtraBytes", np.dtype(("u1", (layout.extra_size,)))))
    header.become(minor, number)
    for option, name in (("filesource_id", "file_source_id"), ("creation_doy",) * 2, ("creation_year",) * 2):
        if (value := getattr(writer, option)) is not None:
            setattr(header, name, value)
    if writer.project_id is not None:
        header.uuid = writer.project_id
    if writer.global_encoding is not None:
        told = header.global_encoding.value
        header.global_encoding.value = (told & _TELLING | writer.global_encoding & ~_TELLING) & _GLOBAL_BITS[minor]
    for option, name in (("system_id", "system_bytes"), ("software_id", "software_bytes")):
        if (text := getattr(writer, option)) is not None:
            setattr(header, name, text.encode())
    return header


def _forwarded(source: Header, forward: frozenset[str], minor: int) -> Header:
    """What of the header of a file that was read goes into one of LAS 1.``minor``."""
    header = copy.deepcopy(source)
    header.vlrs.clear()
    old = header.minor
    header.global_encoding.value &= _GLOBAL_BITS[min(minor, old)] if old != minor else 0xFFFF
    if old == 0:
        header.file_source_id = 0  # LAS 1.0 has reserved bytes there
    if old != minor:
        header.extra_header_bytes, header.extra_vlr_bytes, header.gps_time_offset = b"", b"", 0
    _forget(header, set(FIELDS) - forward)
    return header


def _forget(header: Header, fields: set[str]) -> None:
    """Empty what is not to be forwarded."""
    empty: dict[str, tuple[str, Any]] = {
        "filesource_id": ("file_source_id", 0),
        "global_encoding": ("global_encoding", GlobalEncoding()),
        "project_id": ("uuid", UUID(int=0)),
        "system_id": ("system_bytes", b""),
        "software_id": ("software_bytes", b""),
        "creation_doy": ("creation_doy", 0),
        "creation_year": ("creation_year", 0),
    }
    for field_name in fields:
        setattr(header, *empty[field_name])


def check_finite(path: str, *bounds: float) -> None:
    """Refuse coordinates whose ``bounds`` are not numbers. Raises `WriteError`."""
    if not all(map(isfinite, bounds)):
        raise WriteError(
            f"{path}: some coordinates are not finite, which LAS cannot store, though they were read so; remove those "
            "points, or write PLY"
        )


def _axes(writer: LasWriter, asked: Asked, forward: frozenset[str], warnings: list[str]) -> tuple[Axis, Axis, Axis]:
    low, high, source = asked.low, asked.high, asked.source
    check_finite(writer.filename, *low.tolist(), *high.tolist())
    axes = []
    widths = (high - low).tolist()
    # Degrees say nothing of heights.
    apart = wkt_unit(asked.first.crs or "") == "degree"
    for k, name in enumerate("XYZ"):
        axis = name.lower()
        scale, offset = getattr(writer, f"scale_{axis}"), getattr(writer, f"offset_{axis}")
        old, ends = None, (float(low[k]), float(high[k]))
        if source is not None and not asked.first.reprojected:
            old = Axis(float(source.header.scales[k]), float(source.header.offsets[k]))
            scale = "auto" if scale is None and f"scale_{axis}" not in forward else scale
            offset = "auto" if offset is None and f"offset_{axis}" not in forward else offset
        if not asked.extent.count:  # no point is anywhere, and fits whatever offset there is
            ends = (offset, offset) if isinstance(offset, float) else (old.offset, old.offset) if old else ends
        try:
            fitted, warning = fit_axis(name, *ends, scale, offset, old, widths[k] if apart else max(widths))
        except Overflow as problem:
            raise WriteError(f"{writer.filename}: {problem}") from problem
        axes.append(fitted)
        warnings += [warning] if warning else []
    return axes[0], axes[1], axes[2]
