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

#: The folder of the points that stages made, beside those that were read.
_ADDED = "made"


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
    """Results for points of one file. ``shape``: their number, bounds, columns that change and those that go.
    ``added``: of these, those that stages made beside the others, whose rows they have; None where they made none."""

    @property
    def shape(self) -> Shape: ...

    @property
    def added(self) -> Results | None: ...

    def between(self, begin: int, end: int) -> Columns:
        """Those of the rows [begin, end) that were read."""
        ...


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
    added: Held | None = None

    @property
    def shape(self) -> Shape:
        extent = extent_of(self.columns.xyz)
        kinds = {name: np.dtype((c.dtype, c.shape[1:])) for name, c in self.columns.dims.items()}
        own = Shape(extent, kinds, self.taken)
        return own if self.added is None else spanned([own, self.added.shape])

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

    def of(some: Ints, added: Held | None) -> Held:
        return Held(Columns(rows[some], xyz[some], {name: column[some] for name, column in dims.items()}), taken, added)

    for number in np.unique(file).tolist():
        some = order[file[order] == number]
        # Of those with one row, the first was read.
        made = np.append(False, np.diff(rows[some]) == 0)
        found[number] = of(some[~made], of(some[made], None) if made.any() else None)
    return found


@dataclass(frozen=True)
class Saved:
    """Results in a folder of scratch."""

    folder: Path

    @property
    def added(self) -> Saved | None:
        return Saved(self.folder / _ADDED) if (self.folder / _ADDED).is_dir() else None

    @property
    def shape(self) -> Shape:
        own = self._alone
        return own if self.added is None else spanned([own, self.added.shape])

    @property
    def _alone(self) -> Shape:
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

        dims = {name: part(f"dim-{number}") for number, name in enumerate(self._alone.kinds)}
        return Columns(np.array(rows[a:b]), part("xyz"), dims)


def save(results: Held, folder: Path) -> Saved:
    """Put ``results`` into ``folder``, which appears only when it is complete. Raises `WriteError`."""
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    try:
        _save_all(results, temporary)
        if results.added is not None:
            _save_all(results.added, temporary / _ADDED)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    except OSError as error:
        raise WriteError(
            f"{folder}: results cannot be kept in scratch ({error.strerror or error}); free space and run again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Saved(folder)


def _save_all(results: Held, folder: Path) -> None:
    """Put ``results``, but for those that were added, into a new ``folder``."""
    shape = replace(results, added=None).shape
    folder.mkdir(mode=0o700)
    _save(folder / "rows.npy", results.columns.rows)
    _save(folder / "xyz.npy", results.columns.xyz)
    for number, column in enumerate(results.columns.dims.values()):
        _save(folder / f"dim-{number}.npy", column)
    ends = [shape.extent.low.tolist(), shape.extent.high.tolist()] if shape.extent.count else None
    told = {"count": shape.extent.count, "ends": ends, "kinds": kinds_as_json(shape.kinds), "taken": shape.taken}
    with open(folder / "shape.json", "w", encoding="utf-8", opener=private) as file:
        json.dump(told, file)


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
    """The points of ``reader`` that are among ``results``, with these, part after part, in the file's order; and behind
    them those that were added, in the order of the points beside which they were made.

    ``whole`` are all results that go into the same output: every part has its columns. ``read`` are the types that
    tiles read columns in, wide enough for all files: where a result has it still, the file's own is kept.
    """
    first = None
    for number, part in enumerate(reader.parts(size)):
        # A file that is one part need not be read again, and writers take all of it for one.
        first = part if number == 0 else None
        yield _put(part, results, whole, read or {})
    added = [one.added for one in results if one.added is not None]
    if added:
        for part in reader.parts(size) if first is None else [first]:
            made = _put(part, added, whole, read or {})
            if len(made):
                yield made


def _put(part: PointCloud, results: Sequence[Results], whole: Shape, read: Kinds) -> PointCloud:
    """The points of ``part`` that are among ``results``, with these."""
    whole = replace(whole, kinds={**whole.kinds, **_own(part, whole.kinds, read)})
    if not len(part):
        return _changed(part, Columns(part.rows, part.xyz, {}), whole)
    begin, end = int(part.rows[0]), int(part.rows[-1]) + 1
    found = [columns for one in results if len((columns := one.between(begin, end)).rows)]
    return _changed(part, _joined(part, found, whole), whole)


def _own(part: PointCloud, results: Kinds, read: Kinds) -> Kinds:
    own = kinds(part.dims)
    return {name: own[name] for name, kind in results.items() if name in own and read.get(name) == kind}


def _joined(part: PointCloud, found: list[Columns], whole: Shape) -> Columns:
    rows = np.concatenate([part.rows[:0], *(columns.rows for columns in found)])
    order = np.argsort(rows, kind="stable")
    xyz = np.concatenate([part.xyz[:0], *(columns.xyz for columns in found)])[order]
    dims = {}
    for name, kind in whole.kinds.items():
        each = [np.zeros((0, *kind.shape), kind.base), *(_column(part, columns, name, kind) for columns in found)]
        dims[name] = np.concatenate(each)[order]
    return Columns(rows[order], xyz, dims)


def _column(part: PointCloud, columns: Columns, name: str, kind: np.dtype[Any]) -> Any:
    """What the points of ``columns`` have under this name: where these do not tell, what ``part`` has; else 0."""
    if name in columns.dims:
        return columns.dims[name].astype(kind.base)
    if name in part.dims:
        return part.dims[name][_places(part, columns.rows)].astype(kind.base)
    return np.zeros((len(columns.rows), *kind.shape), kind.base)


def _places(part: PointCloud, rows: Ints) -> Ints:
    """Where in ``part`` the points of these ``rows`` (M,) stand; of a file that was read in part, rows are missing."""
    if int(part.rows[-1]) - int(part.rows[0]) + 1 == len(part):
        return np.asarray(rows - part.rows[0])
    return np.searchsorted(part.rows, rows)


def _changed(part: PointCloud, columns: Columns, whole: Shape) -> PointCloud:
    if not np.array_equal(columns.rows, part.rows):
        part = part.select(_places(part, columns.rows))
    dims = {name: column for name, column in part.dims.items() if name not in whole.taken}
    dims |= columns.dims
    if not len(part):
        dims |= {name: np.zeros((0, *kind.shape), kind.base) for name, kind in whole.kinds.items()}
    return replace(part, xyz=columns.xyz, dims=dims)
