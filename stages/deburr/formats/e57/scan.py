"""A scan of an E57 file: its points where they are in the world, and its fields as dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from deburr.core.arrays import Dims, Floats
from deburr.core.errors import ReadError
from deburr.formats.e57.pages import damaged
from deburr.formats.e57.records import Column, Columns, Field
from deburr.formats.e57.tree import Node

CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
NORMALS = ("nor:normalX", "nor:normalY", "nor:normalZ")
#: Fields that are PDAL's dimensions; what stands behind ``deburr:`` is one as well, and others keep their names.
DIMENSIONS = {
    "intensity": "Intensity",
    "colorRed": "Red",
    "colorGreen": "Green",
    "colorBlue": "Blue",
    "timeStamp": "GpsTime",
    "returnIndex": "ReturnNumber",
    "returnCount": "NumberOfReturns",
    "cartesianInvalidState": "Withheld",
    "sphericalInvalidState": "Withheld",
    "nor:normalX": "NormalX",
    "nor:normalY": "NormalY",
    "nor:normalZ": "NormalZ",
}
#: The prefix of fields that only deburr knows, and what it stands for.
OWN, OWN_URI = "deburr:", "urn:deburr:dimensions"
NORMALS_URI = "http://www.libe57.org/E57_NOR_surface_normals.txt"
#: Where the limits of values stand that dimensions have 16 bits for.
_LIMITS = {
    "intensity": ("intensityLimits", "intensity"),
    **{f"color{c}": ("colorLimits", f"color{c}") for c in ("Red", "Green", "Blue")},
}

Limits = tuple[float, float]


@dataclass(frozen=True)
class Pose:
    """Where a scan stands: ``world = rotation @ local + translation``; (3, 3) and (3,) float64."""

    rotation: Floats
    translation: Floats

    def world(self, local: Floats) -> Floats:
        """(N, 3) from (N, 3); each point by itself, so that its last bit hangs on no other."""
        return self.turned(local, self.rotation) + self.translation

    def local(self, world: Floats) -> Floats:
        """The way back."""
        return self.turned(world - self.translation, self.rotation.T)

    @staticmethod
    def turned(points: Floats, matrix: Floats) -> Floats:
        """(N, 3): each row by ``matrix``."""
        x, y, z = points.T
        return np.stack([x * row[0] + y * row[1] + z * row[2] for row in matrix], axis=1)


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan: its part of the tree, its number in its file, its fields, their raw values, where it stands (None: in the
    world).

    ``limits``: the least and largest value of fields that become whole numbers of 16 bits.
    """

    node: Node
    number: int = 1
    fields: tuple[Field, ...] = ()
    raw: Columns = field(default_factory=dict)
    pose: Pose | None = None
    limits: dict[str, Limits] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.raw.values()), ()))

    @property
    def field_of(self) -> dict[str, Field]:
        return {field.path: field for field in self.fields}

    def local(self) -> Floats:
        """(N, 3) float64: the points as the scanner saw them, of a scan that tells places (`check_places`)."""
        told = np.empty((len(self), 3))
        for axis, name in enumerate(self.places or ()):
            told[:, axis] = self.values(name)
        if self.places == CARTESIAN:
            return told
        away, azimuth, elevation = told.T
        flat = away * np.cos(elevation)
        return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), away * np.sin(elevation)], axis=1)

    @property
    def places(self) -> tuple[str, str, str] | None:
        """The fields that tell where points are."""
        names = self.field_of
        return next((some for some in (CARTESIAN, SPHERICAL) if all(name in names for name in some)), None)

    def xyz(self) -> Floats:
        """(N, 3) float64: the points in the world."""
        local = self.local()
        return local if self.pose is None else self.pose.world(local)

    def values(self, name: str) -> Column:
        """What the raw values of a field mean."""
        return self.field_of[name].values(self.raw[name])

    def views(self) -> Iterator[View]:
        """The dimensions that the fields are, places aside, each once."""
        seen: set[str] = set()
        for one in self.fields:
            dim = dimension(one.path)
            if one.path not in (*CARTESIAN, *SPHERICAL) and dim not in seen:
                seen.add(dim)
                yield self._view(one, dim)

    def _view(self, one: Field, dim: str) -> View:
        if dim == "Withheld":
            return View(one.path, dim, lambda raw: (raw != 0).astype(np.uint8), lambda new: new.astype(np.int64))
        if dim in ("ReturnNumber",):
            return View(one.path, dim, lambda raw: _small(one, raw, 1), lambda new: one.raw(new) - 1)
        if one.path in self.limits:
            low, high = self.limits[one.path]
            return View(
                one.path,
                dim,
                lambda raw: _spread(one.values(raw).astype(np.float64), low, high),
                lambda new: one.raw(low + new.astype(np.float64) * ((high - low) / 65535)),
            )
        return View(one.path, dim, lambda raw: _small(one, raw, 0), one.raw)

    def dims(self) -> Dims:
        """The dimensions, by PDAL's names where it has some. Normals are those in the world."""
        found = {view.dim: view.values(self.raw[view.path]) for view in self.views()}
        if self.pose is not None and all(name in self.field_of for name in NORMALS):
            found |= self.world_normals()
        return found

    def world_normals(self) -> Dims:
        """The normals, turned as the scan is."""
        assert self.pose is not None
        local = np.stack([self.values(name) for name in NORMALS], axis=1).astype(np.float64)
        turned = self.pose.turned(local, self.pose.rotation)
        return {dimension(name): turned[:, axis] for axis, name in enumerate(NORMALS)}


@dataclass(frozen=True)
class View:
    """A field as a dimension: raw values there and back."""

    path: str
    dim: str
    values: Callable[[Column], Column]
    raw: Callable[[Column], Column]


def dimension(path: str) -> str:
    """The dimension that a field is."""
    return DIMENSIONS.get(path, path.removeprefix(OWN))


def _small(one: Field, raw: Column, step: int) -> Column:
    """Values in the narrowest type that the field's limits allow, ``step`` added."""
    values = one.values(raw)
    values = values + step if step else values
    if values.dtype.kind == "f":
        return values
    low, high = one.low + step, one.high + step
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return values.astype(kind)
    return values


def _spread(values: Floats, low: float, high: float) -> Column:
    """Whole numbers of 16 bits for values from ``low`` to ``high``; what is no number is 0."""
    with np.errstate(all="ignore"):
        shares = np.nan_to_num((values - low) / (high - low), posinf=1.0, neginf=0.0)
    return np.asarray(np.rint(65535 * shares.clip(0, 1)), dtype=np.uint16)


def own_limits(scan: Scan) -> dict[str, Limits]:
    """Of the fields whose values do not fit into 16 bits as they are, the least and the largest."""
    found = {}
    for one in scan.fields:
        fits = one.kind == "integer" and not one.scaled and one.low >= 0 and one.high <= 65535
        if one.path not in _LIMITS or fits:
            continue
        group, name = _LIMITS[one.path]
        told = [_number(scan.node.find(group, f"{name}{end}")) for end in ("Minimum", "Maximum")]
        if told[0] is None or told[1] is None or not told[0] < told[1]:
            values = scan.values(one.path)
            values = values[np.isfinite(values)]
            told = [float(values.min(initial=0)), float(values.max(initial=1))]
        found[one.path] = (float(told[0] or 0), float(told[1] or 0))
    return found


def _number(node: Node | None) -> float | None:
    """The value of a node; None where there is none, or none that makes sense."""
    if node is None:
        return None
    try:
        value = float(node.text or 0)
        if node.type == "ScaledInteger":
            value = value * float(node.attributes.get("scale", 1)) + float(node.attributes.get("offset", 0))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def pose_of(node: Node, path: str) -> Pose | None:
    """Where a scan stands. Raises `ReadError` for what is no pose."""
    if node.find("pose") is None:
        return None

    def vector(name: str, letters: str, default: tuple[float, ...]) -> Floats:
        found = node.find("pose", name)
        if found is None:
            return np.array(default)
        told = [_number(found.find(letter)) for letter in letters]
        if None in told:
            raise damaged(path, f"the {name} of a scan's pose is not made of numbers")
        return np.array(told, np.float64)

    w, x, y, z = quaternion = vector("rotation", "wxyz", (1.0, 0.0, 0.0, 0.0))
    length = float(np.linalg.norm(quaternion))
    if not 0.5 < length < 2:
        raise damaged(path, "the rotation of a scan's pose is none")
    w, x, y, z = quaternion / length
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    translation = vector("translation", "xyz", (0.0, 0.0, 0.0))
    if not translation.any() and (rotation == np.eye(3)).all():
        return None
    return Pose(rotation, translation)


def check_places(scan: Scan, path: str) -> None:
    """Raise `ReadError` for a scan that tells no places."""
    if scan.fields and scan.places is None:
        raise ReadError(
            f"{path}: a scan has neither cartesian nor spherical coordinates; write it anew with another program"
        )
