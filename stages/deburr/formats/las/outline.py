"""What a LAS file holds, told without its points: where they lie, and with whose they can stand in one file."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from deburr.core.cloud import Extent
from deburr.formats.las.body import read_points
from deburr.formats.las.header import LasSource
from deburr.formats.las.points import Extra

#: Points read at a time, where they must be.
_CHUNK = 1_000_000
#: The bits of the global encoding that say what GPS time counts: week or standard, and LAS 1.5's two.
_TIME_BITS = 0b1100001
_WITH_WAVEFORMS = (4, 5, 9, 10)


def extent_of(file: BinaryIO, source: LasSource, wanted: int) -> Extent:
    """The extent of ``wanted`` points of ``source``, by the bounds in its header, which are those of all its points.

    Bounds that cannot be true, as of programs that leave them out, are found by reading the points. Raises `ReadError`.
    """
    header = source.header
    if not wanted:
        return Extent(0, np.full(3, np.inf), np.full(3, -np.inf))
    low, high = np.array(header.mins, np.float64), np.array(header.maxs, np.float64)
    if np.isfinite([low, high]).all() and (low <= high).all() and (low.any() or high.any()):
        return Extent(wanted, low, high)
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for records in read_points(file, source, wanted, _CHUNK):
        for axis, name in enumerate("XYZ"):
            # Monotone, so that these are the bounds of the coordinates to the last bit.
            ends = np.array([records[name].min(), records[name].max()]) * header.scales[axis] + header.offsets[axis]
            low[axis], high[axis] = min(low[axis], ends.min()), max(high[axis], ends.max())
    return Extent(wanted, low, high)


def layout_of(source: LasSource) -> str:
    """A text that two files share if the points of both can stand in one file without loss, and only then.

    Their point format must be the same, the extra bytes with their names, types, scales and no-data values, the scale
    of every axis, and the lattice of coordinates: offsets may differ by whole steps. GPS time must count from the same
    moment. Waveforms are found by their place in the one file that holds them.
    """
    layout, header = source.layout, source.header
    words = [f"point format {layout.format}"]
    if layout.extra_size:
        trailing = [f"{layout.trailing} undescribed"] if layout.trailing else []
        words.append(f"extra bytes {', '.join([*map(_extra, layout.extras), *trailing])}")
    words.append(f"scale {_numbers(header.scales.tolist())}")
    phases = [_phase(*pair) for pair in zip(header.offsets.tolist(), header.scales.tolist(), strict=True)]
    if any(phases):
        words.append(f"offset {_numbers(phases)} of a step")
    if "gps_time" in layout.standard.dimension_names:
        bits = header.global_encoding.value & _TIME_BITS
        offset = f" from {header.gps_time_offset}" if bits > 1 else ""
        words.append(("standard GPS time" if bits & 1 else "GPS time of the week") + offset)
    if layout.format in _WITH_WAVEFORMS:
        words.append(f"waveforms of {source.path}")
    return "; ".join(words)


def _extra(extra: Extra) -> str:
    scaled = "" if extra.transform is None else " * {} + {}".format(*(part.tolist() for part in extra.transform))
    # Bytes 2 and 3 of a description: the type, 0 for bytes without one, and which of the fields behind are in use.
    none = extra.descriptor[2] and extra.descriptor[3] & 1
    no_data = f" no data 0x{extra.descriptor[40:64].hex().rstrip('0') or '0'}" if none else ""
    return f"{extra.name or 'unnamed'} {extra.type}{scaled}{no_data}"


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.15g}" for value in values)


def _phase(offset: float, scale: float) -> float:
    """How far ``offset`` lies off the whole steps of ``scale``, in steps, by the decimal numbers that both stand for.

    To a thousandth, below which lie errors of programs that had computed the offset.
    """
    return round(float(Fraction(repr(offset)) / Fraction(repr(scale)) % 1), 3) % 1
