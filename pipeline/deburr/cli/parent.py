"""Ends a command as an interrupt does once the program that began it is gone, so that nothing works on for nobody."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

from deburr.cli.say import say
from deburr.core.interrupts import ask

#: Seconds between two looks.
_GLANCE = 1.0
#: What ends a command cleanly, the one first that is least often ignored: shells ignore Ctrl-C for what they put into
#: the background.
_ASK = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def following(parent: int | None) -> Iterator[None]:
    """Interrupt the main thread when the process ``parent`` is gone; None: nobody is watched.

    Raises KeyboardInterrupt where it is gone already.
    """
    if parent is None:
        yield
        return
    gone = _watch(parent)
    if gone():
        say(f"--parent {parent}: there is no such process any more; nothing was begun", "warning")
        raise KeyboardInterrupt
    over, asking = threading.Event(), threading.Lock()

    def look() -> None:
        while not over.wait(_GLANCE):
            if gone():
                with asking:
                    if not over.is_set():
                        _interrupt()
                return

    threading.Thread(target=look, name="parent", daemon=True).start()
    try:
        yield
    finally:
        with asking:  # what comes later would meet nobody who clears away
            over.set()


def _interrupt() -> None:
    ask(next((one for one in _ASK if callable(signal.getsignal(one))), signal.SIGINT))


def _watch(pid: int) -> Callable[[], bool]:
    """A function that says whether the process ``pid`` has ended; another that gets its number is not taken for it
    where the system allows to tell."""
    if sys.platform == "win32":
        return _watch_handle(pid)
    if os.getppid() == pid:
        return lambda: os.getppid() != pid
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return lambda: True
        except OSError:  # an old kernel, or one that is told to refuse
            return lambda: not _exists(pid)
        # It can be read once the process has ended, even if nobody has taken note of that.
        return lambda: bool(select.select([handle], [], [], 0)[0])
    return lambda: not _exists(pid)


def _exists(pid: int) -> bool:
    with suppress(PermissionError):  # it is there, and another user's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def _watch_handle(pid: int) -> Callable[[], bool]:
    """The same on Windows, where `os.kill` ends processes whatever the signal."""
    if sys.platform != "win32":
        raise NotImplementedError
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    kernel.WaitForSingleObject.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    handle = kernel.OpenProcess(0x0010_0000, False, pid)  # SYNCHRONIZE
    if not handle:
        refused = ctypes.get_last_error() == 5  # ERROR_ACCESS_DENIED: it is there
        return lambda: not refused
    return lambda: bool(kernel.WaitForSingleObject(handle, 0) == 0)  # WAIT_OBJECT_0


class Pid(click.ParamType[int]):
    """The number of a process."""

    name = "pid"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """A whole number from 1 on that a system may give to a process."""
        text = str(value).strip()
        if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**31):
            self.fail(f"{text[:40]!r} is no number of a process; give a whole one from 1 on, such as 4711", param, ctx)
        return int(text)
