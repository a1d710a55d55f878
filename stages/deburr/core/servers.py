"""What holds files on the web: web servers, and stores of objects. Each answer says of which state of a file it is."""

from __future__ import annotations

import base64
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from deburr.core.addresses import NO_FILES, shown
from deburr.core.errors import ReadError, WriteError

#: Seconds that a server may be silent, and bytes a second that it must give on the whole.
TIMEOUT, SLOWEST = 30.0, 10_000
#: Of an answer: bytes that are taken at a time.
_PIECE = 1 << 20
#: Bytes a second that a store must give: its answers come whole, so that nothing else tells whether it is silent.
_STORES = 100_000
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class State:
    """What tells a file from what it was before: its size, and marks of its server (None where it gives none)."""

    size: int
    mark: str | None = None
    changed: str | None = None

    def same(self, other: State) -> bool:
        """Whether both may be of the same file: a mark that one answer lacks says nothing."""
        pairs = (self.mark, other.mark), (self.changed, other.changed)
        return self.size == other.size and all(None in pair or pair[0] == pair[1] for pair in pairs)


class Server(Protocol):
    """What holds a file."""

    def get(self, begin: int, end: int | None) -> Iterator[tuple[State, int, bytes]]:
        """Pieces of the bytes [begin, end) (None: all there are), each with where it begins; a server may give the
        whole file instead. Raises `Failed`, `Broken`."""


class Failed(Exception):
    """What would not be otherwise if it were tried again; the message is a clause with its remedy."""


class Broken(Exception):
    """What may go well the next time; the message is a clause."""


def server_of(address: str) -> Server:
    """Who is to be asked for the file at ``address``. Raises `ReadError`."""
    try:
        scheme = urlsplit(address).scheme.lower()
    except ValueError:
        raise ReadError(f"{shown(address)}: is no address that can be asked for; correct it") from None
    return Http(address) if scheme in ("http", "https") else Store(address)


def send(path: str, address: str) -> None:
    """Put the local file at ``path`` under an ``address``: complete, or not at all. Raises `WriteError`."""
    try:
        server = server_of(address)
        if not isinstance(server, Store):
            raise WriteError(f"{shown(address)}: {NO_FILES}")
        server.put(path)
    except ReadError as error:
        raise WriteError(str(error)) from None
    except Failed as error:
        raise WriteError(f"{shown(address)}: {error}") from None
    except Broken as error:
        raise WriteError(f"{shown(address)}: {error}; nothing was written there, run again") from None


class Http:
    """A file on a web server. Names and passwords in its address go to that server alone."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        place = parts.netloc.rpartition("@")[2]
        self._address = urlunsplit(parts._replace(netloc=place, fragment=""))
        self._login = None
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._login = "Basic " + base64.b64encode(login.encode()).decode()

    def get(self, begin: int, end: int | None) -> Iterator[tuple[State, int, bytes]]:
        """See `Server`."""
        try:
            request = urllib.request.Request(self._address, headers={"Accept-Encoding": "identity"})
            request.add_header("Range", f"bytes={begin}-" if end is None else f"bytes={begin}-{end - 1}")
            request.add_header("User-Agent", "deburr")
            if self._login is not None:
                request.add_unredirected_header("Authorization", self._login)
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                state, place, length = _said(answer, begin, end)
                yield from _pieces(answer, state, place, length)
        except urllib.error.HTTPError as error:
            error.close()
            raise _refusal(error.code, error.reason) from None
        except (http.client.InvalidURL, ValueError) as error:
            raise Failed("is no address that can be asked for; correct it") from error
        except TimeoutError:
            raise Broken(f"the server was silent for {TIMEOUT:g} seconds") from None
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"cannot be reached ({_reason(error)})") from None


def _said(answer: Any, begin: int, end: int | None) -> tuple[State, int, int]:
    """What an answer says of the file, and where its bytes begin and how many they are."""
    length = answer.headers.get("Content-Length")
    marks = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
    if answer.status == 206:
        unit, _, told = answer.headers.get("Content-Range", "").partition(" ")
        told, _, size = told.partition("/")
        first, _, last = told.partition("-")
        if unit != "bytes" or not all(one.isascii() and one.isdigit() for one in (first, last, size)):
            raise Failed("its server answers a range without saying which; download the file")
        whole = int(size) if end is None else min(end, int(size))
        if (int(first), int(last)) != (begin, whole - 1) or (length is not None and int(length) != whole - begin):
            raise Failed("its server gives other bytes than were asked for; download the file")
        return State(int(size), *marks), begin, whole - begin
    if answer.status != 200 or length is None or not length.isdigit():
        raise Failed("its server says not how long it is; download the file")
    return State(int(length), *marks), 0, int(length)


def _pieces(answer: Any, state: State, place: int, length: int) -> Iterator[tuple[State, int, bytes]]:
    """The bytes of an answer, which must come at a sensible pace."""
    deadline, left = time.monotonic() + TIMEOUT + length / SLOWEST, length
    while left:
        data = answer.read1(min(_PIECE, left))
        if not data:
            raise Broken(f"the line broke after {length - left:,} of {length:,} bytes")
        yield state, place, data
        place, left = place + len(data), left - len(data)
        if left and time.monotonic() > deadline:
            raise Failed(f"its server gives less than {SLOWEST / 1000:g} kB a second; try again later, or download it")


def _refusal(code: int, reason: Any) -> Exception:
    told = f"{code} {reason}".strip()
    if code in _LATER:
        return Broken(f"the server answers {told}")
    if code in (401, 403):
        return Failed(f"its server refuses it ({told}); check your rights, or whether the address has run out")
    if code in (404, 410):
        return Failed(f"does not exist ({told}); check the address")
    return Failed(f"its server answers {told}; check the address")


def _reason(error: BaseException) -> str:
    """Without the address, which may be in it."""
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return f"no answer in {TIMEOUT:g} seconds"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__ if not isinstance(inner, str) else shown(inner)


@contextmanager
def _told(done: str, missing: str) -> Iterator[None]:
    """In our words, and without the address: what a store says of a file that is to be ``done``, or is ``missing``."""
    try:
        yield
    except (Failed, Broken):
        raise
    except FileNotFoundError:
        raise Failed(missing) from None
    except PermissionError:
        raise Failed("its store refuses it; check your rights and the names of your keys") from None
    except (OSError, TimeoutError) as error:
        raise Broken(f"cannot be reached ({_reason(error)})") from None
    except Exception as error:
        # The programs of stores have errors of their own: no keys, no region, a name that none has.
        raise Failed(f"cannot be {done} ({type(error).__name__}); check the address and your keys") from None


#: What stores call a file's mark, and the time of its last change.
_MARKS = ("ETag", "etag", "md5Hash"), ("LastModified", "last_modified", "updated", "mtime")


class Store:
    """A file in a store of objects (s3, gs, az), through fsspec and the package that it has for the store."""

    def __init__(self, address: str) -> None:
        try:
            import fsspec

            self._system, self._name = fsspec.core.url_to_fs(address)
        except ImportError as error:
            raise ReadError(
                f"{shown(address)}: such addresses need another package ({shown(str(error))}); "
                "pip install 'deburr[cloud]'"
            ) from None
        except ValueError as error:
            raise ReadError(f"{shown(address)}: is no address that is known ({shown(str(error))})") from None
        self._told: State | None = None

    def get(self, begin: int, end: int | None) -> Iterator[tuple[State, int, bytes]]:
        """See `Server`."""
        with _told("read", "does not exist; check the address"):
            state = self._asked()
            end = state.size if end is None else min(end, state.size)
            for at in range(begin, end, _PIECE * 8):
                last = min(end, at + _PIECE * 8)
                data = self._call("cat_file", start=at, end=last)
                if len(data) != last - at:
                    raise Broken(f"the store gave {len(data):,} bytes of {last - at:,}")
                yield state, at, data

    def _call(self, name: str, **options: Any) -> Any:
        """What the store's method gives for this file, within the time that such an answer may take."""
        if not self._system.async_impl:
            return getattr(self._system, name)(self._name, **options)
        from fsspec.asyn import sync

        # The programs of stores try again for themselves, for many minutes where nobody answers.
        allowed = TIMEOUT + (options.get("end", 0) - options.get("start", 0)) / _STORES
        return sync(self._system.loop, getattr(self._system, f"_{name}"), self._name, timeout=allowed, **options)

    def put(self, path: str) -> None:
        """The local file at ``path`` in the place of this one: complete, or not at all. Raises `Failed`, `Broken`."""
        with _told("written", "cannot be written: there is no such bucket; check the address"):
            self._system.put_file(path, self._name)
            stored = self._asked().size
        if stored != os.path.getsize(path):
            raise Broken(f"the store has kept {stored:,} bytes of {os.path.getsize(path):,}")

    def _asked(self) -> State:
        with suppress(Exception):  # not all stores remember what they told
            self._system.invalidate_cache()
        told = self._call("info")
        marks = (
            told.get("ETag") or told.get("etag") or told.get("md5Hash"),
            told.get("LastModified") or told.get("mtime"),
        )
        return State(int(told["size"]), *(None if mark is None else str(mark) for mark in marks))
