"""Writing without harm: a file appears under its name only when it is complete."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deburr.core.errors import DeburrError, WriteError


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


#: What `replacing` calls a file until it is complete.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}(\.[^.]*)?", re.DOTALL)


def clear_left(paths: Iterable[str | Path]) -> None:
    """Remove what `replacing` left beside ``paths`` in processes that were killed; none that lives may write these."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        target = Path(os.path.realpath(path))
        names.setdefault(target.parent, set()).add(target.stem[:80] + target.suffix)
    for folder, wanted in names.items():
        with suppress(OSError):
            for found in folder.iterdir():
                match = _TEMPORARY.fullmatch(found.name)
                if match and match[1] + (match[2] or "") in wanted:
                    found.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; at the end it takes ``path``'s place, or vanishes if anything failed.

    The bytes reach the disk before the name changes, so that a crash leaves the old file or the new one. A file that
    is replaced hands on its permissions.
    Raises `WriteError` for what the operating system refuses.
    """
    target = Path(os.path.realpath(path))
    check_folder(target)
    temporary = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except DeburrError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{path}: cannot be written ({reason}); free space or choose another output path") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
