"""How much scratch space a batch takes: which files' points a pass still needs, and which give their space back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deburr.batch import layout as batch_tiles
from deburr.batch.job import Job
from deburr.batch.tasks import OnTile
from deburr.scratch import store

#: Tiles that read wider than this many halos unpack a file anew, if it has gone.
_HALOS = 2.0
#: Bytes of a result besides its new columns: row and place.
_RESULT = 32


def everything(job: Job) -> int:
    """Bytes of scratch for all points and results at once."""
    found = store.size(job.store.files, job.store.dims, job.store.chunk)
    return found + sum(file.extent.count * _RESULT for file in batch_tiles.large(job))


class Footprint:
    """The files that ``tasks``, done about in their order, find their points in."""

    def __init__(self, job: Job, tasks: Sequence[OnTile]) -> None:
        self._job, self._store = job, job.store
        self._needs = {task.id: self._files(task) for task in tasks}
        self._left = Counter(number for numbers in self._needs.values() for number in numbers)

    @property
    def files(self) -> set[int]:
        """The numbers of all files that are needed still."""
        return {number for number, tasks in self._left.items() if tasks}

    def done(self, id: str) -> None:
        """The task has ended; what nobody needs any more is deleted."""
        for number in self._needs.pop(id, ()):
            self._left[number] -= 1
            if not self._left[number]:
                self._store.release(number)

    def most(self) -> int:
        """Bytes of the files that are needed at once, at most, if the tasks are done one after another."""
        sizes = {file.number: store.size([file], self._store.dims, self._store.chunk) for file in self._store.files}
        left, there, most = Counter(self._left), set[int](), 0
        for numbers in self._needs.values():
            there.update(numbers)
            most = max(most, sum(sizes[number] for number in there))
            left.subtract(numbers)
            there -= {number for number in numbers if not left[number]}
        return most

    def _files(self, task: OnTile) -> tuple[int, ...]:
        core, wide = task.core, _HALOS * task.halo
        return tuple(file.number for file in self._job.around(core.files).meeting(core.low - wide, core.high + wide))
