"""readers.ply: PLY files, text and binary, with every property."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from deburr.core.addresses import shown
from deburr.core.cloud import PointCloud
from deburr.core.reading import opened
from deburr.core.stage import Reader
from deburr.formats.ply.dialects import dimensions, is_scalar
from deburr.formats.ply.file import load
from deburr.formats.ply.header import Array, Columns, Header, Lists, PlySource
from deburr.readers._missing import DESCRIPTION, Fate, sorted_out


class Ply(Reader):
    """Read the points of a PLY file: ASCII, binary little endian or binary big endian.

    ``x``, ``y``, ``z`` become the coordinates; every other property becomes a dimension of its own type. Names that
    PDAL and other programs use for PDAL's dimensions get PDAL's spelling (``red``: ``Red``, ``nx``: ``NormalX``,
    CloudCompare's ``scalar_Classification``: ``Classification``), the others keep theirs; writers.ply gives
    all of them their old names back. Lists, faces, comments and all else are carried along for writers.ply.
    PLY knows no coordinate system, so the cloud has none. Points without coordinates, as cameras make of pixels without
    depth, are treated as withheld ones: they stay as they are, and nobody looks at them.
    """

    type_name: ClassVar[str] = "readers.ply"
    extensions: ClassVar[tuple[str, ...]] = ("ply",)

    missing: Fate = Field("keep", description=DESCRIPTION)

    def read(self) -> PointCloud:
        """Read ``filename``. Raises `deburr.core.errors.ReadError`."""
        path = shown(self.filename)
        with opened(self.filename) as stream:
            header, columns, left = load(stream, path)
        warnings = [f"{path}: {left} bytes after the last element were ignored"] if left else []
        cloud, missing = sorted_out(_cloud(header, columns, path), self.missing, path)
        return cloud.note(self.type_name, {"points": len(cloud), **_figures(header)}, *warnings, *missing)

    @classmethod
    def summary(cls, figures: Mapping[str, Any], unit: str) -> list[tuple[str, str]]:
        """What was found in the file."""
        told = f"{figures['format'].replace('_', ' ')}, coordinates {figures['coordinates']}"
        found = [("PLY", told + (", names of CloudCompare" if figures["cloudcompare"] else ""))]
        return found + [(name, f"{count:,}") for name, count in list(figures["elements"].items())[:5] if count]


def _figures(header: Header) -> dict[str, Any]:
    """What `pipeline info` and the report tell of the file."""
    properties = header.vertex.properties
    others = [element for element in header.elements if element.name != "vertex"]
    kinds = {p.type for p in properties if p.name.lower() in ("x", "y", "z") and not p.count_type}
    return {
        "format": header.format,
        "coordinates": ", ".join(sorted(kinds)),
        "cloudcompare": any(is_scalar(p.name) for p in properties),
        "elements": {e.name.encode("utf-8", "replace").decode(): e.count for e in others},
    }


def _cloud(header: Header, columns: dict[str, Columns], path: str) -> PointCloud:
    vertex = dict(columns.pop("vertex"))
    names = {name.lower(): name for name in reversed(vertex)}
    wide = set()
    for p in header.vertex.properties:
        column = vertex[p.name]
        if isinstance(column, np.ndarray) and column.dtype != p.dtype:
            if _wider(column):
                wide.add(p.name)
            else:
                vertex[p.name] = column.astype(p.dtype)
    xyz = np.empty((header.vertex.count, 3))
    for axis, letter in enumerate("xyz"):
        with np.errstate(invalid="ignore"):  # a NaN that signals is a NaN like others
            xyz[:, axis] = _column(vertex.pop(names[letter]))
    dims = dimensions(name for name, column in vertex.items() if isinstance(column, np.ndarray))
    lists = {name: column for name, column in vertex.items() if isinstance(column, Lists)}
    source = PlySource(header, dims, lists, columns, frozenset(wide))
    return PointCloud(xyz, {dim: _column(vertex[name]) for name, dim in dims.items()}, source=source)


def _column(column: Array | Lists) -> Array:
    assert isinstance(column, np.ndarray)
    return column


def _wider(values: npt.NDArray[np.float64]) -> bool:
    """Whether a text's numbers (N,) float64, declared ``float``, have more digits than a float32 holds.

    Such files are common: UTM coordinates with millimetres under ``property float x``. Rounding them to float32, half a
    metre there, would destroy them. A number survives if its float32 prints as the same number: by its shortest
    spelling, or as C programs do, with nine digits or with as many decimals as the text has.
    """
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    lost = np.unique(values[(narrow.astype("U").astype(np.float64) != values) & ~np.isnan(values)])
    with np.errstate(over="ignore"):
        pairs = zip(lost.tolist(), lost.astype(np.float32).tolist(), strict=True)
    return not all(value in (float(f"{near:.9g}"), float(f"{near:.{_decimals(value)}f}")) for value, near in pairs)


def _decimals(value: float) -> int:
    """Digits behind the decimal point of ``value``, a finite number, in its shortest spelling."""
    return max(-int(Decimal(repr(value)).as_tuple().exponent), 0)
