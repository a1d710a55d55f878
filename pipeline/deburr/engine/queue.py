"""What all who run tasks share: a task, its outcome, and the queue with those that must be tried again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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


def outcome(id: str, reply: Mapping[str, Any], worker: str) -> Outcome:
    """Of what `worker.attempt` says; the traceback of an unexpected error goes to the log."""
    if reply.get("trace"):
        _log.debug("task %s, %s:\n%s", id, worker, reply["trace"])
    return Outcome(id, reply.get("record"), reply.get("error"), float(reply["seconds"]), worker)


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
