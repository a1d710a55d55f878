"""writers.pcd: files of the Point Cloud Library, text, binary and compressed."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field as Option

from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import WriteError
from deburr.core.figure import Most, Reports, Same
from deburr.core.kept import Kept
from deburr.core.progress import advance
from deburr.core.stage import Stage, Writer
from deburr.formats.pcd.header import Header, PcdSource
from deburr.formats.pcd.lzf import pack
from deburr.formats.text.source import Scan
from deburr.writers._ends import check_places, left_out, put
from deburr.writers._parts import checked, written_at_once
from deburr.writers._pcd_fields import Fields, Pair
from deburr.writers._text_rows import Rows
from deburr.writers._text_spelling import Words, spelt, woven

_ENCODINGS = {"ascii": "ascii", "binary": "binary", "compressed": "binary_compressed"}
#: Points encoded at a time; bounds the memory that a copy takes.
CHUNK = 1 << 16


class Pcd(Writer):
    """Write the points as PCD.

    A cloud that came from a PCD file is written as it was read: encoding, fields, their types and order, padding,
    viewpoint, and its grid as long as no point is missing; ascii byte by byte, but for what moved. Moved coordinates
    are rounded to the type of their field. A cloud from elsewhere gets float coordinates, or double ones where float
    would move them, colours as ``rgb``, and a field for every other dimension. PCD has no place for a coordinate
    system."""

    type_name: ClassVar[str] = "writers.pcd"
    extensions: ClassVar[tuple[str, ...]] = ("pcd",)
    reports: ClassVar[Reports] = {
        "coordinate_rounding_max": Most(unit="length", description="how far a coordinate was rounded, at most"),
        "encoding": Same(description="ascii, binary or binary_compressed"),
    }
    kept: ClassVar[Mapping[str, Kept]] = {
        "pcd": Kept(
            "the same bytes (compressed: as packed)", "type of the field; double where float would move them",
            "viewpoint, padding, the grid of pixels", "no", exact=True,
        ),
    }  # fmt: skip

    compression: Literal["default", "ascii", "binary", "compressed"] = Option(
        "default", description="how points are stored; default: as in the PCD that was read, otherwise binary"
    )
    precision: int | None = Option(
        None, ge=0, le=17, description="digits after the decimal point (compression ascii); default: all that count"
    )

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse a precision that binary numbers would ignore."""
        if self.precision is not None and self.compression != "ascii":
            return ["option 'precision' needs \"compression\": \"ascii\"; set that too, or remove 'precision'"]
        return []

    def write(self, cloud: PointCloud) -> PointCloud:
        """Write ``filename``. Raises `deburr.core.errors.WriteError` and leaves an existing file intact."""
        path = self.filename
        check_places(cloud, path)
        source = cloud.source if isinstance(cloud.source, PcdSource) else None
        given = _ENCODINGS.get(self.compression)
        encoding = given or (source.header.encoding if source else "binary")
        fields = Fields(cloud, source, path, encoding == "ascii")
        header = _header(fields, encoding)
        text = None
        if source is not None and source.text is not None and encoding == "ascii" and self.precision is None:
            text = _rows(fields, header)
        warnings = [*(text.warnings if text else []), *fields.warnings]
        if source is not None and source.header.height > 1 and header.height == 1:
            warnings.append(f"{path}: points were removed or reordered, so they are no grid of pixels any more")
        warnings += left_out(cloud, "PCD", PcdSource, path)
        put(path, text.blocks() if text else self._blocks(header, fields.pairs, source))
        figures: dict[str, Any] = {"points": len(cloud), "encoding": encoding}
        # Words of a text are rounded twice: to their decimals, and by who reads them to the type of their field.
        if rounding := fields.rounding + (text.rounding if text else 0.0):
            figures["coordinate_rounding_max"] = rounding
        return cloud.note(self.type_name, figures, *warnings)

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of ``parts`` as one cloud. All are held in memory: types and grid depend on every point."""
        with checked(parts, extent, self.filename) as clouds:
            return written_at_once(self, clouds, extent)

    def _blocks(self, header: Header, pairs: list[Pair], source: PcdSource | None) -> Iterator[bytes]:
        """The whole file, piece by piece."""
        same = source is not None and replace(header, size=source.header.size) == source.header
        yield source.head if source is not None and same else header.text()
        if header.encoding == "binary_compressed":
            body = b"".join(np.ascontiguousarray(values.astype(field.dtype)).tobytes() for field, values in pairs)
            if max(len(body), header.points) > 0xFFFFFFFF:
                raise WriteError(f'{self.filename}: compressed PCD holds 4 GB at most; set "compression": "binary"')
            packed = pack(body)
            yield struct.pack("<II", len(packed), len(body)) + packed
            return
        for start in range(0, header.points, CHUNK):
            stop = min(start + CHUNK, header.points)
            if header.encoding == "binary":
                block = np.empty(stop - start, header.dtype)
                for number, (_, values) in enumerate(pairs):
                    block[f"f{number}"] = values[start:stop]
                yield block.tobytes()
            else:
                yield self._text(pairs, start, stop)
            advance("write points", stop, header.points)

    def _text(self, pairs: list[Pair], start: int, stop: int) -> bytes:
        columns: list[Words | bytes] = []
        for field, values in pairs:
            part = values[start:stop].reshape(stop - start, field.count)
            columns += [one for place in range(field.count) for one in (b" ", spelt(part[:, place], self.precision))]
        return woven([*columns[1:], b"\n"], stop - start)


def _header(fields: Fields, encoding: str) -> Header:
    """The header of a file of ``fields``, with what the source's header says of all else."""
    count = len(fields.cloud)
    made = tuple(field for field, _ in fields.pairs)
    if fields.source is None:
        return Header(made, count, 1, count, encoding)
    old = fields.source.header
    whole = count == old.points and bool((fields.cloud.rows == np.arange(count)).all())
    grid = (old.width, old.height) if whole else (count, 1)
    return replace(old, fields=made, width=grid[0], height=grid[1], points=count, encoding=encoding)


class _Spelt(Rows):
    """The rows of an ascii file below another header."""

    head: bytes

    def _head(self, scan: Scan, count: int) -> bytes:
        return self.head


def _rows(fields: Fields, header: Header) -> Rows | None:
    """The points in the text that they were read from, if its columns are still the first; else None."""
    source = fields.source
    assert source is not None
    assert source.text is not None
    old = source.header
    changed = [name for name in source.dims if name in source.text.given and fields.changed(name)]
    if header.fields[: len(old.fields)] != old.fields or changed:
        return None
    # What is spelt are the numbers that the types of the fields hold, but where the text has had more digits.
    cloud = fields.cloud
    xyz = cloud.xyz.copy()
    for axis, number in enumerate(old.axes):
        was = source.values[number][cloud.rows].astype(np.float64)
        if np.array_equal(was, cloud.original[:, axis], equal_nan=True):
            xyz[:, axis] = np.where(cloud.moved, fields.pairs[number][1], xyz[:, axis])
    made = _Spelt(cloud.with_xyz(xyz) if cloud.moved.any() else cloud, source.text, fields.path)
    same = replace(header, size=old.size) == old
    between = source.text.lines.data[old.size : source.text.scans[0].end]
    made.head = (source.head if same else header.text()) + between
    return made
