"""The tasks of a batch: what a worker is to do. They are JSON values at the door to workers, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from deburr.batch.job import Target
from deburr.core.horizon import Known
from deburr.tiles.tile import Core


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Something to do.

    id : tells it from all others of the run.
    points : about how many it has to do with.
    name : of what it leaves in scratch; names tell all that a result depends on.
    """

    kind: ClassVar[str]

    id: str
    points: int
    name: str = ""

    @property
    def shown(self) -> str:
        """What people are told of it."""
        return self.id


@dataclass(frozen=True, kw_only=True, eq=False)
class Unpack(Task):
    """Put the points of the input number ``file`` into scratch, or those of a ``window``, from and to."""

    kind = "unpack"

    file: int
    window: Sequence[Sequence[float]] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class OnTile(Task):
    """Something to do with the points around a core; ``halo``: how wide to look first, cloud units.

    known : what each filter that has a part in it knows of the whole cloud.
    folder : in scratch, where results go.
    """

    core: Core
    halo: float
    known: Sequence[Known]
    folder: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey(OnTile):
    """Count what the filter number ``surveyor`` asks for, behind those before it. ``part``: its name for people."""

    kind = "survey"

    surveyor: int
    part: str

    @property
    def shown(self) -> str:
        """The tile or cell."""
        return self.part


@dataclass(frozen=True, kw_only=True, eq=False)
class Clean(OnTile):
    """Run all filters on a tile.

    targets : the files it is all of, to be written at once; None: results are kept in scratch.
    may_be_empty : whether targets of no points are written.
    spared : its results stand in an output already, and need not be in scratch any more.
    """

    kind = "clean"

    targets: Sequence[Target] | None
    may_be_empty: bool = True
    spared: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Write(Task):
    """Put an output together.

    output : its id.
    sources : of each of its files, the number, and the folders with the results of its tiles.
    of : what each of these tiles depended on.
    """

    kind = "write"

    output: str
    sources: Sequence[tuple[int, Sequence[str]]]
    targets: Sequence[Target]
    may_be_empty: bool
    of: Sequence[Sequence[str]]

    @property
    def shown(self) -> str:
        """The output."""
        return self.output


_KINDS: Mapping[str, type[Task]] = {one.kind: one for one in (Unpack, Survey, Clean, Write)}


def as_json(task: Task) -> dict[str, Any]:
    """The task as JSON values by name."""
    return {"kind": task.kind, **{one.name: _plain(getattr(task, one.name)) for one in fields(task)}}


def _plain(value: Any) -> Any:
    if isinstance(value, Core):
        return {"low": value.low.tolist(), "high": value.high.tolist(), "files": list(value.files)}
    if isinstance(value, Target):
        return asdict(value)
    return [_plain(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def from_json(value: Mapping[str, Any]) -> Task:
    """What `as_json` gave, among whatever else."""
    cls = _KINDS[value["kind"]]
    found = {one.name: value[one.name] for one in fields(cls)}
    if "core" in found:
        low, high = (np.array(found["core"][side], np.float64) for side in ("low", "high"))
        found["core"] = Core(low, high, tuple(found["core"]["files"]))
    if found.get("targets") is not None:
        found["targets"] = tuple(Target(**one) for one in found["targets"])
    return cls(**found)
