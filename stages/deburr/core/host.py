"""Other programs that run stages which deburr has not, in the middle of a pipeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deburr.core.cloud import PointCloud
    from deburr.core.stage import Stage


#: The figure by which a host's writer names the files that it left, where these are not just the one it was told of.
FILES = "files"


class HostError(Exception):
    """What a host says of a stage that it could not run; whoever runs the pipeline knows where ``stage`` stands."""

    def __init__(self, message: str, stage: Stage) -> None:
        super().__init__(message)
        self.stage = stage


class Host(ABC):
    """A program that has stages of its own. Registered by the entry point group ``deburr.hosts``.

    What a host's stages are to be told is that of deburr's: a type, options, a place in a pipeline. Consecutive stages
    of one host are run by it together, so that points cross over once in each direction.
    """

    #: What users call it.
    name: str

    @abstractmethod
    def version(self) -> str | None:
        """The version that is here; None where the program is not."""

    @abstractmethod
    def types(self) -> frozenset[str]:
        """The types of its stages; where the program is not here, those that it is known to have."""

    @abstractmethod
    def stage_class(self, type_name: str) -> type[Stage] | None:
        """The class of a stage of the program that is here; None if it has none of this type."""

    @abstractmethod
    def by_extension(self, kind: str, extension: str) -> str | None:
        """The type of the reader or writer (``kind``: readers, writers) for files of an ``extension`` without dot."""

    @abstractmethod
    def remedy(self) -> str:
        """What keeps the program from being used here, and what to do about it."""

    @abstractmethod
    def cuts(self, stage: Stage) -> bool:
        """Whether ``stage`` cuts the cloud into parts that the stages behind it treat one by one."""

    def joins(self, stage: Stage) -> bool:
        """Whether ``stage`` makes one cloud again of such parts."""
        return False

    @abstractmethod
    def run(self, stages: Sequence[Stage], cloud: PointCloud | None) -> PointCloud:
        """Run ``stages`` of this host one after another, on ``cloud`` or on what the first of them reads.

        The cloud that is returned has one more `deburr.core.cloud.Record` for each of the stages. Writers leave their
        files under their names only when they are complete. Raises `HostError`, or `deburr.core.errors.RunError`.
        """
