"""Runs many small tasks: in this process, in several of its own, or on a Dask cluster. Knows nothing of points.

A task is a few JSON values that say what to do; a record a few that say what came of it. Points go through files, so
it does not matter where a task runs. Errors of a task are its outcome; the rest goes on.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deburr.core.errors import RunError
from deburr.pipeline import _worker

#: JSON values by name; "id", a string, is the task's own.
Task = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of the task ``id``: its ``record``, or in one sentence the ``error`` that stopped it.

    ``seconds`` that it ran in its last try; ``worker`` names the process that ran it. ``died``: no worker survived it.
    """

    id: str
    record: dict[str, Any] | None
    error: str | None
    seconds: float
    worker: str
    died: bool = False


def run(
    tasks: Iterable[Task],
    function: str,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    setup: Mapping[str, Any] | None = None,
) -> Iterator[Outcome]:
    """Do ``tasks`` and yield what became of each, as they come.

    Parameters
    ----------
    tasks : iterable of Task
        Taken a few at a time, when there is somebody to do them. Ids differ from each other.
    function : str
        ``"module:name"``, looked up where the task runs; called with the task, returns a dict of JSON values.
    workers : int
        Processes. One is this process, in the order of the tasks. Together they use no more threads than there are
        cores, and each a GPU of its own where there are several.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers are used instead.
    setup : mapping of JSON values, optional
        What all tasks have in common; each task is called with these beneath its own.

    Raises
    ------
    RunError
        No worker can do any task: the scheduler is not there or gone, workers do not start or run another version.

    When the iterator is closed or interrupted, its processes are ended. A worker that is killed costs one try of its
    task, which has three; a record must therefore not depend on how often a task was begun.
    """
    if workers < 1:
        raise RunError(f"workers: {workers} is too few; give at least 1")
    shared = dict(setup or {})
    if scheduler is not None:
        from deburr.pipeline.engine_dask import run_dask

        return run_dask(tasks, function, scheduler, shared)
    if workers > 1:
        from deburr.pipeline.engine_local import run_local

        return run_local(tasks, function, workers, shared)
    return _run_here(tasks, function, shared)


def outcome(id: str, reply: Mapping[str, Any], worker: str) -> Outcome:
    """Of what `_worker.attempt` says; the traceback of an unexpected error goes to the log."""
    if reply.get("trace"):
        _log.debug("task %s, %s:\n%s", id, worker, reply["trace"])
    return Outcome(id, reply.get("record"), reply.get("error"), float(reply["seconds"]), worker)


def _run_here(tasks: Iterable[Task], function: str, setup: dict[str, Any]) -> Iterator[Outcome]:
    call = _worker.resolve(function)
    for task in tasks:
        yield outcome(task["id"], _worker.attempt(call, {**setup, **task}), "this process")


class Queue:
    """Tasks to do, and those that must be done again because their worker died.

    The last try comes at the end and alone: a task that died because others took the memory, or because another
    task brought the worker down, then has the machine for itself.
    """

    def __init__(self, tasks: Iterable[Task], alone_after: int) -> None:
        self._tasks = iter(tasks)
        self._again: deque[Task] = deque()
        self._last: deque[Task] = deque()
        self._lost: dict[str, int] = {}
        self._alone_after = alone_after

    def take(self, running: int) -> Task | None:
        """The next task, or None if there is none to be begun while ``running`` others are."""
        if self._again:
            return self._again.popleft()
        for task in self._tasks:
            return task
        return self._last.popleft() if self._last and not running else None

    def alone(self, task: Task) -> bool:
        """Whether this is the task's last try."""
        return self._lost.get(task["id"], 0) >= self._alone_after

    def put_back(self, task: Task) -> None:
        """It has not been begun."""
        self._again.append(task)

    def lost(self, task: Task) -> bool:
        """Its worker died; returns False if that was its last try."""
        if self.alone(task):
            return False
        self._lost[task["id"]] = self._lost.get(task["id"], 0) + 1
        (self._last if self.alone(task) else self._again).append(task)
        return True
