"""Unpacks one file into scratch: reads it once, a chunk at a time, and sorts each chunk by where its points lie."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.addresses import name_of, shown
from deburr.core.arrays import Floats, Ints
from deburr.core.cloud import Extent, PointCloud, kinds
from deburr.core.errors import ReadError, WriteError
from deburr.core.files import private
from deburr.core.progress import advance, listening
from deburr.core.stage import Reader
from deburr.scratch.cells import NOWHERE, POINTS, Buckets, Kinds, Records, record_type

#: Points read at a time: some tens of megabytes.
CHUNK = 500_000
#: Cells of a file's grid, at most, and points in one of them, about and at least.
CELLS, _POINTS = 4096, 64
#: A grid is made anew if the points' bounds and its own share less of what both span.
_SHARED = 1 / 8


def unpack(
    reader: Reader, extent: Extent, wanted: Kinds, folder: Path, chunk: int = CHUNK, window: Floats | None = None
) -> Buckets:
    """Write the points of ``reader`` and its columns ``wanted`` into a new ``folder``, ``chunk`` points at a time.

    ``window``: the box that the reader reads all points of, as of `Buckets`.
    ``extent`` is what the head of the file says; the grid is made for it, and anew if it proves quite wrong. If another
    process was faster, its work stands. Raises `ReadError`, and `WriteError` where there is no room; nothing is left.
    """
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    try:
        made = _filled(temporary, reader, wanted, extent, chunk)
        if not _fits(made):
            made = _filled(temporary, reader, wanted, made.extent, chunk)
        made = replace(made, window=window)
        with writing(folder, reader.filename):
            made.save()
            try:
                temporary.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return replace(made, folder=folder)


def _filled(folder: Path, reader: Reader, wanted: Kinds, extent: Extent, chunk: int) -> Buckets:
    """The points in ``folder``, which may hold those of a first attempt, in a grid over ``extent``."""
    grid = _grid(extent)
    starts, low, high, count, lost = [], np.full(3, np.inf), np.full(3, -np.inf), 0, 0
    with writing(folder, reader.filename):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, nowhere = (open(folder / one, "wb", buffering=0, opener=private) for one in (POINTS, NOWHERE))  # noqa: SIM115
    with file, nowhere:
        for part in _parts(reader, chunk):
            there = part.located
            apart = np.empty(0, record_type(wanted))
            if not there.all():
                apart = _recorded(part, wanted, np.flatnonzero(~there), reader.filename)
                part = part.select(there)
            records, begins = _packed(part, wanted, grid, reader.filename)
            starts.append(count + begins)
            count, lost = count + len(records), lost + len(apart)
            low = np.minimum(low, part.xyz.min(axis=0, initial=np.inf))
            high = np.maximum(high, part.xyz.max(axis=0, initial=-np.inf))
            del part  # before the next is read
            with writing(folder, reader.filename):
                _write(file, records)
                _write(nowhere, apart)
            advance(f"unpacking {name_of(reader.filename)}", count + lost, max(count + lost, extent.count))
    cells = (len(grid[0]) - 1) * (len(grid[1]) - 1)
    index = np.array(starts, dtype=np.int64).reshape(-1, cells + 1)
    return Buckets(folder, wanted, *grid, index, Extent(count + lost, low, high), lost)


def _parts(reader: Reader, chunk: int) -> Iterator[PointCloud]:
    """The cloud in parts of ``chunk`` points at most, none empty; the reader's own steps are not told."""
    parts = reader.parts(chunk)
    while True:
        with listening(lambda *_: None):
            part = next(parts, None)
        if part is None:
            return
        for begin in range(0, len(part), chunk):
            yield part if len(part) <= chunk else _slice(part, begin, begin + chunk)
        del part


def _slice(cloud: PointCloud, begin: int, end: int) -> PointCloud:
    dims = {name: column[begin:end] for name, column in cloud.dims.items()}
    return PointCloud(cloud.xyz[begin:end], dims, rows=cloud.rows[begin:end], extent=cloud.extent)


def _packed(
    cloud: PointCloud, wanted: Kinds, grid: tuple[Floats, Floats], path: str
) -> tuple[Records, npt.NDArray[np.int64]]:
    """The records of ``cloud``, sorted by cell, and where each of the M cells begins and the last ends, (M + 1,)."""
    x, y = (_cell(edges, cloud.xyz[:, axis]) for axis, edges in enumerate(grid))
    cells = (y * np.uint16(len(grid[0]) - 1) + x).astype(np.uint16)
    order = np.argsort(cells, kind="stable")  # by radix, for this type
    counts = np.bincount(cells, minlength=(len(grid[0]) - 1) * (len(grid[1]) - 1))
    return _recorded(cloud, wanted, order, path), np.append(0, np.cumsum(counts))


def _recorded(cloud: PointCloud, wanted: Kinds, order: Ints, path: str) -> Records:
    """The records of the points ``order`` (M,) of ``cloud``."""
    there = kinds(cloud.dims)
    if any(name not in there or there[name].newbyteorder("<") != kind for name, kind in wanted.items()):
        raise ReadError(f"{shown(path)}: has other dimensions than a moment ago; run again when nothing writes to it")
    records = np.empty(len(order), record_type(wanted))
    for axis, name in enumerate("xyz"):
        records[name] = cloud.xyz[order, axis]
    records["row"] = cloud.rows[order]
    for name in wanted:
        records[f"dim:{name}"] = cloud.dims[name][order]
    return records


def _cell(edges: Floats, values: Floats) -> npt.NDArray[np.uint16]:
    # By the same comparisons with which boxes are looked up: a quotient may be rounded across an edge.
    found = np.searchsorted(edges[1:-1], values, side="right")
    return found.astype(np.uint16)


def _grid(extent: Extent) -> tuple[Floats, Floats]:
    """The edges in x and y of nearly square cells over ``extent``."""
    low, high = extent.low[:2], extent.high[:2]
    if not extent.count or not np.isfinite(high - low).all() or (high < low).any():
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    cells = int(np.clip(extent.count // _POINTS, 1, CELLS))
    width, depth = (high - low).tolist()
    columns = max(1, round(min((cells * width / depth) ** 0.5, cells))) if depth > 0 else cells if width > 0 else 1
    return np.linspace(low[0], high[0], columns + 1), np.linspace(low[1], high[1], cells // columns + 1)


def _fits(made: Buckets) -> bool:
    """Whether the grid is about as large as what it holds."""
    if made.extent.count - made.nowhere <= _POINTS:
        return True
    low, high = np.array([made.x[0], made.y[0]]), np.array([made.x[-1], made.y[-1]])
    least, most = made.extent.low[:2], made.extent.high[:2]
    spanned = np.maximum(high, most) - np.minimum(low, least)
    shared = np.maximum(np.minimum(high, most) - np.maximum(low, least), 0)
    return bool(np.divide(shared, spanned, out=np.ones(2), where=spanned > 0).prod() >= _SHARED)


def _write(file: Any, records: Records) -> None:
    left = records.view(np.uint8).data
    while len(left):
        left = left[file.write(left) :]


@contextmanager
def writing(folder: Path, path: str) -> Iterator[None]:
    """Say which file's points could not be unpacked to ``folder``. Raises `WriteError`."""
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"{folder.parent}: the points of {shown(path)} cannot be unpacked there ({error.strerror or error}); free "
            "space, or choose another folder for scratch files"
        ) from error
