"""The one door to files that are read: on this machine, or at an address."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO, cast

from deburr.core import web
from deburr.core.addresses import is_address, shown
from deburr.core.errors import ReadError
from deburr.core.files import size_of

#: Bytes that are taken at a time of what was fetched.
_PIECE = 1 << 20


@contextmanager
def opened(path: str, parts: bool = False) -> Generator[BinaryIO]:
    """The file at ``path``, which may be an address, open. What goes wrong with it meanwhile is a `ReadError`.

    One on the web is fetched to scratch first; with ``parts`` it is not, and `deburr.core.web.fetch` says what of it is
    needed.
    """
    told = shown(path)
    try:
        with _open(path, parts) as stream:
            yield stream
    except FileNotFoundError:
        raise ReadError(f"{told}: does not exist; check the file name") from None
    except IsADirectoryError:
        raise ReadError(f"{told}: is a folder; give the name of a file in it") from None
    except OSError as error:
        raise ReadError(f"{told}: cannot be read ({error.strerror or error}); check the file and its rights") from error
    except MemoryError as error:
        raise ReadError(f"{told}: needs more memory than there is; read a part of it") from error


def _open(path: str, parts: bool) -> BinaryIO:
    if not is_address(path):
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode) and not status.st_size:
            raise ReadError(f"{shown(path)}: is empty (0 bytes), as a transfer leaves it that failed; get it again")
        return open(path, "rb")
    file = web.opened(path)
    if parts:
        return file
    web.fetch(file, [(0, size_of(file))])
    file.seek(0)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, file), _PIECE))


def whole(path: str) -> bytes:
    """The bytes of the file at ``path``, which may be an address. Raises `ReadError`."""
    with opened(path) as stream:
        return stream.read()


def stamp(stream: BinaryIO) -> tuple[int | str | None, ...]:
    """The state of an open file, by which it is known again: its size, and when it was changed, ns; of one on the web,
    what its server tells."""
    raw = stream.raw if isinstance(stream, io.BufferedReader) else stream
    if isinstance(raw, web.Remote):
        state = raw.fetched.state
        return state.size, state.mark, state.changed
    status = os.fstat(stream.fileno())
    return status.st_size, status.st_mtime_ns
