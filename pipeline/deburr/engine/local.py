"""Tasks in processes of our own on this machine.

Not multiprocessing's processes: those import the program's main script again, which a script without a guard does not
survive, and take their environment only after libraries have read it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from deburr.core.errors import RunError
from deburr.engine.channel import Channel, wait
from deburr.engine.machine import share
from deburr.engine.queue import Outcome, Queue, Task, outcome
from deburr.engine.worker import GRACE

_log = logging.getLogger(__name__)
#: After so many lost workers a task has its last try, at the end and alone.
_ALONE_AFTER = 2
#: So many workers in a row that die before they can do anything mean that none will.
_FALSE_STARTS = 3
#: Seconds after which processes are looked at even if their pipes are silent.
_GLANCE = 1.0
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from deburr.engine.worker import main; main(int(sys.argv[2]))"
)


def run_local(tasks: Iterable[Task], function: str, workers: int, setup: dict[str, Any]) -> Iterator[Outcome]:
    """As `deburr.engine.queue.run`, in ``workers`` processes."""
    hello = {"function": function, "setup": setup}
    crew = [_Worker(number, workers, hello) for number in range(workers)]
    queue = Queue(tasks, _ALONE_AFTER)
    come: deque[Outcome] = deque()
    try:
        while True:
            # Whoever is free is busy again before the caller does what it does with an outcome.
            _hand_out(queue, crew)
            while come:
                yield come.popleft()
            if not any(worker.task for worker in crew):
                return
            come.extend(_gather(queue, crew))
    finally:
        _dismiss(crew)


def _hand_out(queue: Queue, crew: list[_Worker]) -> None:
    for worker in crew:
        while worker.task is None:
            task = queue.take(sum(other.task is not None for other in crew))
            if task is None:
                return
            if queue.alone(task):
                # Idle processes hold memory too.
                _dismiss(crew)
            worker.give(task)


def _gather(queue: Queue, crew: list[_Worker]) -> Iterator[Outcome]:
    """Wait until a worker says something or is found dead."""
    pipes = {worker.pipe: worker for worker in crew if worker.task is not None and worker.pipe is not None}
    said = [pipes[pipe] for pipe in wait(list(pipes), _GLANCE)]
    silent = [worker for worker in pipes.values() if worker not in said and worker.dead]
    for worker in pipes.values():
        worker.mind_stop()
    for worker in said + silent:
        task = worker.task
        assert task is not None
        reply = worker.listen()
        if reply is None:
            lost = worker.bury()
            if not lost.ready:
                _false_start(worker, lost)
                queue.put_back(task)
            elif not queue.lost(task):
                yield Outcome(task["id"], None, lost.sentence, lost.seconds, worker.name, died=True)
        elif reply:
            worker.task = None
            yield outcome(task["id"], reply, worker.name)


def _false_start(worker: _Worker, lost: _Lost) -> None:
    worker.false_starts += 1
    if worker.false_starts >= _FALSE_STARTS:
        raise RunError(f"workers do not start ({lost.cause}); see what they wrote above, or run without --workers")


class _Lost:
    """How a worker was lost in the middle of a task."""

    def __init__(self, code: int, ready: bool, seconds: float) -> None:
        self.ready, self.seconds = ready, seconds
        remedy = "run it again, and report it with its file if that stays so"
        if code == -getattr(signal, "SIGKILL", 9):
            self.cause = "signal 9: most likely out of memory"
            remedy = "give --memory less or fewer --workers"
        elif code == 128 + getattr(signal, "SIGXCPU", 24):
            self.cause = "signal SIGXCPU: its processor time is used up"
            remedy = "raise the limit (ulimit -t)"
        elif code < 0 or 128 < code < 256:
            number = -code if code < 0 else code - 128
            known = {member.value: member.name for member in signal.Signals}
            what = "a crash" if code < 0 else "it was told to end"
            self.cause = f"signal {number}, {known.get(number, 'of this system')}: {what}"
        else:
            self.cause = f"exit code {code}"
        self.sentence = f"the worker died in each of {_ALONE_AFTER + 1} tries ({self.cause}); {remedy}"


class _Worker:
    """One process at a time, begun when there is something to do; ``task`` is what it does."""

    def __init__(self, number: int, workers: int, hello: dict[str, Any]) -> None:
        self.name = f"worker {number + 1}"
        self.task: Task | None = None
        self.pipe: Channel | None = None
        self.false_starts = 0
        self._hello, self._number, self._workers = hello, number, workers
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = self._stopped = False
        self._begun = 0.0

    @property
    def dead(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def mind_stop(self) -> None:
        """Say so, once, if the process was stopped: it would be waited for without an end."""
        stopped, process = self._stopped, self._process
        if process is None or not hasattr(os, "waitid"):
            return
        with suppress(ChildProcessError):
            states = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            stopped = os.waitid(os.P_PID, process.pid, states) is not None
        if stopped and not self._stopped:
            _log.warning("%s is stopped and waited for; let it go on: kill -CONT %d", self.name, process.pid)
        self._stopped = stopped

    def give(self, task: Task) -> None:
        if self._process is None:
            self._start()
        self.task, self._begun = task, time.perf_counter()
        self._say(dict(task))

    def listen(self) -> dict[str, Any] | None:
        """What it says: None if it is dead, nothing if it has just come up. Raises `RunError` if it cannot work."""
        assert self.pipe is not None
        reply = self.pipe.receive()
        if reply is None:
            return None
        if "failed" in reply:
            raise RunError(f"workers cannot load {self._hello['function']} ({reply['failed']}); check the installation")
        if not reply:
            self._ready, self.false_starts = True, 0
        return reply

    def bury(self) -> _Lost:
        """Take leave of the dead; the next task gets a fresh process."""
        assert self._process is not None
        self.end()
        lost = _Lost(self.leave(), self._ready, time.perf_counter() - self._begun)
        self.task = None
        return lost

    def end(self) -> None:
        """Ask it to end. A worker that already did keeps its own exit code."""
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def leave(self) -> int:
        """Wait until it has ended, or kill it; its exit code."""
        process, self._process, self.task = self._process, None, None
        if process is None:
            return 0
        try:
            return process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _start(self) -> None:
        path = [entry or os.getcwd() for entry in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(path), str(os.getpid())],
            env={**os.environ, **share(self._number, self._workers)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # what is printed goes to stderr: results are the parent's to print
            # Ctrl-C reaches the parent alone, even before the worker can ignore it.
            process_group=0 if os.name == "posix" else None,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.pipe, self._ready = Channel(self._process.stdout, self._process.stdin), False
        self._say(self._hello)

    def _say(self, message: dict[str, Any]) -> None:
        assert self.pipe is not None
        # To a worker that has just died: that is found out when its answer is waited for.
        with suppress(OSError):
            self.pipe.send(message)


def _dismiss(crew: list[_Worker]) -> None:
    """End all processes; together, so that their times of grace run together."""
    for worker in crew:
        worker.end()
    for worker in crew:
        worker.leave()
