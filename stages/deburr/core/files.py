"""Writing without harm: a file appears under its name only when it is complete, and no link leads it elsewhere.

Whoever may write in a folder can plant links there. A link under the name of an output is replaced, what it points at
is left alone; a link in the place of scratch files is refused. Links on the way to the folder are the user's own.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import glob, has_magic
from pathlib import Path
from typing import IO

from deburr.core.addresses import is_address, name_of, shown
from deburr.core.errors import DeburrError, WriteError

#: Letters of a pattern of file names, at most: as many as a path has anywhere. What a longer one matches can take
#: time that grows with its square.
_PATTERN = 4096


def is_pattern(name: str) -> bool:
    """Whether ``name`` is no name of a file but may be a pattern of such names."""
    return has_magic(name) and "\0" not in name and not os.path.exists(name)


def matching(pattern: str) -> list[str]:
    """The files and folders that ``pattern`` matches, in the order of their names; ``**``: folders below too."""
    return sorted(glob(pattern, recursive=True)) if len(pattern) <= _PATTERN else []


def check_folder(path: Path) -> None:
    """Refuse an output whose folder is missing or is no folder. Raises `WriteError`."""
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        raise WriteError(f"{path}: {folder} is a file, not a folder; choose another output path")
    if not folder.exists():
        raise WriteError(f"{path}: folder {folder} does not exist; create it, or choose another output path")
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; give the name of a file in it")
    if path.exists() and not path.is_file():
        # Replacing a device such as /dev/null by a file would harm the whole machine.
        raise WriteError(f"{path}: is a device or pipe, not a file; choose another output path")


#: For `os.open`: no link is followed, and bytes stay as they are (Windows makes other line ends otherwise).
AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
#: For `os.open`: a pipe is not waited for.
NO_WAIT = getattr(os, "O_NONBLOCK", 0)

#: What `replacing` calls a file until it is complete.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}(\.[^.]*)?", re.DOTALL)


def clear_left(paths: Iterable[str | Path]) -> None:
    """Remove what `replacing` left beside ``paths`` in processes that were killed; none that lives may write these."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        target = Path(os.path.abspath(path))
        names.setdefault(target.parent, set()).add(target.stem[:80] + target.suffix)
    for folder, wanted in names.items():
        with suppress(OSError):
            for found in folder.iterdir():
                match = _TEMPORARY.fullmatch(found.name)
                if match and match[1] + (match[2] or "") in wanted:
                    found.unlink(missing_ok=True)


def remove_left(path: Path) -> None:
    """Remove what an earlier run made and this one does not, if it is there. Raises `WriteError`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise WriteError(f"{path}: is of an earlier run and cannot be removed ({reason}); remove it") from error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; at the end it takes ``path``'s place, or vanishes if anything failed.

    The bytes reach the disk before the name changes, so that a crash leaves the old file or the new one. A file that
    is replaced hands on its permissions; a link is replaced itself.
    Raises `WriteError` for what the operating system refuses.

    An address in a store of objects is written to when all is done, from a scratch file.
    """
    if is_address(os.fspath(path)):
        with _sending(os.fspath(path)) as temporary:
            yield temporary
        return
    target = Path(os.path.abspath(path))
    check_folder(target)
    temporary = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(6)}{target.suffix}")
    try:
        mode = _handed_on(target)
        empty = None if mode is None else _made(temporary, mode)
        yield temporary
        with open(temporary, "rb+") as written:
            if _same(os.fstat(written.fileno()), empty):
                raise OSError(0, "nothing was written")
            os.fsync(written.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except DeburrError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{path}: cannot be written ({reason}); free space or choose another output path") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _sending(address: str) -> Iterator[Path]:
    from deburr.core.servers import send

    try:
        with tempfile.TemporaryDirectory(prefix="deburr-") as folder:
            temporary = Path(folder) / (name_of(address) or "points")
            yield temporary
            if not temporary.exists():
                raise OSError(0, "nothing was written")
            send(str(temporary), address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"{shown(address)}: cannot be written ({reason}); free space in {tempfile.gettempdir()}"
        ) from error


def _made(path: Path, mode: int) -> os.stat_result:
    """An empty new file, so that from the first byte on no more is open to others than in the end."""
    made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IT_IS, mode)
    try:
        return os.fstat(made)
    finally:
        os.close(made)


def _same(found: os.stat_result, empty: os.stat_result | None) -> bool:
    """Whether ``found`` is the ``empty`` file still, which nobody has written to."""
    return empty is not None and (found.st_ino, found.st_size, found.st_mtime_ns) == (
        empty.st_ino,
        0,
        empty.st_mtime_ns,
    )


def _handed_on(target: Path) -> int | None:
    """The permissions of the file that is to be replaced. Those of a link say nothing, and those of a file that
    somebody else has put there might open ours to others."""
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return None
    ours = stat.S_ISREG(found.st_mode) and found.st_uid == _user(found.st_uid)
    return found.st_mode & 0o777 if ours else None


def _user(unknown: int) -> int:
    return os.geteuid() if hasattr(os, "geteuid") else unknown


def is_ours(folder: Path) -> bool:
    """Whether ``folder`` is a folder of this user's, and no link to one."""
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == _user(found.st_uid)


def private(path: str | os.PathLike[str], flags: int) -> int:
    """For ``open(..., opener=private)``: what is made can be read by its owner alone, and no link is followed.

    Scratch files hold points of inputs that others may have no right to read.
    """
    return os.open(path, flags | AS_IT_IS, 0o600)


def plain(path: str | os.PathLike[str], flags: int) -> int:
    """As `os.open`, of files only; for ``open(..., opener=plain)``.

    A link leads to what is not ours, a pipe would be waited for, and a device may never end.
    """
    # Without waiting, a pipe that nobody reads cannot be opened for writing, and one that nobody writes to is empty.
    descriptor = os.open(path, flags | AS_IT_IS | NO_WAIT, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    return descriptor


def size_of(file: IO[bytes]) -> int:
    """Bytes of an open file; where it stands is another place then."""
    return file.seek(0, os.SEEK_END)


def read_whole(descriptor: int, most: int) -> bytes:
    """The first ``most`` bytes of an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    parts = []
    while most > 0 and (part := os.read(descriptor, most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def sync_folder(folder: Path) -> OSError | None:
    """Put on the disk which files are in ``folder``: a new file is there only then. Returns why it was not possible:
    Windows and some network disks cannot, and do it anyway or never."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        return error
    try:
        os.fsync(descriptor)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return None


def private_folder(path: Path, what: str = "scratch", remedy: str = "choose another output") -> None:
    """Make a folder that nobody else can look into, or take the one that is there.

    Raises `WriteError` where a link, a file or somebody else's folder is in its place, and for what the operating
    system refuses; it says ``what`` is to go there, and what to do.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if not is_ours(path):
            there = "a link" if path.is_symlink() else "not a folder of yours"
            raise WriteError(f"{path}: {what} is to go there, and it is {there}; remove it, or {remedy}")
        if path.stat().st_mode & 0o077:
            os.chmod(path, 0o700)
    except OSError as error:
        raise WriteError(
            f"{path}: the folder for {what} cannot be made ({error.strerror or error}); free space, or {remedy}"
        ) from error
