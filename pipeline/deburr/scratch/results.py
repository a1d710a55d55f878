"""Results of tiles, in memory or in scratch, and how a file is put together from them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deburr.core.arrays import Floats, Ints
from deburr.core.cloud import Extent, PointCloud, extent_of, kinds
from deburr.core.errors import WriteError
from deburr.core.files import plain, private
from deburr.core.stage import Reader
from deburr.scratch.cells import Kinds, kinds_as_json, kinds_from_json
from deburr.tiles.tile import Piece, keys_of


@dataclass(frozen=True, eq=False)
class Columns:
    """Results for points of one file, by ascending ``rows``; as `deburr.tiles.tile.Piece`."""

    rows: Ints
    xyz: Floats
    dims: Mapping[str, Any]

    def between(self, begin: int, end: int) -> Columns:
        """Those of the rows [begin, end)."""
        a, b = np.searchsorted(self.rows, [begin, end])
        return Columns(self.rows[a:b], self.xyz[a:b], {name: column[a:b] for name, column in self.dims.items()})


class Results(Protocol):
    """Results for points of one file. ``shape``: their number, bounds, columns that change and those that go."""

    @property
    def shape(self) -> Shape: ...

    def between(self, begin: int, end: int) -> Columns: ...


@dataclass(frozen=True)
class Shape:
    """How many points there are, where they are now, which columns they have anew, and which no more."""

    extent: Extent
    kinds: Mapping[str, np.dtype[Any]]
    taken: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """Results in memory."""

    columns: Columns
    taken: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        extent = extent_of(self.columns.xyz)
        kinds = {name: np.dtype((c.dtype, c.shape[1:])) for name, c in self.columns.dims.items()}
        return Shape(extent, kinds, self.taken)

    def between(self, begin: int, end: int) -> Columns:
        return self.columns.between(begin, end)


def held(pieces: Sequence[Piece]) -> dict[int, Held]:
    """The results of all attempts at a tile, for each file."""
    filled = [piece for piece in pieces if len(piece.rows)] or list(pieces[:1])
    file = np.concatenate([piece.file for piece in filled])
    rows = np.concatenate([piece.rows for piece in filled])
    xyz = np.concatenate([piece.xyz for piece in filled])
    names = dict.fromkeys(name for piece in filled for name in piece.dims)
    dims = {name: np.concatenate([piece.dims[name] for piece in filled]) for name in names}
    order = np.argsort(keys_of(file, rows), kind="stable")
    taken = tuple(sorted({name for piece in filled for name in piece.taken}))
    found = {}
    for number in np.unique(file).tolist():
        some = order[file[order] == number]
        columns = Columns(rows[some], xyz[some], {name: column[some] for name, column in dims.items()})
        found[number] = Held(columns, taken)
    return found


@dataclass(frozen=True)
class Saved:
    """Results in a folder of scratch."""

    folder: Path

    @property
    def shape(self) -> Shape:
        with open(self.folder / "shape.json", encoding="utf-8", opener=plain) as file:
            told = json.load(file)
        ends = [np.array(end) for end in told["ends"]] if told["ends"] else [np.full(3, np.inf), np.full(3, -np.inf)]
        extent = Extent(told["count"], ends[0], ends[1])
        return Shape(extent, kinds_from_json(told["kinds"]), tuple(told["taken"]))

    def between(self, begin: int, end: int) -> Columns:
        # Mapped for a moment only: what stays mapped counts as memory that is used.
        rows = np.load(self.folder / "rows.npy", mmap_mode="r", allow_pickle=False)
        a, b = np.searchsorted(rows, [begin, end])

        def part(name: str) -> Any:
            return np.array(np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[a:b])

        dims = {name: part(f"dim-{number}") for number, name in enumerate(self.shape.kinds)}
        return Columns(np.array(rows[a:b]), part("xyz"), dims)


def save(results: Held, folder: Path) -> Saved:
    """Put ``results`` into ``folder``, which appears only when it is complete. Raises `WriteError`."""
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    shape = results.shape
    try:
        temporary.mkdir(mode=0o700)
        _save(temporary / "rows.npy", results.columns.rows)
        _save(temporary / "xyz.npy", results.columns.xyz)
        for number, column in enumerate(results.columns.dims.values()):
            _save(temporary / f"dim-{number}.npy", column)
        ends = [shape.extent.low.tolist(), shape.extent.high.tolist()] if shape.extent.count else None
        told = {"count": shape.extent.count, "ends": ends, "kinds": kinds_as_json(shape.kinds), "taken": shape.taken}
        with open(temporary / "shape.json", "w", encoding="utf-8", opener=private) as file:
            json.dump(told, file)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    except OSError as error:
        raise WriteError(
            f"{folder}: results cannot be kept in scratch ({error.strerror or error}); free space and run again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Saved(folder)


def _save(path: Path, values: Any) -> None:
    with open(path, "wb", opener=private) as file:
        np.save(file, values, allow_pickle=False)


def spanned(shapes: Iterable[Shape]) -> Shape:
    """Of several results together."""
    count, low, high = 0, np.full(3, np.inf), np.full(3, -np.inf)
    kinds: dict[str, np.dtype[Any]] = {}
    taken: dict[str, None] = {}
    for shape in shapes:
        count += shape.extent.count
        low, high = np.minimum(low, shape.extent.low), np.maximum(high, shape.extent.high)
        kinds.update(shape.kinds)
        taken.update(dict.fromkeys(shape.taken))
    return Shape(Extent(count, low, high), kinds, tuple(taken))


def put_together(
    reader: Reader, results: Sequence[Results], whole: Shape, size: int, read: Kinds | None = None
) -> Iterator[PointCloud]:
    """The points of ``reader`` that are among ``results``, with these, part after part, in the file's order.

    ``whole`` are all results that go into the same output: every part has its columns. ``read`` are the types that
    tiles read columns in, wide enough for all files: where a result has it still, the file's own is kept.
    """
    for part in reader.parts(size):
        whole = replace(whole, kinds={**whole.kinds, **_own(part, whole.kinds, read or {})})
        if not len(part):
            yield _changed(part, Columns(part.rows, part.xyz, {}), whole)
            continue
        begin, end = int(part.rows[0]), int(part.rows[-1]) + 1
        found = [columns for one in results if len((columns := one.between(begin, end)).rows)]
        yield _changed(part, _joined(part, found, whole), whole)


def _own(part: PointCloud, results: Kinds, read: Kinds) -> Kinds:
    own = kinds(part.dims)
    return {name: own[name] for name, kind in results.items() if name in own and read.get(name) == kind}


def _joined(part: PointCloud, found: list[Columns], whole: Shape) -> Columns:
    rows = np.concatenate([part.rows[:0], *(columns.rows for columns in found)])
    order = np.argsort(rows, kind="stable")
    xyz = np.concatenate([part.xyz[:0], *(columns.xyz for columns in found)])[order]
    dims = {}
    for name, kind in whole.kinds.items():
        before = part.dims.get(name)
        whole_part = np.zeros((len(part), *kind.shape), kind.base) if before is None else before.astype(kind.base)
        for columns in found:
            if name in columns.dims:
                whole_part[_places(part, columns.rows)] = columns.dims[name]
        dims[name] = whole_part[_places(part, rows[order])]
    return Columns(rows[order], xyz, dims)


def _places(part: PointCloud, rows: Ints) -> Ints:
    """Where in ``part`` the points of these ``rows`` (M,) stand; of a file that was read in part, rows are missing."""
    if int(part.rows[-1]) - int(part.rows[0]) + 1 == len(part):
        return np.asarray(rows - part.rows[0])
    return np.searchsorted(part.rows, rows)


def _changed(part: PointCloud, columns: Columns, whole: Shape) -> PointCloud:
    if len(columns.rows) != len(part):
        part = part.select(_places(part, columns.rows))
    dims = {name: column for name, column in part.dims.items() if name not in whole.taken}
    dims |= columns.dims
    if not len(part):
        dims |= {name: np.zeros((0, *kind.shape), kind.base) for name, kind in whole.kinds.items()}
    return replace(part, xyz=columns.xyz, dims=dims)
