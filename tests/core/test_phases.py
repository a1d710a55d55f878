"""Phases are charged with the time that passed in them alone."""

from __future__ import annotations

import contextlib

import pytest

from deburr.core import phases
from deburr.core.phases import phase, profiled


class Clock:
    """Stands in for `time`: moves only where it is told to, two threads busy."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return 2 * self.now


def test_time_is_charged_to_the_innermost_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(phases, "time", clock)

    def pass_by(seconds: float) -> None:
        clock.now += seconds

    with phase("nobody asks"):
        pass_by(100)
    with profiled("the rest") as profile:
        pass_by(1)
        with phase("outer"):
            pass_by(2)
            with phase("inner"):
                pass_by(4)
            pass_by(8)
        with contextlib.suppress(ValueError), phase("inner"):
            pass_by(16)
            raise ValueError
        pass_by(32)
    pass_by(64)
    with phase("nobody asks any more"):
        pass_by(128)
    assert profile.spent == {"the rest": (33, 66), "outer": (10, 20), "inner": (20, 40)}
