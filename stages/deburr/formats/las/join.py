"""Several LAS files as the source of one cloud: what is the same in all is kept, as PDAL's ``forward`` has it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from deburr.core.arrays import Floats, Ints
from deburr.core.crs import wkt

if TYPE_CHECKING:
    from deburr.formats.las.header import Header, LasSource
    from deburr.formats.las.points import Records
    from deburr.formats.las.records import Vlr

#: Fields of the header that are forwarded where all files agree, and what stands there where they do not.
_FIELDS = {
    "file_source_id": 0,
    "uuid": UUID(int=0),
    "system_bytes": b"",
    "software_bytes": b"",
    "creation_doy": 0,
    "creation_year": 0,
}
#: The largest raw coordinate.
_MOST = 2**31 - 1


def joined(sources: Sequence[LasSource]) -> tuple[LasSource, list[int], list[str]] | None:
    """One source of the points of all ``sources``, one after another, how far on the rows of each now lie, and
    warnings; None where versions, point formats or extra bytes differ, or no common lattice holds all points."""
    first = sources[0]
    if any(_kind(one) != _kind(first) for one in sources[1:]):
        return None
    header = copy.deepcopy(first.header)
    lattice = _lattice(sources)
    if lattice is None:
        return None
    header.scales, header.offsets = lattice
    warnings = _agreed(header, sources)
    records = np.concatenate([_on(one, header) for one in sources])
    steps, chosen = _renumbered(sources)
    header.point_count = len(records)
    found = replace(
        first,
        header=header,
        vlrs=_united([one.vlrs for one in sources]),
        evlrs=_united([one.evlrs for one in sources]),
        records=records,
        start=0,
        chosen=chosen,
        crs=next((one.crs for one in sources if one.crs), None),
        units=reduce(wkt.Units.or_else, [one.units for one in sources]),
    )
    return found, steps, warnings


def _renumbered(sources: Sequence[LasSource]) -> tuple[list[int], Ints | None]:
    """How far on the rows of each source lie, so that each begin where those before it end; and all of them, or None
    if no row is left out."""
    steps, parts, end = [], [], 0
    for one in sources:
        own = one.rows
        first, last = (int(own[0]), int(own[-1])) if len(own) else (one.start, one.start - 1)
        steps.append(end - first)
        parts.append(own + steps[-1])
        end += last + 1 - first
    return steps, None if all(one.chosen is None for one in sources) else np.concatenate(parts)


def _kind(source: LasSource) -> tuple[object, ...]:
    layout = source.layout
    waveforms = source.header.global_encoding.value & 0b110
    extras = tuple((one.key, one.type.str, one.descriptor) for one in layout.extras)
    return source.header.minor, layout.format, extras, layout.trailing, waveforms


def _lattice(sources: Sequence[LasSource]) -> tuple[Floats, Floats] | None:
    """The finest scale of all, and the first offset from which all points are within reach."""
    scales = np.min([np.abs(one.header.scales) for one in sources], axis=0)
    if all((one.header.scales == sources[0].header.scales).all() for one in sources):
        scales = sources[0].header.scales
    ends = [_ends(one) for one in sources if len(one.records)]
    for offset in (one.header.offsets for one in sources):
        if all((np.abs((end - offset) / scales) <= _MOST).all() for pair in ends for end in pair):
            return scales, offset
    if not ends:
        return scales, sources[0].header.offsets
    # A whole number of steps from the first file's offset: its points keep their places.
    middle = (np.min([low for low, _ in ends], axis=0) + np.max([high for _, high in ends], axis=0)) / 2
    origin = sources[0].header.offsets
    offset = origin + np.rint((middle - origin) / scales) * scales
    fits = all((np.abs((end - offset) / scales) <= _MOST).all() for pair in ends for end in pair)
    return (scales, offset) if fits else None


def _ends(source: LasSource) -> tuple[Floats, Floats]:
    raw = np.array([[source.records[axis].min(), source.records[axis].max()] for axis in "XYZ"], dtype=np.float64)
    world = raw.T * source.header.scales + source.header.offsets
    return world.min(axis=0), world.max(axis=0)


def _on(source: LasSource, header: Header) -> Records:
    """The point records with their coordinates on the lattice of ``header``."""
    own = source.header
    if (own.scales == header.scales).all() and (own.offsets == header.offsets).all():
        return source.records
    records = source.records.copy()
    for axis, name in enumerate("XYZ"):
        world = source.records[name] * own.scales[axis] + own.offsets[axis]
        records[name] = np.rint((world - header.offsets[axis]) / header.scales[axis])
    return records


def _agreed(header: Header, sources: Sequence[LasSource]) -> list[str]:
    """Empty the fields of ``header`` in which the files differ; warnings."""
    told = []
    for name, empty in _FIELDS.items():
        if any(getattr(one.header, name) != getattr(sources[0].header, name) for one in sources[1:]):
            setattr(header, name, empty)
    values = [one.header.global_encoding.value for one in sources]
    if any((value ^ values[0]) & 1 for value in values):
        told.append("GPS times of the files are of different kinds (week time and adjusted standard time)")
    header.global_encoding.value = int(np.bitwise_and.reduce(values)) | (values[0] & 0b10110)
    return told


def _united(records: Sequence[tuple[Vlr, ...]]) -> tuple[Vlr, ...]:
    """The records of the first file, and of each other those whose identity is new."""
    found: list[Vlr] = []
    for own in records:
        known = {record.id for record in found}
        found += [record for record in own if record.id not in known]
    return tuple(found)
