"""Point records of a LAS file to be written: copied from where the points were read, then set where they differ."""

from __future__ import annotations

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.formats.las.header import LasSource
from deburr.formats.las.points import STANDARD_NAMES, Column, Records
from deburr.writers._las_target import Target


def fill(cloud: PointCloud, target: Target, part: slice) -> Records:
    """The point records of a ``part`` of ``cloud``. Raises `UnfitValue`."""
    source, layout = cloud.source if isinstance(cloud.source, LasSource) else None, target.layout
    records = _blank(cloud, target, part) if source is None else _copied(source, target, cloud.rows[part])
    _place(records, cloud, source, target, part)
    columns = {name: column[part] for name, column in cloud.dims.items()}
    _spread_colors(columns, target)
    if source is not None and source.layout.format < 6 <= layout.format:
        _spread_overlap(columns, target)
    names = set(layout.names)
    for name, column in columns.items():
        if name in names:
            if layout.put(records, name, column):
                target.warn(f"dimension '{name}' takes whole numbers only; fractions were rounded")
        elif name in STANDARD_NAMES and np.any(column):
            target.warn(
                f"point format {layout.format} has no place for {name}, which was left out; see 'dataformat_id'"
            )
    return records


def _blank(cloud: PointCloud, target: Target, part: slice) -> Records:
    count = len(cloud.rows[part])
    records = np.zeros(count, dtype=target.layout.dtype)
    if "ReturnNumber" not in cloud.dims:
        target.layout.put(records, "ReturnNumber", np.ones(count, np.uint8))
        target.layout.put(records, "NumberOfReturns", np.ones(count, np.uint8))
    return records


def _copied(source: LasSource, target: Target, rows: Column) -> Records:
    layout = target.layout
    old: Records = source.taken(rows)
    if layout.dtype == source.layout.dtype:
        return old
    records = np.zeros(len(old), dtype=layout.dtype)
    kept = set(layout.dtype.names or ()) & set(old.dtype.names or ())
    if (layout.format < 6) != (source.layout.format < 6):
        kept.remove("bit_fields")  # the same name for other bits: the dimensions bring them
    for field in kept:
        if layout.dtype[field] == old.dtype[field]:
            records[field] = old[field]
    _copy_opaque(old, records)
    return records


def _place(records: Records, cloud: PointCloud, source: LasSource | None, target: Target, part: slice) -> None:
    """Set the coordinates; points that did not move keep their integers on the lattice that they came from."""
    for axis, (name, grid) in enumerate(zip("XYZ", target.axes, strict=True)):
        world = cloud.xyz[part, axis]
        own = None if source is None else (source.header.scales[axis], source.header.offsets[axis])
        if own != (grid.scale, grid.offset):
            records[name] = grid.raw(world)
        elif cloud.xyz is not cloud.original:
            moved = world != cloud.original[part, axis]
            records[name][moved] = grid.raw(world[moved])


def _copy_opaque(old: Records, records: Records) -> None:
    """Bytes at the end of ``old`` that nothing described and that ``records`` now has as described ones."""
    if "opaque:0" in (records.dtype.names or ()):
        at, size = dict(records.dtype.fields or {})["opaque:0"][1], old.dtype["trailing"].itemsize
        target = records.view(np.uint8).reshape(len(records), -1)
        target[:, at : at + size] = old.view(np.uint8).reshape(len(old), -1)[:, -size:]


def _spread_colors(columns: dict[str, Column], target: Target) -> None:
    """Colours of 8 bits over the 16 bits that LAS has for them: 255 becomes 65535 (LAS 1.4, on Red, Green, Blue)."""
    colors = {"Red", "Green", "Blue", "Infrared"} & set(target.layout.names)
    narrow = [name for name, column in columns.items() if name in colors and column.dtype == np.uint8]
    for name in narrow:
        columns[name] = columns[name].astype(np.uint16) * np.uint16(257)
    if narrow:
        target.warn(f"{', '.join(narrow)} had 8 bits; multiplied by 257, as LAS has 16 bits for colours")


def _spread_overlap(columns: dict[str, Column], target: Target) -> None:
    """Class 12 of formats 0-5 means overlap, which is a flag in formats 6-10 and no class (LAS 1.4, table 17)."""
    overlap = np.asarray(columns["Classification"] == 12)
    if overlap.any():
        columns["Classification"] = np.where(overlap, 1, columns["Classification"])
        columns["Overlap"] = overlap | np.asarray(columns.get("Overlap", 0), dtype=np.bool_)
        target.warn(
            f"class 12 (overlap) became class 1 with the Overlap flag, as point format {target.layout.format} has it"
        )
