"""Files on the web, read by ranges: what was fetched once lies on the disk and is not fetched again.

Every answer says how long the file is and in which state; one that differs from the first is of another file, and ends
the work. Failures of the line and of the server are tried again; what is refused, or is not there, is not.
"""

from __future__ import annotations

import io
import os
import shutil
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from deburr.core.addresses import shown
from deburr.core.cache import PIECE, Cached
from deburr.core.errors import ReadError
from deburr.core.fetched import Kept, Own, Shared
from deburr.core.progress import advance
from deburr.core.servers import Broken, Failed, State, server_of

#: Times that something is tried, and seconds before the second time; the third waits twice as long.
TRIES, PAUSE = 4, 0.5
#: Bytes that are fetched at least: the head of a file with its records, or its end.
BLOCK = 1 << 16
#: Bytes between two ranges that are fetched along with them: about what a request costs in time.
GAP = 1 << 16
#: Ranges from which on larger gaps are fetched along, up to this share of all that is wanted.
_FEW, _SHARE = 8, 1 / 16
#: Bytes after which a line that breaks is as good as new.
_MUCH = 1 << 20
#: Room on the disk that is left alone, bytes.
_SPARE = 1 << 28
#: Files whose bytes are kept.
_KEPT = 4


class Fetched:
    """The bytes of a file at ``address``, as far as they were asked for. All raises `ReadError`, whose sentence hides
    what is secret.

    They lie in a file of their own, or, with a ``folder``, in one that all processes share which fetch to that folder.
    """

    def __init__(self, address: str, folder: Path | None = None) -> None:
        self.path = shown(address)
        self._server = server_of(address)
        self._state: State | None = None
        self._kept: Kept = Own() if folder is None else Shared(folder, self.path)
        self._cached = Cached.of(address)
        known = self._kept.known or (self._cached is not None and self._cached.known)
        state = self._told() if known else None
        if state is None:
            self._fetch(0, BLOCK)
        else:
            self._check_state(state)
        with self._kept.alone():
            pass  # others find the head from now on

    @property
    def size(self) -> int:
        """Of the file, bytes."""
        return 0 if self._state is None else self._state.size

    @property
    def state(self) -> State:
        """Of the file, as its server told it."""
        assert self._state is not None
        return self._state

    def read(self, at: int, view: memoryview) -> int:
        """Fill ``view`` with the bytes from ``at`` on; how many there are."""
        end = min(at + len(view), self.size)
        if end <= at:
            return 0
        self.fetch([(at, end)])
        return self._kept.read(at, view[: end - at])

    def is_current(self) -> bool:
        """Whether the file is still as it was, as far as can be told."""
        state = self._told()
        return state is not None and self._state is not None and self._state.same(state)

    def _told(self) -> State | None:
        """The state that the file is in now, if that can be told."""
        try:
            return next(iter(self._server.get(0, 1)))[0]
        except (Failed, Broken, StopIteration):
            return None

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have the bytes of ``ranges`` [begin, end) at hand, with as few requests as is sensible."""
        ranges = [*ranges]
        if not any(gap for one in ranges for gap in self._missing(*one)):
            return
        with self._kept.alone():  # what another process is fetching need not be fetched again
            self._recall([gap for one in ranges for gap in self._missing(*one)])
            missing = _coalesced(sorted(gap for one in ranges for gap in self._missing(*one)))
            total, done = sum(end - begin for begin, end in missing), 0
            for begin, end in missing:
                self._fetch(*self._widened(begin, end), partial(_tell, done, total))
                done += end - begin

    def _widened(self, begin: int, end: int) -> tuple[int, int]:
        """A range of at least `BLOCK` bytes around a smaller one, as far as these are not at hand: as much on, or, at
        the end of the file, before it."""
        low = max([0, *(high for _, high in self._kept.there if high <= begin)])
        high = min([self.size, *(low for low, _ in self._kept.there if low >= end)])
        first = max(low, min(begin, self.size - BLOCK))
        return first, min(high, max(end, first + BLOCK))

    def _missing(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that are not at hand."""
        end = min(end, self.size)
        for low, high in self._kept.there:
            if high > begin and low < end:
                if begin < low:
                    yield begin, low
                begin = max(begin, high)
        if begin < end:
            yield begin, end

    def _fetch(self, begin: int, end: int, told: Callable[[int], None] = lambda _: None) -> None:
        """Get the bytes [begin, end); after a break, what is left of them."""
        at, last, tries, cached = begin, begin, 0, begin
        self._check_room(end - begin)
        while at < end:
            try:
                for state, place, data in self._server.get(at, end):
                    self._check_state(state)
                    end = min(end, state.size)
                    self._keep(place, data)
                    at = max(at, place + len(data))
                    cached = self._remember(cached, at, PIECE)
                    told(at - begin)
                if at < end:
                    raise Broken(f"the line broke after {at - begin:,} of {end - begin:,} bytes")
                return
            except Failed as error:
                raise ReadError(f"{self.path}: {error}") from None
            except Broken as error:
                # Whoever gives a little each time would keep us for ever.
                tries, last = (1 if at - last >= _MUCH else tries + 1), at
                if tries == TRIES:
                    raise ReadError(f"{self.path}: {error}, {TRIES} times; try again later") from None
                time.sleep(PAUSE * 2 ** (tries - 1))
            finally:
                cached = self._remember(cached, at, 1)

    def _recall(self, wanted: list[tuple[int, int]]) -> None:
        """Have at hand what earlier runs have fetched."""
        for begin, data in self._cached.find(wanted) if self._cached is not None else ():
            self._check_room(len(data))
            self._keep(begin, data)

    def _remember(self, begin: int, end: int, least: int) -> int:
        """Keep the bytes [begin, end), which are at hand, for later runs, if they are ``least``; up to where they are
        kept now."""
        while self._cached is not None and end - begin >= least:
            data = bytearray(min(PIECE, end - begin))
            self._kept.read(begin, memoryview(data))
            self._cached.add(begin, bytes(data))
            begin += len(data)
        return begin

    def _check_state(self, state: State) -> None:
        if self._state is None:
            self._check_room(0)
            self._state = state
            self._kept.begin(state)
            if self._cached is not None:
                self._cached.begin(state)
        elif not self._state.same(state):
            raise ReadError(f"{self.path}: was changed while it was read; run again when nothing writes to it")

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._kept.folder).free
        if needed + _SPARE > free:
            raise ReadError(
                f"{self.path}: {needed / 1e6:,.0f} MB of it would be fetched to {self._kept.folder}, where "
                f"{free / 1e6:,.0f} MB are free; free space, or let {self._kept.remedy}"
            )

    def _keep(self, begin: int, data: bytes) -> None:
        try:
            self._kept.write(begin, data)
        except OSError as error:
            raise ReadError(
                f"{self.path}: what is fetched cannot be kept in {self._kept.folder} ({error.strerror}); free space"
            ) from error


def _tell(before: int, total: int, count: int) -> None:
    advance("fetching", before + count, total)


def _coalesced(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """``ranges`` [begin, end), ascending by begin, joined where that is worth a request."""
    gaps = sorted(after[0] - before[1] for before, after in pairwise(ranges))
    widest = GAP
    if len(gaps) >= _FEW:
        wanted = sum(end - begin for begin, end in ranges)
        widest = max(GAP, min(gaps[-_FEW], int(wanted * _SHARE)))
    found: list[tuple[int, int]] = []
    for begin, end in ranges:
        if found and begin - found[-1][1] <= widest:
            begin, end = found[-1][0], max(end, found.pop()[1])
        found.append((begin, end))
    return found


class Remote(io.RawIOBase):
    """A place in `Fetched`, as an open file has one."""

    def __init__(self, fetched: Fetched) -> None:
        super().__init__()
        self.fetched, self._at = fetched, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes from the begin."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + (0, self._at, self.fetched.size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of any file."""
        count = self.fetched.read(self._at, memoryview(buffer).cast("B"))
        self._at += count
        return count


_Key = tuple[str, Path | None]
_kept: OrderedDict[_Key, Fetched] = OrderedDict()
#: Of those, what is not to be forgotten, and by how many.
_held: Counter[_Key] = Counter()
#: Several threads may ask for files, each for another.
_alone = Lock()
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """While this lasts, what is fetched goes to ``folder``, where all processes that work in it find it."""
    before = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(before)


def opened(address: str) -> BinaryIO:
    """The file at ``address``. What an earlier opening has fetched is at hand still, if the file has not changed since.

    Raises `ReadError`, as reading it does.
    """
    return Remote(_fetched(address))  # type: ignore[return-value]


def state_of(address: str) -> State:
    """What the server says of the file at ``address`` now. Raises `ReadError`."""
    return _fetched(address).state


@contextmanager
def held(path: str) -> Iterator[None]:
    """While this lasts, what is fetched of the file at ``path``, if that is an address, is at hand for who opens it
    again, however many others are opened in between."""
    key = (path, _folder.get())
    with _alone:
        _held[key] += 1
    try:
        yield
    finally:
        with _alone:
            _held[key] -= 1
            if not _held[key]:
                del _held[key]
            _forget()


def _fetched(address: str) -> Fetched:
    key = (address, _folder.get())
    with _alone:
        known = _kept.pop(key, None)
    if known is None or not known.is_current():
        known = Fetched(*key)
    with _alone:
        _kept[key] = known
        _forget()
    return known


def _forget() -> None:
    """Keep those alone that were asked for last."""
    loose = [key for key in _kept if not _held[key]]
    for key in loose[: max(0, len(loose) - _KEPT)]:
        del _kept[key]


def fetch(file: BinaryIO, ranges: Sequence[tuple[int, int]]) -> None:
    """Have the bytes of ``ranges`` [begin, end) of ``file`` at hand, if it is on the web. Raises `ReadError`."""
    if isinstance(file, Remote):
        file.fetched.fetch(ranges)
