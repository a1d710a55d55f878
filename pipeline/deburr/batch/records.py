"""What a ledger may say of each kind of thing that was done: whoever believes a record needs not look twice."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from deburr.core.sums import from_json


def _whole(path: str) -> str:
    if "\0" in path:
        raise ValueError("no path")
    return path


_Count = Annotated[int, Field(ge=0, lt=1 << 62)]
_Path = Annotated[str, Field(min_length=1, max_length=8192), AfterValidator(_whole)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Some = Annotated[float, Field(ge=0)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")


class _Written(_Record):
    path: _Path
    size: _Count
    mtime_ns: int
    count: _Count
    bounds: Annotated[list[Annotated[list[float], Field(min_length=3, max_length=3)]], Field(max_length=2)] | None
    figures: dict[str, Any]
    warnings: list[str]


class _Noted(_Record):
    """As of `deburr.batch.figures.packed`."""

    figures: dict[str, Any]
    warnings: list[str]
    sums: dict[str, Any]

    @field_validator("sums")
    @classmethod
    def _made_of_sums(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            from_json(value)
        except (KeyError, TypeError, AttributeError, zlib.error) as error:
            raise ValueError("no sums") from error
        return value


class _Done(_Record):
    id: str
    points: _Count
    key: _Digest
    near: str
    seconds: _Some


class _Survey(_Done):
    sums: _Path
    halo: _Some


class _Clean(_Done):
    halo: _Some
    read: _Count
    attempts: _Count
    unproved: _Count
    moved: _Count
    displacement_rms: _Some
    displacement_max: _Some
    noise_before: _Some | None
    noise_after: _Some | None
    stages: list[_Noted]
    written: list[_Written] | None = None
    pieces: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], _Path] | None = None

    @model_validator(mode="after")
    def _moved_points_lie_somewhere(self) -> Self:
        if self.moved and self.pieces == {}:
            raise ValueError("points were moved and are nowhere")
        return self


class _Write(_Done):
    written: list[_Written]


class _Known(_Record):
    known: list[dict[str, Any]]


class _Failed(_Record):
    error: str | None


class _Memory(_Record):
    bytes: Annotated[int, Field(gt=0, lt=1 << 62)]


class _Input(_Record):
    stamp: Annotated[list[int], Field(min_length=3, max_length=3)]
    sha256: _Digest


_KINDS: Mapping[str, type[_Record]] = {
    "survey": _Survey,
    "clean": _Clean,
    "write": _Write,
    "known": _Known,
    "failed": _Failed,
    "memory": _Memory,
    "input": _Input,
}


def is_sound(kind: str, record: Mapping[str, Any]) -> bool:
    """Whether ``record`` is one that a run could have written; of kinds that are not known here, any is."""
    model = _KINDS.get(kind)
    if model is None:
        return True
    try:
        model.model_validate(record)
    except (ValidationError, RecursionError):
        return False
    return True
