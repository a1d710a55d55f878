"""What a machine has, and how workers share it."""

from __future__ import annotations

import os
from pathlib import Path

#: OpenBLAS, MKL and OpenMP ask these when they are loaded.
_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; found without loading CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA ends the list at the first name that is none.
        bad = [number for number, name in enumerate(names) if name in ("", "-1")]
        return names[: bad[0]] if bad else names
    cards = Path("/proc/driver/nvidia/gpus")
    listed = len(list(cards.iterdir())) if cards.is_dir() else 0
    # In a container the driver may list cards whose device the container has not been given.
    given = sum(path.name.removeprefix("nvidia").isdigit() for path in Path("/dev").glob("nvidia*"))
    return [str(number) for number in range(min(listed, given))]


def share(number: int, workers: int) -> dict[str, str]:
    """Environment variables for the worker ``number`` (from 0) of ``workers`` on this machine.

    A number of threads that is set already and smaller stays.
    """
    threads = max(1, cores() // workers)
    found = {}
    for name in ("DEBURR_THREADS", *_LIBRARIES):
        asked = os.environ.get(name, "")
        own = int(asked) if asked.isascii() and asked.isdigit() else threads
        found[name] = str(max(1, min(own, threads)))
    cards = gpus()
    if len(cards) > 1:
        found["CUDA_VISIBLE_DEVICES"] = cards[number % len(cards)]
    return found
