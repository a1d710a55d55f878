"""Where the time of a run goes: whoever works names its phases, whoever asks is told how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Profile:
    """Of each phase, in the order in which they began first, the seconds that passed in it and not in phases inside it,
    and the processor seconds of all threads of this process meanwhile."""

    spent: dict[str, tuple[float, float]] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _since: tuple[float, float] = (0.0, 0.0)

    def enter(self, name: str) -> None:
        """``name`` begins, within what is open."""
        self._charge()
        self.spent.setdefault(name, (0.0, 0.0))
        self._open.append(name)

    def leave(self) -> None:
        """What began last is over."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now = time.perf_counter(), time.process_time()
        if self._open:
            wall, processor = self.spent[self._open[-1]]
            self.spent[self._open[-1]] = wall + now[0] - self._since[0], processor + now[1] - self._since[1]
        self._since = now


_profile: ContextVar[Profile | None] = ContextVar("deburr_profile", default=None)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """The work inside the block is ``name``, for the profile that is taken, if one is: by the thread that takes it."""
    profile = _profile.get()
    if profile is None:
        yield
        return
    profile.enter(name)
    try:
        yield
    finally:
        profile.leave()


@contextmanager
def profiled(rest: str) -> Iterator[Profile]:
    """Take a profile of the work inside the block; ``rest``: what is in no phase."""
    profile = Profile()
    token = _profile.set(profile)
    try:
        with phase(rest):
            yield profile
    finally:
        _profile.reset(token)
