"""Runs filters over a cloud in memory that is cut into tiles, as a batch does with files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from deburr.core.cloud import Extent, PointCloud, located
from deburr.core.stage import Filter
from deburr.core.sums import merge
from deburr.tiles.surveys import Passes, sample
from deburr.tiles.tile import Core, Done, process


@dataclass(frozen=True)
class Memory:
    """A view of a cloud in memory; ``file`` (N,): the input that each point comes from."""

    cloud: PointCloud
    file: Any

    @property
    def extent(self) -> Extent:
        return self.cloud.extent

    about = extent

    def read(self, low: Any, high: Any) -> tuple[PointCloud, Any]:
        plan = self.cloud.original[:, :2]
        rows = np.flatnonzero(self._there & ((plan >= low) & (plan < high)).all(axis=1))
        rows = rows[np.lexsort((self.cloud.rows[rows], self.file[rows]))]
        return self.cloud.select(rows), self.file[rows]

    def nowhere(self, low: Any, high: Any) -> Iterator[tuple[PointCloud, Any]]:
        for number in np.unique(self.file[~self._there]).tolist():
            mine = self.file == number
            corner = self.cloud.original[mine & self._there, :2].min(axis=0, initial=np.inf)
            if ((corner >= low) & (corner < high)).all():
                rows = np.flatnonzero(mine & ~self._there)
                rows = rows[np.argsort(self.cloud.rows[rows], kind="stable")]
                yield self.cloud.select(rows), self.file[rows]

    @cached_property
    def _there(self) -> Any:
        return located(self.cloud.original)

    def count(self, low: Any, high: Any) -> int:
        return len(self.read(low, high)[0])


def cells(cloud: PointCloud, origin: Any, sides: Any) -> list[tuple[Any, Any]]:
    """The half-open cells, low and high (2,), of a grid of ``sides`` through ``origin`` that hold points."""
    plan = cloud.original[:, :2]
    plan = plan[located(cloud.original)]
    numbers = np.floor((plan - origin) / sides)
    # Rounding may put a point beyond the border that the cell then has.
    numbers += plan >= origin + (numbers + 1) * sides
    numbers -= plan < origin + numbers * sides
    numbers = np.unique(numbers, axis=0)
    return [(origin + number * sides, origin + (number + 1) * sides) for number in numbers]


def tiled(
    filters: Sequence[Filter],
    cloud: PointCloud,
    boxes: Sequence[tuple[Any, Any]],
    halo: float,
    file: Any = None,
    limit: int = 10**9,
) -> tuple[PointCloud, list[dict[str, Any]], list[Done]]:
    """What the filters make of ``cloud``: the points that remain, in their first order, and behind them those that were
    added, in the order of those that they are made beside; each filter's merged figures; and the account of every tile
    of the last pass."""
    file = np.zeros(len(cloud), np.int32) if file is None else file
    view = Memory(cloud, file)
    files = tuple(np.unique(file).tolist())
    passes = Passes(filters)
    while (work := passes.survey()) is not None:
        chosen = sample(work, view.extent)
        places = boxes if chosen is None else [(np.array(c[:2]), np.array(c[2:])) for c in chosen.cells(view.extent)]
        found = [process(view, work, Core(low, high, files), halo, limit) for low, high in places]
        passes.learn(work, merge([sums for done in found for sums in done.sums]))
    found = [process(view, passes.work(), Core(low, high, files), halo, limit) for low, high in boxes]
    figures = []
    for number, stage in enumerate(filters):
        records = [record for done in found for record in done.records[number]]
        figures.append(stage.figures(merge([record.sums for record in records if record.sums])))
    pieces = [piece for done in found for piece in (*done.pieces, *done.nowhere) if len(piece.rows)]
    if not pieces:
        return cloud.select(np.zeros(0, np.intp)), figures, found
    file_, rows = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("file", "rows"))
    first = np.lexsort((cloud.rows, file))
    wanted = {key: i for i, key in enumerate(zip(file[first].tolist(), cloud.rows[first].tolist(), strict=True))}
    places_ = first[[wanted[key] for key in zip(file_.tolist(), rows.tolist(), strict=True)]]
    # Of those with one row, the first was read.
    order = np.argsort(places_, kind="stable")
    order = order[np.argsort(np.append(False, np.diff(places_[order]) == 0), kind="stable")]
    kept = cloud.select(places_[order])
    parts = np.split(places_, np.cumsum([len(piece.rows) for piece in pieces])[:-1])
    columns = {}
    for name in sorted({name for piece in pieces for name in piece.dims}):
        # A piece has the columns that were changed in its tile; the others stand as they were.
        column = [
            piece.dims[name] if name in piece.dims else cloud.dims[name][rows]
            for piece, rows in zip(pieces, parts, strict=True)
        ]
        columns[name] = np.concatenate(column)[order]
    xyz = np.concatenate([piece.xyz for piece in pieces])[order]
    gone = {name for piece in pieces for name in piece.taken}
    dims = {name: column for name, column in kept.dims.items() if name not in gone}
    return replace(kept, xyz=xyz, dims={**dims, **columns}), figures, found
