"""Runs many small tasks: in this process, in several of its own, or on a Dask cluster. Knows nothing of points.

A task is a few JSON values that say what to do; a record a few that say what came of it. Points go through files, so
it does not matter where a task runs. Errors of a task are its outcome; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deburr.core.errors import RunError
from deburr.engine import worker
from deburr.engine.queue import Outcome, Task, outcome


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
        from deburr.engine.dask import run_dask

        return run_dask(tasks, function, scheduler, shared)
    if workers > 1:
        from deburr.engine.local import run_local

        return run_local(tasks, function, workers, shared)
    return _run_here(tasks, function, shared)


def _run_here(tasks: Iterable[Task], function: str, setup: dict[str, Any]) -> Iterator[Outcome]:
    call = worker.resolve(function)
    for task in tasks:
        yield outcome(task["id"], worker.attempt(call, {**setup, **task}), "this process")
