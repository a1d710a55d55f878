"""How work on many points is cut: blocks that fit the cache, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

#: Computes some rows of several results.
Work = Callable[[slice], tuple[Tensor, ...]]


class Blocks:
    """Rows 0 to ``count``, all at once or ``size`` at a time on the threads of ``pool``.

    One thread a block: threads that share every product of one block wait for each other at each of them, and on a
    busy machine that made two threads ten times slower than one. Every result row depends on its own inputs alone,
    so neither the size of the blocks nor the threads change a result.
    """

    def __init__(
        self,
        count: int,
        size: int | None = None,
        pool: ThreadPoolExecutor | None = None,
        tick: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._count, self._size, self._pool, self._tick = count, size or max(count, 1), pool, tick

    def of(self, count: int) -> Blocks:
        """The same for another number of rows."""
        return Blocks(count, self._size, self._pool, self._tick)

    def rows(self) -> list[slice]:
        """The ranges that cover all rows."""
        return [slice(a, min(a + self._size, self._count)) for a in range(0, self._count, self._size)]

    def map(self, work: Work) -> tuple[Tensor, ...]:
        """The results of ``work`` for all rows. ``tick`` is told the rows of every finished block."""
        ranges = self.rows()
        if self._pool is None:
            assert len(ranges) == 1, "several blocks need a pool"
            return work(ranges[0])

        def detached(rows: slice) -> tuple[Tensor, ...]:
            with torch.inference_mode():  # which holds for one thread only
                return work(rows)

        # The first block tells the results' shapes; all others are put in their places by the threads that make them.
        first = detached(ranges[0])
        wholes = tuple(part.new_empty((self._count, *part.shape[1:])) for part in first)

        def keep(rows: slice, parts: tuple[Tensor, ...]) -> int:
            with torch.inference_mode():
                for whole, part in zip(wholes, parts, strict=True):
                    whole[rows] = part
            return rows.stop - rows.start

        self._tick(keep(ranges[0], first))
        for done in self._pool.map(lambda rows: keep(rows, detached(rows)), ranges[1:]):
            self._tick(done)
        return wholes


@contextmanager
def worker_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """``workers`` threads, each of which computes its operations alone: `threads` for the processor, 1 feeds a GPU.

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
