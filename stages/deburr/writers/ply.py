"""writers.ply: PLY files, text and binary, with every property."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field as Option

from deburr.core.cloud import Extent, PointCloud
from deburr.core.figure import Most, Reports, Same
from deburr.core.kept import Kept
from deburr.core.progress import advance
from deburr.core.stage import Stage, Writer
from deburr.formats.ply.header import FORMATS, PlySource
from deburr.writers import _ply_encode as encode
from deburr.writers._ends import left_out, put
from deburr.writers._parts import checked
from deburr.writers._ply_fields import Dialect, Field, Vertices, joined, others, respell

_MODES = {"ascii": "ascii", "little endian": "binary_little_endian", "big endian": "binary_big_endian"}


class Ply(Writer):
    """Write the points as PLY.

    A cloud that came from a PLY file is written as it was read: format, property names, types and order, lists, faces,
    other elements, comments. Points that did not move keep their exact coordinates; moved coordinates are rounded to
    the type of their property. A cloud from elsewhere gets double coordinates and one property for every dimension,
    named as PDAL does: its dimension in lower case. ``dialect`` names them otherwise. PLY has no place for a
    coordinate system.
    """

    type_name: ClassVar[str] = "writers.ply"
    extensions: ClassVar[tuple[str, ...]] = ("ply",)
    reports: ClassVar[Reports] = {
        "coordinate_rounding_max": Most(unit="length", description="how far a coordinate was rounded, at most"),
        "format": Same(description="ascii, binary_little_endian or binary_big_endian"),
    }
    kept: ClassVar[Mapping[str, Kept]] = {
        "ply": Kept(
            "the same bytes, spellings of some numbers in text aside", "type of the property; else double",
            "comments, faces and other elements, lists", "no", exact=True,
        )
    }  # fmt: skip

    storage_mode: Literal["default", "ascii", "little endian", "big endian"] = Option(
        "default", description="how numbers are stored; default: as in the PLY that was read, otherwise binary"
    )
    precision: int | None = Option(
        None, ge=0, le=17, description="digits after the decimal point (storage_mode ascii); default: all that count"
    )
    sized_types: bool | None = Option(
        None, description="write types as int8, float64 (true) or char, double (false); default: as read"
    )
    dialect: Dialect = Option(
        "source",
        description="whose names properties get: those that were read; PDAL's; or those that CloudCompare sees "
        "(scalar_Classification), with 8 bits for colours",
    )

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse a precision that binary numbers would ignore."""
        if self.precision is not None and self.storage_mode != "ascii":
            return ["option 'precision' needs \"storage_mode\": \"ascii\"; set that too, or remove 'precision'"]
        return []

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write ``filename``. Raises `deburr.core.errors.WriteError` and leaves an existing file intact."""
        path = self.filename
        kind = self._format(cloud)
        vertices = Vertices(cloud, kind == "ascii", path, self.dialect)
        fields = vertices.fields()
        elements, warnings = others(cloud, path)
        warnings = [*vertices.warnings, *warnings, *left_out(cloud, "PLY", PlySource, path)]
        put(path, self._blocks(cloud, kind, fields, elements))
        figures: dict[str, object] = {"points": len(cloud), "format": kind}
        if vertices.rounding:
            figures["coordinate_rounding_max"] = vertices.rounding
        return cloud.note(self.type_name, figures, *warnings)

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of ``parts`` as one cloud. All are held in memory: a PLY's types depend on every value.

        Parts of several files must have nothing but points: lists and other elements cannot be put together.
        """
        with checked(parts, extent, self.filename) as clouds:
            cloud = joined(list(clouds), self.filename)
        record = self.write(cloud).history[-1]
        return PointCloud(np.zeros((0, 3)), extent=extent, history=(record,))

    def _format(self, cloud: PointCloud) -> str:
        if self.storage_mode != "default":
            return _MODES[self.storage_mode]
        if isinstance(cloud.source, PlySource):
            return cloud.source.header.format
        return f"binary_{sys.byteorder}_endian"

    def _blocks(
        self, cloud: PointCloud, kind: str, fields: list[Field], elements: dict[str, list[Field]]
    ) -> Iterator[bytes]:
        """The whole file, piece by piece."""
        source = cloud.source if isinstance(cloud.source, PlySource) else None
        order = [element.name for element in source.header.elements] if source else ["vertex"]
        counts = {element.name: element.count for element in source.header.elements} if source else {}
        parts = [(n, len(cloud), fields) if n == "vertex" else (n, counts[n], elements[n]) for n in order
                 if n == "vertex" or n in elements]  # fmt: skip
        lines = ["ply", f"format {kind} 1.0", *(source.header.remarks if source else ["comment Written by deburr"])]
        for name, count, columns in parts:
            lines.append(f"element {name} {count}")
            for prop in (respell(field.property, self.sized_types) for field in columns):
                types = prop.type if prop.count_type is None else f"list {prop.count_type} {prop.type}"
                lines.append(f"property {types} {prop.name}")
        yield "\n".join([*lines, "end_header\n"]).encode("utf-8", "surrogateescape")
        for name, count, columns in parts:
            if not columns:
                continue
            done = 0
            text = encode.text(columns, count, self.precision) if kind == "ascii" else None
            for block in text or encode.binary(columns, count, FORMATS[kind]):
                yield block
                done = min(done + encode.CHUNK, count)
                advance(f"write {name}", done, count)
