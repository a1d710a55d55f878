"""An input file, as far as its head tells: small enough to be sent to any worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import Extent, kinds
from deburr.core.errors import ReadError
from deburr.core.registry import stage_class
from deburr.core.stage import Outline, Reader
from deburr.scratch.cells import Kinds, kinds_as_json, kinds_from_json


@dataclass(frozen=True, eq=False)
class FileRef:
    """A file, as far as that is known without its points; goes through JSON.

    ``number`` is its place among all files; of ``context`` files points are only looked at. ``extent`` is what the
    head says, and points lie within ``step`` of it. ``stamp`` is the state of the file that this was told of.
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
    stamp: tuple[int, ...] | None = None

    @classmethod
    def of(cls, reader: Reader, number: int, outline: Outline | None = None, context: bool = False) -> FileRef:
        """What ``reader`` is going to read; ``outline``: its own, if it is known already. Raises `ReadError`."""
        state = stamp(reader.filename)
        told = outline or reader.outline()
        # Where the head says nothing of the columns, the first point does.
        columns = told.kinds if told.kinds is not None else kinds(next(reader.parts(1)).dims)
        types = {name: kind.newbyteorder("<") for name, kind in columns.items()}
        options = reader.model_dump(mode="json", exclude_defaults=True)
        path, step = reader.filename, told.step
        return cls(path, reader.type_name, options, number, told.extent, types, told.crs, step, context, state)

    @property
    def reader(self) -> Reader:
        """The reader that `of` was given."""
        reader = stage_class(self.type).model_validate(dict(self.options))
        assert isinstance(reader, Reader)
        return reader

    @staticmethod
    def check_located(path: str | os.PathLike[str], extent: Extent) -> None:
        """Raise `ReadError` for a file of which no point has coordinates: it lies nowhere."""
        if extent.count and not np.isfinite([extent.low, extent.high]).all():
            raise ReadError(f"{os.fspath(path)}: none of its points has coordinates; leave the file out")

    def check(self) -> None:
        """Raise `ReadError` if the file is not in the state any more that this was told of."""
        try:
            state = _state(os.stat(self.path))
        except OSError as error:
            raise ReadError(
                f"{self.path}: cannot be read ({error.strerror}); check the path and its permissions"
            ) from error
        if self.stamp is not None and state != self.stamp:
            raise ReadError(f"{self.path}: was changed while it was worked on; run again when nothing writes to it")

    @property
    def low(self) -> Floats:
        """(2,) float64: no point lies below."""
        return self.extent.low[:2] - self.step

    @property
    def high(self) -> Floats:
        """(2,) float64: no point lies above, or on it."""
        return np.nextafter(self.extent.high[:2] + self.step, np.inf)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        extent = self.extent
        ends = [extent.low.tolist(), extent.high.tolist()] if extent.count else None  # JSON knows no infinity
        told = {"extent": [extent.count, ends], "kinds": kinds_as_json(self.kinds), "options": dict(self.options)}
        same = ("path", "type", "number", "crs", "step", "context", "stamp")
        return {**{name: getattr(self, name) for name in same}, **told}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileRef:
        """What `as_json` gave."""
        count, ends = value["extent"]
        low, high = (np.array(end) for end in ends) if ends else (np.full(3, np.inf), np.full(3, -np.inf))
        state = None if value["stamp"] is None else tuple(value["stamp"])
        extent, kinds_ = Extent(count, low, high), kinds_from_json(value["kinds"])
        return cls(**{**value, "extent": extent, "kinds": kinds_, "stamp": state})


def stamp(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """What changes whenever a file is written to, replaced or renamed: its size, and when its content and its record
    in the file system last changed, ns. None where there is no such file.

    The last of them cannot be set, as the time of the content can: programs that copy files set that.
    """
    try:
        return _state(os.stat(path))
    except OSError:
        return None


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
