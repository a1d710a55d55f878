"""PDAL's columns to a `PointCloud` and back: names, types, and the flags, which old versions pack into other columns.

PDAL up to 2.5 has no dimensions for the four flags of a point. Of point formats 6-10 it gives them as bits of
``ClassFlags``; of formats 0-5 they stay in the upper bits of ``Classification``, as they lie in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.formats.las.crs import wkt_unit

Column = npt.NDArray[Any]
Columns = Mapping[str, Column]

#: In the order of their bits in ``ClassFlags``; the first three, from bit 5 on, in ``Classification`` of formats 0-5.
FLAGS = ("Synthetic", "KeyPoint", "Withheld", "Overlap")
PACKED = "ClassFlags"
#: The bit of ``Classification`` at which they begin there, and the highest class that is left.
FIRST_BIT, MOST_CLASS = 5, 31


def to_cloud(
    columns: Columns, wkt: str | None = None, *, flags_within: bool = False, stage: str = "pdal"
) -> PointCloud:
    """The cloud that PDAL's columns describe, with the dimensions that readers.las gives.

    Parameters
    ----------
    columns : mapping of name to (N,) array
        ``X``, ``Y`` and ``Z`` are copied to float64; other columns are shared where they are contiguous and native.
    wkt : str, optional
        The coordinate reference system; empty or None if unknown. The unit of x and y is found in it.
    flags_within : bool
        ``Classification`` holds flags in its upper three bits; see `flags_are_within`.
    stage : str
        What the first `deburr.core.cloud.Record` names as its stage; its figures hold ``points`` and ``units``.

    Raises
    ------
    RunError
        For a coordinate that is missing, or NaN or infinite.
    """
    missing = [name for name in "XYZ" if name not in columns]
    if missing:
        raise RunError(f"the points have no {' and no '.join(missing)}; give columns X, Y and Z")
    xyz = np.empty((len(columns["X"]), 3))
    for axis, name in enumerate("XYZ"):
        xyz[:, axis] = columns[name]
    if not np.isfinite(xyz.sum()):
        bad = int((~np.isfinite(xyz)).any(axis=1).sum())
        if bad:
            raise RunError(f"{bad} of {len(xyz)} points have a coordinate that is NaN or infinite; remove them first")
    unit = wkt_unit(wkt) if wkt else None
    cloud = PointCloud(xyz, _dims(columns, flags_within), crs=wkt or None, units=unit)
    return cloud.note(stage, {"points": len(xyz), "units": unit})


def back(before: PointCloud, after: PointCloud, columns: Columns, *, flags_within: bool = False) -> dict[str, Column]:
    """The columns that differ between ``before`` and ``after``, as PDAL takes them, and no others.

    Parameters
    ----------
    before : PointCloud
        What `to_cloud` made of ``columns`` with the same ``flags_within``.
    after : PointCloud
        What stages made of it: the same points in the same order.
    columns : mapping of name to (N,) array
        PDAL's own columns.

    Returns
    -------
    dict of name to (N,) array
        Contiguous and native-endian, each of exactly the type that its column has in ``columns``; dimensions that have
        none there come in their own type. Flags are put back where they came from.

    Raises
    ------
    RunError
        For values that the type of PDAL's column cannot hold.
    """
    if len(after) != len(before):
        raise ValueError(f"{len(before)} points went in and {len(after)} came out; columns cannot tell which are gone")
    changed = {name: column for name, column in after.dims.items() if before.dims.get(name) is not column}
    if after.xyz is not before.xyz:
        changed |= {name: after.xyz[:, axis] for axis, name in enumerate("XYZ")}
    changed = _pack(changed, after, columns, flags_within)
    return {name: _as(name, column, columns) for name, column in changed.items()}


def to_columns(cloud: PointCloud) -> dict[str, Column]:
    """``X``, ``Y``, ``Z`` and the dimensions of one number a point, (N,) each: contiguous, native-endian, of types that
    PDAL has. Dimensions of several numbers a point are left out: PDAL has none such."""
    found: dict[str, Column] = {name: np.ascontiguousarray(cloud.xyz[:, axis]) for axis, name in enumerate("XYZ")}
    for name, column in cloud.dims.items():
        kind = np.asarray(column).dtype
        if column.ndim == 1 and kind.kind in "biuf":
            wanted = {"b": np.dtype(np.uint8), "f": np.dtype(np.float32 if kind.itemsize < 8 else np.float64)}
            found[name] = _native(column, wanted.get(kind.kind, kind))
    return found


def from_array(array: npt.NDArray[np.void]) -> dict[str, Column]:
    """The columns of a structured array, as `pdal.Pipeline.arrays` gives it: views of its fields, (N,) each."""
    return {name: array[name] for name in array.dtype.names or ()}


def to_array(columns: Columns) -> npt.NDArray[np.void]:
    """A structured array (N,) with a copy of ``columns`` as its fields, in their order."""
    length = len(next(iter(columns.values()))) if columns else 0
    array = np.empty(length, dtype=[(name, column.dtype.newbyteorder("=")) for name, column in columns.items()])
    for name, column in columns.items():
        array[name] = column
    return array


def flags_are_within(columns: Columns, formats: frozenset[int]) -> bool:
    """Whether ``Classification`` in ``columns`` holds flags; ``formats``: the point formats of all LAS files read.

    Where formats of both kinds were merged it cannot be told, point by point, and the answer is no.
    """
    split = PACKED in columns or all(name in columns for name in FLAGS)
    return not split and "Classification" in columns and bool(formats) and max(formats) < 6


def lost_flags(columns: Columns, formats: frozenset[int]) -> list[str]:
    """A warning where `flags_are_within` cannot tell, and some of the classes in ``columns`` may be flags."""
    if PACKED not in columns or not formats or min(formats) > 5 or max(formats) < 6:
        return []
    if "Classification" not in columns or not (columns["Classification"] > MOST_CLASS).any():
        return []
    return [
        "files of point formats 0-5 and 6-10 were merged, and this PDAL leaves the flags of the former in "
        "Classification: withheld points and noise may not be known as such; use PDAL 2.6 or newer, or convert the "
        "files to one format"
    ]


def _dims(columns: Columns, flags_within: bool) -> dict[str, Column]:
    dims = {name: _native(column) for name, column in columns.items() if name not in "XYZ"}
    packed = dims.pop(PACKED, None)
    for bit, name in enumerate(FLAGS):
        if packed is not None:
            flag = packed >> bit & 1
        elif flags_within and name != "Overlap":
            flag = dims["Classification"] >> (FIRST_BIT + bit) & 1
        else:
            continue
        # A column of that name, which somebody added, counts as well.
        dims[name] = flag.astype(np.uint8) | (dims[name] if name in dims else np.uint8(0))
    if flags_within:
        dims["Classification"] = dims["Classification"] & MOST_CLASS
    return dims


def _pack(changed: dict[str, Column], after: PointCloud, columns: Columns, within: bool) -> dict[str, Column]:
    """``changed`` with the flags that have no column of their own in the column that holds their bits."""
    flags = {name: changed[name] != 0 for name in FLAGS if name in changed and name not in columns}
    if PACKED in columns:
        rest = {name: column for name, column in changed.items() if name not in flags}
        return rest | {PACKED: with_bits(columns[PACKED], 0, flags)} if flags else rest
    if not within or not (flags or "Classification" in changed):
        return changed
    classes = np.asarray(after.dims["Classification"])
    if (classes > MOST_CLASS).any():
        raise RunError(
            f"class {int(classes.max())} does not exist in point formats 0-5, where classes end at {MOST_CLASS} and "
            "the bits above are flags; choose another class"
        )
    byte = (columns["Classification"] & ~np.uint8(MOST_CLASS)) | classes
    rest = {name: column for name, column in changed.items() if name not in flags or name == "Overlap"}
    return rest | {"Classification": with_bits(byte, FIRST_BIT, flags)}


def with_bits(byte: Column, first: int, flags: Mapping[str, npt.NDArray[np.bool_]]) -> Column:
    """``byte`` (N,) with the bits of ``flags`` as they say; that of the first of `FLAGS` is number ``first``."""
    for name, flag in flags.items():
        bit = np.uint8(1 << (first + FLAGS.index(name))) if first + FLAGS.index(name) < 8 else np.uint8(0)
        byte = np.where(flag, byte | bit, byte & ~bit)
    return byte


def _native(column: Column, kind: np.dtype[Any] | None = None) -> Column:
    """``column``, contiguous and native-endian; the same array where it is so already."""
    return np.ascontiguousarray(column, dtype=(kind or column.dtype).newbyteorder("="))


def _as(name: str, column: Column, columns: Columns) -> Column:
    """``column`` in the type of PDAL's column of that ``name``."""
    if name not in columns:
        return _native(column)
    kind = columns[name].dtype.newbyteorder("=")
    cast = _native(column, kind)
    if kind.kind in "iu" and column.dtype.kind in "iuf" and (cast != column).any():
        raise RunError(
            f"dimension '{name}' is of type {kind} in PDAL, which cannot hold its values; "
            f"declare it as {name}={'double' if column.dtype.itemsize > 4 else 'float'}"
        )
    return cast
