"""How points flow through a PDAL pipeline: each stage takes what the one before it gives, or what ``inputs`` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deburr.core.errors import SpecError, did_you_mean
from deburr.pipeline.spec import Entry


@dataclass(frozen=True)
class Flow:
    """``inputs[i]``: the stages that stage i takes points from; ``waiting[i]``: those whose points a stage that names
    none, in front of stage i, would take. Stages are numbered from 0."""

    inputs: tuple[tuple[int, ...], ...]
    waiting: tuple[tuple[int, ...], ...]

    @property
    def linear(self) -> bool:
        """Whether each stage takes the points of the one before it."""
        return all(taken == ((i - 1,) if i else ()) for i, taken in enumerate(self.inputs))

    def across(self, place: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The stages before ``place`` that give points to later ones, and those that take them."""
        takers = tuple(i for i in range(place, len(self.inputs)) if any(one < place for one in self.inputs[i]))
        sources = sorted({one for i in takers for one in self.inputs[i] if one < place})
        return (tuple(sources) or (self.waiting[place] if place == len(self.inputs) else ())), takers

    def passes_all(self, place: int) -> bool:
        """Whether a stage in front of number ``place`` can take all points that flow there, and hand them on to all."""
        sources, takers = self.across(place)
        if any({one for one in self.inputs[i] if one < place} != set(sources) for i in takers):
            return False
        used = {one for taken in self.inputs for one in taken}
        ends = {i for i in range(place) if i not in used}
        return ends <= set(sources) and (not sources or place > 0)


def of(name: str, entries: Sequence[Entry], types: Sequence[str]) -> Flow:
    """The flow of a pipeline. Raises `SpecError` for tags that are not there; ``name`` is the pipeline's."""
    tags: dict[str, int] = {}
    inputs: list[tuple[int, ...]] = []
    waiting: list[tuple[int, ...]] = [()]
    errors = []
    for place, entry in enumerate(entries):
        for tag in entry.inputs:
            if tag not in tags:
                hint = did_you_mean(tag, tags) or "; name the tag of a stage before it"
                errors.append(f"{name}: {entry.label}: 'inputs' names '{tag}', which no stage before has as tag{hint}")
        named = tuple(tags[tag] for tag in entry.inputs if tag in tags)
        reads = types[place].startswith("readers.")
        inputs.append(() if reads else named or waiting[-1])
        waiting.append((*waiting[-1], place) if reads else (place,))
        if entry.tag is not None:
            tags.setdefault(entry.tag, place)
    if errors:
        raise SpecError(errors)
    return Flow(tuple(inputs), tuple(waiting))
