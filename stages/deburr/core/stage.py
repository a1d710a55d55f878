"""The stage: a frozen pydantic model whose fields are its JSON options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from deburr.core.cloud import PointCloud

Scope = Literal["point", "neighborhood", "cloud"]


class Stage(BaseModel):
    """What all stages share. A subclass's fields are its options; unknown ones are refused.

    ``type`` is the JSON type (`filters.spd`), which is also the module's name below ``deburr``. ``scope`` says what a
    stage must see to treat one point: that point, a neighbourhood, or all of them (the default: a forgotten flag must
    cost speed, never correctness). ``needs``, ``gives`` and ``takes`` (away) name dimensions, ``files`` the options
    that name files which the stage reads: no writer of the same pipeline may replace them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    type_name: ClassVar[str]
    scope: ClassVar[Scope] = "cloud"
    needs: ClassVar[frozenset[str]] = frozenset()
    gives: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()
    files: ClassVar[frozenset[str]] = frozenset()

    tag: str | None = Field(None, description="a name for this stage, for --stage.TAG.option overrides")
    user_data: Any = Field(None, description="anything; ignored")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """What is wrong with this stage behind the stages ``before`` it, one sentence each. Reads no points."""
        return []


class Reader(Stage, ABC):
    """A stage that begins a pipeline."""

    scope: ClassVar[Scope] = "point"
    files: ClassVar[frozenset[str]] = frozenset({"filename"})
    filename: str = Field(description="file to read")

    @abstractmethod
    def read(self) -> PointCloud:
        """Read ``filename``. Raises `deburr.core.errors.ReadError`."""


class Filter(Stage, ABC):
    """A stage between reader and writer."""

    @abstractmethod
    def run(self, cloud: PointCloud) -> PointCloud:
        """A new cloud; ``cloud`` and its arrays stay as they are."""


class Writer(Stage, ABC):
    """A stage that writes the cloud that reaches it; the points go on unchanged, with a note of what was written."""

    scope: ClassVar[Scope] = "point"
    filename: str = Field(description="file to write; replaced only when the new one is complete")

    @abstractmethod
    def write(self, cloud: PointCloud) -> PointCloud:
        """Write ``cloud`` and return it with a `Record` of its figures and warnings added to its history.

        Raises `deburr.core.errors.WriteError` and leaves an existing output intact.
        """
