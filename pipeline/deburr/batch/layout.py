"""The tiles that outputs are made of: how many points they may hold, and how far around them is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt
from typing import Any

import numpy as np

from deburr.batch.job import Job, Target
from deburr.core import cut as cutting
from deburr.core.arrays import Floats
from deburr.core.cloud import Extent
from deburr.core.horizon import SPACING
from deburr.scratch.input_file import FileRef
from deburr.tiles import memory
from deburr.tiles.surveys import Passes, reach
from deburr.tiles.tile import Core, Work

#: The distance to the 16th neighbour, in spacings.
_HOP = sqrt(16 / np.pi)
#: Halos are as much wider than what is seen on average: to read a little more is cheaper than to read again.
_SPARE = 1.6
#: Real clouds are less even than random ones: their neighbours lie as much farther away than their density says.
_UNEVEN = 1.3
#: Tiles that read wider than this many halos read what was not foreseen.
HALOS = 2.0


@dataclass(frozen=True, eq=False)
class Tile:
    """A core, the output it goes to, and about how many points it has."""

    id: str
    core: Core
    output: str
    points: int


@dataclass(frozen=True, eq=False)
class Output:
    """``targets``: a file to be written, or several of the same points, which are those of the input files with these
    numbers; all of them, or those in ``box``."""

    id: str
    targets: Sequence[Target]
    files: tuple[int, ...]
    box: cutting.Box | None = None
    may_be_empty: bool = True


def large(job: Job) -> list[FileRef]:
    """The inputs that are more than one tile, and must be unpacked before it is known how to cut them."""
    most = int(memory.CORE * job.limit)
    return [file for file in job.store.files if not file.context and job.count(file.number) > most]


def tiles(job: Job, outputs: Sequence[Output], side: float | None = None) -> list[Tile]:
    """The tiles that the outputs are made of; large files must have been unpacked. ``side``: of a regular grid."""
    most = int(memory.CORE * job.limit)
    found: list[Tile] = []
    for output in outputs:
        if output.box is None:
            boxes = _of_file(job, output.files[0], most, side)
        else:
            low, high = output.box
            number = sum(_at_most(job, file, low, high, most) for file in output.files) / most
            boxes = _even(low, high, max(number, 0 if side is None else _ratio(output.box, side)))
        for number, (low, high) in enumerate(boxes):
            name = output.id if len(boxes) == 1 else f"{output.id}-{number}"
            inside = sum(_points(job, file, low, high) for file in output.files)
            found.append(Tile(name, Core(low, high, output.files), output.id, inside))
    return found


def _points(job: Job, number: int, low: Any, high: Any) -> int:
    file = job.store.file(number)
    overlap = np.minimum(high, file.high) - np.maximum(low, file.low)
    width = np.maximum(file.high - file.low, 1e-300)
    # Never 0 where there may be one: what has no points is not looked at.
    return ceil(file.extent.count * float(np.clip(overlap / width, 0, 1).prod()))


def _at_most(job: Job, number: int, low: Any, high: Any, most: int) -> int:
    """How many points of a file a box holds, hardly more. The same whatever has been unpacked in an earlier run."""
    file = job.store.file(number)
    if job.count(number) <= most:
        return min(file.extent.count, 4 * _points(job, number, low, high))
    counts, x, y = job.store.histogram(number, window(job, number))
    inside = np.outer((x[:-1] < high[0]) & (x[1:] > low[0]), (y[:-1] < high[1]) & (y[1:] > low[1]))
    return int(counts[inside].sum())


def _of_file(job: Job, number: int, most: int, side: float | None) -> list[cutting.Box]:
    file = job.store.file(number)
    own = job.own(number)
    if side is not None and file.extent.count:
        # No more of a cell than the file fills: the rest is other tiles', and need not be read.
        return _within(own, cutting.grid(*own, side))
    if job.count(number) <= most:
        return [own] if file.extent.count else [(np.zeros(2), np.zeros(2))]
    found = cutting.cut(*job.store.histogram(number, window(job, number)), most)
    return found if job.bounds is None else _within(own, found)


def _within(own: cutting.Box, boxes: Sequence[cutting.Box]) -> list[cutting.Box]:
    """What of ``boxes`` lies in the box ``own``, which is not empty."""
    clipped = [(np.maximum(low, own[0]), np.minimum(high, own[1])) for low, high in boxes]
    return [(low, high) for low, high in clipped if (low < high).all()]


def window(job: Job, number: int) -> cutting.Box | None:
    """What is needed of a file to know how its points that are worked on lie, and most likely to work on them."""
    if job.bounds is None:
        return None
    work = Passes(job.filters).survey() or Passes(job.filters).work()
    wide = HALOS * halo(work, job.store.file(number).extent)
    return job.store.window(number, job.bounds[0] - wide, job.bounds[1] + wide)


def place(x: float, y: float) -> Floats:
    """(2,) float64."""
    return np.array([x, y], dtype=np.float64)


def _ratio(box: cutting.Box, side: float) -> float:
    """How many squares of this ``side`` the square ``box`` takes."""
    return float(ceil((box[1][0] - box[0][0]) / side * (1 - 1e-9)) ** 2)


def _even(low: Any, high: Any, number: float) -> list[cutting.Box]:
    """The box in ``number`` equal parts, or a few more."""
    parts = max(1, ceil(sqrt(number)))
    x, y = (np.linspace(low[axis], high[axis], parts + 1).tolist() for axis in (0, 1))
    return [(np.array([a, c]), np.array([b, d])) for c, d in pairwise(y) for a, b in pairwise(x)]


def halo(work: Work, extent: Extent) -> float:
    """How wide the halo of a tile may have to be, cloud units, where points lie as densely as in ``extent``."""
    told = [known.get(SPACING) for known in (*work.known, work.asked)]
    if extent.count:
        sides = (extent.high - extent.low)[:2]
        # Of points in a line, each has its part of that.
        even = np.sqrt(sides.prod() / extent.count) if sides.all() else sides.max() / extent.count
        told.append(_UNEVEN * float(even))
    seen = reach(work)
    return seen.length + _SPARE * seen.hops * _HOP * max((spacing for spacing in told if spacing), default=0.0)
