"""What was fetched of files on the web, kept for later runs, where the user asks for it: `FOLDER`, `LIMIT`.

Of each state of a file there are pieces, each a file of its own that never changes: written under another name, and
believed only where the sum of its bytes is right. So who reads needs no lock, and one that is killed harms nothing.
A state is kept that its server has a mark for, and is asked for again each time; no address is in a name or a piece.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from deburr.core import locks, sizes
from deburr.core.addresses import is_told, shown
from deburr.core.errors import ReadError, WriteError
from deburr.core.files import plain, private, private_folder
from deburr.core.servers import State
from deburr.core.text import short

#: In the environment: a folder, and the bytes that may lie there, with the default.
FOLDER, LIMIT, USUAL = "DEBURR_CACHE", "DEBURR_CACHE_SIZE", "10GB"
#: Bytes of a piece, at most.
PIECE = 1 << 20
#: Below the folder that is named: everything that may be deleted.
_BELOW = "fetched"
_NAME = re.compile(r"([0-9a-f]{16})-(\d{1,18})-(\d{1,18})")
_SUM = hashlib.sha256().digest_size
#: Shares of the limit: after adding the one a process looks again how much there is; the other is left free, for what
#: others add meanwhile, and once more where something has to go.
_LOOK, _ROOM = 64, 8
#: Seconds after which what is half-written is of a process that is no more.
_LEFT = 3600.0
#: Room on the disk that is left alone, bytes.
_SPARE = 1 << 28
#: Of each folder, bytes that may be added before it is looked at again.
_left: dict[Path, int] = {}
_alone = Lock()

Ranges = Sequence[tuple[int, int]]


class Cached:
    """What is there of one file. What the disk refuses is not there: the file is fetched then."""

    def __init__(self, folder: Path, limit: int, address: str) -> None:
        self._folder, self._limit = folder, limit
        self._place = folder / hashlib.sha256(shown(address).encode()).hexdigest()[:32]
        self._state = ""

    @classmethod
    def of(cls, address: str) -> Cached | None:
        """As the environment says; None: nothing is to be kept. Raises `ReadError`."""
        named = os.environ.get(FOLDER, "")
        if not named or not is_told(address):
            return None
        told = os.environ.get(LIMIT, "") or USUAL
        limit = sizes.parse(told)
        if not limit:
            raise ReadError(f"{LIMIT}: is no amount of bytes ('{short(told, 40)}'); give one such as 20GB, or unset it")
        folder = Path(os.path.abspath(named)) / _BELOW
        try:
            private_folder(folder, "what is fetched", f"name another folder in {FOLDER}, or unset it")
        except WriteError as error:
            raise ReadError(str(error)) from error
        return cls(folder, limit, address)

    @property
    def known(self) -> bool:
        """Whether there is any of the file, in whatever state."""
        return next(self._names(), None) is not None

    def begin(self, state: State) -> None:
        """The file is in this state."""
        # What is marked as weak may be the same for other bytes.
        mark = None if state.mark is None or state.mark.startswith("W/") else state.mark
        if mark is not None or state.changed is not None:
            told = json.dumps([state.size, mark, state.changed])
            self._state = hashlib.sha256(told.encode()).hexdigest()[:16]

    def find(self, wanted: Ranges) -> Iterator[tuple[int, bytes]]:
        """Pieces that hold some of the ranges ``wanted``, each with where it begins."""
        for name in [*self._names()] if self._state else ():
            state, begin, end = name.split("-")
            first, last = int(begin), int(end)
            if state == self._state and any(low < last and high > first for low, high in wanted):
                data = self._read(name, last - first)
                if data is not None:
                    yield first, data

    def add(self, begin: int, data: bytes) -> None:
        """Keep ``data``, which stands at byte ``begin`` of the file, if there is room."""
        size = len(data) + _SUM
        if not self._state or not data or size > self._limit:
            return
        name = f"{self._state}-{begin}-{begin + len(data)}"
        temporary = self._place / f".{secrets.token_hex(8)}"
        with suppress(OSError), self._writing():
            if not self._has_room(size):
                return
            self._place.mkdir(mode=0o700, exist_ok=True)
            try:
                with open(temporary, "xb", opener=private) as file:
                    file.write(_sum(name, data) + data)
                os.replace(temporary, self._place / name)
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """While this lasts, nobody else adds anything."""
        with open(self._folder / ".lock", "wb", opener=private) as lock, _alone:
            with suppress(OSError):  # some network disks have no locks; then there may be a little too much
                locks.take(lock.fileno(), wait=True)
            yield

    def _names(self) -> Iterator[str]:
        with suppress(OSError):
            yield from (name for name in os.listdir(self._place) if _NAME.fullmatch(name))

    def _read(self, name: str, count: int) -> bytes | None:
        path = self._place / name
        try:
            with open(path, "rb", opener=plain) as file:
                found = file.read(_SUM + count + 1)
            if len(found) == _SUM + count and found[:_SUM] == _sum(name, found[_SUM:]):
                os.utime(path)  # it is the last that goes
                return found[_SUM:]
            path.unlink()
        except OSError:
            pass
        return None

    def _has_room(self, size: int) -> bool:
        """Whether ``size`` bytes may be added, for which others may have to go."""
        left = _left.get(self._folder, 0) - size
        if left < 0:
            most = max(self._limit - self._limit // _ROOM, size)
            free = most - self._used()
            if free < size:
                free = most - self._used(most=most - max(size, self._limit // _ROOM))
            if free < size or shutil.disk_usage(self._folder).free < size + _SPARE:
                return False
            left = min(free - size, self._limit // _LOOK)
        _left[self._folder] = left
        return True

    def _used(self, most: int | None = None) -> int:
        """Bytes that are there; what was asked for longest ago goes until they are ``most``."""
        found = [*self._there()]
        total = sum(size for _, _, size, _ in found)
        for is_piece, _, size, path in sorted(found):
            if is_piece and (most is None or total <= most):
                break
            with suppress(OSError):
                os.unlink(path)
                total -= size
                os.rmdir(os.path.dirname(path))  # if that was the last
        return total

    def _there(self) -> Iterator[tuple[bool, int, int, str]]:
        """Of every file: whether it is a piece, when it was asked for, its size and path."""
        now = time.time()
        for place in os.listdir(self._folder):
            with suppress(OSError):  # others remove what is there, too
                for one in os.scandir(self._folder / place):
                    with suppress(OSError):
                        state = one.stat(follow_symlinks=False)
                        is_piece = _NAME.fullmatch(one.name) is not None
                        if is_piece or now - state.st_mtime > _LEFT:  # else some process is writing it
                            yield is_piece, state.st_mtime_ns, state.st_size, one.path


def _sum(name: str, data: bytes) -> bytes:
    """That tells whether a piece is whole, and in its place."""
    return hashlib.sha256(name.encode() + b"\n" + data).digest()
