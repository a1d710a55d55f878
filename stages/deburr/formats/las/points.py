"""Point records of LAS: laspy's layouts under PDAL's names, and every dimension in and out of them, bit by bit."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]
Column = npt.NDArray[Any]

#: PDAL's names of the dimensions, and laspy's.
_NAMES = {
    "Intensity": "intensity",
    "ReturnNumber": "return_number",
    "NumberOfReturns": "number_of_returns",
    "ScanDirectionFlag": "scan_direction_flag",
    "EdgeOfFlightLine": "edge_of_flight_line",
    "Classification": "classification",
    "Synthetic": "synthetic",
    "KeyPoint": "key_point",
    "Withheld": "withheld",
    "Overlap": "overlap",
    "ScanChannel": "scanner_channel",
    "UserData": "user_data",
    "PointSourceId": "point_source_id",
    "GpsTime": "gps_time",
    "Red": "red",
    "Green": "green",
    "Blue": "blue",
    "Infrared": "nir",
}

#: Degrees per step of the scan angle in point formats 6-10 (LAS 1.4, table 15).
_ANGLE_STEP = 0.006

#: Every dimension that some point format has a place for.
STANDARD_NAMES = frozenset({*_NAMES, "ScanAngleRank"})


@dataclass(frozen=True)
class Extra:
    """One dimension in the extra bytes. ``descriptor`` is its 192-byte record, ``name`` its dimension, None if it has
    none (undocumented bytes, or a name that another dimension has), ``key`` its field in the point records."""

    key: str
    name: str | None
    type: np.dtype[Any]
    descriptor: bytes

    @property
    def label(self) -> str:
        """What the file calls it."""
        return str(_struct(self.descriptor).name.decode("utf-8", "replace").strip())

    @cached_property
    def transform(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Scale and offset, each scalar or (2,) or (3,) as the value is; None for a value stored as it is."""
        said = _struct(self.descriptor)
        if self.name is None or (said.scale is None and said.offset is None):
            return None
        scale = np.ones(self.type.shape) if said.scale is None else np.reshape(said.scale, self.type.shape)
        offset = np.zeros(self.type.shape) if said.offset is None else np.reshape(said.offset, self.type.shape)
        return scale, offset


def _struct(descriptor: bytes) -> Any:
    from laspy.vlrs.known import ExtraBytesStruct

    return ExtraBytesStruct.from_buffer_copy(descriptor)


def parse_extras(descriptors: bytes, room: int, taken: Iterable[str]) -> tuple[tuple[Extra, ...], str]:
    """The extra bytes that ``descriptors`` (n x 192 bytes) describe, and a warning ('' if none).

    ``room`` is how many extra bytes a point has. Descriptions that need more are void (LAS 1.4): none is returned.
    ``taken`` are the names that the point format has a place for. One that it lacks may be that of an extra dimension,
    such as Infrared in format 3, as PDAL writes it.
    laspy's own list of them is not used: it refuses such files, unknown types, and names that occur twice.
    """
    extras: list[Extra] = []
    known = {*taken, "X", "Y", "Z"}
    hidden: list[str] = []
    for number in range(len(descriptors) // 192):
        descriptor = descriptors[192 * number : 192 * (number + 1)]
        said = _struct(descriptor)
        label = said.name.decode("utf-8", "replace").strip()
        if said.data_type > 30:
            warning = (
                f"extra dimension '{label}' has the unknown type {said.data_type}; the extra bytes are copied unread"
            )
            return (), warning
        name = label if said.data_type and label and label not in known else None
        if said.data_type and name is None:
            hidden.append(label)
        known.add(label)
        if said.num_elements():
            extras.append(Extra(f"extra:{name or number}", name, said.dtype(), descriptor))
    if sum(e.type.itemsize for e in extras) > room:
        return (), "more extra bytes are described than a point has; they are copied unread"
    if hidden:
        return tuple(extras), f"extra dimensions {hidden} have names already taken; they are copied unread"
    return tuple(extras), ""


def fitting_name(name: str, taken: Container[str]) -> str:
    """``name`` as a record of extra bytes can hold it: UTF-8 of 1 to 32 bytes, none of ``taken``.

    What is no text becomes question marks, what is too long ends early, and what is taken gets a number.
    """
    text = name.encode("utf-8", "replace").decode().replace("\0", "").strip() or "unnamed"
    tails = ("", *(f"~{number}" for number in range(2, 100_000)))
    cut = (text.encode()[: 32 - len(tail)].decode("utf-8", "ignore").strip() + tail for tail in tails)
    return next(short for short in cut if short not in taken)


def describe_extra(name: str, kind: np.dtype[Any], label: str | None = None) -> Extra:
    """A new extra dimension of one number a point, called ``label`` in the file if that is not its name.

    Raises `UnfitValue` for types that LAS has not.
    """
    from laspy.errors import UnknownExtraType
    from laspy.extradims import get_id_for_extra_dim_type
    from laspy.vlrs.known import ExtraBytesStruct

    said = ExtraBytesStruct(name=(label or name).encode()[:32], data_type=0)
    try:
        # Not given above: laspy would then promise a smallest and a largest value.
        said.data_type = get_id_for_extra_dim_type(kind)
    except UnknownExtraType as error:
        raise UnfitValue(f"{kind} is no type of extra bytes") from error
    return Extra(f"extra:{name}", name, kind, bytes(said))


def describe_opaque(count: int) -> tuple[Extra, ...]:
    """Descriptions of ``count`` so far undocumented bytes, which LAS asks for once extra bytes follow them."""
    from laspy.vlrs.known import ExtraBytesStruct

    structs = [ExtraBytesStruct(b"undocumented", (0, min(255, count - start))) for start in range(0, count, 255)]
    return tuple(Extra(f"opaque:{i}", None, said.dtype(), bytes(said)) for i, said in enumerate(structs))


class UnfitValue(ValueError):
    """A value that has no place in a dimension; the message is a clause without path."""


@dataclass(frozen=True)
class Layout:
    """What lies where in a point record: the point format, the described extra bytes, ``trailing`` bytes more."""

    format: int
    extras: tuple[Extra, ...] = ()
    trailing: int = 0

    @cached_property
    def standard(self) -> Any:
        """The standard part, as laspy has it."""
        from laspy import PointFormat

        return PointFormat(self.format)

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The structured type of one record, packed, little-endian: laspy's fields, extras, bytes not described."""
        fields = [*self.standard.dtype().descr, *((e.key, e.type) for e in self.extras)]
        return np.dtype([*fields, ("trailing", f"V{self.trailing}")] if self.trailing else fields)

    @property
    def extra_size(self) -> int:
        """Bytes of a record beyond its standard part."""
        return self.dtype.itemsize - int(self.standard.size)

    def as_laspy(self, records: Records) -> Any:
        """The same memory as laspy's record, for the dimensions that share a byte."""
        from laspy import PackedPointRecord

        return PackedPointRecord(records, self.standard)

    @cached_property
    def named_extras(self) -> dict[str, Extra]:
        """The extra dimensions that have a name of their own."""
        return {e.name: e for e in self.extras if e.name is not None}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All dimensions but X, Y and Z, in PDAL's names; waveform fields have none and travel in the records."""
        there = set(self.standard.dimension_names)
        return (*(name for name, theirs in _NAMES.items() if theirs in there), "ScanAngleRank", *self.named_extras)

    def get(self, records: Records, name: str) -> Column:
        """The dimension ``name``: a view of ``records`` where it is stored as it is, else a new array."""
        if name == "ScanAngleRank":
            if self.format < 6:
                return np.asarray(records["scan_angle_rank"])
            return np.asarray((records["scan_angle"] * _ANGLE_STEP).astype(np.float32))
        if name not in self.named_extras:
            return np.asarray(self.as_laspy(records)[_NAMES[name]])
        extra = self.named_extras[name]
        raw: Column = records[extra.key]
        return raw if extra.transform is None else raw * extra.transform[0] + extra.transform[1]

    def put(self, records: Records, name: str, values: Column) -> bool:
        """Set the dimension ``name`` where ``values`` differs from what ``records`` holds; every other bit stays.

        Returns whether fractions were rounded off whole-number values. Raises `UnfitValue`.
        """
        old = self.get(records, name)
        if old.shape != values.shape:
            raise UnfitValue(f"dimension '{name}' has values of shape {values.shape[1:]}, not {old.shape[1:]}")
        changed = np.asarray(old != values)
        if values.dtype.kind == "f" and old.dtype.kind == "f":
            changed &= ~(np.isnan(old) & np.isnan(values))
        if not changed.any():
            return False
        new = values[changed]
        if name == "ScanAngleRank":
            field, steps = ("scan_angle_rank", new) if self.format < 6 else ("scan_angle", new / _ANGLE_STEP)
            records[field][changed] = _whole(name, np.rint(steps), records.dtype[field])
            return False
        extra = self.named_extras.get(name)
        # A column, or laspy's view of some bits of one; laspy checks no lower bound and takes no fractions.
        place = records[extra.key] if extra else self.as_laspy(records)[_NAMES[name]]
        kind = place.dtype.base
        if extra is not None and extra.transform is not None:
            scale, offset = (np.broadcast_to(part, values.shape)[changed] for part in extra.transform)
            new = (new - offset) / scale
            new = np.rint(new) if kind.kind in "iu" else new
        if kind.kind == "f":
            place[changed] = new.astype(kind)
            return False
        if self.format < 6 and name == "Classification" and ((new == 18) | (new > 31)).any():
            found = int(new[(new == 18) | (new > 31)][0])
            raise UnfitValue(
                f"class {found} does not exist in point format {self.format}; set 'dataformat_id' to 6, 7 or 8"
            )
        place[changed] = _whole(name, new, kind, getattr(place, "max_value_allowed", None))
        return bool(new.dtype.kind == "f" and (new != np.rint(new)).any())


def _whole(name: str, values: Column, kind: np.dtype[Any], largest: int | None = None) -> Column:
    """``values`` rounded to the integer type ``kind``; raises `UnfitValue` for one beyond its range."""
    limits = np.iinfo(kind)
    low, high = int(limits.min), int(limits.max) if largest is None else largest
    if values.dtype.kind == "f":
        values = np.rint(values)
        # Half-open: float64 cannot tell 2**63 - 1 from 2**63, which has no place.
        bad = ~((values >= low) & (values < float(high) + 1 if high < 2**53 else values < float(high)))
    elif values.dtype.kind in "iub":
        bad = (values < low) | (values > high) if values.dtype.kind != "b" else np.zeros(values.shape, np.bool_)
    else:
        raise UnfitValue(f"dimension '{name}' holds values of type {values.dtype}, which LAS cannot store")
    if bad.any():
        raise UnfitValue(
            f"dimension '{name}' holds {values[bad][0]}, outside {low} to {high}, all that its place in the file "
            "takes; change that dimension, or write PLY"
        )
    return np.asarray(values.astype(kind))
