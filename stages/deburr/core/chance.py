"""Chance that belongs to a point: it depends on the seed and on the row in the file that was read, on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deburr.core.arrays import Floats, Ints
from deburr.core.progress import advance

#: Rows that share one random stream: a tile draws the streams it needs and no more.
BLOCK = 1 << 16


def drawn(
    rows: Ints,
    seed: Sequence[int],
    draw: Callable[[np.random.Generator, int], Floats],
    what: str,
    shape: tuple[int, ...] = (),
) -> Floats:
    """(M, ...) float64 of ``shape`` for the source rows (M,), out of (`BLOCK`, ...) that ``draw`` gives for a stream
    and that number.

    Numbers in ``seed`` after the first tell draws apart that must not depend on each other. ``what``: the work's name.
    """
    out = np.empty((len(rows), *shape))
    blocks = rows // BLOCK
    order = np.argsort(blocks, kind="stable")
    numbers, starts = np.unique(blocks[order], return_index=True)
    for done, (block, part) in enumerate(zip(numbers.tolist(), np.split(order, starts[1:]), strict=False), 1):
        out[part] = draw(np.random.default_rng([seed[0], block, *seed[1:]]), BLOCK)[rows[part] - block * BLOCK]
        advance(what, done, len(numbers))
    return out
