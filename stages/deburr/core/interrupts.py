"""Work that an interrupt must not tear apart, and interrupts that must not get lost."""

from __future__ import annotations

import signal
import sys
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Timer, current_thread, main_thread
from types import ModuleType
from typing import Any


@contextmanager
def held() -> Iterator[None]:
    """Hold back what Python's signal handlers would do, KeyboardInterrupt above all, until the block has ended.

    Handlers run in the main thread alone: in others this does nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    before = {number: handler for number in signal.Signals if callable(handler := signal.getsignal(number))}
    came: list[tuple[int, Any]] = []
    holding = True

    def keep(number: int, frame: Any) -> None:
        if holding:
            came.append((number, frame))
        else:  # something came while handlers were put back
            before[signal.Signals(number)](number, frame)

    try:
        for number in before:
            signal.signal(number, keep)
        yield
    finally:
        holding = False
        for number, handler in before.items():
            signal.signal(number, handler)
        for early, frame in came[:1]:
            before[signal.Signals(early)](early, frame)


#: Seconds after which an interrupt that was lost comes again: who lost it has gone on by then.
_SOON = 0.02


@contextmanager
def repeated(kind: type[BaseException], again: Callable[[], None]) -> Iterator[None]:
    """Within the block, ``again`` is called (in a thread) soon after an exception ``kind`` got lost.

    What a signal handler raises while a library in C calls back into Python is told and dropped there, and the work
    goes on as if nobody had asked it to end.
    """
    before = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, kind):
            before(lost)
            return
        timer = Timer(_SOON, again)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def ask(number: signal.Signals) -> None:
    """Have the main thread run the handler of signal ``number``; where the system can, out of whatever it waits for."""
    if hasattr(signal, "pthread_kill"):  # not on Windows
        signal.pthread_kill(main_thread().ident or 0, number)
    else:
        interrupt_main(number)


def whole_import(name: str) -> ModuleType:
    """The module ``name``; an interrupt waits until it is imported.

    Libraries in C, torch and numpy among them, crash or cannot be imported a second time once the first was left in
    the middle.
    """
    if name in sys.modules:
        return import_module(name)
    with held():
        return import_module(name)
