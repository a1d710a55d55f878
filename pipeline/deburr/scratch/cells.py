"""The points of one file in scratch: records of a fixed size, sorted by where they lie, so that a box is read quickly.

A folder holds ``points`` (the records, chunk after chunk; within a chunk cell by cell of a grid over x and y, within a
cell in the file's order), ``nowhere`` (those of points without coordinates, which lie in no box, in the file's order),
``index.npz`` (the grid's edges, and where each cell begins in each chunk) and ``head.json``.
It appears under its name when it is complete (`deburr.scratch.unpack`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats, Ints
from deburr.core.cloud import Extent
from deburr.core.errors import RunError
from deburr.core.files import private

Records = npt.NDArray[np.void]
Kinds = Mapping[str, np.dtype[Any]]

#: The files of records.
POINTS, NOWHERE = "points", "nowhere"
#: Ranges that are fewer bytes apart are read in one go, with what lies between.
_GAP = 1 << 15


def record_type(kinds: Kinds) -> np.dtype[np.void]:
    """One point's record, packed and little-endian: x, y, z, its row, and columns of ``kinds`` named ``dim:...``."""
    fields: list[tuple[Any, ...]] = [("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("row", "<i8")]
    fields += [(f"dim:{name}", kind.base.newbyteorder("<"), kind.shape) for name, kind in kinds.items()]
    return np.dtype(fields)


@dataclass(frozen=True, eq=False)
class Buckets:
    """What lies in ``folder``: N points in C chunks, in the W x D cells of a grid.

    kinds : the columns that the points have.
    x, y : (W + 1,) and (D + 1,) float64, ascending: the edges of the half-open cells. The outermost cells also hold all
        that lies beyond them.
    starts : (C, D W + 1) int64: the record where each cell of each chunk begins, and where the chunk ends; cells of
        the same y follow each other.
    extent : that of the points themselves.
    nowhere : how many of them have no coordinates.
    window : (2, 2) from and to: the box of which all points of the file are here; None: everywhere.
    """

    folder: Path
    kinds: Kinds
    x: Floats
    y: Floats
    starts: Ints
    extent: Extent
    nowhere: int = 0
    window: Floats | None = None

    @classmethod
    def load(cls, folder: Path) -> Buckets | None:
        """What is in ``folder``; None where it is not there, or not whole."""
        try:
            head = json.loads((folder / "head.json").read_bytes())
            with np.load(folder / "index.npz", allow_pickle=False) as index:
                x, y, starts, low, high = (index[name] for name in ("x", "y", "starts", "low", "high"))
            sizes = [(folder / name).stat().st_size for name in (POINTS, NOWHERE)]
        except (FileNotFoundError, NotADirectoryError):
            return None
        kinds = kinds_from_json(head["kinds"])
        counts = [head["count"] - head["nowhere"], head["nowhere"]]
        if sizes != [count * record_type(kinds).itemsize for count in counts]:
            return None
        window = None if head["window"] is None else np.array(head["window"])
        return cls(folder, kinds, x, y, starts, Extent(head["count"], low, high), head["nowhere"], window)

    def covers(self, low: Floats, high: Floats) -> bool:
        """Whether all points of the file in the box [low, high), (2,) each, are here."""
        return self.window is None or bool((low >= self.window[0]).all() and (high <= self.window[1]).all())

    def save(self) -> None:
        """Write all but the points into ``folder``."""
        extent = self.extent
        with open(self.folder / "index.npz", "wb", opener=private) as file:
            np.savez(file, x=self.x, y=self.y, starts=self.starts, low=extent.low, high=extent.high)
        window = None if self.window is None else self.window.tolist()
        head = {"count": extent.count, "nowhere": self.nowhere, "kinds": kinds_as_json(self.kinds), "window": window}
        with open(self.folder / "head.json", "w", encoding="utf-8", opener=private) as text:
            json.dump(head, text)

    def count(self, low: Floats, high: Floats) -> int:
        """How many points lie in the cells that the box [low, high), (2,) each, overlaps."""
        begins, ends = self._ranges(low, high)
        return int((ends - begins).sum())

    def read(self, low: Floats, high: Floats) -> Iterator[Records]:
        """The records in the box [low, high), (2,) each, by row; at a time, those of one chunk.

        Raises `RunError`, and FileNotFoundError where another process has released them.
        """
        begins, ends = self._ranges(low, high)
        kind = record_type(self.kinds)
        with open(self.folder / POINTS, "rb", buffering=0) as file:
            for i in range(len(begins)):
                records = self._ranged(file, kind, begins[i], ends[i])
                x, y = records["x"], records["y"]
                rows = np.flatnonzero((x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1]))
                yield records[rows[np.argsort(records["row"][rows])]]

    def read_nowhere(self, size: int) -> Iterator[Records]:
        """The records of points without coordinates, by row, ``size`` at a time.

        Raises `RunError`, and FileNotFoundError where another process has released them.
        """
        kind = record_type(self.kinds)
        with open(self.folder / NOWHERE, "rb", buffering=0) as file:
            for begin in range(0, self.nowhere, size):
                count = min(size, self.nowhere - begin)
                yield self._ranged(file, kind, np.array([begin]), np.array([begin + count]))

    def histogram(self) -> tuple[Ints, Floats, Floats]:
        """How many points the cells hold, (W, D), and their edges (W + 1,), (D + 1,): all points lie between."""
        counts = np.diff(self.starts, axis=1).sum(axis=0).reshape(len(self.y) - 1, len(self.x) - 1).T
        x, y = self.x.copy(), self.y.copy()
        if self.extent.count > self.nowhere:
            for edges, low, high in zip((x, y), self.extent.low, self.extent.high, strict=False):
                edges[0], edges[-1] = min(edges[0], low), max(edges[-1], np.nextafter(high, np.inf))
        return counts, x, y

    def _ranges(self, low: Floats, high: Floats) -> tuple[Ints, Ints]:
        """The records, (C, R) from and to, that the box's cells hold: of each chunk, one range for each y."""
        beyond = (high <= low) | (low > self.extent.high[:2]) | (high <= self.extent.low[:2])
        if beyond.any():
            return np.zeros((0, 0), np.int64), np.zeros((0, 0), np.int64)
        left, right = _cells(self.x, low[0], high[0])
        bottom, top = _cells(self.y, low[1], high[1])
        lines = np.arange(bottom, top + 1) * (len(self.x) - 1)
        begins, ends = self.starts[:, lines + left], self.starts[:, lines + right + 1]
        some = (ends > begins).any(axis=1)
        return begins[some], ends[some]

    def _ranged(self, file: RawIOBase, kind: np.dtype[np.void], begins: Ints, ends: Ints) -> Records:
        """The records in ranges (R,), ascending, and those between ranges that are close together."""
        some = ends > begins
        begins, ends = begins[some], ends[some]
        apart = (begins[1:] - ends[:-1]) * kind.itemsize > _GAP
        begins, ends = begins[np.append(True, apart)], ends[np.append(apart, True)]
        records = np.empty(int((ends - begins).sum()), kind)
        room, at = records.view(np.uint8).data, 0
        for begin, end in zip((begins * kind.itemsize).tolist(), (ends * kind.itemsize).tolist(), strict=True):
            file.seek(begin)
            while begin < end:
                got = file.readinto(room[at : at + end - begin])
                if not got:
                    raise RunError(f"{self.folder}: is cut off; let no other program change scratch files, run again")
                begin, at = begin + got, at + got
        return records


def _cells(edges: Floats, low: float, high: float) -> tuple[int, int]:
    """The first and the last cell that can hold points of [low, high)."""
    first = np.searchsorted(edges, low, side="right") - 1
    last = np.searchsorted(edges, high, side="left") - 1
    return int(np.clip(first, 0, len(edges) - 2)), int(np.clip(last, 0, len(edges) - 2))


def kinds_as_json(kinds: Kinds) -> dict[str, Any]:
    """``kinds`` as JSON values."""
    return {name: [kind.base.newbyteorder("<").str, *kind.shape] for name, kind in kinds.items()}


def kinds_from_json(value: Mapping[str, Any]) -> dict[str, np.dtype[Any]]:
    """What `kinds_as_json` gave."""
    return {name: np.dtype((base, tuple(shape))) for name, (base, *shape) in value.items()}
