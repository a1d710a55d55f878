"""Every error says where: at which stage of which pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deburr.core.errors import DeburrError, ReadError, RunError, SpecError, WriteError


@contextmanager
def blamed(where: str, points: int = 0) -> Iterator[None]:
    """Put a stage's place, ``where``, before the message of whatever stops it at work on ``points`` points."""
    try:
        yield
    except SpecError as error:
        raise SpecError([f"{where}: {problem}" for problem in error.errors]) from error
    except DeburrError as error:
        kind = next(k for k in (ReadError, WriteError, RunError, DeburrError) if isinstance(error, k))
        raise kind([f"{where}: {problem}" for problem in error.errors]) from error
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise RunError(f"{where}: {name}{error.strerror or error}; free the cause and run again") from error
    except Exception as error:
        if not _out_of_memory(error):
            raise
        size = f" for {points:,} points" if points else ""
        raise RunError(
            f"{where}: not enough memory{size}; close other programs, or cut the cloud into smaller files"
        ) from error


def _out_of_memory(error: Exception) -> bool:
    """torch raises RuntimeError where Python raises MemoryError, and must not be imported here."""
    said = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and ("not enough memory" in said or "can't allocate memory" in said))
    )
