"""One tile: reads its core and a halo, runs stages on both, keeps what is proved to be as in the whole cloud.

A stage says which points it is sure of. For those of the core that one is not sure of, a wider halo is read, for them
alone; each stage counts a point into its figures in the one attempt in which it becomes sure of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import Extent, PointCloud, Record
from deburr.core.horizon import Horizon, Known
from deburr.core.stage import Filter, Reach
from deburr.core.sums import Sums
from deburr.pipeline.blame import blamed
from deburr.pipeline.execute import check_needs

#: Each wider attempt reads this many times as far around.
WIDER = 1.5
#: The second attempt reads at least this share of the width of the whole cloud.
_LEAST = 1e-6
#: Bits that hold a row within a file, in the key that names a point.
_ROW_BITS = 40


class View(Protocol):
    """All points of all inputs, wherever they are kept."""

    @property
    def extent(self) -> Extent:
        """Of all points."""
        ...

    @property
    def about(self) -> Extent:
        """Of those that are worked on: what stages take for the whole cloud's."""
        ...

    def read(self, low: Floats, high: Floats) -> tuple[PointCloud, npt.NDArray[np.int32]]:
        """The points whose x and y lie in [low, high), (2,) each, ordered by file and row; and (N,) their files."""
        ...

    def count(self, low: Floats, high: Floats) -> int:
        """About how many points `read` would give, never too few."""
        ...

    def nowhere(self, low: Floats, high: Floats) -> Iterator[tuple[PointCloud, npt.NDArray[np.int32]]]:
        """Points without coordinates, as `read`, in parts: of boxes that cover the plane, each is met in one."""
        ...


@dataclass(frozen=True, eq=False)
class Core:
    """The points that a tile answers for: in the half-open box from ``low`` to ``high`` (2,), of ``files``; of them,
    only those with the ``keys`` if there are any."""

    low: Floats
    high: Floats
    files: tuple[int, ...]
    keys: Ints | None = None

    def holds(self, cloud: PointCloud, file: npt.NDArray[np.int32]) -> Bools:
        """(N,) bool."""
        if self.keys is not None:
            return np.isin(keys_of(file, cloud.rows), self.keys)
        inside = np.isin(file, self.files)
        for axis in (0, 1):
            inside &= (cloud.original[:, axis] >= self.low[axis]) & (cloud.original[:, axis] < self.high[axis])
        return np.asarray(inside)


@dataclass(frozen=True, eq=False)
class Piece:
    """Results for some points, ordered by file and row: what stages made of them. Points that stages added come behind
    all others, each with the file and the row of the one that it was made beside.

    ``dims`` are the columns that differ from the input's, ``taken`` the dimensions that were removed.
    """

    file: npt.NDArray[np.int32]
    rows: Ints
    xyz: Floats
    original: Floats
    dims: Mapping[str, Any]
    taken: tuple[str, ...] = ()

    @property
    def read(self) -> Piece:
        """Those of the points that were read, without those that were added."""
        kept = np.sort(np.unique(keys_of(self.file, self.rows), return_index=True)[1])
        if len(kept) == len(self.rows):
            return self
        dims = {name: column[kept] for name, column in self.dims.items()}
        return Piece(self.file[kept], self.rows[kept], self.xyz[kept], self.original[kept], dims, self.taken)


@dataclass
class Done:
    """What became of a tile. ``records``: each stage's, one an attempt; ``sums``: of a survey, one an attempt;
    ``nowhere``: the pieces of points without coordinates."""

    pieces: list[Piece] = field(default_factory=list)
    nowhere: list[Piece] = field(default_factory=list)
    records: list[list[Record]] = field(default_factory=list)
    sums: list[Sums] = field(default_factory=list)
    read: int = 0
    attempts: int = 0
    unproved: int = 0
    halo: float = 0.0


@dataclass(frozen=True)
class Work:
    """What to do in a tile: run ``stages`` with what each has to know; then, if asked, let ``surveyor`` look.

    ``places`` say where each stage and then the surveyor stands, for messages.
    """

    stages: Sequence[Filter]
    known: Sequence[Known]
    surveyor: Filter | None = None
    asked: Known = field(default_factory=dict)
    places: Sequence[str] = ()

    @property
    def last(self) -> int:
        """The number of the last stage that looks around: after it, nobody asks for more than the core."""
        if self.surveyor is not None:
            return len(self.stages)
        around = [
            n for n, one in enumerate(zip(self.stages, self.known, strict=True)) if one[0].reach(one[1]) != Reach()
        ]
        return max(around, default=0)

    def where(self, number: int) -> str:
        stage = [*self.stages, self.surveyor][number]
        return (
            self.places[number] if number < len(self.places) else "the surveyor" if stage is None else stage.type_name
        )


def keys_of(file: npt.NDArray[np.int32], rows: Ints) -> Ints:
    """(N,) int64: one number for each point of all files."""
    return np.asarray((file.astype(np.int64) << _ROW_BITS) + rows)


def process(view: View, work: Work, core: Core, halo: float, limit: int) -> Done:
    """Do ``work`` for ``core``, at first with a halo of ``halo`` cloud units; read about ``limit`` points at most."""
    done = Done(records=[[] for _ in work.stages])
    counted: list[list[Ints]] = [[] for _ in work.stages]
    # Where nothing told how far to look, the first guess may be 0, and no multiple of it is more.
    least = _LEAST * float((view.extent.high - view.extent.low)[:2].max()) if view.extent.count else 0.0
    waiting = [(core, halo)]
    if work.surveyor is None:
        _nowhere(view, work, core, done)
    while waiting:
        core, halo = waiting.pop()
        low, high = _box(view.extent, core, halo)
        # What is too much to read is not read: the points are computed from what fits, and that is said.
        proved = view.count(low, high) <= limit or done.attempts == 0
        if not proved:
            low, high = _box(view.extent, core, halo / WIDER)
        cloud = _tile(view, core, low, high, proved)
        done.attempts, done.read, done.halo = done.attempts + 1, done.read + len(cloud), max(done.halo, halo)
        if not cloud.core.any() and view.extent.count and work.surveyor is None:
            # Nothing to answer for: the halo alone is not worth the work. (A survey has to say that it found nothing.)
            done.pieces.append(_piece(cloud, cloud, cloud.core))
            continue
        left = _attempt(work, cloud, counted, done)
        done.unproved += 0 if proved else int(cloud.core.sum())
        for some in _clusters(cloud.original[left, :2], _keys(cloud)[left], halo):
            waiting.append((replace(some, files=core.files), max(halo * WIDER, least)))
    return done


def _nowhere(view: View, work: Work, core: Core, done: Done) -> None:
    """What the stages make of points without coordinates, which nothing that lies anywhere hangs on, nor they on it."""
    for start, file in view.nowhere(core.low, core.high):
        every, far = np.ones(len(start), np.bool_), np.full(2, np.inf)
        horizon = Horizon(-far, far, np.isin(file, core.files), every, file)
        start = cloud = replace(start, horizon=horizon, extent=view.about)
        for number, (stage, known) in enumerate(zip(work.stages, work.known, strict=True)):
            with blamed(work.where(number), len(cloud)):
                check_needs(stage, cloud)
                cloud = stage.run(_asked(cloud, cloud.core, known, start.history))
            # What is to be warned of, tiles say.
            done.records[number] += [replace(one, warnings=()) for one in cloud.history[len(start.history) :]]
        done.nowhere.append(_piece(start, cloud, cloud.core))


def _box(extent: Extent, core: Core, halo: float) -> tuple[Floats, Floats]:
    """The core's box and a halo; open where nothing lies beyond."""
    low, high = core.low - halo, core.high + halo
    return np.where(low <= extent.low[:2], -np.inf, low), np.where(high > extent.high[:2], np.inf, high)


def _tile(view: View, core: Core, low: Floats, high: Floats, proved: bool) -> PointCloud:
    cloud, file = view.read(low, high)
    if not proved:
        low, high = np.full(2, -np.inf), np.full(2, np.inf)
    horizon = Horizon(low, high, core.holds(cloud, file), np.ones(len(cloud), np.bool_), file)
    return replace(cloud, horizon=horizon, extent=view.about)


def _files(cloud: PointCloud) -> npt.NDArray[np.int32]:
    assert cloud.horizon is not None
    return cloud.horizon.file


def _attempt(work: Work, start: PointCloud, counted: list[list[Ints]], done: Done) -> Bools:
    """Run the stages on a tile; returns which of its points are of the core and not done."""
    cloud = start
    for number, (stage, known) in enumerate(zip(work.stages, work.known, strict=True)):
        core = _still(start.core, start, cloud)
        history = (*start.history, *(Record(earlier.type_name) for earlier in work.stages[:number]))
        mine = core & ~np.isin(_keys(cloud), np.concatenate(counted[number])) if counted[number] else core
        with blamed(work.where(number), len(cloud)):
            check_needs(stage, cloud)
            near = core if number >= work.last else None
            before, cloud = cloud, stage.run(_asked(cloud, mine, known, history, near))
        done.records[number].extend(cloud.history[len(history) :])
        # What a stage removed, it was sure of.
        unsure = _still(cloud.core & ~cloud.settled, cloud, before)
        counted[number].append(_keys(before)[mine & ~unsure])
    core = _still(start.core, start, cloud)
    if work.surveyor is None:
        sure = cloud.settled
        done.pieces.append(_piece(start, cloud, core & sure))
    else:
        with blamed(work.where(len(work.stages)), len(cloud)):
            check_needs(work.surveyor, cloud)
            history = (*start.history, *(Record(earlier.type_name) for earlier in work.stages))
            sums, sure = work.surveyor.survey(_asked(cloud, core, work.asked, history), work.asked)
        done.sums.append(sums)
    return _still(core & ~sure, cloud, start)


def _still(chosen: Bools, of: PointCloud, cloud: PointCloud) -> Bools:
    """Which points of ``cloud`` are among the ``chosen`` (N,) ones ``of`` another, of which it is a part, or the other
    way round."""
    if cloud.rows is of.rows:  # nothing was removed in between
        return chosen
    return np.isin(_keys(cloud), _keys(of)[chosen])


def _keys(cloud: PointCloud) -> Ints:
    return keys_of(_files(cloud), cloud.rows)


def _asked(
    cloud: PointCloud, core: Bools, known: Known, history: tuple[Record, ...], near: Bools | None = None
) -> PointCloud:
    assert cloud.horizon is not None
    return replace(cloud, horizon=replace(cloud.horizon, known=known, core=core, near=near), history=history)


def _piece(start: PointCloud, cloud: PointCloud, keep: Bools) -> Piece:
    same = {name for name, column in start.dims.items() if cloud.dims.get(name) is column}
    dims = {name: column[keep] for name, column in cloud.dims.items() if name not in same}
    taken = tuple(sorted(start.dims.keys() - cloud.dims.keys()))
    return Piece(_files(cloud)[keep], cloud.rows[keep], cloud.xyz[keep], cloud.original[keep], dims, taken)


def _clusters(plan: Floats, keys: Ints, halo: float) -> Iterator[Core]:
    """Points (M, 2) in groups, each of them a tile with ``halo``: split where the parts' boxes are smaller together."""
    waiting = [np.arange(len(plan))] if len(plan) else []
    while waiting:
        some = waiting.pop()
        cut = _cut(plan[some], halo)
        if cut is None:
            # The box is half-open, and these are points on its border; the keys say what is meant.
            low, high = plan[some].min(axis=0), np.nextafter(plan[some].max(axis=0), np.inf)
            yield Core(low, high, (), np.sort(keys[some]))
        else:
            waiting += [some[part] for part in reversed(cut)]


def _cut(plan: Floats, halo: float) -> tuple[Ints, Ints] | None:
    """The two halves beside the widest gap in x or y, if to read both is less than to read all."""

    def read(rows: Ints) -> float:
        return float((np.ptp(plan[rows], axis=0) + 2 * halo).prod())

    best, least = None, read(np.arange(len(plan)))
    for axis in (0, 1):
        order = np.argsort(plan[:, axis], kind="stable")
        at = int(np.argmax(np.diff(plan[order, axis]))) + 1 if len(plan) > 1 else 0
        if at and (cost := read(order[:at]) + read(order[at:])) < least:
            best, least = (order[:at], order[at:]), cost
    return best
