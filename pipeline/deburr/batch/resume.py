"""What earlier runs of a batch have done already, and whether that still holds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from deburr.batch import ledger
from deburr.batch.job import Job, Target, as_json
from deburr.batch.ledger import Ledger
from deburr.batch.tasks import Clean, OnTile, Survey, Task, Write
from deburr.core.errors import ReadError
from deburr.core.noise import is_by_place
from deburr.scratch import input_file as fileref
from deburr.scratch.input_file import FileRef


class Past:
    """The ledger of a batch, by what each result depended on; without a ledger, nothing was done.

    A result holds as long as its filters, the figures they were told, the content of the files nearby and this version
    are the same, whichever other files there are.
    """

    def __init__(self, job: Job, ledger_: Ledger | None) -> None:
        self._job, self._ledger = job, ledger_
        self._base = self._identity()
        self._files = sorted(job.store.files, key=lambda file: file.number)
        # By the state they were in before anything was read: one that changes meanwhile must not pass for what was.
        self._states = {file.number: [file.place, file.stamp, file.context] for file in self._files}
        self._all_files = self._of_files([*self._states])
        self._paths = {file.number: file.place for file in self._files}
        self._places = {file.number: place for place, file in enumerate(self._files)}
        self._bounds = np.array([[file.low, file.high] for file in self._files]).reshape(-1, 2, 2)
        self._contents: dict[int, str] = {}

    def _identity(self) -> Any:
        """All that every result depends on: the filters, the weights and other files they read, this version."""
        files = [
            [option, ledger.digest(path)] for stage in self._job.filters for option, path in sorted(stage.reads.items())
        ]
        filters = [
            {k: v for k, v in as_json(stage).items() if k not in ("tag", "user_data")} for stage in self._job.filters
        ]
        found = [version("deburr"), filters, files]
        if self._job.bounds is not None:
            found.append([side.tolist() for side in self._job.bounds])
        return [*found, "independent"] if self._job.independent else found

    def _of_files(self, numbers: Sequence[int]) -> str:
        """What all that hangs on these files, in the state that they are in, hangs on."""
        return ledger.key_of(self._base, [self._states[number] for number in numbers])

    def _extent(self, task: OnTile) -> Any:
        """Of the cloud that a task is part of."""
        extent = self._job.about(task.core.files)
        return [extent.low.tolist(), extent.high.tolist()] if extent.count else None

    def key(self, task: Task) -> str:
        """What the result of a task depends on, but for the files nearby."""
        if isinstance(task, Write):
            return ledger.key_of(self._base, task.kind, _placed(task.targets), task.of)
        assert isinstance(task, OnTile)
        surveyor = task.surveyor if isinstance(task, Survey) else None
        written = _placed(task.targets if isinstance(task, Clean) else None)
        low, high = task.core.low.tolist(), task.core.high.tolist()
        # By their paths: which number a file has depends on the others.
        files = [self._paths[number] for number in task.core.files]
        return ledger.key_of(self._base, [task.kind, list(task.known), surveyor, written], low, high, files)

    def _near(self, task: Task, record: Mapping[str, Any]) -> str:
        """The files that a tile was made of: its own, and all within the halo that it was found to need."""
        if not isinstance(task, OnTile):
            return ""
        core, halo = task.core, float(record["halo"])
        meet = (self._bounds[:, 0] <= core.high + halo) & (self._bounds[:, 1] >= core.low - halo)
        around = set() if self._job.independent else set(np.flatnonzero(np.all(meet, axis=1)).tolist())
        near = around.union(self._places[n] for n in core.files)
        seen = [[self._files[place].context, self._content(place)] for place in sorted(near)]
        return ledger.key_of([[self._files[place].place for place in sorted(near)], seen])

    def _content(self, place: int) -> str:
        """The SHA-256 of a file as it was when this run began; of one that has changed since, what no file has.

        Files are not read for this where the ledger tells it of one in the same state.
        """
        if place in self._contents:
            return self._contents[place]
        file = self._files[place]
        if file.is_remote:
            return self._contents.setdefault(place, _remote(file))
        path, state = file.place, None if file.stamp is None else list(file.stamp)
        before = None if self._ledger is None else self._ledger.get("input", path)
        if before is not None and before["stamp"] == state:
            found = str(before["sha256"])
        else:
            try:
                found = ledger.digest(path)
            except ReadError:
                found = ""
            if not found or fileref.stamp(path) != file.stamp:
                found = f"changed since {state}"
            else:
                self._note(path, "input", {"stamp": state, "sha256": found})
        self._contents[place] = found
        return found

    def before(self, task: Task) -> dict[str, Any] | None:
        """The record of the task in an earlier run, if all that it depends on is as it was."""
        if self._ledger is None:
            return None
        found = self._ledger.get(task.kind, self.key(task))
        if found is None or found["near"] != self._near(task, found):
            return None
        of_another = isinstance(task, OnTile) and "extent" in found and found["extent"] != self._extent(task)
        return None if of_another else found

    def had_failed(self, id: str) -> bool:
        found = None if self._ledger is None else self._ledger.get("failed", id)
        return found is not None and found["error"] is not None

    def mark(self, id: str, error: str | None) -> None:
        """Remember, for runs that do what failed, that something failed, or does not any more."""
        if error is not None or self.had_failed(id):
            self._note(id, "failed", {"error": error})

    def _note(self, key: str, kind: str, record: dict[str, Any]) -> None:
        if self._ledger is not None:
            self._ledger.add(key, kind, record)

    def add(self, task: Task, record: Mapping[str, Any]) -> dict[str, Any]:
        """Note that a task is done; returns its record with what it depended on."""
        key = self.key(task)
        near = self._near(task, record) if self._ledger is not None else ""
        found = {**record, "key": key, "near": near}
        if isinstance(task, Clean) and any(is_by_place(stage["sums"]) for stage in record["stages"]):
            # Places in the map of the noise are those of a grid over the whole cloud.
            found["extent"] = self._extent(task)
        self._note(key, task.kind, found)
        return found

    def name(self, task: Task) -> str:
        """A name for what the task leaves in scratch: what another spec or other files left is not taken for it."""
        return ledger.key_of(self.key(task), self._all_files)[:24]

    def known(self, files: Sequence[int], before: bool) -> Sequence[Mapping[str, Any]] | None:
        """What surveys found in the same ``files``; with ``before``, else what they found in the run before."""
        if self._ledger is None:
            return None
        found = self._ledger.get("known", self._of_files(files))
        if found is None and before:
            found = self._ledger.get("known", self._in_any_state(files))
        if found is None or len(found["known"]) != len(self._job.filters):
            return None
        known: Sequence[Mapping[str, Any]] = found["known"]
        return known

    def remember(self, files: Sequence[int], known: Sequence[Mapping[str, Any]], complete: bool) -> None:
        """Note what surveys found in ``files``; ``complete``: in all of them."""
        record = {"known": list(known)}
        self._note(self._in_any_state(files), "known", record)
        if complete:
            self._note(self._of_files(files), "known", record)

    def _in_any_state(self, files: Sequence[int]) -> str:
        return ledger.key_of(self._base, *([self._paths[number] for number in files] if self._job.independent else []))


def _remote(file: FileRef) -> str:
    """What stands for the content of a file on the web: the mark and the time that its server gives it. One that gives
    neither says nothing of a change that leaves the size as it is: no run has seen that file before."""
    size, *marks = file.stamp or (None,)
    return secrets.token_hex(16) if not any(marks) else ledger.key_of(size, marks)


def _placed(targets: Sequence[Target] | None) -> list[Any]:
    """Outputs that are the same files, however their paths are given."""
    return [{**one.writer, "filename": os.path.abspath(one.path)} for one in targets or ()]
