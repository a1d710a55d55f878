"""All points of all input files, read box by box; a file is unpacked into scratch when a box first needs it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core import locks, web
from deburr.core.arrays import Floats
from deburr.core.cloud import Extent, PointCloud
from deburr.core.cut import Box
from deburr.core.errors import ReadError, RunError
from deburr.core.fetched import remove
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
#: What the folder of fetched bytes is called, beside that of points.
FETCHED = "fetched"


class Store:
    """A `deburr.tiles.tile.View` of ``files``, which unpacks them into ``folder``.

    Any number of processes may use the same folder; each file is unpacked by one of them. Read are the dimensions
    ``dims`` (None: all) that any of the files has; where a file lacks one, its points have zeros.

    Of an indexed file, windows may be unpacked (`unpack`): a box of it is then read from one that covers it, or else
    from a wider one, unpacked now. What is fetched of files on the web lies beside ``folder``.
    """

    def __init__(
        self, files: Sequence[FileRef], folder: str | Path, dims: frozenset[str] | None = None, chunk: int = CHUNK
    ) -> None:
        self.files = tuple(sorted(files, key=lambda file: file.number))
        self.folder, self.dims, self.chunk = Path(folder), dims, chunk
        self.kinds = _merged(self.files, dims)
        self.extent = spanned([file.extent for file in self.files])
        self._by_number = {file.number: file for file in self.files}
        self._low = np.array([file.low for file in self.files]).reshape(-1, 2)
        self._high = np.array([file.high for file in self.files]).reshape(-1, 2)
        self._opened: dict[int, list[Buckets]] = {}

    def as_json(self) -> dict[str, Any]:
        """All that another process needs to have the same store, but for the `secrets`; JSON values."""
        dims = None if self.dims is None else sorted(self.dims)
        files = [file.as_json() for file in self.files]
        return {"files": files, "folder": str(self.folder), "dims": dims, "chunk": self.chunk}

    @property
    def secrets(self) -> dict[str, str]:
        """The addresses of files by number, of those that are not to be shown."""
        return {str(file.number): file.secret for file in self.files if file.secret is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Store:
        """What `as_json` and `secrets` gave."""
        dims = None if value["dims"] is None else frozenset(value["dims"])
        told = [FileRef.from_json(file) for file in value["files"]]
        files = [replace(file, secret=(secrets or {}).get(str(file.number))) for file in told]
        return cls(files, value["folder"], dims, value["chunk"])

    def read(self, low: Floats, high: Floats) -> tuple[PointCloud, npt.NDArray[np.int32]]:
        """The points whose x and y lie in [low, high), (2,) each, ordered by file and row; and (N,) their files.

        Raises `Unread` for a file that cannot be read, has changed, or has points that are not where its head says, and
        `WriteError` where it cannot be unpacked.
        """
        there = [(file, self._covering(file, low, high)) for file in self.meeting(low, high)]
        room = sum(buckets.count(low, high) for _, buckets in there)
        return self._cloud(((file.number, some) for file, buckets in there
                            for some in _readable(file, buckets, buckets.read(low, high))), room)  # fmt: skip

    def nowhere(self, low: Floats, high: Floats) -> Iterator[tuple[PointCloud, npt.NDArray[np.int32]]]:
        """The points without coordinates of the files whose lowest corner lies in [low, high), (2,) each: of every
        file they are met in one box of several that cover the plane. As `read`, in parts of a chunk at most."""
        for file in self.meeting(low, high):
            if not ((file.low >= low) & (file.low < high)).all():
                continue
            buckets = self._covering(file, low, high)
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
            buckets = self._existing(file, _clipped(file, low, high))
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

    def histogram(self, number: int, window: Box | None = None) -> tuple[npt.NDArray[Any], Floats, Floats]:
        """How the points of a file lie, at least those of a ``window``: counts (W, D) of cells, and their edges
        (W + 1,), (D + 1,) in x and y, between which all of them lie. Of one that is not yet unpacked: as if evenly."""
        file = self.file(number)
        buckets = self._existing(file, window)
        if buckets is not None:
            return buckets.histogram()
        if not file.extent.count:
            return np.zeros((1, 1)), np.array([0.0, 1.0]), np.array([0.0, 1.0])
        x, y = (np.linspace(low, high, 65) for low, high in zip(file.low, file.high, strict=True))
        return np.full((64, 64), file.extent.count / 4096), x, y

    def window(self, number: int, low: Floats, high: Floats) -> Box | None:
        """What to unpack of a file where the box [low, high), (2,) each, is needed of it; None: all."""
        file = self.file(number)
        low, high = _clipped(file, low, high)
        part = file.indexed and (low < high).all() and ((low > file.low) | (high < file.high)).any()
        return (low, high) if part else None

    def unpack(self, number: int, window: Box | None = None) -> Buckets:
        """The points of a file in scratch, or of a ``window`` and maybe more, unpacked now if they are not yet. Raises
        as `read` does."""
        file = self.file(number)
        try:
            buckets = self._existing(file, window) or self._unpacked(file, window)
        except ReadError as error:
            raise Unread(f"{file.type}: {error}", number) from error
        if not _kept(file, buckets.extent):
            raise Unread(_astray(file, buckets.extent), number)
        return buckets

    def is_unpacked(self, number: int, window: Box | None = None) -> bool:
        """Whether the points of a file, or those of a ``window``, are in scratch already."""
        return self._existing(self.file(number), window) is not None

    def _covering(self, file: FileRef, low: Floats, high: Floats) -> Buckets:
        """Points of a file in scratch, all in the box [low, high) among them."""
        window: Box | None = _clipped(file, low, high)
        if self._existing(file, window) is None:
            window, part = None, self._widest(file)
            if part is not None:  # wider than was foreseen, and soon maybe wider still
                low, high = np.minimum(low, part[0]), np.maximum(high, part[1])
                low, high = _clipped(file, low, high)
                window = self.window(file.number, low - (high - low) / 4, high + (high - low) / 4)
        return self.unpack(file.number, window)

    def measured(self) -> Store:
        """The same store after all files have been unpacked, with their true extents instead of those in the heads."""
        extents = [(self._existing(file) or self._unpacked(file)).extent for file in self.files]
        files = [replace(file, extent=extent, step=0.0) for file, extent in zip(self.files, extents, strict=True)]
        return Store(files, self.folder, self.dims, self.chunk)

    @property
    def fetched(self) -> Path:
        """The folder of what is fetched."""
        return self.folder.with_name(FETCHED)

    def release(self, number: int, fetched: bool = False) -> None:
        """Delete the unpacked points of a file, and with ``fetched`` what was fetched of it; they are unpacked and
        fetched again if they are asked for again."""
        self._opened.pop(number, None)
        file = self.file(number)
        if fetched and file.is_remote:
            remove(self.fetched, file.path)
        for folder in self._places(file):
            gone = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
            try:
                folder.rename(gone)  # at once: no other process finds a part of it
            except FileNotFoundError:
                continue
            except PermissionError:  # Windows moves no folder that is read; it goes with all scratch in the end
                continue
            shutil.rmtree(gone, ignore_errors=True)

    def reading(self, number: int) -> AbstractContextManager[None]:
        """While this lasts, what is fetched of a file is kept for all who need it."""
        return web.kept_in(self.fetched) if self.file(number).is_remote else nullcontext()

    def _existing(self, file: FileRef, window: Box | None = None) -> Buckets | None:
        """The smallest that holds the ``window`` (None: all) and is there."""
        known = [one for one in self._opened.pop(file.number, []) if one.folder.exists()]  # others may release them
        if not any(_holds(one, window) for one in known):
            loaded = {one.folder for one in known}
            known += [one for place in self._places(file) if place not in loaded
                      if (one := Buckets.load(place)) is not None]  # fmt: skip
        self._keep(file, known)
        return min((one for one in known if _holds(one, window)), key=_room, default=None)

    def _widest(self, file: FileRef) -> Box | None:
        """The largest window that is there."""
        there = [one for one in self._opened.get(file.number, []) if one.window is not None]
        found = max(there, key=_room, default=None)
        return None if found is None or found.window is None else (found.window[0], found.window[1])

    def _keep(self, file: FileRef, buckets: list[Buckets]) -> None:
        """Remember the indices of the files that were asked for last: of a country's, all would fill the memory."""
        if buckets:
            self._opened[file.number] = buckets
        if len(self._opened) > _OPENED:
            del self._opened[next(iter(self._opened))]

    def _unpacked(self, file: FileRef, window: Box | None = None) -> Buckets:
        place = self._place(file, window)
        wanted = {name: kind for name, kind in file.kinds.items() if name in self.kinds}
        reader = file.reader if window is None else file.reader.within(*window)
        assert reader is not None  # only indexed files have windows
        with _alone(place, file.path), self.reading(file.number):
            found = Buckets.load(place)
            if found is None:
                shutil.rmtree(place, ignore_errors=True)  # what is there is not whole
                file.check()
                told = file.extent if window is None else inside(file, *window)
                found = unpack(reader, told, wanted, place, self.chunk, None if window is None else np.array(window))
                try:
                    file.check()
                except ReadError:
                    shutil.rmtree(place, ignore_errors=True)
                    raise
        self._keep(file, [*self._opened.pop(file.number, []), found])
        return found

    def _place(self, file: FileRef, window: Box | None = None) -> Path:
        """The folder of a file's points; its name changes with the file and with what is read of it."""
        wanted = None if self.dims is None else sorted(self.dims)
        path = file.path if file.is_remote else os.path.realpath(file.path)
        what = [path, file.stamp, file.type, dict(file.options), wanted]
        found = self.folder / f"{file.number}-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]}"
        if window is None:
            return found
        box = json.dumps([side.tolist() for side in window]).encode()
        return found.with_name(f"{found.name}-{hashlib.sha256(box).hexdigest()[:16]}")

    def _places(self, file: FileRef) -> list[Path]:
        """The folders of a file's points that are there: of all of it, and of windows."""
        whole = self._place(file)
        windows = self.folder.glob(f"{whole.name}-*") if file.indexed else ()
        return [*([whole] if whole.exists() else []), *sorted(windows)]


def size(
    files: Sequence[FileRef],
    dims: frozenset[str] | None = None,
    chunk: int = CHUNK,
    windows: Mapping[int, Box | None] | None = None,
) -> int:
    """Bytes of scratch that a store of ``files`` takes, once all are unpacked with the dimensions ``dims``, or the
    ``windows`` of those, by number, that have one; and what is fetched of them."""
    total = 0
    for file in files:
        window = (windows or {}).get(file.number)
        count = file.extent.count if window is None else inside(file, *window).count
        wanted = {name: kind for name, kind in file.kinds.items() if dims is None or name in dims}
        chunks = -(-count // chunk)
        # The index besides, the grid's edges, and heads.
        total += count * record_type(wanted).itemsize + 8 * (chunks + 2) * (CELLS + 1) + 4096
        if file.is_remote and file.stamp is not None and file.extent.count:
            total += int(file.stamp[0] or 0) * count // file.extent.count
    return total


def _clipped(file: FileRef, low: Floats, high: Floats) -> Box:
    """Of a box, what lies where the file may have points."""
    return np.maximum(low, file.low), np.minimum(high, file.high)


def inside(file: FileRef, low: Floats, high: Floats) -> Extent:
    """The extent of a file's points in a box, if they lie evenly."""
    low, high = _clipped(file, low, high)
    width = np.maximum(file.high - file.low, 1e-300)
    count = int(np.ceil(file.extent.count * float(np.clip((high - low) / width, 0, 1).prod())))
    return Extent(count, np.append(low, file.extent.low[2]), np.append(high, file.extent.high[2]))


def _holds(buckets: Buckets, window: Box | None) -> bool:
    return buckets.window is None or (window is not None and buckets.covers(*window))


def _room(buckets: Buckets) -> float:
    """Of the plane."""
    return np.inf if buckets.window is None else float((buckets.window[1] - buckets.window[0]).prod())


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


def spanned(extents: Sequence[Extent]) -> Extent:
    """Of all points together."""
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
