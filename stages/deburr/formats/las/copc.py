"""COPC: which chunks of a LAZ file hold the points of a box and of some levels, by the octree that the file describes.

Every node of the octree is one chunk. Pages of the hierarchy name nodes and further pages; they are believed only as
far as they fit into the file, and a node only if it is a chunk of the file's own table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats
from deburr.core.bounds import Bounds
from deburr.core.errors import ReadError
from deburr.core.files import size_of
from deburr.formats.las.header import LasSource
from deburr.formats.las.laz import Chunk
from deburr.formats.las.records import COPC

#: Level, x, y, z of a node; of what it holds, place and size, and number of points. Of another page: -1 points.
ENTRY = np.dtype([("key", "<i4", 4), ("at", "<u8"), ("size", "<i4"), ("points", "<i4")])
Entries = npt.NDArray[np.void]
ELSEWHERE = -1
#: Centre x, y, z, half the side, spacing; place and size of the root page; least and largest GPS time; reserved.
INFO = struct.Struct("<5d2Q2d88x")
#: Keys are 32-bit integers.
_DEEPEST = 31


class Octree(NamedTuple):
    """The cube that all points lie in: its ``centre`` (3,), ``half`` its side, and the ``spacing`` of points at its
    root, cloud units; the root page of the hierarchy."""

    centre: Floats
    half: float
    spacing: float
    at: int
    size: int

    def meets(self, entries: Entries, bounds: Bounds, slack: float) -> Bools:
        """(N,) bool: which voxels of ``entries`` (N,) come within ``slack`` of the box."""
        side = 2 * self.half / 2.0 ** entries["key"][:, 0]
        found = np.ones(len(entries), dtype=np.bool_)
        with np.errstate(over="ignore", invalid="ignore"):  # the cube may be as large as numbers get
            for axis in range(3):
                low = self.centre[axis] - self.half + entries["key"][:, 1 + axis] * side
                found &= (low - slack <= bounds.high[axis]) & (low + side + slack >= bounds.low[axis])
        return found

    def depth(self, resolution: float) -> int:
        """The first level whose points lie as close as ``resolution``, cloud units, or closer."""
        return next((n for n in range(_DEEPEST) if self.spacing / 2**n <= resolution), _DEEPEST)


def is_copc(source: LasSource) -> bool:
    """Whether the file says that it is COPC."""
    return any(record.id == COPC for record in source.vlrs)


def runs(
    file: BinaryIO, source: LasSource, chunks: Sequence[Chunk], bounds: Bounds | None, resolution: float | None
) -> list[tuple[int, int]]:
    """The rows [begin, end) of the chunks that may hold points of ``bounds``, down to ``resolution``, in the file's
    order, as few as possible. ``chunks``: all of the file. Raises `ReadError`."""
    return _rows(source, _nodes(file, source, bounds, resolution), chunks)


def cost(file: BinaryIO, source: LasSource, bounds: Bounds) -> int:
    """How many bytes the chunks take that may hold points of ``bounds``, by the index alone. Raises `ReadError`."""
    return int(_nodes(file, source, bounds, None)["size"].sum(dtype=np.int64)) if source.header.point_count else 0


def _nodes(file: BinaryIO, source: LasSource, bounds: Bounds | None, resolution: float | None) -> Entries:
    """The nodes that hold points and may hold some of ``bounds``, down to ``resolution``."""
    tree = _octree(source)
    deepest = _DEEPEST if resolution is None else tree.depth(resolution)
    # Points may lie a rounding beyond their voxel.
    slack = float(np.abs(source.header.scales).max())
    pages, known, left = [(tree.at, tree.size)], set[int](), size_of(file)
    found = [np.empty(0, ENTRY)]
    while pages:
        at, size = pages.pop()
        left -= size
        if at in known or left < 0:
            raise _damaged(source, "its pages lead to themselves")
        known.add(at)
        page = _page(file, source, at, size)
        wanted = page["key"][:, 0] <= deepest
        if bounds is not None:
            wanted &= tree.meets(page, bounds, slack)
        found.append(page[wanted & (page["points"] > 0)])
        elsewhere = page[wanted & (page["points"] == ELSEWHERE)]
        pages += zip(elsewhere["at"].tolist(), elsewhere["size"].tolist(), strict=True)
    return np.concatenate(found)


def _octree(source: LasSource) -> Octree:
    data = next(record.data for record in source.vlrs if record.id == COPC)
    if len(data) < INFO.size:
        raise _damaged(source, "its description is cut off")
    x, y, z, half, spacing, at, size, *_ = INFO.unpack_from(data)
    if not (np.isfinite([x, y, z, half, spacing]).all() and half > 0 and spacing > 0):
        raise _damaged(source, "it describes no cube")
    return Octree(np.array([x, y, z]), half, spacing, at, size)


def _page(file: BinaryIO, source: LasSource, at: int, size: int) -> Entries:
    """The entries of the page at byte ``at``."""
    if size < 0 or size % ENTRY.itemsize or at + size > size_of(file):
        raise _damaged(source, "a page lies beyond the file, or is no page")
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise ReadError(f"{source.path}: shrank while it was read; try again when nothing writes to it")
    entries = np.frombuffer(data, ENTRY)
    level, places = entries["key"][:, 0].astype(np.int64), entries["key"][:, 1:]
    sound = (level >= 0) & (level <= _DEEPEST) & (entries["points"] >= ELSEWHERE)
    sound &= (places >= 0).all(axis=1) & (places < 2 ** np.clip(level, 0, _DEEPEST)[:, None]).all(axis=1)
    if not sound.all():
        raise _damaged(source, "it names voxels that there are not")
    return entries


def _rows(source: LasSource, nodes: Entries, chunks: Sequence[Chunk]) -> list[tuple[int, int]]:
    """The rows of the chunks that ``nodes`` are."""
    filled = [number for number, chunk in enumerate(chunks) if chunk.size]
    table = np.array([chunks[number] for number in filled], np.int64).reshape(-1, 3)
    own = np.array([nodes["at"].astype(np.int64), nodes["size"], nodes["points"]], np.int64).T
    places = np.searchsorted(table[:, 0], own[:, 0])
    if (places == len(table)).any() or (table[places] != own).any():
        raise _damaged(source, "it does not fit the points")
    ends = np.cumsum(table[:, 2])
    found: list[tuple[int, int]] = []
    for place in np.unique(places).tolist():
        begin, end = int(ends[place] - table[place, 2]), int(ends[place])
        if found and found[-1][1] == begin:
            begin = found.pop()[0]
        found.append((begin, end))
    return found


def _damaged(source: LasSource, what: str) -> ReadError:
    return ReadError(
        f"{source.path}: its index (COPC) is damaged, or of another file: {what}; get an intact copy, or write it "
        "anew, read without 'bounds' and 'resolution'"
    )
