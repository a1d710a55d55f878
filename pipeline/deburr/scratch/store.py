"""All points of all input files, read box by box; a file is unpacked into scratch when a box first needs it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core import locks
from deburr.core.arrays import Floats
from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import ReadError, RunError
from deburr.core.files import private
from deburr.scratch.cells import Buckets, Kinds, Records, record_type
from deburr.scratch.input_file import FileRef
from deburr.scratch.unpack import CELLS, CHUNK, unpack, writing


class Unread(ReadError):
    """The file ``number`` cannot be read: nothing can be said of what lies there, and all else can go on without it."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


#: Files whose indices are kept in memory.
_OPENED = 256


class Store:
    """A `deburr.tiles.tile.View` of ``files``, which unpacks them into ``folder``.

    Any number of processes may use the same folder; each file is unpacked by one of them. Read are the dimensions
    ``dims`` (None: all) that any of the files has; where a file lacks one, its points have zeros.
    """

    def __init__(
        self, files: Sequence[FileRef], folder: str | Path, dims: frozenset[str] | None = None, chunk: int = CHUNK
    ) -> None:
        self.files = tuple(sorted(files, key=lambda file: file.number))
        self.folder, self.dims, self.chunk = Path(folder), dims, chunk
        self.kinds = _merged(self.files, dims)
        self.extent = _spanned([file.extent for file in self.files])
        self._by_number = {file.number: file for file in self.files}
        self._low = np.array([file.low for file in self.files]).reshape(-1, 2)
        self._high = np.array([file.high for file in self.files]).reshape(-1, 2)
        self._opened: dict[int, Buckets] = {}

    def as_json(self) -> dict[str, Any]:
        """All that another process needs to have the same store; JSON values."""
        dims = None if self.dims is None else sorted(self.dims)
        files = [file.as_json() for file in self.files]
        return {"files": files, "folder": str(self.folder), "dims": dims, "chunk": self.chunk}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Store:
        """What `as_json` gave."""
        dims = None if value["dims"] is None else frozenset(value["dims"])
        return cls([FileRef.from_json(file) for file in value["files"]], value["folder"], dims, value["chunk"])

    def read(self, low: Floats, high: Floats) -> tuple[PointCloud, npt.NDArray[np.int32]]:
        """The points whose x and y lie in [low, high), (2,) each, ordered by file and row; and (N,) their files.

        Raises `Unread` for a file that cannot be read, has changed, or has points that are not where its head says, and
        `WriteError` where it cannot be unpacked.
        """
        there = [(file, self.unpack(file.number)) for file in self.meeting(low, high)]
        room = sum(buckets.count(low, high) for _, buckets in there)
        return self._cloud(((file.number, some) for file, buckets in there
                            for some in _readable(file, buckets, buckets.read(low, high))), room)  # fmt: skip

    def nowhere(self, low: Floats, high: Floats) -> Iterator[tuple[PointCloud, npt.NDArray[np.int32]]]:
        """The points without coordinates of the files whose lowest corner lies in [low, high), (2,) each: of every
        file they are met in one box of several that cover the plane. As `read`, in parts of a chunk at most."""
        for file in self.meeting(low, high):
            if not ((file.low >= low) & (file.low < high)).all():
                continue
            buckets = self.unpack(file.number)
            for records in _readable(file, buckets, buckets.read_nowhere(self.chunk)):
                yield self._cloud([(file.number, records)], len(records))

    def _cloud(self, parts: Iterable[tuple[int, Records]], room: int) -> tuple[PointCloud, npt.NDArray[np.int32]]:
        """The points of records, each with its file's number, and (N,) these; there is ``room`` for what there may be.

        What of it is not filled in the end is never touched, and takes no memory."""
        xyz, rows, numbers = np.empty((room, 3)), np.empty(room, np.int64), np.empty(room, np.int32)
        dims = {name: np.zeros((room, *kind.shape), kind.base) for name, kind in self.kinds.items()}
        at = 0
        for number, records in parts:
            here = slice(at, at + len(records))
            for axis, name in enumerate("xyz"):
                xyz[here, axis] = records[name]
            rows[here], numbers[here] = records["row"], number
            for name, column in dims.items():
                if f"dim:{name}" in (records.dtype.names or ()):
                    column[here] = records[f"dim:{name}"]
            at = here.stop
        columns = {name: column[:at] for name, column in dims.items()}
        crs = self.files[0].crs if self.files else None
        return PointCloud(xyz[:at], columns, rows=rows[:at], crs=crs, extent=self.extent), numbers[:at]

    def count(self, low: Floats, high: Floats) -> int:
        """About how many points `read` would give, and no fewer; from the heads of files that are not yet unpacked."""
        found = 0
        for file in self.meeting(low, high):
            buckets = self._existing(file)
            found += _guess(file, low, high) if buckets is None else buckets.count(low, high)
        return found

    def file(self, number: int) -> FileRef:
        """The file with this number."""
        return self._by_number[number]

    def meeting(self, low: Floats, high: Floats) -> list[FileRef]:
        """The files of which points may lie in [low, high), (2,) each."""
        if not (low < high).all():
            return []
        # The bounds of files without points are infinities, which meet nothing.
        there = ((self._low < high) & (self._high > low)).all(axis=1)
        return [self.files[place] for place in np.flatnonzero(there)]

    def only(self, numbers: Iterable[int]) -> Store:
        """The same of the files with these ``numbers`` alone."""
        return Store([self.file(number) for number in numbers], self.folder, self.dims, self.chunk)

    def histogram(self, number: int) -> tuple[npt.NDArray[Any], Floats, Floats]:
        """How the points of a file lie: counts (W, D) of cells, and their edges (W + 1,), (D + 1,) in x and y, between
        which all of them lie. Of a file that is not yet unpacked: as if they lay evenly."""
        file = self.file(number)
        buckets = self._existing(file)
        if buckets is not None:
            return buckets.histogram()
        if not file.extent.count:
            return np.zeros((1, 1)), np.array([0.0, 1.0]), np.array([0.0, 1.0])
        x, y = (np.linspace(low, high, 65) for low, high in zip(file.low, file.high, strict=True))
        return np.full((64, 64), file.extent.count / 4096), x, y

    def unpack(self, number: int) -> Buckets:
        """The points of a file in scratch, unpacked now if they are not yet. Raises as `read` does."""
        file = self.file(number)
        try:
            buckets = self._existing(file) or self._unpacked(file)
        except ReadError as error:
            raise Unread(f"{file.type}: {error}", number) from error
        if not _kept(file, buckets.extent):
            raise Unread(_astray(file, buckets.extent), number)
        return buckets

    def is_unpacked(self, number: int) -> bool:
        """Whether the points of a file are in scratch already."""
        return self._existing(self.file(number)) is not None

    def measured(self) -> Store:
        """The same store after all files have been unpacked, with their true extents instead of those in the heads."""
        extents = [(self._existing(file) or self._unpacked(file)).extent for file in self.files]
        files = [replace(file, extent=extent, step=0.0) for file, extent in zip(self.files, extents, strict=True)]
        return Store(files, self.folder, self.dims, self.chunk)

    def release(self, number: int) -> None:
        """Delete the unpacked points of a file; they are unpacked again if they are asked for again."""
        self._opened.pop(number, None)
        folder = self._place(self.file(number))
        gone = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
        try:
            folder.rename(gone)  # at once: no other process finds a part of it
        except FileNotFoundError:
            return
        except PermissionError:  # Windows moves no folder of which a file is read; it goes with all scratch in the end
            return
        shutil.rmtree(gone, ignore_errors=True)

    def _existing(self, file: FileRef) -> Buckets | None:
        known = self._opened.pop(file.number, None)
        if known is None or not known.folder.exists():  # another process may have released it
            known = Buckets.load(self._place(file))
        if known is not None:
            self._keep(file, known)
        return known

    def _keep(self, file: FileRef, buckets: Buckets) -> None:
        """Remember the indices of the files that were asked for last: of a country's, all would fill the memory."""
        self._opened[file.number] = buckets
        if len(self._opened) > _OPENED:
            del self._opened[next(iter(self._opened))]

    def _unpacked(self, file: FileRef) -> Buckets:
        place = self._place(file)
        wanted = {name: kind for name, kind in file.kinds.items() if name in self.kinds}
        with _alone(place, file.path):
            found = Buckets.load(place)
            if found is None:
                shutil.rmtree(place, ignore_errors=True)  # what is there is not whole
                file.check()
                found = unpack(file.reader, file.extent, wanted, place, self.chunk)
                try:
                    file.check()
                except ReadError:
                    shutil.rmtree(place, ignore_errors=True)
                    raise
        self._keep(file, found)
        return found

    def _place(self, file: FileRef) -> Path:
        """The folder of a file's points; its name changes with the file and with what is read of it."""
        wanted = None if self.dims is None else sorted(self.dims)
        what = [os.path.realpath(file.path), file.stamp, file.type, dict(file.options), wanted]
        return self.folder / f"{file.number}-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"


def size(files: Sequence[FileRef], dims: frozenset[str] | None = None, chunk: int = CHUNK) -> int:
    """Bytes of scratch that a store of ``files`` takes, once all are unpacked with the dimensions ``dims``."""
    total = 0
    for file in files:
        wanted = {name: kind for name, kind in file.kinds.items() if dims is None or name in dims}
        chunks = -(-file.extent.count // chunk)
        # The index besides, the grid's edges, and heads.
        total += file.extent.count * record_type(wanted).itemsize + 8 * (chunks + 2) * (CELLS + 1) + 4096
    return total


def _readable(file: FileRef, buckets: Buckets, records: Iterator[Records]) -> Iterator[Records]:
    """``records`` of ``file``. Raises `RunError` where they cannot be read."""
    try:
        yield from records
    except OSError as error:
        raise RunError(
            f"{buckets.folder}: the unpacked points of {file.path} cannot be read ({error.strerror}); "
            "keep scratch files in a sound place and run again"
        ) from error


def _merged(files: Sequence[FileRef], dims: frozenset[str] | None) -> Kinds:
    """The columns of all files together: the same for every box, whichever files it lies in."""
    merged: dict[str, np.dtype[Any]] = {}
    first: dict[str, str] = {}
    for file in files:
        for name, kind in file.kinds.items():
            if dims is not None and name not in dims:
                continue
            before = merged.setdefault(name, kind)
            if before.shape != kind.shape:
                raise RunError(
                    f"{file.path}: dimension '{name}' has values of shape {kind.shape}, and {before.shape} in "
                    f"{first[name]}; remove it from one of them, or run them apart"
                )
            first.setdefault(name, file.path)
            merged[name] = np.dtype((_common(before.base, kind.base), kind.shape))
    return merged


def _common(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    both = np.result_type(a, b).newbyteorder("=")
    # Of the largest unsigned integers and signed ones numpy makes floats; classes and flags stay whole numbers.
    whole = a.kind in "iub" and b.kind in "iub" and both.kind == "f"
    return np.dtype(np.int64) if whole else both


def _spanned(extents: Sequence[Extent]) -> Extent:
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for extent in extents:
        if extent.count:
            low, high = np.minimum(low, extent.low), np.maximum(high, extent.high)
    return Extent(sum(extent.count for extent in extents), low, high)


def _guess(file: FileRef, low: Floats, high: Floats) -> int:
    """How many points of a file lie in a box, if nowhere four times as many do as on average."""
    width = file.high - file.low
    overlap = np.minimum(high, file.high) - np.maximum(low, file.low) + width / 64
    return min(file.extent.count, int(np.ceil(4 * file.extent.count * (overlap / width).prod())))


def _kept(file: FileRef, extent: Extent) -> bool:
    """Whether points of this ``extent`` lie where the head of the file says."""
    low, high = extent.low[:2], extent.high[:2]
    return not extent.count or bool((low >= file.low).all() and (high < file.high).all())


def _astray(file: FileRef, extent: Extent) -> str:
    told, true = (" to ".join(f"({x}, {y})" for x, y in (e.low[:2], e.high[:2])) for e in (file.extent, extent))
    return (
        f"{file.path}: has points beyond the bounds in its head (x and y are from {told} by the head, and from {true} "
        "in truth), by which its neighbours find it; write it anew first, with a pipeline of a reader and a writer"
    )


@contextmanager
def _alone(place: Path, path: str) -> Iterator[None]:
    """While this lasts, no other process unpacks to ``place`` what it finds at ``path``."""
    with writing(place, path):
        place.parent.mkdir(mode=0o700, exist_ok=True)
        lock = open(place.with_name(f".lock-{place.name}"), "wb", opener=private)  # noqa: SIM115  # closed below
    with lock:
        try:
            locks.take(lock.fileno(), wait=True)
        except OSError:
            # Some systems and network disks have no locks. Then two may do the same work, and one throws it away.
            yield
        else:
            for left in place.parent.glob(f".{place.name}.*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
