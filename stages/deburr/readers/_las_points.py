"""Point records of LAS: their layouts by point format, and every dimension in and out of them, bit by bit."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]
Column = npt.NDArray[Any]

_XYZ = [("X", "<i4"), ("Y", "<i4"), ("Z", "<i4"), ("Intensity", "<u2")]
_LEGACY = [
    *_XYZ,
    ("_returns3", "u1"),
    ("_class5", "u1"),
    ("_angle8", "i1"),
    ("UserData", "u1"),
    ("PointSourceId", "<u2"),
]
_MODERN = [
    *_XYZ,
    ("_returns4", "u1"),
    ("_flags", "u1"),
    ("Classification", "u1"),
    ("UserData", "u1"),
    ("_angle16", "<i2"),
    ("PointSourceId", "<u2"),
    ("GpsTime", "<f8"),
]
_GPS = [("GpsTime", "<f8")]
_RGB = [("Red", "<u2"), ("Green", "<u2"), ("Blue", "<u2")]
_NIR = [("Infrared", "<u2")]
_WAVE = [
    ("_wave_descriptor", "u1"),
    ("_wave_offset", "<u8"),
    ("_wave_size", "<u4"),
    ("_wave_location", "<f4"),
    ("_wave_direction", "<f4", (3,)),
]
_FORMATS: list[list[Any]] = [
    _LEGACY,
    _LEGACY + _GPS,
    _LEGACY + _RGB,
    _LEGACY + _GPS + _RGB,
    _LEGACY + _GPS + _WAVE,
    _LEGACY + _GPS + _RGB + _WAVE,
    _MODERN,
    _MODERN + _RGB,
    _MODERN + _RGB + _NIR,
    _MODERN + _WAVE,
    _MODERN + _RGB + _NIR + _WAVE,
]

#: name -> (field, first bit, number of bits)
_LEGACY_BITS = {
    "ReturnNumber": ("_returns3", 0, 3),
    "NumberOfReturns": ("_returns3", 3, 3),
    "ScanDirectionFlag": ("_returns3", 6, 1),
    "EdgeOfFlightLine": ("_returns3", 7, 1),
    "Classification": ("_class5", 0, 5),
    "Synthetic": ("_class5", 5, 1),
    "KeyPoint": ("_class5", 6, 1),
    "Withheld": ("_class5", 7, 1),
}
_MODERN_BITS = {
    "ReturnNumber": ("_returns4", 0, 4),
    "NumberOfReturns": ("_returns4", 4, 4),
    "Synthetic": ("_flags", 0, 1),
    "KeyPoint": ("_flags", 1, 1),
    "Withheld": ("_flags", 2, 1),
    "Overlap": ("_flags", 3, 1),
    "ScanChannel": ("_flags", 4, 2),
    "ScanDirectionFlag": ("_flags", 6, 1),
    "EdgeOfFlightLine": ("_flags", 7, 1),
}

#: Degrees per step of the scan angle in point formats 6-10 (LAS 1.4, table 15).
_ANGLE_STEP = 0.006

#: Every dimension that some point format has a place for.
STANDARD_NAMES = frozenset(
    {name for format_ in _FORMATS for name, *_ in format_ if not name.startswith("_")}
    | _LEGACY_BITS.keys()
    | _MODERN_BITS.keys()
    | {"ScanAngleRank"}
)

#: Types of extra bytes 1-10 (LAS 1.4, table 24); 11-20 are pairs of them, 21-30 triples (deprecated, still met).
EXTRA_TYPES = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8")


@dataclass(frozen=True)
class Extra:
    """One dimension in the extra bytes. ``descriptor`` is its 192-byte record, ``name`` its dimension, None if it has
    none (undocumented bytes, or a name that another dimension has), ``key`` its field in the point records."""

    key: str
    name: str | None
    type: str
    shape: tuple[int, ...]
    descriptor: bytes

    @cached_property
    def transform(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Scale and offset, each scalar or (2,) or (3,) as the value is; None for a value stored as it is."""
        options, n = self.descriptor[3], self.shape[0] if self.shape else 1
        if self.name is None or not options & 0b11000:
            return None
        scale = struct.unpack_from("<3d", self.descriptor, 112)[:n] if options & 0b01000 else (1.0,) * n
        offset = struct.unpack_from("<3d", self.descriptor, 136)[:n] if options & 0b10000 else (0.0,) * n
        return np.array(scale).reshape(self.shape), np.array(offset).reshape(self.shape)


def parse_extras(descriptors: bytes, room: int) -> tuple[tuple[Extra, ...], str]:
    """The extra bytes that ``descriptors`` (n x 192 bytes) describe, and a warning ('' if none).

    ``room`` is how many extra bytes a point has. Descriptions that need more are void (LAS 1.4): none is returned.
    """
    extras: list[Extra] = []
    taken: set[str] = set(STANDARD_NAMES) | {"X", "Y", "Z"}
    hidden: list[str] = []
    for number in range(len(descriptors) // 192):
        descriptor = descriptors[192 * number : 192 * (number + 1)]
        code = descriptor[2]
        label = descriptor[4:36].split(b"\0")[0].decode("utf-8", "replace").strip()
        if code > 30:
            return (), f"extra dimension '{label}' has the unknown type {code}; the extra bytes are copied unread"
        name = label if code and label and label not in taken else None
        if code and name is None:
            hidden.append(label)
        taken.add(label)
        kind = EXTRA_TYPES[(code - 1) % 10] if code else f"V{descriptor[3]}"
        shape = () if code <= 10 else ((code - 1) // 10 + 1,)
        if kind != "V0":
            extras.append(Extra(f"extra:{name or number}", name, kind, shape, descriptor))
    if sum(np.dtype((e.type, e.shape)).itemsize for e in extras) > room:
        return (), "more extra bytes are described than a point has; they are copied unread"
    if hidden:
        return tuple(extras), f"extra dimensions {hidden} have names already taken; they are copied unread"
    return tuple(extras), ""


def describe_extra(name: str, type_: str, description: str = "") -> Extra:
    """A new scalar extra dimension of one of `EXTRA_TYPES`."""
    code = EXTRA_TYPES.index(type_) + 1
    descriptor = struct.pack("<2xBB32s4x120x32s", code, 0, name.encode()[:32], description.encode()[:32])
    return Extra(f"extra:{name}", name, type_, (), descriptor)


def describe_opaque(count: int) -> tuple[Extra, ...]:
    """Descriptions of ``count`` so far undocumented bytes, which LAS asks for once extra bytes follow them."""
    sizes = [min(255, count - start) for start in range(0, count, 255)]
    return tuple(
        Extra(f"opaque:{i}", None, f"V{size}", (), struct.pack("<2xBB32s156x", 0, size, b"undocumented"))
        for i, size in enumerate(sizes)
    )


class UnfitValue(ValueError):
    """A value that has no place in a dimension; the message is a clause without path."""


@dataclass(frozen=True)
class Layout:
    """What lies where in a point record: the point format, the described extra bytes, ``trailing`` bytes more."""

    format: int
    extras: tuple[Extra, ...] = ()
    trailing: int = 0

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The structured type of one record, packed, little-endian."""
        fields = [*_FORMATS[self.format], *((e.key, e.type, e.shape) for e in self.extras)]
        return np.dtype([*fields, ("trailing", f"V{self.trailing}")] if self.trailing else fields)

    @cached_property
    def bits(self) -> dict[str, tuple[str, int, int]]:
        """Where the dimensions lie that share a byte."""
        return _LEGACY_BITS if self.format < 6 else _MODERN_BITS

    @cached_property
    def named_extras(self) -> dict[str, Extra]:
        """The extra dimensions that have a name of their own."""
        return {e.name: e for e in self.extras if e.name is not None}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All dimensions but X, Y and Z, in PDAL's names; waveform fields have none and travel in the records."""
        plain = [name for name, *_ in _FORMATS[self.format] if not name.startswith("_") and name not in "XYZ"]
        return (*plain, *self.bits, "ScanAngleRank", *self.named_extras)

    def get(self, records: Records, name: str) -> Column:
        """The dimension ``name``: a view of ``records`` where it is stored as it is, else a new array."""
        if name in self.bits:
            field, shift, width = self.bits[name]
            return np.asarray((records[field] >> np.uint8(shift)) & np.uint8((1 << width) - 1))
        if name == "ScanAngleRank":
            if self.format < 6:
                return np.asarray(records["_angle8"])
            return np.asarray((records["_angle16"] * _ANGLE_STEP).astype(np.float32))
        if name not in self.named_extras:
            return np.asarray(records[name])
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
        if name in self.bits:
            return self._put_bits(records, name, changed, new)
        if name == "ScanAngleRank":
            field, steps = ("_angle8", new) if self.format < 6 else ("_angle16", new / _ANGLE_STEP)
            records[field][changed] = _whole(name, np.rint(steps), records.dtype[field])
            return False
        extra = self.named_extras.get(name)
        field = extra.key if extra else name
        kind = records.dtype[field].base
        if extra is not None and extra.transform is not None:
            scale, offset = (np.broadcast_to(part, values.shape)[changed] for part in extra.transform)
            new = (new - offset) / scale
            new = np.rint(new) if kind.kind in "iu" else new
        records[field][changed] = new.astype(kind) if kind.kind == "f" else _whole(name, new, kind)
        return bool(kind.kind in "iu" and new.dtype.kind == "f" and (new != np.rint(new)).any())

    def _put_bits(self, records: Records, name: str, changed: Column, new: Column) -> bool:
        field, shift, width = self.bits[name]
        if name == "Classification" and ((new == 18) | (new > 31)).any():
            found = int(new[(new == 18) | (new > 31)][0])
            raise UnfitValue(
                f"class {found} does not exist in point format {self.format}; set 'dataformat_id' to 6, 7 or 8"
            )
        whole = _whole(name, new, np.dtype("u1"), (1 << width) - 1)
        kept = records[field][changed] & np.uint8(~(((1 << width) - 1) << shift) & 0xFF)
        records[field][changed] = kept | (whole << np.uint8(shift))
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
            f"dimension '{name}' holds {values[bad][0]}, outside {low} to {high}, all that its place in the file takes"
        )
    return np.asarray(values.astype(kind))
