"""What a stage says of a figure that it notes: its words, its unit, and how those of tiles make one of the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Of lengths, the cloud's unit; of ``points``, a share of the points, 0 to 1; ``exact``: told to the last digit.
Unit = Literal["", "length", "points", "exact"]


@dataclass(frozen=True)
class Figure(ABC):
    """A kind of figure.

    words : what a summary calls it; None: its name. An empty text leaves it out of summaries.
    unit : of the value, or of each value of a list.
    spread : the names of two more figures, between which most of what it stands for lies.
    description : what it is, for the reference.
    """

    words: str | None = None
    unit: Unit = ""
    spread: tuple[str, str] | None = None
    description: str = ""

    @abstractmethod
    def merged(self, values: Sequence[Any]) -> Any:
        """The figure of the whole, of those of its parts, which are at least one; None where there is none."""


class Count(Figure):
    """How many: parts add up."""

    def merged(self, values: Sequence[Any]) -> Any:
        """The sum."""
        return sum(values)


class Most(Figure):
    """The largest of all."""

    def merged(self, values: Sequence[Any]) -> Any:
        """The maximum."""
        return max(values)


class Least(Figure):
    """The smallest of all."""

    def merged(self, values: Sequence[Any]) -> Any:
        """The minimum."""
        return min(values)


class Same(Figure):
    """An option, or what was found out of the whole beforehand: the same in all parts."""

    def merged(self, values: Sequence[Any]) -> Any:
        """The first, if all are equal: parts that differ have no figure together."""
        return values[0] if all(value == values[0] for value in values) else None


class Summed(Figure):
    """Made of the sums that a stage notes, by `deburr.core.stage.Filter.figures`: a part's tells nothing."""

    def merged(self, values: Sequence[Any]) -> Any:
        """None: `deburr.core.stage.Filter.figures` has it."""
        return None


#: Kinds of figures by the figures' names.
Reports = Mapping[str, Figure]


def merged(parts: Sequence[Mapping[str, Any]], kinds: Reports) -> tuple[dict[str, Any], list[str]]:
    """The figures of the whole, by name, and the names of those that are in no ``kinds``: how they merge, nobody said.

    ``parts``: the figures of each part; those that are None tell nothing.
    """
    values: dict[str, list[Any]] = {}
    for part in parts:
        for name, value in part.items():
            values.setdefault(name, []).extend([] if value is None else [value])
    found = {name: kinds[name].merged(some) for name, some in values.items() if some and name in kinds}
    return {name: value for name, value in found.items() if value is not None}, [n for n in values if n not in kinds]
