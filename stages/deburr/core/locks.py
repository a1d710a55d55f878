"""Locks on open files, which end with the process that holds them, however it ends.

Not by the library filelock: it opens files itself, follows links, and empties what it locks, where ours name outputs.
"""

from __future__ import annotations

import errno
import os
import time
from importlib import import_module
from types import ModuleType
from typing import Any


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


#: Of POSIX, and of Windows.
_fcntl: Any = _module("fcntl")
_msvcrt: Any = _module("msvcrt")
#: Where there are no locks but of bytes, which nobody else may then read: one that no file has.
_BYTE = 2**31 - 2
#: Seconds between two tries there.
_PAUSE = 0.05


def take(descriptor: int, wait: bool = False) -> bool:
    """Lock the open file for this process alone, until it is closed; whether it is locked now.

    ``wait`` until another process that holds it lets go; else False in that case. Raises OSError where the system or
    the disk knows no locks: some network disks do not.
    """
    if _fcntl is not None:
        try:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | (0 if wait else _fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
    while not _take_byte(descriptor):
        if not wait:
            return False
        time.sleep(_PAUSE)
    return True


def _take_byte(descriptor: int) -> bool:
    if _msvcrt is None:
        raise OSError(errno.ENOSYS, "this system has no locks")
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)
    return True
