"""A house and a bush on the ground beside it, of which pictures are drawn."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats


def house(random: np.random.Generator, density: int, bush: tuple[Floats, Floats]) -> list[Floats]:
    """The two slopes of a roof, the ground beside them and a bush of 1,500 points on it, metres, without noise.

    density : points a square metre, in plan.
    bush : the middle and half the size of its box.
    """

    def sheet(low: float, high: float) -> tuple[Floats, Floats]:
        count = round(density * 10 * (high - low))
        return random.uniform(low, high, count), random.uniform(0, 10, count)

    parts = []
    for low, high in ((-5.0, 0.0), (0.0, 5.0)):
        x, y = sheet(low, high)
        parts.append(np.column_stack((x, y, 6 - 0.6 * np.abs(x))))
    for low, high in ((-9.0, -5.0), (5.0, 13.0)):
        x, y = sheet(low, high)
        parts.append(np.column_stack((x, y, 0 * x)))
    middle, half = bush
    return [*parts, middle + random.uniform(-1, 1, (1500, 3)) * half]
