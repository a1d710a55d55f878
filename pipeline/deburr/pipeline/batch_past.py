"""What earlier runs of a batch have done already, and whether that still holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import deburr.nn
from deburr.pipeline import ledger, report
from deburr.pipeline.fileref import FileRef
from deburr.pipeline.job import Job, as_json, core_of
from deburr.pipeline.ledger import Ledger


class Past:
    """The ledger of a batch, by what each result depended on; without a ledger, nothing was done.

    A result holds as long as its filters, the figures they were told, the files nearby and this version are the same.
    """

    def __init__(self, job: Job, ledger_: Ledger | None) -> None:
        self._job, self._ledger = job, ledger_
        self._base = self._identity()
        # Taken once, before anything is read: a file that changes meanwhile must not pass for what was read.
        self._files = [_seen(file) for file in job.store.files]
        self._all_files = ledger.key_of(self._base, self._files)
        self._places = {file.number: place for place, file in enumerate(job.store.files)}
        self._bounds = np.array([[file.low, file.high] for file in job.store.files])

    def _identity(self) -> Any:
        """All that every result depends on: the filters, the weights and other files they read, this version."""
        files = [
            ledger.identity(path)
            for stage in self._job.filters
            for option in sorted(stage.files)
            if (path := getattr(stage, option)) is not None
        ]
        bundled = report.identity(str(Path(deburr.nn.__path__[0]) / "deburr.safetensors"))
        filters = [
            {k: v for k, v in as_json(stage).items() if k not in ("tag", "user_data")} for stage in self._job.filters
        ]
        return [version("deburr"), filters, files, None if bundled is None else bundled["sha256"]]

    def key(self, task: Mapping[str, Any]) -> str:
        """What the result of a task depends on."""
        if task["kind"] == "write":
            return ledger.key_of(self._base, "write", _placed(task["output"]), task["of"])
        asked = [task.get(name) for name in ("kind", "known", "surveyor")] + [_placed(task.get("output"))]
        return ledger.key_of(self._base, asked, task["core"])

    def _near(self, task: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        """The files that a tile was made of: its own, and all within the halo that it was found to need."""
        if task["kind"] == "write":
            return ""
        core, halo = core_of(task["core"]), float(record["halo"])
        meet = (self._bounds[:, 0] <= core.high + halo) & (self._bounds[:, 1] >= core.low - halo)
        near, mine = set(np.flatnonzero(np.all(meet, axis=1)).tolist()), (self._places[n] for n in core.files)
        return ledger.key_of([self._files[place] for place in sorted(near.union(mine))])

    def before(self, task: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record of the task in an earlier run, if all that it depends on is as it was."""
        if self._ledger is None:
            return None
        found = self._ledger.get(task["kind"], self.key(task))
        return found if found is not None and found.get("near") == self._near(task, found) else None

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

    def add(self, task: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Note that a task is done; returns its record with what it depended on."""
        key = self.key(task)
        found = {**record, "key": key, "near": self._near(task, record)}
        self._note(key, task["kind"], found)
        return found

    def name(self, task: Mapping[str, Any]) -> str:
        """A name for what the task leaves in scratch: what another spec or other files left is not taken for it."""
        return ledger.key_of(self.key(task), self._all_files)[:24]

    def known(self, before: bool) -> Sequence[Mapping[str, Any]] | None:
        """What surveys found in the same files; with ``before``, else what they found in the run before."""
        if self._ledger is None:
            return None
        found = self._ledger.get("known", self._all_files)
        if found is None and before:
            found = self._ledger.get("known", ledger.key_of(self._base))
        return None if found is None else found["known"]

    def remember(self, known: Sequence[Mapping[str, Any]], complete: bool) -> None:
        """Note what surveys found; ``complete``: in all files."""
        record = {"known": list(known)}
        self._note(ledger.key_of(self._base), "known", record)
        if complete:
            self._note(self._all_files, "known", record)


def _seen(file: FileRef) -> dict[str, Any]:
    """The file as it is now."""
    there = ledger.identity(file.path) if Path(file.path).exists() else {"path": file.path}
    return {**there, "context": file.context}


def _placed(outputs: Sequence[Mapping[str, Any]] | None) -> list[Any]:
    """Outputs that are the same files, however their paths are given."""
    writers = [output["writer"] for output in outputs or ()]
    return [{**writer, "filename": os.path.abspath(writer["filename"])} for writer in writers]
