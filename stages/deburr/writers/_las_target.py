"""What a LAS file to be written looks like, decided before its first byte: version, point format, records, lattice."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError, did_you_mean
from deburr.readers._las_header import HIGHEST_FORMAT, SIZES, Header, LasSource, Vlr
from deburr.readers._las_points import EXTRA_TYPES, STANDARD_NAMES, Extra, Layout, describe_extra, describe_opaque
from deburr.writers._las_grid import Axis, Overflow, fit_axis
from deburr.writers._las_records import plan_records

if TYPE_CHECKING:
    from deburr.writers.las import LasWriter

#: What `forward` may name, and the header fields it means.
_FIELDS = (
    "filesource_id",
    "global_encoding",
    "project_id",
    "system_id",
    "software_id",
    "creation_doy",
    "creation_year",
)
FORWARD: dict[str, frozenset[str]] = {
    **{name: frozenset({name}) for name in (*_FIELDS, "minor_version", "dataformat_id", "vlr")},
    **{f"{part}_{axis}": frozenset({f"{part}_{axis}"}) for part in ("scale", "offset") for axis in "xyz"},
    "scale": frozenset(f"scale_{axis}" for axis in "xyz"),
    "offset": frozenset(f"offset_{axis}" for axis in "xyz"),
    "format": frozenset({"minor_version", "dataformat_id"}),
    "none": frozenset(),
}
# The generating software is this program: forwarded only where it is asked for by name.
FORWARD["header"] = frozenset({*_FIELDS, "minor_version", "dataformat_id"} - {"software_id"})
FORWARD["all"] = FORWARD["header"] | FORWARD["scale"] | FORWARD["offset"] | {"vlr"}

#: PDAL's names of the types of extra bytes.
_PDAL_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float", "double")
TYPE_NAMES = dict(zip(_PDAL_TYPES, EXTRA_TYPES, strict=True))

#: The bits of the global encoding that each minor version knows.
_GLOBAL_BITS = (0, 0, 0b1, 0b1111, 0b11111, 0b1111111)


def split_names(text: str) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()]


def unknown_forward(text: str) -> list[str]:
    """What is wrong with a `forward` option, one sentence each."""
    unknown = [name for name in split_names(text) if name not in FORWARD]
    return [f"option 'forward' names the unknown field '{n}'{did_you_mean(n, FORWARD)}" for n in unknown]


def parse_extra_dims(text: str) -> tuple[dict[str, str], list[str]]:
    """The types that an `extra_dims` list asks for by name ('all' and '' ask for none), and what is wrong with it."""
    wanted: dict[str, str] = {}
    errors = []
    for part in split_names(text) if text != "all" else []:
        name, _, kind = (piece.strip() for piece in part.partition("="))
        if kind.removesuffix("_t") not in TYPE_NAMES:
            errors.append(
                f"option 'extra_dims' must be 'all' or a list Name=type, not '{part}'; types: {', '.join(TYPE_NAMES)}"
            )
        elif name in STANDARD_NAMES or not name or len(name.encode()) > 32:
            errors.append(f"option 'extra_dims' names '{name}', which is standard, empty or over 32 bytes; rename it")
        else:
            wanted[name] = TYPE_NAMES[kind.removesuffix("_t")]
    return wanted, errors


@dataclass
class Target:
    """A file to be written. ``source`` is where records are copied from, if any."""

    header: Header
    layout: Layout
    axes: tuple[Axis, Axis, Axis]
    vlrs: list[Vlr]
    evlrs: list[Vlr]
    gap: bytes
    source: LasSource | None
    warnings: list[str] = field(default_factory=list)


def plan(writer: LasWriter, cloud: PointCloud) -> Target:
    """Decide everything that does not need the points one by one. Raises `WriteError`."""
    source = cloud.source if isinstance(cloud.source, LasSource) else None
    forward = frozenset().union(*(FORWARD[name] for name in split_names(writer.forward)))
    warnings: list[str] = []
    minor, number = _version_and_format(writer, cloud, source, forward, warnings)
    layout = _layout(writer, cloud, source, number, warnings)
    header = _header(writer, source, forward, minor)
    axes = _axes(writer, cloud, source, forward, warnings)
    header.set(scale=[a.scale for a in axes], offset=[a.offset for a in axes])
    vlrs, evlrs = plan_records(writer, cloud, source, layout, header, forward, warnings)
    same_version = source is not None and source.header.field("minor") == minor
    gap = source.gap if source is not None and same_version else b""
    return Target(header, layout, axes, vlrs, evlrs, gap, source, warnings)


def _version_and_format(
    writer: LasWriter, cloud: PointCloud, source: LasSource | None, forward: frozenset[str], warnings: list[str]
) -> tuple[int, int]:
    colors = "Red" in cloud.dims
    minor, number = 4, 8 if colors and "Infrared" in cloud.dims else 7 if colors else 6
    if source is not None and "minor_version" in forward:
        minor = source.header.field("minor")
    if source is not None and "dataformat_id" in forward:
        number = source.layout.format
    if minor == 0 and writer.minor_version is None:
        minor = 2
        warnings.append("LAS 1.0 was read; written as LAS 1.2")
    asked = writer.minor_version is not None or writer.dataformat_id is not None
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
    """The source's extra bytes as they are, then the dimensions that have no other place."""
    wanted, _ = parse_extra_dims(writer.extra_dims)
    extras = source.layout.extras if source is not None else ()
    trailing = source.layout.trailing if source is not None else 0
    if writer.extra_dims != "all":
        lost = [e.name for e in extras if e.name and e.name not in wanted]
        extras = tuple(e for e in extras if e.name in wanted and e.type == wanted[e.name])
        trailing = 0
        lost += [n for n in cloud.dims if n not in STANDARD_NAMES and n not in wanted and n not in lost]
        if lost:
            warnings.append(f"dimensions {lost} are not in 'extra_dims' and were left out")
    known = {e.name for e in extras}
    added: list[Extra] = []
    for name, column in cloud.dims.items():
        if name in STANDARD_NAMES or name in known or (writer.extra_dims != "all" and name not in wanted):
            continue
        added.append(_new_extra(writer.filename, name, column, wanted.get(name)))
    if missing := [name for name in wanted if name not in cloud.dims]:
        raise WriteError(f"{writer.filename}: 'extra_dims' names {missing}, which the cloud has not; remove them")
    if added and trailing:
        extras, trailing = (*extras, *describe_opaque(trailing)), 0
    layout = Layout(number, (*extras, *added), trailing)
    for name in cloud.dims.keys() & STANDARD_NAMES - set(layout.names):
        if np.any(cloud.dims[name]):
            warnings.append(f"point format {number} has no place for {name}, which was left out; see 'dataformat_id'")
    return layout


def _new_extra(path: str, name: str, column: Any, kind: str | None) -> Extra:
    kind = kind or {"|b1": "u1", "<f2": "<f4"}.get(column.dtype.str) or column.dtype.newbyteorder("<").str.lstrip("|")
    if kind not in EXTRA_TYPES or column.ndim != 1 or len(name.encode()) > 32:
        raise WriteError(
            f"{path}: dimension '{name}' ({column.dtype}, shape {column.shape[1:]}) cannot become extra bytes; they "
            "take one number of 8 to 64 bits and a name of at most 32 bytes: leave it out of 'extra_dims'"
        )
    return describe_extra(name, kind)


def _header(writer: LasWriter, source: LasSource | None, forward: frozenset[str], minor: int) -> Header:
    header = Header(SIZES[minor])
    now = datetime.datetime.now(datetime.UTC)
    if source is not None:
        old = source.header
        if old.field("minor") == minor and len(old) >= SIZES[minor]:
            header = Header(old)
        else:
            common = min(len(old), SIZES[minor], SIZES[old.field("minor")])
            header[:common] = old[:common]
            header.set(global_encoding=old.field("global_encoding") & _GLOBAL_BITS[min(minor, old.field("minor"))])
            if old.field("minor") == 0:
                header.set(filesource_id=0)  # LAS 1.0 has reserved bytes there
        for name in set(_FIELDS) - forward:
            header.set(**{name: b"" if name in ("project_id", "system_id", "software_id") else 0})
    else:
        header[:4] = b"LASF"
        header.set(system_id=b"OTHER")
    if source is None or not forward & {"creation_doy", "creation_year"}:
        header.set(creation_doy=now.timetuple().tm_yday, creation_year=now.year)
    if "software_id" not in forward or source is None:
        header.set(software_id=f"deburr {version('deburr')}".encode()[:32])
    header.set(major=1, minor=minor, header_size=len(header))
    for name in ("filesource_id", "creation_doy", "creation_year"):
        if (value := getattr(writer, name)) is not None:
            header.set(**{name: value})
    for name in ("system_id", "software_id"):
        if (text := getattr(writer, name)) is not None:
            header.set(**{name: text.encode()})
    return header


def _axes(
    writer: LasWriter, cloud: PointCloud, source: LasSource | None, forward: frozenset[str], warnings: list[str]
) -> tuple[Axis, Axis, Axis]:
    low, high = (cloud.xyz.min(0), cloud.xyz.max(0)) if len(cloud) else (np.zeros(3), np.zeros(3))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise WriteError(
            f"{writer.filename}: some coordinates are not finite, which LAS cannot store; remove those points"
        )
    axes = []
    for k, name in enumerate("XYZ"):
        axis = name.lower()
        scale, offset = getattr(writer, f"scale_{axis}"), getattr(writer, f"offset_{axis}")
        old = None
        if source is not None:
            old = Axis(source.header.field("scale")[k], source.header.field("offset")[k], kept=True)
            scale = "auto" if scale is None and f"scale_{axis}" not in forward else scale
            offset = "auto" if offset is None and f"offset_{axis}" not in forward else offset
        try:
            fitted, warning = fit_axis(
                name, float(low[k]), float(high[k]), scale, offset, old, float((high - low).max())
            )
        except Overflow as problem:
            raise WriteError(f"{writer.filename}: {problem}") from problem
        axes.append(fitted)
        warnings += [warning] if warning else []
    return axes[0], axes[1], axes[2]
