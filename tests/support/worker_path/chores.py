"""Work that tests give to workers, which import it by name; some of it goes wrong."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from deburr.core.errors import RunError

Values = dict[str, Any]


def nap(task: Values) -> Values:
    """Leave a line for each try in the folder, sleep a while, tell where it was."""
    with open(Path(task["folder"]) / f"{task['id']}.tries", "a") as tries:
        tries.write(f"{os.getpid()}\n")
    time.sleep(task.get("seconds", 0.05))
    return {"id": task["id"], "pid": os.getpid()}


def tell(task: Values) -> Values:
    """What it was given, and the environment."""
    names = ("DEBURR_THREADS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    print("printed by a task")
    time.sleep(0.05)
    return {"task": task, "pair": (1, 2), "environment": {name: os.environ.get(name) for name in names}}


def fail(task: Values) -> Values:
    kind = task["id"]
    if kind == "ours":
        raise RunError("tile 3: is no good; take another")
    if kind == "type":
        raise TypeError("not this type")
    if kind == "memory":
        raise MemoryError
    if kind == "disk":
        raise OSError(28, "No space left on device", "/scratch/piece")
    if kind == "record":
        return {"values": {1, 2}}
    if kind == "interrupt":
        raise KeyboardInterrupt
    return {}


def die(task: Values) -> Values:
    """`nap`, but the first ``deaths`` tries end the process in the middle: by ``signal``, or ``exit`` with a code."""
    nap(task)
    if len((Path(task["folder"]) / f"{task['id']}.tries").read_text().split()) <= task.get("deaths", 0):
        if "exit" in task:
            os._exit(task["exit"])
        os.kill(os.getpid(), task.get("signal", signal.SIGKILL))
        time.sleep(10)
    return {"id": task["id"]}


def tidy(task: Values) -> Values:
    """Half-written for a long time; removed if it is ended in good order."""
    path = Path(task["folder"]) / f"{task['id']}.half"
    path.write_text(str(os.getpid()))
    try:
        time.sleep(task.get("seconds", 60))
    finally:
        path.unlink()
    return {}


def deaf(task: Values) -> Values:
    """As `tidy`, but nothing short of SIGKILL, and the kernel's alarm, ends it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return tidy(task)


def loud(task: Values) -> Values:
    sys.stdout.write("x" * 100_000)
    return {"text": "y" * 3_000_000}


def absorbed(task: Values) -> Values:
    """`tidy`, but what a signal handler raises in the first half second is dropped by a library in C."""
    path = Path(task["folder"]) / f"{task['id']}.half"
    path.write_text(str(os.getpid()))
    try:
        ctypes.CFUNCTYPE(None)(lambda: time.sleep(0.5))()
        time.sleep(60)
    finally:
        path.unlink()
    return {}
