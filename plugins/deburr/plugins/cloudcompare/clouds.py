"""A cloud of CloudCompare's as arrays, as columns of a file, and with other coordinates as a new cloud.

Scalar fields and colours never come back from deburr: the new cloud gets them from the old one, as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pycc

#: What CloudCompare wants scalar fields to be called in a PLY.
SCALAR = "scalar_"
_XYZ, _NORMAL, _COLOUR = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue", "alpha")


@dataclass(frozen=True)
class Taken:
    """``points``: (n, 3) float32, as CloudCompare draws them; in the world, they are at ``points / scale - shift``.

    ``fields``: float32 (n,) by name, and ``offsets`` to be added to their values; ``colours``: (n, 4) uint8;
    ``normals``: (n, 3) float32.
    """

    points: Any
    shift: Any
    scale: float
    fields: dict[str, Any]
    offsets: dict[str, float]
    colours: Any
    normals: Any

    def world(self) -> Any:
        """The coordinates in the world, (n, 3) float64."""
        return self.points.astype(np.float64) / self.scale - self.shift

    def columns(self, anew: Collection[str] = ()) -> dict[str, Any]:
        """All of it by the names that it has in the file, but for fields that deburr makes ``anew``."""
        found: dict[str, Any] = {}
        for names, values in ((_XYZ, self.world()), (_NORMAL, self.normals), (_COLOUR, self.colours)):
            if values is not None:
                found.update((name, values[:, column]) for column, name in enumerate(names))
        for name, values in self.fields.items():
            if name in anew:
                continue
            offset = self.offsets[name]
            found[_property(name, found)] = values if offset == 0 else values.astype(np.float64) + offset
        return found

    def moved(self, world: Any) -> Any:
        """Other coordinates in the world, (n, 3) float64, as float32 ones to draw; who did not move stays as it is."""
        there = ((world + self.shift) * self.scale).astype(np.float32)
        return np.where((world == self.world()).all(axis=1, keepdims=True), self.points, there)


def _property(name: str, taken: Mapping[str, Any]) -> str:
    """A name without blanks that no other column has."""
    spelt = SCALAR + ("_".join(name.split()) or "unnamed")
    number = 2
    unique = spelt
    while unique in taken:
        unique, number = f"{spelt}_{number}", number + 1
    return unique


def take(cloud: Any) -> Taken:
    """All that pycc tells of a cloud, copied. A pycc that cannot read normals is told of by `has_lost_normals`."""
    shift, fields, offsets = cloud.getGlobalShift(), {}, {}
    for index in range(cloud.getNumberOfScalarFields()):
        field, name = cloud.getScalarField(index), str(cloud.getScalarFieldName(index))
        fields[name] = np.array(field.asArray(), np.float32)
        offsets[name] = _offset(field, fields[name])
    colours = cloud.colors() if cloud.hasColors() else None
    normals = cloud.normals() if cloud.hasNormals() and hasattr(cloud, "normals") else None
    return Taken(
        np.array(cloud.points(), np.float32),
        np.array([shift.x, shift.y, shift.z], np.float64),
        float(cloud.getGlobalScale()),
        fields,
        offsets,
        None if colours is None else np.array(colours, np.uint8),
        None if normals is None else np.array(normals, np.float32),
    )


def has_lost_normals(cloud: Any) -> bool:
    """Whether it has normals that this pycc cannot read."""
    return bool(cloud.hasNormals()) and not hasattr(cloud, "normals")


def _offset(field: Any, values: Any) -> float:
    """What CloudCompare adds to values that float32 cannot hold, such as times: up to 2.13 in a number of its own,
    later in each value that it tells."""
    if hasattr(field, "getGlobalShift"):
        return float(field.getGlobalShift())
    finite = np.flatnonzero(np.isfinite(values))
    return float(field.getValue(int(finite[0]))) - float(values[finite[0]]) if len(finite) else 0.0


def made(cloud: Any, taken: Taken, result: Mapping[str, Any], known: Collection[str]) -> Any:
    """A new cloud: the old ``cloud``, of which ``taken`` was taken, with what deburr has made of it.

    ``result``: the columns of deburr's file. Those that are not among ``known``, the names in the file that it was
    given, become scalar fields, in the place of old ones of the same name.
    """
    new = pycc.ccPointCloud(*taken.moved(np.column_stack([result[name] for name in _XYZ])).T)
    new.setName(f"{cloud.getName()}.denoised")
    new.copyGlobalShiftAndScale(cloud)
    if taken.colours is not None:
        new.setColor(255, 255, 255, 255)  # makes room for a colour a point
        new.colors()[: len(taken.colours)] = taken.colours
    if taken.normals is not None:
        new.setNormals(np.column_stack([result[name] for name in _NORMAL]))
    added = {name[len(SCALAR) :]: result[name] for name in result if name not in known}
    for index, (name, values) in enumerate(taken.fields.items()):
        if name not in added:
            _copied(cloud.getScalarField(index), taken.offsets[name], _added(new, name, values))
    for name, values in added.items():
        _added(new, name, values)
    _shown(cloud, new)
    return new


def _added(cloud: Any, name: str, values: Any) -> Any:
    field = cloud.getScalarField(cloud.addScalarField(name))
    field.asArray()[:] = values
    field.computeMinAndMax()
    return field


def _copied(old: Any, offset: float, new: Any) -> None:
    """Give the copy of a field what belongs to its values: the offset and the colours."""
    if offset != 0 and hasattr(new, "setGlobalShift"):
        new.setGlobalShift(offset)
    elif offset != 0:
        new.asArray()[:] += np.float32(offset)
        new.computeMinAndMax()
        told = "its values are rounded to float32: this version of CloudCompare's Python plugin sets no offset"
        pycc.ccLog.Warning(f"deburr: scalar field {new.getName()}: {told}")
    if hasattr(new, "importParametersFrom"):
        new.importParametersFrom(old)


def _shown(cloud: Any, new: Any) -> None:
    """Show the new cloud as the old one, and hide that."""
    index = cloud.getCurrentDisplayedScalarFieldIndex()
    if index >= 0:
        new.setCurrentDisplayedScalarField(new.getScalarFieldIndexByName(cloud.getScalarFieldName(index)))
    new.showColors(cloud.colorsShown() and new.hasColors())
    new.showNormals(cloud.normalsShown() and new.hasNormals())
    new.showSF(cloud.sfShown())
    cloud.setEnabled(False)
