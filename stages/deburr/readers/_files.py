"""Files that are read as a whole."""

from __future__ import annotations

from deburr.core.errors import ReadError


def whole(path: str) -> bytes:
    """The bytes of the file at ``path``. Raises `ReadError`."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        raise ReadError(f"{path}: does not exist; check the file name") from None
    except IsADirectoryError:
        raise ReadError(f"{path}: is a folder; give the name of a file in it") from None
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror or error}); check the file and its rights") from error
    except MemoryError as error:
        raise ReadError(f"{path}: needs more memory than there is; read a part of it") from error
