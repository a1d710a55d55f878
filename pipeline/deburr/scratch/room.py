"""Folders for what is needed in between: made, measured beforehand, and removed, if need be by the next run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from deburr.core.errors import RunError, WriteError
from deburr.core.files import private_folder, replacing
from deburr.pipeline.execute import check_writable


def make_folder(folder: Path) -> None:
    """Make an output folder if it is missing. Raises `WriteError` where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in its place" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise WriteError(f"{folder}: the folder cannot be made ({reason}); choose another") from error
    check_writable(folder / "report.json")


def make_scratch(folder: Path, names: Iterable[str]) -> None:
    """Make the scratch folder and those in it. Workers make none: one that outlives its run must not begin it anew.

    Raises `WriteError`.
    """
    for path in (folder, *(folder / name for name in names)):
        private_folder(path)


def _taken(folder: Path) -> int:
    """Bytes of what an earlier run left in scratch, which need not be written again."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def scratch_file(path: Path) -> Iterator[TextIO]:
    """A text file in scratch, which appears only when it is complete. Raises `WriteError`."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        temporary.chmod(0o600)
        yield file


def needed(folder: Path, bytes_: int) -> str:
    """A sentence that states the scratch space for ``bytes_``, and how much there is."""
    free = _gigabytes(_free(folder))
    return f"scratch: up to {_gigabytes(bytes_)} in {folder}, removed in the end; {free} are free"


def is_short(folder: Path, bytes_: int) -> bool:
    """Whether there is no room for ``bytes_`` of scratch."""
    return _free(folder) + _taken(folder) < bytes_


def check_room(folder: Path, bytes_: int) -> None:
    """Raise `RunError` where there is no room for ``bytes_`` of scratch."""
    if is_short(folder, bytes_):
        raise RunError(
            f"{folder}: {_gigabytes(bytes_)} of scratch space are needed and {_gigabytes(_free(folder))} are free; "
            "free space, or put the output on another disk"
        )


def _free(folder: Path) -> int:
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
