"""What happens where a task runs: look the function up, call it, say what came of it; and the life of a local worker.

Imports nothing heavy: the environment that libraries read when they are loaded is set before.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from _thread import interrupt_main
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import Any

from deburr.core.errors import DeburrError
from deburr.core.interrupts import ask, repeated
from deburr.engine.channel import Channel, of_worker, wait

Function = Callable[[dict[str, Any]], Mapping[str, Any]]

#: Seconds a worker has to stop by itself, and remove what is half-written, before it is killed.
GRACE = 3
#: How often, in seconds, a worker looks whether its parent still lives, even if the pipe is open.
_GLANCE = 1.0


def resolve(function: str) -> Function:
    """The function that ``"module:name"`` names."""
    module, _, name = function.partition(":")
    found: Function = getattr(import_module(module), name)
    return found


def attempt(call: Function, task: dict[str, Any]) -> dict[str, Any]:
    """Call it: ``record`` or ``error``, and ``seconds``; with ``trace``, a traceback, if the error is unexpected.

    The record is what a reader of its JSON text would see, wherever it was made.
    """
    begun = time.perf_counter()
    reply: dict[str, Any] = {}
    try:
        reply["record"] = json.loads(json.dumps(call(task)))
    except DeburrError as error:
        reply["error"] = str(error)
    except MemoryError:
        reply["error"] = "not enough memory; give --memory less or fewer --workers"
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        reply["error"] = f"{name}{error.strerror or error}; free the cause and run again"
        reply["trace"] = traceback.format_exc()
    except Exception as error:
        reply["error"] = f"unexpected {type(error).__name__}: {error}"
        reply["trace"] = traceback.format_exc()
    reply["seconds"] = time.perf_counter() - begun
    return reply


def main(parent: int) -> None:
    """Do what the process ``parent`` says on stdin, until that is closed or ``parent`` is no more."""
    # The parent decides what an interruption means; it ends workers by SIGTERM, on which `finally` clauses run.
    for name in ("SIGINT", "SIGBREAK"):
        if hasattr(signal, name):  # Windows alone has both
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Who sends one of these means this process, and is told which it was.
    for name in ("SIGHUP", "SIGQUIT", "SIGXCPU"):
        if hasattr(signal, name):  # not on Windows
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    pipe = of_worker()
    # Nobody waits for an answer any more: nothing to make words about.
    with repeated(SystemExit, partial(ask, signal.SIGTERM)), suppress(OSError):
        _serve(pipe, parent)


def _serve(pipe: Channel, parent: int) -> None:
    hello = _next(pipe)
    if hello is None:
        return
    inbox: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    Thread(target=_listen, args=(pipe, inbox, parent), daemon=True).start()
    try:
        call = resolve(hello["function"])
    except Exception as error:
        pipe.send({"failed": f"{type(error).__name__}: {error}"})
        return
    pipe.send({})
    while (task := inbox.get()) is not None:
        pipe.send(attempt(call, {**hello["setup"], **task}))


def _next(pipe: Channel) -> dict[str, Any] | None:
    """What comes next; None if nothing does."""
    while not pipe.over:
        if (message := pipe.receive()) is not None:
            return message
        wait([pipe], _GLANCE)
    return None


def _listen(pipe: Channel, inbox: SimpleQueue[dict[str, Any] | None], parent: int) -> None:
    """Pass on tasks; end the process when nobody waits for them any more."""
    # A process that the parent forked may hold the pipe open after the parent's death.
    while os.getppid() == parent and not pipe.over:
        wait([pipe], _GLANCE)
        if (task := pipe.receive()) is not None:
            inbox.put(task)
    if hasattr(signal, "alarm"):
        # The kernel keeps the time: code that never lets Python run must not keep an orphan alive.
        signal.alarm(GRACE)
        os.kill(os.getpid(), signal.SIGTERM)
    else:  # Windows, where `kill` leaves no time to clear away, and what waits in a queue is not interrupted
        inbox.put(None)
        time.sleep(_GLANCE / 4)
        interrupt_main(signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)
