"""Files to be read."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO

from deburr.core.errors import ReadError


@contextmanager
def opened(path: str) -> Generator[BinaryIO]:
    """The file at ``path``, open. What goes wrong with it meanwhile is a `ReadError`."""
    try:
        with open(path, "rb") as stream:
            yield stream
    except FileNotFoundError:
        raise ReadError(f"{path}: does not exist; check the file name") from None
    except IsADirectoryError:
        raise ReadError(f"{path}: is a folder; give the name of a file in it") from None
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror or error}); check the file and its rights") from error
    except MemoryError as error:
        raise ReadError(f"{path}: needs more memory than there is; read a part of it") from error


def whole(path: str) -> bytes:
    """The bytes of the file at ``path``. Raises `ReadError`."""
    with opened(path) as stream:
        return stream.read()
