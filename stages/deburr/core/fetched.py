"""Where the bytes lie that were fetched of a file on the web: each process's own, or in a folder that many share."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from deburr.core import locks
from deburr.core.files import plain, private, private_folder, replacing
from deburr.core.servers import State

Ranges = list[tuple[int, int]]


class Kept(Protocol):
    """Bytes of a file, some of them ``there``: ranges [begin, end), ascending, apart.

    folder : where they are kept; ``remedy``: how another is named.
    known : whether some of the file, in whatever state, were there before.
    """

    folder: str
    remedy: str
    known: bool
    there: Ranges

    def begin(self, state: State) -> None:
        """The file is in this state."""
        ...

    def alone(self) -> Any:
        """While this lasts, nobody else fetches the same file to the same place."""
        ...

    def read(self, at: int, view: memoryview) -> int:
        """Fill ``view`` with bytes that are there."""
        ...

    def write(self, begin: int, data: bytes) -> None:
        """Keep ``data``, which stands at byte ``begin`` of the file."""
        ...


class Own:
    """What one process fetches for itself: gone with the last who knows of it."""

    remedy, known = "TMPDIR name another folder", False

    def __init__(self) -> None:
        self.folder = tempfile.gettempdir()
        self.there: Ranges = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def begin(self, state: State) -> None:
        """See `Kept`."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Kept`."""
        yield

    def read(self, at: int, view: memoryview) -> int:
        """See `Kept`."""
        self._file.seek(at)
        return int(self._file.readinto(view))

    def write(self, begin: int, data: bytes) -> None:
        """See `Kept`."""
        self._file.seek(begin)
        self._file.write(data)
        self.there = joined(self.there, begin, begin + len(data))


class Shared:
    """What all processes fetch that work in ``folder``; of each state of the file at ``path``, in a folder of its own:
    ``bytes``, which has holes, and ``there.json``, which tells of what is there. No address is in it."""

    remedy = "the output be in another"

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self._name = str(folder), name_of(path)
        private_folder(folder)
        self.known = any(folder.glob(f"{self._name}-*"))
        self.there: Ranges = []
        self._place = folder
        self._file: FileIO | None = None

    def begin(self, state: State) -> None:
        """See `Kept`."""
        told = json.dumps([state.size, state.mark, state.changed])
        self._place = Path(self.folder) / f"{self._name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        private_folder(self._place)
        self._file = FileIO(private(self._place / "bytes", os.O_RDWR | os.O_CREAT), "r+")
        self._load()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Kept`."""
        with open(self._place / "lock", "wb", opener=private) as lock:
            with suppress(OSError):  # some network disks have no locks; then two may fetch the same
                locks.take(lock.fileno(), wait=True)
            self._load()
            try:
                yield
            finally:
                self._save()

    def read(self, at: int, view: memoryview) -> int:
        """See `Kept`."""
        assert self._file is not None
        self._file.seek(at)
        return int(self._file.readinto(view) or 0)

    def write(self, begin: int, data: bytes) -> None:
        """See `Kept`."""
        assert self._file is not None
        self._file.seek(begin)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.there = joined(self.there, begin, begin + len(data))

    def _load(self) -> None:
        """Take in what others have fetched."""
        with suppress(FileNotFoundError), open(self._place / "there.json", encoding="utf-8", opener=plain) as file:
            for low, high in json.load(file):
                self.there = joined(self.there, int(low), int(high))

    def _save(self) -> None:
        assert self._file is not None
        os.fsync(self._file.fileno())  # never is less there than it says
        with replacing(self._place / "there.json") as temporary:
            temporary.write_text(json.dumps(self.there), encoding="utf-8")


def name_of(path: str) -> str:
    """The name of the folders of the file at ``path``, an address as anybody may see it."""
    return hashlib.sha256(path.encode()).hexdigest()[:24]


def remove(folder: Path, path: str) -> None:
    """Remove what was fetched of the file at ``path`` to ``folder``."""
    for place in folder.glob(f"{name_of(path)}-*"):
        shutil.rmtree(place, ignore_errors=True)


def joined(there: Ranges, begin: int, end: int) -> Ranges:
    """``there`` with the range [begin, end)."""
    apart = [one for one in there if one[1] < begin or one[0] > end]
    touching = [one for one in there if one[1] >= begin and one[0] <= end]
    merged = min([begin, *(low for low, _ in touching)]), max([end, *(high for _, high in touching)])
    return sorted([*apart, merged])
