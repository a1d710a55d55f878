"""How often a cloud must be walked over: once for each survey that a stage asks for, and once to do the work."""

from __future__ import annotations

from collections.abc import Sequence

from deburr.core.cloud import Extent
from deburr.core.horizon import Known
from deburr.core.sample import Sample
from deburr.core.stage import Filter, Reach
from deburr.core.sums import Sums
from deburr.tiles.tile import Work


class Passes:
    """The filters of a pipeline, and what has been found out for each so far."""

    def __init__(self, filters: Sequence[Filter], places: Sequence[str] = ()) -> None:
        self._filters, self._places = tuple(filters), tuple(places)
        self.known: list[Known] = [{} for _ in filters]

    def survey(self) -> Work | None:
        """The next survey to make over the whole cloud; None: the work itself can begin."""
        for place, stage in enumerate(self._filters):
            if stage.asks(self.known[place]):
                return Work(self._filters[:place], self.known[:place], stage, self.known[place], self._places)
        return None

    def learn(self, work: Work, sums: Sums) -> None:
        """Take in the ``sums`` that the survey ``work`` found in the whole cloud."""
        assert work.surveyor is not None
        self.known[len(work.stages)] = work.surveyor.learn(work.asked, sums)

    def work(self) -> Work:
        """What is to be done with every tile in the end."""
        return Work(self._filters, self.known, places=self._places)


def sample(work: Work, extent: Extent) -> Sample | None:
    """The part of the cloud that a survey looks at; None: all of it."""
    return None if work.surveyor is None else work.surveyor.sample(extent, work.asked)


def reach(work: Work) -> Reach:
    """How far around a tile's core the stages look, one after another: halos add up."""
    total = Reach()
    for stage, known in [*zip(work.stages, work.known, strict=True), (work.surveyor, work.asked)]:
        own = None if stage is None else stage.reach(known)
        total += own or Reach()
    return total
