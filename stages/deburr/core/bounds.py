"""A box that an option gives, spelt as PDAL does: ``([xmin, xmax], [ymin, ymax])``, with ``[zmin, zmax]`` if wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.text import printable

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = rf"\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]"
_BOX = re.compile(rf"\s*\(\s*{_RANGE}\s*,\s*{_RANGE}\s*(?:,\s*{_RANGE}\s*)?\)\s*")
#: Letters of a box, at most: six numbers with all their digits, and blanks.
_LETTERS = 400


@dataclass(frozen=True, eq=False)
class Bounds:
    """A box in world coordinates, both ends part of it: ``low`` and ``high`` (3,) float64, infinite where open."""

    low: Floats
    high: Floats

    def holds(self, axis: int, values: Floats) -> Bools:
        """(N,) bool: which ``values`` (N,) of one axis lie inside."""
        return np.asarray((values >= self.low[axis]) & (values <= self.high[axis]))


def parse(text: str) -> Bounds:
    """The box that ``text`` spells. Raises `ValueError`, with a reason."""
    found = _BOX.fullmatch(text) if len(text) <= _LETTERS else None
    if found is None:
        system = "a system of coordinates behind it is not taken" if "/" in text else "it is none"
        raise ValueError(system)
    numbers = [float(number) for number in found.groups() if number is not None]
    if not np.isfinite(numbers).all():
        raise ValueError("its numbers are too large")
    low, high = numbers[0::2], numbers[1::2]
    if any(a > b for a, b in zip(low, high, strict=True)):
        raise ValueError("a lower end is above its upper one")
    if len(low) == 2:
        low, high = [*low, -np.inf], [*high, np.inf]
    return Bounds(np.array(low), np.array(high))


def unfit(option: str, text: str | None) -> list[str]:
    """What is wrong with the box that an option gives, one sentence; nothing with None."""
    try:
        if text is not None:
            parse(text)
    except ValueError as reason:
        return [
            f"option '{option}' must be ([xmin, xmax], [ymin, ymax]), with [zmin, zmax] behind if heights count, not "
            f"'{printable(text or '', 60)}' ({reason}); correct it"
        ]
    return []
