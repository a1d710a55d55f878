"""Interrupts that a library in C drops come again."""

from __future__ import annotations

import ctypes
import signal
import sys
import time
from functools import partial

import pytest

from deburr.core.interrupts import ask, repeated


def dropped(waited: list[str]) -> None:
    """Interrupted where it is dropped, and then for as long as nobody interrupts."""
    ctypes.CFUNCTYPE(None)(partial(signal.raise_signal, signal.SIGINT))()
    waited.append("went on")
    time.sleep(20)
    waited.append("for good")


def test_an_interrupt_that_is_dropped_comes_again() -> None:
    before, waited = sys.unraisablehook, list[str]()
    with pytest.raises(KeyboardInterrupt), repeated(KeyboardInterrupt, partial(ask, signal.SIGINT)):
        dropped(waited)
    assert waited == ["went on"]
    assert sys.unraisablehook is before


def test_what_else_is_dropped_is_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    with repeated(KeyboardInterrupt, pytest.fail):
        ctypes.CFUNCTYPE(None)(partial(int, "no number"))()
    assert told == [ValueError]
