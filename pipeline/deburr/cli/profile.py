"""`--profile`: where the time of a run went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deburr.cli.say import say
from deburr.core.phases import profiled


@contextmanager
def shown_profile(wanted: bool) -> Iterator[None]:
    """Say on stderr, if that is ``wanted``, how the time inside the block was spent, once it is over."""
    if not wanted:
        yield
        return
    from deburr.core.neighbors import threads

    with profiled("everything else") as profile:
        yield
    whole, count = sum(wall for wall, _ in profile.spent.values()), threads()
    say(f"{'where the time went':<34} {'s':>8} {'share':>6} {'cpu s':>8} {'idle':>6}")
    rows = sorted(profile.spent.items(), key=lambda row: -row[1][0])
    for name, (wall, processor) in (*rows, ("in all", tuple(map(sum, zip(*profile.spent.values(), strict=True))))):
        idle = max(0.0, 1 - processor / max(wall * count, 1e-9))
        say(f"{name:<34} {wall:8.2f} {wall / max(whole, 1e-9):6.0%} {processor:8.2f} {idle:6.0%}")
    say(f"idle: the share of {count} threads' time in which they did not work for this run")
