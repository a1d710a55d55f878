"""An input file, as far as its head tells: small enough to be sent to any worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deburr.core import web
from deburr.core.addresses import is_address, shown
from deburr.core.arrays import Floats
from deburr.core.cloud import Extent, kinds
from deburr.core.errors import ReadError
from deburr.core.registry import stage_class
from deburr.core.stage import Outline, Reader
from deburr.scratch.cells import Kinds, kinds_as_json, kinds_from_json

#: The state of a file, by which it is told from what it was before.
Stamp = tuple[int | str | None, ...]
_ANY = (np.zeros(2), np.ones(2))


@dataclass(frozen=True, eq=False)
class FileRef:
    """A file, as far as that is known without its points; goes through JSON.

    ``number`` is its place among all files; of ``context`` files points are only looked at. ``extent`` is what the
    head says, and points lie within ``step`` of it. ``stamp`` is the state of the file that this was told of.
    ``indexed``: a box of it can be read without the rest.

    A file on the web has its address for a path, as anybody may see it; what of it is ``secret``, that is, the whole
    address, goes to workers another way.
    """

    path: str
    type: str
    options: Mapping[str, Any]
    number: int
    extent: Extent
    kinds: Kinds
    crs: str | None = None
    step: float = 0.0
    context: bool = False
    stamp: Stamp | None = None
    indexed: bool = False
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        reader: Reader,
        number: int,
        outline: Outline | None = None,
        context: bool = False,
        state: Stamp | None = None,
    ) -> FileRef:
        """What ``reader`` is going to read; ``outline`` and ``state``: of its file, if they are known already. Raises
        `ReadError`."""
        state = state or stamp(reader.filename)
        told = outline or reader.outline()
        # Where the head says nothing of the columns, the first point does.
        columns = told.kinds if told.kinds is not None else kinds(next(reader.parts(1)).dims)
        types = {name: kind.newbyteorder("<") for name, kind in columns.items()}
        path, secret = reader.filename, None
        if is_address(path):
            path, secret = shown(path), path if shown(path) != path else None
        options = {**reader.model_dump(mode="json", exclude_defaults=True), "filename": path}
        found = cls(path, reader.type_name, options, number, told.extent, types, told.crs, told.step, context, state)
        return replace(found, indexed=told.indexed and reader.within(*_ANY) is not None, secret=secret)

    @property
    def reader(self) -> Reader:
        """The reader that `of` was given."""
        options = {**self.options, "filename": self.secret or self.path}
        reader = stage_class(self.type).model_validate(options)
        assert isinstance(reader, Reader)
        return reader

    @staticmethod
    def check_located(path: str | os.PathLike[str], extent: Extent) -> None:
        """Raise `ReadError` for a file of which no point has coordinates: it lies nowhere."""
        if extent.count and not np.isfinite([extent.low, extent.high]).all():
            raise ReadError(f"{os.fspath(path)}: none of its points has coordinates; leave the file out")

    def check(self) -> None:
        """Raise `ReadError` if the file is not in the state any more that this was told of."""
        if self.is_remote:
            state = _remote(self.secret or self.path)
        else:
            try:
                state = _state(os.stat(self.path))
            except OSError as error:
                raise ReadError(
                    f"{self.path}: cannot be read ({error.strerror}); check the path and its permissions"
                ) from error
        if self.stamp is not None and state != self.stamp:
            raise ReadError(f"{self.path}: was changed while it was worked on; run again when nothing writes to it")

    @property
    def is_remote(self) -> bool:
        """Whether it lies on the web."""
        return is_address(self.path)

    @property
    def place(self) -> str:
        """What tells it from all other files: its path, however that is given."""
        return self.path if self.is_remote else os.path.abspath(self.path)

    @property
    def low(self) -> Floats:
        """(2,) float64: no point lies below."""
        return self.extent.low[:2] - self.step

    @property
    def high(self) -> Floats:
        """(2,) float64: no point lies above, or on it."""
        return np.nextafter(self.extent.high[:2] + self.step, np.inf)

    def as_json(self) -> dict[str, Any]:
        """JSON values, without the ``secret``."""
        extent = self.extent
        ends = [extent.low.tolist(), extent.high.tolist()] if extent.count else None  # JSON knows no infinity
        told = {"extent": [extent.count, ends], "kinds": kinds_as_json(self.kinds), "options": dict(self.options)}
        same = ("path", "type", "number", "crs", "step", "context", "stamp", "indexed")
        return {**{name: getattr(self, name) for name in same}, **told}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileRef:
        """What `as_json` gave."""
        count, ends = value["extent"]
        low, high = (np.array(end) for end in ends) if ends else (np.full(3, np.inf), np.full(3, -np.inf))
        state = None if value["stamp"] is None else tuple(value["stamp"])
        extent, kinds_ = Extent(count, low, high), kinds_from_json(value["kinds"])
        return cls(**{**value, "extent": extent, "kinds": kinds_, "stamp": state})


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """What changes whenever a file is written to, replaced or renamed: its size, and when its content and its record
    in the file system last changed, ns. None where there is no such file. Of an address, what its server tells.

    The last of them cannot be set, as the time of the content can: programs that copy files set that.
    """
    if is_address(os.fspath(path)):
        return _remote(os.fspath(path))
    try:
        return _state(os.stat(path))
    except OSError:
        return None


def _state(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _remote(address: str) -> Stamp:
    state = web.state_of(address)
    return state.size, state.mark, state.changed
