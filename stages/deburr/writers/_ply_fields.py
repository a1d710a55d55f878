"""Decides what becomes of a cloud's columns in a PLY file: property names, their types, and what must be said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.formats.ply.dialects import cloudcompare_name, is_scalar, pdal_name
from deburr.formats.ply.header import TYPES, Array, Lists, PlySource, Property
from deburr.writers._ends import check_places

_SIZED = {code: name for name, code in TYPES.items() if name[-1].isdigit()}
_PLAIN = {code: name for name, code in TYPES.items() if not name[-1].isdigit()}
#: Properties that hold row numbers of vertices: they mean nothing once vertices were removed.
_INDICES = {"vertex_indices", "vertex_index", "vertex1", "vertex2"}

#: Whose names properties get.
Dialect = Literal["source", "pdal", "cloudcompare"]


@dataclass(frozen=True)
class Field:
    """One property and its values for all rows."""

    property: Property
    values: Array | Lists


def respell(prop: Property, sized: bool | None) -> Property:
    """``prop`` with its types spelt ``int8`` (sized) or ``char``; None leaves them as they are."""
    if sized is None:
        return prop
    names = _SIZED if sized else _PLAIN
    count = None if prop.count_type is None else names[TYPES[prop.count_type]]
    return replace(prop, type=names[TYPES[prop.type]], count_type=count)


class Vertices:
    """The vertex properties of a cloud: those of its PLY source, with their names and types, then the new ones.

    ``text`` tells whether they go into an ASCII file, ``dialect`` whose names they get; ``warnings`` collects every
    type that had to change, and ``rounding`` the furthest that a coordinate was moved by the float32 of its property,
    in the cloud's units.
    """

    def __init__(self, cloud: PointCloud, text: bool, path: str, dialect: Dialect = "source") -> None:
        self.cloud = cloud
        self.text = text
        self.path = path
        self.dialect = dialect
        self.source = cloud.source if isinstance(cloud.source, PlySource) else None
        self.warnings: list[str] = []
        self.rounding = 0.0
        types = [p.type for p in self.source.header.vertex.properties] if self.source else []
        self.names = _SIZED if any(name in _SIZED.values() for name in types) else _PLAIN
        theirs = dialect == "source" and self.source is not None and any(map(is_scalar, self.source.dims))
        self.new_name = cloudcompare_name if theirs or dialect == "cloudcompare" else pdal_name

    def fields(self) -> list[Field]:
        """Every property, in the order of the source. Raises `WriteError` for a column that PLY cannot hold."""
        check_places(self.cloud, self.path)
        if self.source is None:
            fields = [Field(Property(letter, "double"), self.cloud.xyz[:, axis]) for axis, letter in enumerate("xyz")]
            known: set[str] = set()
        else:
            properties = self.source.header.vertex.properties
            fields = [field for p in properties if (field := self._old(p, self.source))]
            known = set(self.source.dims.values())
        for dim, column in self.cloud.dims.items():
            if dim not in known:
                fields += self._new(dim, column, {field.property.name for field in fields})
        return self._in_dialect(fields)

    def _in_dialect(self, fields: list[Field]) -> list[Field]:
        """The same fields by the names, and in the types, that the dialect asks for."""
        if self.dialect == "source":
            return fields
        dims = self.source.dims if self.source else {}
        taken, found = set(self.source.lists if self.source else ()), []
        for field in fields:
            name = field.property.name
            if isinstance(field.values, Lists):
                found.append(field)
                continue
            if name in dims:
                name = self.new_name(dims[name])
            elif name.lower() in ("x", "y", "z"):
                name = name.lower()
            while name in taken:
                name += "_"
            taken.add(name)
            renamed = Field(replace(field.property, name=name), field.values)
            found.append(self._as_shown(renamed) if self.dialect == "cloudcompare" else renamed)
        return found

    def _as_shown(self, field: Field) -> Field:
        """``field`` as CloudCompare takes it: its colours have 8 bits."""
        values = field.values
        if field.property.name not in ("red", "green", "blue") or not isinstance(values, np.ndarray):
            return field
        if values.dtype.kind not in "iu" or values.dtype.itemsize == 1:
            return field
        if values.max(initial=0) > 255 or values.min(initial=0) < 0:
            self.warnings.append(
                f"{self.path}: '{field.property.name}' is written with its upper 8 of 16 bits, as CloudCompare has "
                "8 bits for colours"
            )
            values = np.clip(values, 0, 65535) >> 8
        return Field(Property(field.property.name, self.names["u1"]), values.astype(np.uint8))

    def _old(self, p: Property, source: PlySource) -> Field | None:
        """The source's property ``p``; None where a stage has dropped its dimension."""
        if p.name in source.lists:
            return Field(p, source.lists[p.name].take(self.cloud.rows))
        if p.name in source.dims:
            column = self.cloud.dims.get(source.dims[p.name])
            return None if column is None else self._fit(p, column, p.name in source.wide)
        column = self.cloud.xyz[:, "xyz".index(p.name.lower())]
        if p.dtype == np.float32 and p.name not in source.wide:
            with np.errstate(over="ignore"):
                rounded = column.astype(np.float32)
            if not np.array_equal(np.isfinite(rounded), np.isfinite(column)):
                return self._fit(p, column, False)
            return self._rounded(p, rounded, column)
        if p.dtype.kind in "iu" and column is not self.cloud.original and self.cloud.located.all():
            whole, limits = np.rint(column), np.iinfo(p.dtype)
            if len(whole) and limits.min <= whole.min() and whole.max() <= limits.max:
                return self._rounded(p, whole.astype(p.dtype), column)
        return self._fit(p, column, p.name in source.wide)

    def _rounded(self, p: Property, rounded: Array, column: Array) -> Field:
        away = np.subtract(rounded, column, where=np.isfinite(column), out=np.zeros(len(column)))
        self.rounding = max(self.rounding, float(np.abs(away).max(initial=0.0)))
        return Field(p, rounded)

    def _fit(self, p: Property, column: Array, wide: bool) -> Field:
        """``column`` in the declared type where that changes no value, otherwise in a type that holds it."""
        self._check(p.name, column, 1)
        if wide and self.text:
            return Field(p, column)
        with np.errstate(over="ignore", invalid="ignore"):
            fitted = column.astype(p.dtype)
        if not wide and np.array_equal(fitted, column, equal_nan=column.dtype.kind == "f"):
            return Field(p, fitted)
        values = self._storable(p.name, column.astype(np.float64) if wide else column)
        other = Property(p.name, self.names[values.dtype.str[1:]])
        self.warnings.append(
            f"{self.path}: property '{p.name}' is written as {other.type}, because its values do not fit {p.type}"
        )
        return Field(other, values)

    def _new(self, dim: str, column: Array, taken: set[str]) -> list[Field]:
        """The properties of a dimension that the source does not have, one for each of its components."""
        name = self.new_name(dim)
        self._check(dim, column, 2)
        parts = {name: column} if column.ndim == 1 else {f"{name}_{i}": part for i, part in enumerate(column.T)}
        fields = []
        for part_name, part in parts.items():
            while part_name in taken:
                part_name += "_"
            values = self._storable(dim, part)
            fields.append(Field(Property(part_name, self.names[values.dtype.str[1:]]), values))
        return fields

    def _check(self, dim: str, column: Array, axes: int) -> None:
        if column.dtype.kind not in "biuf" or column.ndim > axes:
            raise WriteError(
                f"{self.path}: dimension '{dim}' of type {column.dtype}, shape {column.shape}, does not fit into PLY; "
                "remove that dimension, or write LAS instead"
            )

    def _storable(self, dim: str, column: Array) -> Array:
        """``column`` in one of PLY's types: 64-bit integers become 32-bit ones, or doubles."""
        if column.dtype.kind == "b":
            return column.astype(np.uint8)
        if column.dtype.itemsize <= 4 or column.dtype == np.float64:
            return (
                column.astype(np.float32)
                if column.dtype == np.float16
                else column.astype(column.dtype.newbyteorder("="))
            )
        for kind in (np.int32, np.uint32, np.float64):
            narrow: Array = column.astype(kind)
            if np.array_equal(narrow.astype(column.dtype), column):
                return narrow
        self.warnings.append(f"{self.path}: dimension '{dim}' is rounded to double, the widest type that PLY has")
        return column.astype(np.float64)


def others(cloud: PointCloud, path: str) -> tuple[dict[str, list[Field]], list[str]]:
    """The source's other elements; those that refer to vertices by row only if every vertex kept its row."""
    source: Any = cloud.source
    if not isinstance(source, PlySource):
        return {}, []
    kept = len(cloud) == source.header.vertex.count and bool((cloud.rows == np.arange(len(cloud))).all())
    elements, dropped = {}, []
    for element in source.header.elements:
        if element.name == "vertex":
            continue
        if not kept and _INDICES & {p.name for p in element.properties}:
            dropped.append(f"{element.count} rows of element '{element.name}'")
            continue
        elements[element.name] = [Field(p, source.others[element.name][p.name]) for p in element.properties]
    if not dropped:
        return elements, []
    return elements, [
        f"{path}: points were removed or reordered, so {', '.join(dropped)}, which refer to them, were dropped"
    ]


def joined(parts: list[PointCloud], path: str) -> PointCloud:
    """The points of ``parts``, which share their columns, in one cloud. Raises `WriteError` where that loses something.

    Its source is the first part's: names and types of the properties are taken from there.
    """
    source = parts[0].source
    for other in (part.source for part in parts):
        if other is not source and any(_more_than_points(s) for s in (source, other)):
            raise WriteError(
                f"{path}: its parts come from several PLY files with lists or elements besides points, which cannot be "
                "put together; remove those, or write LAS"
            )
    return PointCloud(
        np.concatenate([part.xyz for part in parts]),
        {name: np.concatenate([part.dims[name] for part in parts]) for name in parts[0].dims},
        original=np.concatenate([part.original for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        crs=parts[0].crs,
        source=source,
        reprojected=parts[0].reprojected,
    )


def _more_than_points(source: object) -> bool:
    return isinstance(source, PlySource) and bool(source.lists or len(source.header.elements) > 1)
