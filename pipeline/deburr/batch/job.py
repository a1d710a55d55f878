"""What all tasks of a batch have in common, as a JSON file in scratch; each worker reads it once."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import Extent, PointCloud
from deburr.core.cut import Box
from deburr.core.errors import RunError
from deburr.core.files import replacing
from deburr.core.registry import stage_class
from deburr.core.stage import Filter, Reader, Stage, Writer
from deburr.pipeline.plan import Plan
from deburr.scratch.store import Store, inside, spanned
from deburr.tiles.tile import View, Work

#: Of the file in scratch; each run's has its own.
_NAME = "job-{}.json"


@dataclass(frozen=True, eq=False)
class Job:
    """The filters of the pipeline and the points they work on.

    places : where each filter stands, for messages.
    store : all files.
    units : of lengths, as the readers found them; None if they did not.
    limit : points that a tile may read, about; ``chunk``: points of a file held at a time when it is written.
    independent : each file is a cloud of its own, whatever lies where.
    bounds : from and to, (2,) each: where points are worked on, half-open; None: everywhere.
    path : the file that a worker has read it from.
    """

    filters: tuple[Filter, ...]
    places: tuple[str, ...]
    store: Store
    units: str | None
    limit: int
    chunk: int
    independent: bool = False
    bounds: Box | None = None
    path: str = ""

    def save(self, folder: Path) -> Path:
        """Write it into ``folder`` in place of an earlier run's; returns the file's path. Raises `WriteError`."""
        value = {
            "filters": [_located(stage) for stage in self.filters],
            "places": self.places,
            "store": self.store.as_json(),
            "units": self.units,
            "limit": self.limit,
            "chunk": self.chunk,
            "independent": self.independent,
            "bounds": None if self.bounds is None else [side.tolist() for side in self.bounds],
        }
        path = folder / _NAME.format(secrets.token_hex(6))
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(value), encoding="utf-8")
            temporary.chmod(0o600)
        for old in folder.glob(_NAME.format("*")):
            if old != path:
                old.unlink(missing_ok=True)
        return path

    def work(self, known: Sequence[Mapping[str, Any]], surveyor: int | None) -> Work:
        """All filters, or those before the one that is to survey, with what each knows."""
        if surveyor is None:
            return Work(self.filters, known, places=self.places)
        return Work(self.filters[:surveyor], known[:surveyor], self.filters[surveyor], known[surveyor], self.places)

    def around(self, files: Sequence[int]) -> Store:
        """The points that may matter to those of ``files``, by number: all, or their own where they are independent."""
        return self.store.only(files) if self.independent else self.store

    def about(self, files: Sequence[int]) -> Extent:
        """Of the points that are worked on with those of ``files``; where there are bounds, if points lie evenly."""
        store = self.around(files)
        if self.bounds is None:
            return store.extent
        own = [file.number for file in store.files if not file.context]
        return spanned([inside(store.file(number), *self.bounds) for number in own])

    def own(self, number: int) -> Box:
        """Where the points of a file lie that are worked on; of those without, an empty box."""
        file = self.store.file(number)
        if self.bounds is None:
            return file.low, file.high
        return np.maximum(self.bounds[0], file.low), np.minimum(self.bounds[1], file.high)

    def count(self, number: int) -> int:
        """How many points of a file are worked on; where there are bounds, at most four times as many as if they lay
        evenly."""
        file = self.store.file(number)
        if self.bounds is None:
            return file.extent.count
        return min(file.extent.count, 4 * inside(file, *self.bounds).count)

    def view(self, files: Sequence[int]) -> View:
        """As `around`, read as by a reader that found the units."""
        return _Told(self.around(files), self.units, self.about(files), self.bounds is not None)

    def reader(self, number: int) -> Reader:
        """Reads the points of a file that are worked on, and maybe others."""
        file = self.store.file(number)
        window = None if self.bounds is None else self.store.window(number, *self.bounds)
        reader = None if window is None else file.reader.within(*window)
        return reader or file.reader


@dataclass(frozen=True)
class Target:
    """A file to be written: its writer, as that stands in a spec, and where that is, for messages."""

    writer: Mapping[str, Any]
    where: str

    @property
    def path(self) -> str:
        """The file."""
        return str(self.writer["filename"])

    def stage(self) -> Writer:
        """The writer."""
        stage = stage_of(self.writer)
        assert isinstance(stage, Writer)
        return stage


def targets(plan: Plan) -> list[Target]:
    """The files that a plan writes."""
    return [Target(as_json(step.stage), step.where) for step in plan.steps if step.stage in plan.writers]


@dataclass(frozen=True, eq=False)
class _Told:
    """A store whose clouds have the units that their reader found. ``bounded``: what lies nowhere is left out."""

    store: Store
    units: str | None
    about: Extent
    bounded: bool

    @property
    def extent(self) -> Any:
        return self.store.extent

    def read(self, low: Any, high: Any) -> tuple[PointCloud, Any]:
        cloud, file = self.store.read(low, high)
        return replace(cloud, units=self.units), file

    def nowhere(self, low: Any, high: Any) -> Iterator[tuple[PointCloud, Any]]:
        for cloud, file in self.store.nowhere(low, high) if not self.bounded else ():
            yield replace(cloud, units=self.units), file

    def count(self, low: Any, high: Any) -> int:
        return self.store.count(low, high)


def load(path: str, secrets: Mapping[str, str] | None = None) -> Job:
    """The job in the file at ``path``, and the ``secrets`` of its store; read anew only where the file has changed.
    Raises `RunError`."""
    try:
        return _load(path, Path(path).stat().st_mtime_ns, tuple(sorted((secrets or {}).items())))
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read by this worker ({error.strerror}); give an output folder on a disk that all "
            "workers see under the same name"
        ) from error


@lru_cache(maxsize=2)
def _load(path: str, _: int, secrets: tuple[tuple[str, str], ...]) -> Job:
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    filters = [stage_of(one) for one in value["filters"]]
    assert all(isinstance(stage, Filter) for stage in filters)
    store = Store.from_json(value["store"], dict(secrets))
    places = tuple(value["places"])
    bounds = None if value["bounds"] is None else (np.array(value["bounds"][0]), np.array(value["bounds"][1]))
    found = Job(
        tuple(filters),  # type: ignore[arg-type]  # see the assertion
        places,
        store,
        value["units"],
        value["limit"],
        value["chunk"],
        value["independent"],
        bounds,
    )
    return replace(found, path=path)


def as_json(stage: Stage) -> dict[str, Any]:
    """A stage as it stands in a spec, with the options that were given."""
    return {"type": stage.type_name, **stage.model_dump(mode="json", by_alias=True, exclude_unset=True)}


def _located(stage: Stage) -> dict[str, Any]:
    """As `as_json`, with files that workers find whatever folder they work in."""
    told = as_json(stage)
    return told | {name: os.path.abspath(told[name]) for name in stage.files if told.get(name) is not None}


def stage_of(value: Mapping[str, Any]) -> Stage:
    """What `as_json` gave."""
    options = {name: option for name, option in value.items() if name != "type"}
    return stage_class(value["type"]).model_validate(options)
