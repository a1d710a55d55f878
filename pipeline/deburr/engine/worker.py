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
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from deburr.core.errors import DeburrError

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


def main(descriptor: int, parent: int) -> None:
    """Do what comes in by the pipe, until its other end is closed or the process ``parent`` is no more."""
    # The parent decides what an interruption means; it ends workers by SIGTERM, on which `finally` clauses run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Who sends one of these means this process, and is told which it was.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    os.set_inheritable(descriptor, False)
    pipe = Connection(descriptor)
    # Nobody waits for an answer any more: nothing to make words about.
    with suppress(BrokenPipeError, ConnectionResetError, EOFError):
        _serve(pipe, parent)


def _serve(pipe: Connection, parent: int) -> None:
    hello = _receive(pipe)
    inbox: SimpleQueue[dict[str, Any]] = SimpleQueue()
    Thread(target=_listen, args=(pipe, inbox, parent), daemon=True).start()
    try:
        call = resolve(hello["function"])
    except Exception as error:
        _send(pipe, {"failed": f"{type(error).__name__}: {error}"})
        return
    _send(pipe, {})
    while True:
        _send(pipe, attempt(call, {**hello["setup"], **inbox.get()}))


def _listen(pipe: Connection, inbox: SimpleQueue[dict[str, Any]], parent: int) -> None:
    """Pass on tasks; end the process when nobody waits for them any more."""
    # A process that the parent forked may hold the pipe open after the parent's death.
    while os.getppid() == parent:
        try:
            if pipe.poll(_GLANCE):
                inbox.put(_receive(pipe))
        except (EOFError, OSError):
            break
    # The kernel keeps the time: code that never lets Python run must not keep an orphan alive.
    signal.alarm(GRACE)
    os.kill(os.getpid(), signal.SIGTERM)


def _receive(pipe: Connection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(pipe.recv_bytes())
    return message


def _send(pipe: Connection, message: Mapping[str, Any]) -> None:
    pipe.send_bytes(json.dumps(message).encode())
