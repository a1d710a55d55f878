"""Tasks are JSON values at the door to workers, and the same tasks behind it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from deburr.batch.job import Target
from deburr.batch.tasks import Clean, Survey, Task, Unpack, Write, as_json, from_json
from deburr.tiles.tile import Core

CORE = Core(np.array([0.1, -np.inf]), np.array([np.inf, 1e6 / 3]), (2, 5))
TARGET = Target({"type": "writers.las", "filename": "out/a.laz", "scale_x": 0.01}, "stage 3 (writers.las)")
ON_TILE: dict[str, Any] = {"core": CORE, "halo": 1.5, "known": ({"noise": 0.1 + 0.2}, {}), "folder": "scratch/sums"}
TASKS = [
    Unpack(id="a.laz", points=10, file=3),
    Survey(id="survey-1-a", points=7, part="a", surveyor=1, **ON_TILE),
    Clean(id="a-0", points=7, name="b0", targets=None, spared=True, **ON_TILE),
    Clean(id="a", points=7, name="b1", targets=(TARGET,), may_be_empty=False, **ON_TILE),
    Write(id="write-a", points=9, output="a", sources=((2, ("p/1", "p/2")), (5, ())), targets=(TARGET,),
          may_be_empty=True, of=(("key", "near"),)),
]  # fmt: skip


def values(task: Task) -> dict[str, Any]:
    """The task's fields, with what its core is made of."""
    found = dict(vars(task))
    core = found.pop("core", None)
    return found if core is None else {**found, "low": core.low.tolist(), "high": core.high.tolist(), "of": core.files}


def plain(value: Any) -> Any:
    """Tuples as lists, whatever is in them."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_a_worker_gets_the_task_that_was_sent(task: Task) -> None:
    sent = {"job": "scratch/job.json", **json.loads(json.dumps(as_json(task)))}
    assert sent["id"] == task.id  # which the engine tells tasks by
    there = from_json(sent)
    assert type(there) is type(task)
    assert plain(values(there)) == plain(values(task))


@pytest.mark.parametrize(("task", "shown"), [*zip(TASKS, ["a.laz", "a", "a-0", "a", "a"], strict=True)])
def test_people_are_told_of_files_and_tiles(task: Task, shown: str) -> None:
    assert task.shown == shown
