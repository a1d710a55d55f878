"""One scan of an E57 file to be written: raw values as they were read, set where they differ, and new fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import PointCloud
from deburr.core.errors import WriteError
from deburr.formats.e57.file import SCAN
from deburr.formats.e57.records import Column, Columns, Field
from deburr.formats.e57.scan import CARTESIAN, DIMENSIONS, NORMALS, OWN, SPHERICAL, Scan, dimension
from deburr.formats.e57.tree import Node

#: The fields that dimensions are written as; all others get a name of deburr's own.
_FIELDS = {dim: path for path, dim in reversed(DIMENSIONS.items()) if path != "sphericalInvalidState"} | {
    name: name for name in ("rowIndex", "columnIndex", "isIntensityInvalid", "isColorInvalid", "isTimeStampInvalid")
}


@dataclass(eq=False)
class Written:
    """``node``: the scan's part of the new tree. ``rounding``: the furthest that a coordinate is from where it should
    be, in metres."""

    node: Node
    fields: list[Field]
    raw: Columns
    count: int
    warnings: list[str] = field(default_factory=list)
    rounding: float = 0.0

    @classmethod
    def of(cls, scan: Scan, cloud: PointCloud, rows: Ints, start: int) -> Written:
        """The ``rows`` of ``cloud``, which are of ``scan``, whose first point has row ``start``."""
        taken = cloud.rows[rows] - start
        whole = len(taken) == len(scan) and bool((np.diff(taken) == 1).all())
        raw = {name: column if whole else column[taken] for name, column in scan.raw.items()}
        made = cls(scan.node, list(scan.fields), raw, len(rows))
        part = cloud.select(rows)
        if moved := bool((mask := part.moved).any()):
            made._move(scan, part.xyz[mask], mask)
        made._set(scan, part)
        for name, column in part.dims.items():
            known = any(dimension(one.path) == name for one in scan.fields)
            own_number = name == SCAN and not known and bool((column == scan.number).all())
            # What only other scans have is 0 here.
            if not known and not own_number and (not scan.fields or column.any()):
                made.add(name, column)
        if not whole:
            made._ungroup()
        if moved or not whole:
            made.finish(scan, part)
        else:
            made._tell()
        return made

    def finish(self, scan: Scan, part: PointCloud) -> None:
        """Tell fields and bounds of a scan that is no more as it was."""
        self._bound(scan, part)
        self._tell()

    def _field(self, path: str) -> Field:
        return next(one for one in self.fields if one.path == path)

    def _put(self, path: str, rows: Bools, raw: Column) -> None:
        """Set some values of a field, whose limits grow where need be."""
        column = np.array(self.raw[path])
        column[rows] = raw
        self.raw[path] = column
        self.fields = [one.holding(raw) if one.path == path else one for one in self.fields]

    def _move(self, scan: Scan, xyz: Floats, moved: Bools) -> None:
        """Put the ``moved`` (N,) points at ``xyz`` (M, 3), in the world."""
        local = xyz if scan.pose is None else scan.pose.local(xyz)
        away = np.linalg.norm(local, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rise = np.arcsin(np.where(away > 0, (local[:, 2] / away).clip(-1, 1), 0))
        polar = np.stack([away, np.arctan2(local[:, 1], local[:, 0]), rise], axis=1)
        names = scan.field_of
        for paths, values in ((CARTESIAN, local), (SPHERICAL, polar)):
            for path, column in zip(paths, values.T, strict=True):
                if path in names:
                    raw = names[path].raw(column)
                    self._put(path, moved, raw)
                    if paths == CARTESIAN:
                        self.rounding = max(self.rounding, float(np.abs(names[path].values(raw) - column).max()))

    def _set(self, scan: Scan, part: PointCloud) -> None:
        """Set the fields whose dimensions have other values than before; drop those whose dimension is gone."""
        turned = scan.pose is not None and all(name in scan.field_of for name in NORMALS)
        for view in scan.views():
            column = part.dims.get(view.dim)
            if column is None:
                self.fields = [one for one in self.fields if dimension(one.path) != view.dim]
            elif not (turned and view.path in NORMALS):
                new = _differs(view.values(self.raw[view.path]), column)
                if new.any():
                    self._put(view.path, new, view.raw(column[new]))
        if turned and all(dimension(name) in part.dims for name in NORMALS):
            self._turn(scan, part)

    def _turn(self, scan: Scan, part: PointCloud) -> None:
        """Set the normals that are others than before, turned back into the scan's own directions."""
        assert scan.pose is not None
        before = replace(scan, raw=self.raw).world_normals()
        columns = [part.dims[dimension(name)] for name in NORMALS]
        new = np.any([_differs(before[dimension(n)], c) for n, c in zip(NORMALS, columns, strict=True)], axis=0)
        if new.any():
            world = np.stack([column[new].astype(np.float64) for column in columns], axis=1)
            local = scan.pose.turned(world, scan.pose.rotation.T)
            for name, values in zip(NORMALS, local.T, strict=True):
                self._put(name, new, self._field(name).raw(values))

    def add(self, name: str, column: Column) -> None:
        """A field for a dimension that the scan did not have; several for one of several numbers."""
        if column.ndim == 2:
            for number, part in enumerate(column.T):
                self.add(f"{name}_{number}", np.ascontiguousarray(part))
            return
        path = _FIELDS.get(name) or OWN + (re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip("-.0123456789") or "unnamed")
        while path in self.raw:
            path = (path if path.startswith(OWN) else OWN + path) + "_"
        values, low, high = self._storable(name, column)
        if name == "ReturnNumber" and values.dtype.kind == "i" and low > np.iinfo(np.int64).min:
            values, low, high = values - 1, low - 1, high - 1
        kind = {"f4": "single", "f8": "double"}.get(values.dtype.str[1:], "integer")
        self.fields.append(Field(path, kind, low, high))
        self.raw[path] = values

    def _storable(self, name: str, column: Column) -> tuple[Column, int, int]:
        """``column`` as E57 has values, and limits that its type can have."""
        if column.dtype.kind not in "biuf" or column.ndim > 1:
            raise WriteError(
                f"dimension '{name}' of type {column.dtype}, shape {column.shape}, does not fit into E57; "
                "remove that dimension"
            )
        if column.dtype.kind == "f":
            return column.astype(np.float32 if column.dtype.itemsize <= 4 else np.float64), 0, 0
        column = column.astype(np.uint8) if column.dtype.kind == "b" else column
        if column.dtype.itemsize <= 4:
            limits: Any = np.iinfo(column.dtype)
            return column.astype(np.int64), int(limits.min), int(limits.max)
        low, high = int(column.min(initial=0)), int(column.max(initial=0))
        if high > np.iinfo(np.int64).max:
            self.warnings.append(f"dimension '{name}' is rounded to double, as E57 has no integers of its size")
            return column.astype(np.float64), 0, 0
        return column.astype(np.int64), low, high

    def _ungroup(self) -> None:
        """Forget which points are together, where points have gone or changed places."""
        before = len(self.node.children)
        self.node.children = [node for node in self.node.children if node.name != "pointGroupingSchemes"]
        if len(self.node.children) < before:
            self.warnings.append("points were removed or reordered, so that their groups (lines) were dropped")

    def _bound(self, scan: Scan, part: PointCloud) -> None:
        """The bounds of the points, where they are told."""
        self.node.children = [node for node in self.node.children if node.name != "sphericalBounds"]
        box = self.node.find("cartesianBounds")
        if box is None:
            return
        local = part.xyz[part.located] if scan.pose is None else scan.pose.local(part.xyz[part.located])
        box.children = []
        for axis, letter in enumerate("xyz" if len(local) else ""):
            for end, value in (("Minimum", local[:, axis].min()), ("Maximum", local[:, axis].max())):
                box.add(f"{letter}{end}", "Float", repr(float(value)))

    def _tell(self) -> None:
        """Write the fields into the tree; what is told of those that were there stays."""
        table = self.node.find("points")
        if table is None:
            return
        prototype = table.find("prototype")
        assert prototype is not None
        kept = {one.path: one for one in self.fields}
        told = _prune(prototype, "", kept)
        for one in self.fields:
            if one.path not in told:
                _describe(prototype, one)
            elif one.kind == "integer":
                _limit(told[one.path], one.low, one.high, int)
            elif len(values := self.raw[one.path][np.isfinite(self.raw[one.path])]):
                _limit(told[one.path], float(values.min()), float(values.max()), float)


def _differs(old: Column, new: Column) -> Bools:
    differs = np.asarray(old != new)
    if old.dtype.kind == "f" and new.dtype.kind == "f":
        differs &= ~(np.isnan(old) & np.isnan(new))
    return differs


def _prune(node: Node, before: str, kept: dict[str, Field]) -> dict[str, Node]:
    """The nodes of the fields that stay; the others go."""
    found: dict[str, Node] = {}
    children = []
    for child in node.children:
        if child.type in ("Structure", "Vector"):
            found |= _prune(child, f"{before}{child.name}/", kept)
        elif before + child.name in kept:
            found[before + child.name] = child
        else:
            continue
        children.append(child)
    node.children = children
    return found


def _limit(node: Node, low: Any, high: Any, kind: type[int] | type[float]) -> None:
    """Widen the limits that a node tells to hold ``low`` and ``high``."""
    for key, value, wider in (("minimum", low, min), ("maximum", high, max)):
        if key in node.attributes:
            before = kind(node.attributes[key])
            node.attributes[key] = node.attributes[key] if wider(before, value) == before else repr(value)


def _describe(prototype: Node, one: Field) -> None:
    if one.kind == "integer":
        text = "" if one.low <= 0 <= one.high else str(one.low)
        prototype.add(one.path, "Integer", text, minimum=str(one.low), maximum=str(one.high))
    else:
        prototype.add(one.path, "Float", **({"precision": "single"} if one.kind == "single" else {}))
