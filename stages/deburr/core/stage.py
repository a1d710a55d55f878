"""The stage: a frozen pydantic model whose fields are its JSON options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from deburr.core.addresses import is_address
from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import Extent, PointCloud, kinds
from deburr.core.figure import Reports
from deburr.core.horizon import Known
from deburr.core.host import Host
from deburr.core.kept import Kept
from deburr.core.sample import Sample
from deburr.core.sums import Sums


@dataclass(frozen=True)
class Reach:
    """How far around a point a stage looks: ``length`` in cloud units, and ``hops`` from neighbour to neighbour, each
    as far as to a point's 16th. A first guess for reading tiles: what was really seen is found by the stage itself."""

    length: float = 0.0
    hops: float = 0.0

    def __add__(self, other: Reach) -> Reach:
        return Reach(self.length + other.length, self.hops + other.hops)


@dataclass(frozen=True)
class Outline:
    """What the head of a file tells: its extent, CRS, and what must agree where files are merged, in words.

    ``kinds``: the type of each dimension's values, as `deburr.core.cloud.kinds`; None where the head does not tell.
    ``step``: how far the points may lie beyond the extent, one step of the file's lattice in x or y; cloud units.
    ``units`` are those of x and y, ``height_units`` those of z; each None if the head does not tell. ``doubts``: what
    its users should know, one clause each. ``indexed``: a box of it can be read without the rest (`Reader.within`).
    """

    extent: Extent
    crs: str | None
    units: str | None
    layout: str
    kinds: Mapping[str, np.dtype[Any]] | None = None
    step: float = 0.0
    height_units: str | None = None
    doubts: tuple[str, ...] = ()
    indexed: bool = False


class Stage(BaseModel):
    """What all stages share. A subclass's fields are its options; unknown ones are refused.

    ``type_name`` is the JSON type (`filters.spd`), which is also the module's name below ``deburr``. ``files`` are the
    options that name files which the stage reads: no writer of the same pipeline may replace them. ``host`` is the
    program that runs it, if it is not one of deburr's own. ``synonyms`` are other names that PDAL has for options, and
    the options. ``reports`` says of each figure that the stage notes how it is told, and how those of tiles are merged:
    one that is not there is told as it stands, and in tiles it is refused. ``joins``: several clouds become one before
    the stage.
    ``extensions``: of the files that a reader or writer is chosen for, lower case, without dot. ``example``: options
    that make the stage do something, for who tries all stages. ``effort``: about how many times as long as reading it
    takes, for the progress that is shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    type_name: ClassVar[str]
    files: ClassVar[frozenset[str]] = frozenset()
    host: ClassVar[Host | None] = None
    synonyms: ClassVar[Mapping[str, str]] = {}
    reports: ClassVar[Reports] = {}
    joins: ClassVar[bool] = False
    extensions: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[Mapping[str, Any]] = {}
    effort: ClassVar[float] = 1.0

    tag: str | None = Field(None, description="a name for this stage, for --stage.TAG.option overrides")
    user_data: Any = Field(None, description="anything; ignored")

    @property
    def needs(self) -> frozenset[str]:
        """The dimensions that must be there."""
        return frozenset()

    @property
    def gives(self) -> frozenset[str]:
        """Those that are there behind the stage, whatever was before."""
        return frozenset()

    @property
    def takes(self) -> frozenset[str]:
        """Those that are not there behind it any more."""
        return frozenset()

    @property
    def reads(self) -> dict[str, str]:
        """The files that the stage reads, each by the option that names it."""
        return {option: path for option in sorted(self.files) if (path := getattr(self, option)) is not None}

    @classmethod
    def summary(cls, figures: Mapping[str, Any], unit: str) -> list[tuple[str, str]] | None:
        """What a summary says of the ``figures`` that were noted: lines of what it is and its value; None: one line a
        figure, as `reports` has it. ``unit``: of lengths, in words."""
        return None

    @classmethod
    def headline(cls, figures: Mapping[str, Any], unit: str) -> str | None:
        """What a picture of the run says first of the ``figures``; None: nothing worth that."""
        return None

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """What is wrong with this stage behind the stages ``before`` it, one sentence each. Reads no points."""
        return []


class Reader(Stage, ABC):
    """A stage that begins a pipeline.

    ``ambiguous``: those of its extensions that other files have too, so that a folder's are passed over unless named.
    ``has_head``: whether `outline` reads little of the file, however large it is.
    """

    ambiguous: ClassVar[frozenset[str]] = frozenset()
    has_head: ClassVar[bool] = False
    files: ClassVar[frozenset[str]] = frozenset({"filename"})
    filename: str = Field(description="file to read")

    @abstractmethod
    def read(self) -> PointCloud:
        """Read ``filename``. Raises `deburr.core.errors.ReadError`."""

    def outline(self) -> Outline:
        """What is in ``filename``, as far as that is known without its points, if it can. Raises `ReadError`."""
        cloud = self.read()
        return Outline(cloud.extent, cloud.crs, None, self.type_name, kinds(cloud.dims))

    def parts(self, size: int) -> Iterator[PointCloud]:
        """What `read` gives, ``size`` points at a time where the format allows it, in the file's order."""
        yield self.read()

    def within(self, low: Floats, high: Floats) -> Self | None:
        """The same, reading of an indexed file the box from ``low`` to ``high``, (2,) each, in x and y, and maybe what
        lies around it: points keep their rows. None where the options do not allow it, or the format knows no index."""
        return None

    def cost(self, low: Floats, high: Floats) -> int:
        """How many bytes of the file `within` the box are read, of a file that is indexed. Raises `ReadError`."""
        raise NotImplementedError(f"{self.type_name} knows no index")


class Filter(Stage, ABC):
    """A stage between reader and writer.

    ``moves_afar``: it may move a point any distance, so that behind it no stage that looks around can be tiled.
    ``keeps_count``: as many points leave it as reach it, at least with its ``example``. One that adds points puts them
    behind the others, each with the row in the source, and the place there, of a point that it is made beside, and in
    the order of these; in a tile it settles a point when it is sure of all that are made beside it.
    """

    effort: ClassVar[float] = 3.0
    moves_afar: ClassVar[bool] = False
    keeps_count: ClassVar[bool] = True

    @abstractmethod
    def run(self, cloud: PointCloud) -> PointCloud:
        """A new cloud; ``cloud`` and its arrays stay as they are.

        In a tile (``cloud.horizon``), a stage that looks beyond a point unsettles (`PointCloud.settle`) those whose
        surroundings it does not know, counts ``counted`` points of the result into its figures, and takes figures of
        the whole cloud from ``horizon.known``. The points it settles are exactly as in the whole cloud. It removes no
        point that it is not sure of.
        """

    @property
    def grows(self) -> float:
        """About how many times as many points leave it as reach it, at most: what memory is planned for."""
        return 1.0

    @property
    def looks_at(self) -> frozenset[str] | None:
        """The dimensions that `run` may look at or change; None: any."""
        return None

    def reach(self, known: Known) -> Reach | None:
        """How far the stage looks around a point; None where it must see the whole cloud, and no tile will do: the
        default, since what is forgotten must cost speed, never correctness. `Reach()`: at nothing but the point."""
        return None

    @property
    def looks_around(self) -> bool:
        """Whether what becomes of a point may hang on others."""
        return self.reach({}) != Reach()

    def asks(self, known: Known) -> bool:
        """Whether `run` needs more figures of the whole cloud than those that are ``known``."""
        return False

    def sample(self, extent: Extent, known: Known) -> Sample | None:
        """The part of a cloud of this ``extent`` that the next `survey` looks at; None: all of it."""
        return None

    def survey(self, cloud: PointCloud, known: Known) -> tuple[Sums, Bools]:
        """What is to be counted next: sums over the core's points that are sure, and (N,) bool which are."""
        raise NotImplementedError(f"{self.type_name} asks for no survey")

    def learn(self, known: Known, sums: Sums) -> Known:
        """``known`` and what the ``sums`` over a whole cloud tell."""
        raise NotImplementedError(f"{self.type_name} asks for no survey")

    def whole(self, cloud: PointCloud) -> Known:
        """The figures that `asks` for: those told to a tile, else found in ``cloud`` itself."""
        if cloud.horizon is not None:
            return cloud.horizon.known
        known: Known = {}
        while self.asks(known):
            known = self.learn(known, self.survey(cloud, known)[0])
        return known

    def figures(self, sums: Sums) -> dict[str, Any]:
        """The figures that are made of the ``sums`` of `deburr.core.cloud.Record`, of one tile or of all together."""
        return {}

    def doubts(self, figures: Mapping[str, Any]) -> list[str]:
        """Warnings that the ``figures`` of a whole cloud call for, one sentence each. `run` adds them, but not in a
        tile, whose figures are a part's."""
        return []


class Writer(Stage, ABC):
    """A stage that writes the cloud that reaches it; the points go on unchanged, with a note of what was written.

    ``kept``: what a file of each extension, or of several (``xyz, asc``), keeps of a cloud, for
    docs/reference/formats.md.
    ``finer``: the option that makes the steps of the coordinates finer (`deburr.core.stored.SCALE`), ``{axis}`` in it
    for x, y and z; '' where none does.
    """

    kept: ClassVar[Mapping[str, Kept]] = {}
    finer: ClassVar[str] = ""
    filename: str = Field(description="file to write; replaced only when the new one is complete")

    @property
    def path(self) -> str | None:
        """The local file that is written; None where it is none."""
        return None if is_address(self.filename) else self.filename

    @abstractmethod
    def write(self, cloud: PointCloud) -> PointCloud:
        """Write ``cloud`` and return it with a `Record` of its figures and warnings added to its history.

        Raises `deburr.core.errors.WriteError` and leaves an existing output intact.
        """

    def write_parts(self, parts: Iterable[PointCloud], extent: Extent) -> PointCloud:
        """Write the points of ``parts`` one after another, as if they were one cloud of this ``extent``: its number of
        points, and bounds of its coordinates as they are to be written. At least one part, maybe of no points.

        Returns a cloud of no points with a note like that of `write`, and raises as `write` does.
        """
        raise NotImplementedError(f"{self.type_name} cannot write a cloud in parts")
