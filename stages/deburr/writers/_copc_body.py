"""The bytes of a COPC file: LAZ, a chunk for each node of an octree, and behind them where each lies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import lazrs
import numpy as np
from laspy.vlrs.known import LasZipVlr

from deburr.core.cloud import PointCloud
from deburr.core.neighbors import threads
from deburr.core.progress import advance
from deburr.formats.las.copc import ENTRY, INFO
from deburr.formats.las.points import Records
from deburr.formats.las.records import COPC, COPC_PAGES, Vlr
from deburr.writers._copc_tree import Tree, grow
from deburr.writers._las_body import chunks, finish
from deburr.writers._las_target import Target

#: Points that are compressed by one call, side by side.
_CALL = 1_000_000


def emit(file: BinaryIO, parts: Iterable[PointCloud], target: Target, total: int) -> None:
    """Write the ``total`` points of ``parts`` into ``file``, which is empty and can be read, too, as ``target`` says.

    Raises `WriteError`, `UnfitValue` and `OSError`.
    """
    header = target.header
    header.are_points_compressed = True
    header.partial_reset()
    # The description of the octree must begin at byte 375.
    header.extra_header_bytes = header.extra_vlr_bytes = b""
    records = header.records
    points = _gathered(parts, target, total)
    xyz = np.column_stack(
        [points[name] * axis.scale + axis.offset for name, axis in zip("XYZ", target.axes, strict=True)]
    )
    tree = grow(xyz, max(axis.scale for axis in target.axes))
    del xyz
    kind = lazrs.LazVlr.new_for_compression(target.layout.format, target.layout.extra_size, True)
    header.records = (_info(tree, points, 0, 0), *records)
    header.vlrs.append(LasZipVlr(kind.record_data()))
    header.write_to(file)
    begin = file.tell()
    try:
        _compress(file, kind, points, tree)
        file.seek(begin)
        table = lazrs.read_chunk_table(file, kind)
    except lazrs.LazrsError as error:
        # The compressor writes through the file: what fails there is the disk.
        raise OSError(None, str(error)) from error
    page = _page(tree, table, begin + 8)
    at = file.seek(0, 2)
    pages = Vlr(COPC_PAGES[0].encode(), COPC_PAGES[1], page, b"EPT Hierarchy")
    target.evlrs.insert(0, pages)
    finish(file, target)
    header.records = (_info(tree, points, at + len(pages.pack(extended=True)) - len(page), len(page)), *records)
    file.seek(0)
    header.write_to(file)


def _gathered(parts: Iterable[PointCloud], target: Target, total: int) -> Records:
    """All points, in memory: where one stands is known when all are seen."""
    layout, done = target.layout, 0
    points = np.empty(total * layout.dtype.itemsize, dtype=np.uint8)  # bytes: copied faster than fields
    for records in chunks(parts, target):
        target.header.grow(layout.as_laspy(records))
        points[done : done + records.nbytes] = records.view(np.uint8)
        done += records.nbytes
    return points[:done].view(layout.dtype)


def _compress(file: BinaryIO, kind: Any, points: Records, tree: Tree) -> None:
    """A chunk for each node; those of about `_CALL` points side by side, where there are threads."""
    together = threads() > 1
    out = (lazrs.ParLasZipCompressor if together else lazrs.LasZipCompressor)(file, kind)
    begin, some, held, last = 0, [], 0, len(tree.ends) - 1
    for number, end in enumerate(tree.ends.tolist()):
        chunk = points[tree.order[begin:end]].view(np.uint8)
        if together:
            some.append(chunk)
            held += end - begin
            if held >= _CALL or number == last:
                out.compress_chunks(some)
                some, held = [], 0
        else:
            out.compress_many(chunk)
            if number < last:  # the last is finished with the file, and would be followed by an empty one
                out.finish_current_chunk()
        begin = end
        advance("writers.copc", end, len(points))
    out.done()


def _page(tree: Tree, table: list[tuple[int, int]], at: int) -> bytes:
    """The entries of all nodes, whose chunks lie one after another from byte ``at`` on; of no points, an empty root."""
    if not len(tree.keys):
        return bytes(ENTRY.itemsize)
    counts, sizes = (np.array(column, np.int64) for column in zip(*table, strict=True))
    entries = np.zeros(len(tree.keys), dtype=ENTRY)
    entries["key"], entries["size"], entries["points"] = tree.keys, sizes, counts
    entries["at"] = at + np.cumsum(sizes) - sizes
    return entries.tobytes()


def _info(tree: Tree, points: Records, at: int, size: int) -> Vlr:
    times = points["gps_time"][np.isfinite(points["gps_time"])]
    ends = (float(times.min()), float(times.max())) if len(times) else (0.0, 0.0)
    data = INFO.pack(*tree.centre.tolist(), tree.half, tree.spacing, at, size, *ends)
    return Vlr(COPC[0].encode(), COPC[1], data, b"COPC info VLR")
