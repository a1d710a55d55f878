"""Work that an interrupt must not tear apart: it is held back until the work is done, and comes then."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import current_thread, main_thread
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


def whole_import(name: str) -> ModuleType:
    """The module ``name``; an interrupt waits until it is imported.

    Libraries in C, torch and numpy among them, crash or cannot be imported a second time once the first was left in
    the middle.
    """
    if name in sys.modules:
        return import_module(name)
    with held():
        return import_module(name)
