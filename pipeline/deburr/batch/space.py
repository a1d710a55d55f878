"""How much scratch space a batch takes: which files' points a pass still needs, and which give their space back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from deburr.batch import layout as batch_tiles
from deburr.batch.job import Job
from deburr.batch.tasks import OnTile
from deburr.core.cut import Box
from deburr.scratch import store

#: Bytes of a result besides its new columns: row and place.
_RESULT = 32


def everything(job: Job) -> int:
    """Bytes of scratch for all points and results at once, as far as they are in the bounds."""
    windows = {} if job.bounds is None else {file.number: job.bounds for file in job.store.files if file.indexed}
    found = store.size(job.store.files, job.store.dims, job.store.chunk, windows)
    return found + sum(file.extent.count * _RESULT for file in batch_tiles.large(job))


class Footprint:
    """The files that ``tasks``, done about in their order, find their points in; ``kept``: those of which what was
    fetched is needed behind them."""

    def __init__(self, job: Job, tasks: Sequence[OnTile], kept: Collection[int] = ()) -> None:
        self._job, self._store, self._kept = job, job.store, kept
        self._needs = {task.id: self._files(task) for task in tasks}
        self._left = Counter(number for numbers in self._needs.values() for number in numbers)
        self.windows = self._windows(tasks)

    def _windows(self, tasks: Sequence[OnTile]) -> dict[int, Box | None]:
        """What is needed of each file, by number; None: all."""
        ends: dict[int, list[Box]] = {}
        for task in tasks:
            wide = batch_tiles.HALOS * task.halo
            for number in self._needs[task.id]:
                ends.setdefault(number, []).append((task.core.low - wide, task.core.high + wide))
        return {
            number: self._store.window(number, np.min([a for a, _ in boxes], 0), np.max([b for _, b in boxes], 0))
            for number, boxes in ends.items()
        }

    def done(self, id: str) -> None:
        """The task has ended; what nobody needs any more is deleted."""
        for number in self._needs.pop(id, ()):
            self._left[number] -= 1
            if not self._left[number]:
                self._store.release(number, fetched=number not in self._kept)

    def most(self) -> int:
        """Bytes of the files that are needed at once, at most, if the tasks are done one after another."""
        sizes = {
            file.number: store.size([file], self._store.dims, self._store.chunk, self.windows)
            for file in self._store.files
        }
        left, there, most = Counter(self._left), set[int](), 0
        for numbers in self._needs.values():
            there.update(numbers)
            most = max(most, sum(sizes[number] for number in there))
            left.subtract(numbers)
            there -= {number for number in numbers if not left[number]}
        return most

    def _files(self, task: OnTile) -> tuple[int, ...]:
        core, wide = task.core, batch_tiles.HALOS * task.halo
        return tuple(file.number for file in self._job.around(core.files).meeting(core.low - wide, core.high + wide))
