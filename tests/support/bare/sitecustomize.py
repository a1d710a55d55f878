"""Python as on a system that is not POSIX, as far as that can be had on one that is.

``DEBURR_BARE`` is ``none``: what POSIX has is taken away, and there are no locks at all; or ``windows``: there are
Windows' locks of bytes, no folder can be opened, and files that this process has open are neither removed nor renamed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess  # noqa: F401  # which asks for Windows' modules, and would begin processes by these
import sys
import types
from typing import Any

import fcntl  # isort: skip  # gone after this

KIND = os.environ["DEBURR_BARE"]
_BINARY = 1 << 30


def _locking(descriptor: int, mode: int, count: int) -> None:
    """`msvcrt.locking`, of bytes from where the file stands."""
    assert mode == 2
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(descriptor, 0, os.SEEK_CUR))
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


def _opened(path: Any) -> bool:
    """Whether this process has ``path``, or what is in it, open."""
    whole = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
    for number in os.listdir("/proc/self/fd"):
        try:
            found = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if found == whole or found.startswith(f"{whole}/"):
            return True
    return False


def _strict(name: str) -> None:
    """What removes or renames refuses files that are open."""
    real = getattr(os, name)

    def strict(path: Any, *more: Any, **options: Any) -> Any:
        # Its own files it opens so that they can be removed, there.
        if sys._getframe(1).f_globals["__name__"] != "tempfile" and any(
            _opened(one) for one in (path, *more) if isinstance(one, str | os.PathLike)
        ):
            raise PermissionError(13, "it is open", os.fspath(path))
        return real(path, *more, **options)

    setattr(os, name, strict)


def _open(path: Any, flags: int, *more: Any, real: Any = os.open, **options: Any) -> int:
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    ours = sys._getframe(1).f_globals["__name__"].startswith("deburr.")
    assert flags & _BINARY or not ours or path == os.devnull, f"{path}: line ends would be changed"
    return int(real(path, flags & ~_BINARY, *more, **options))


for module in ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty"):
    sys.modules[module] = None  # type: ignore[assignment]
for name in (
    "preadv", "pwritev", "pread", "pwrite", "fchmod", "fchown", "chown", "getuid", "geteuid", "getgid", "getegid",
    "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "waitid", "pidfd_open", "sched_getaffinity", "sysconf",
    "killpg", "setsid", "getpgid", "fork", "forkpty",
):  # fmt: skip
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGQUIT", "SIGXCPU", "SIGKILL", "SIGALRM", "SIGUSR1", "alarm", "pthread_kill", "setitimer"):
    if hasattr(signal, name):
        delattr(signal, name)
if KIND == "windows":
    sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=_locking)  # type: ignore[assignment]
    os.O_BINARY = _BINARY  # type: ignore[attr-defined]
    os.open = _open
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    for name in ("unlink", "remove", "rename", "replace", "rmdir"):
        _strict(name)
