"""How work on many points is cut: blocks that fit the cache, one thread each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: Computes some rows of several results.
Work = Callable[[slice], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Helpers:
    """Threads that work beside the caller's."""

    count: int
    pool: ThreadPoolExecutor


@dataclass(frozen=True)
class Blocks:
    """Rows 0 to ``count``, all at once, or ``size`` at a time on the caller's thread and those of ``helpers``.

    One thread a block: threads that share every product of one block wait for each other at each of them, and on a
    busy machine that made two threads ten times slower than one. Every result row depends on its own inputs alone,
    so neither the size of the blocks nor the threads change a result. ``tick`` is told how many rows are finished.
    ``compiled``: whether compiled kernels do the work where they can (see `deburr.nn.deburr.kernels`).
    """

    count: int
    size: int | None = None
    helpers: Helpers | None = None
    tick: Callable[[int], None] = lambda _: None
    compiled: bool = True

    def of(self, count: int) -> Blocks:
        """The same for another number of rows."""
        return replace(self, count=count)

    def silent(self, count: int, size: int | None = None) -> Blocks:
        """The same for work of which nobody is told."""
        return Blocks(count, size or self.size, self.helpers, compiled=self.compiled)

    def rows(self) -> list[slice]:
        """The ranges that cover all rows."""
        size = self.size or max(self.count, 1)
        return [slice(a, min(a + size, self.count)) for a in range(0, self.count, size)]

    def map(self, work: Work, into: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """The results of ``work`` for all rows; with a gradient only where they are all computed at once.

        ``into``: where they may be put, to spare memory; ``work`` then reads these in its own rows alone.
        """
        if self.size is None:
            return work(slice(0, self.count))
        ready = slice(0, 0)
        if into is None:
            # The first block tells the results' shapes.
            ready = self.rows()[0]
            with torch.inference_mode():
                first = work(ready)
                into = tuple(part.new_empty((self.count, *part.shape[1:])) for part in first)

        def keep(rows: slice) -> None:
            for whole, part in zip(into, first if rows == ready else work(rows), strict=True):
                whole[rows] = part

        self.each(keep)
        return into

    def write(self, work: Callable[[slice, Tensor], object], whole: Tensor) -> Tensor:
        """``whole``, after ``work`` has written some rows at a time into its second argument, a view of it."""
        self.each(lambda rows: work(rows, whole[rows]))
        return whole

    def each(self, work: Callable[[slice], object]) -> None:
        """``work`` on some rows at a time, which puts its results where they belong itself."""
        waiting, finished = deque(self.rows()), list[int]()

        def take() -> bool:
            try:
                rows = waiting.popleft()
            except IndexError:  # another thread took the last
                return False
            with torch.inference_mode():  # which holds for one thread only
                work(rows)
            finished.append(rows.stop - rows.start)
            return True

        def help_out() -> None:
            # A task a thread, not a block: to hand a block over costs as much as to compute on it.
            while take():
                pass

        helpers = self.helpers
        tasks = [helpers.pool.submit(help_out) for _ in range(min(helpers.count, len(waiting) - 1))] if helpers else []
        told = 0
        try:
            while take():
                told = self._tell(finished, told)
        finally:
            waiting.clear()  # or an interrupted run would go on to its end
            for task in tasks:
                task.result()
        self._tell(finished, told)

    def _tell(self, finished: list[int], told: int) -> int:
        """Tick for all blocks finished but the first ``told``; how many these are now."""
        now = len(finished)
        self.tick(sum(finished[told:now]))
        return now


@contextmanager
def worker_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """``workers`` threads, each of which computes its operations alone.

    What still waits is dropped when the block is left, so that an interrupted run stops at once.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


@contextmanager
def helping(threads: int) -> Iterator[Helpers | None]:
    """What `Blocks` needs to use ``threads`` threads, the caller's among them."""
    with worker_pool(max(threads - 1, 1)) as pool:
        yield Helpers(threads - 1, pool) if threads > 1 else None
