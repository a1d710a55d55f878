"""How many points fit into how much memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import ceil, prod

from deburr.core import sizes
from deburr.core.errors import SpecError
from deburr.core.stage import Filter

#: Bytes that a process takes whatever the tile: Python, numpy, SciPy, torch, and the features of as many points as the
#: network works on at once.
BASE = 750_000_000
#: Bytes a point that a tile takes besides, while the default model works on it.
PER_POINT = 900
#: And for each that stages add.
_ADDED = 320
#: The share of a tile's points that its core is planned to be; the rest is room for the halo.
CORE = 0.7
#: Fewer points than this make no tile: the halo would be most of it.
_FEWEST = 50_000

#: Letters of what was given that a message repeats, at most.
_SHOWN = 40


def parse(text: str, workers: int = 1, option: str = "--memory") -> int:
    """``2GB``, ``1500 MB``, ``1.5GiB``, or bytes. Raises `SpecError`, also for what is too little for the workers."""
    found = sizes.parse(text)
    if found is None:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise SpecError(f"{option} {shown}: is no amount of memory; give one such as 2GB or 1500MB")
    least = workers * (BASE + PER_POINT * _FEWEST)
    if found < least:
        many = f"for {workers} workers" if workers > 1 else "to work with"
        remedy = ", or take fewer" if workers > 1 else ""
        raise SpecError(f"{option} {text}: is too little {many}; give at least {ceil(least / 1e8) / 10}GB{remedy}")
    return found


def available() -> int:
    """Bytes that processes may take without harm, as far as the system tells; else 2 GB."""
    found = 2_000_000_000
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([found, *_control_group()])


def _control_group() -> list[int]:
    """The limit that a container has, if there is one."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            return [int(file.read())]
    except (OSError, ValueError):
        return []


def points(memory: int, filters: Sequence[Filter]) -> int:
    """How many points a tile may read in ``memory`` bytes for the ``filters``."""
    return max(int((memory - BASE) / _each(filters)), _FEWEST)


def whole(count: int, filters: Sequence[Filter]) -> int:
    """Bytes that it takes to run ``filters`` on so many points at once, about."""
    return BASE + int(_each(filters) * count)


def _each(filters: Sequence[Filter]) -> float:
    """Bytes for each point that is read."""
    return PER_POINT + _ADDED * (prod(stage.grows for stage in filters) - 1)
