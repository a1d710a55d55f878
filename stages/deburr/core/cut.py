"""How the plane is cut into half-open boxes: by the number of points in them, or in a regular grid."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats
from deburr.core.errors import SpecError

#: From (2,) and to (2,) float64, x and y: what lies on the first belongs to the box, what lies on the second does not.
Box = tuple[Floats, Floats]

#: Boxes of a grid, at most: more are no plan but a slip of the pen.
_MOST = 1_000_000


def cut(counts: npt.NDArray[Any], x: Floats, y: Floats, most: int) -> list[Box]:
    """Boxes of about equal numbers of points, ``most`` at most unless one cell holds more, that cover the plane.

    ``counts`` (W, D) says how many points lie in the half-open cells between the edges ``x`` (W + 1,) and ``y``
    (D + 1,) float64. A box is halved across its longer side, where as many points lie on one side of an edge as on the
    other. Boxes neither overlap nor leave a gap; none is without points, unless all are.
    """
    sums = np.zeros((counts.shape[0] + 1, counts.shape[1] + 1), np.result_type(counts.dtype, np.int64))
    sums[1:, 1:] = counts.cumsum(axis=0).cumsum(axis=1)
    done: list[Box] = []
    waiting = [(0, counts.shape[0], 0, counts.shape[1])]
    while waiting:
        left, right, bottom, top = waiting.pop()
        # How many lie in the box below each of its edges, in x and in y.
        below = (
            sums[left : right + 1, top] - sums[left : right + 1, bottom] + (sums[left, bottom] - sums[left, top]),
            sums[right, bottom : top + 1] - sums[left, bottom : top + 1] + (sums[left, bottom] - sums[right, bottom]),
        )
        wide = x[right] - x[left] >= y[top] - y[bottom]
        axes = () if below[0][-1] <= most else (0, 1) if wide else (1, 0)
        edges = [(axis, edge) for axis in axes for edge in [_middle(below[axis])] if edge]
        if not edges:
            done.append((np.array([x[left], y[bottom]]), np.array([x[right], y[top]])))
        elif edges[0][0] == 0:
            middle = left + edges[0][1]
            waiting += [(middle, right, bottom, top), (left, middle, bottom, top)]
        else:
            middle = bottom + edges[0][1]
            waiting += [(left, right, middle, top), (left, right, bottom, middle)]
    return done


def _middle(below: npt.NDArray[Any]) -> int:
    """The edge that best halves what lies below the last one; 0 where no edge has something on either side."""
    parts = np.flatnonzero((below > below[0]) & (below < below[-1]))
    return int(parts[np.argmin(np.abs(2 * below[parts] - below[-1]))]) if len(parts) else 0


def grid(low: Floats, high: Floats, side: float, origin: tuple[float, float] = (0.0, 0.0)) -> list[Box]:
    """The cells of a regular grid through ``origin`` that cover all from ``low`` to ``high``, (2,) each, both included.

    Row by row from below, each from the left. Raises `SpecError` for a ``side`` that gives too many.
    """
    if not (np.isfinite([*low, *high]).all() and (high >= low).all()):
        return []
    check_side(low, high, side)
    x, y = (_edges(*ends, side) for ends in zip(low.tolist(), high.tolist(), origin, strict=True))
    return [
        (np.array([left, bottom]), np.array([right, top])) for bottom, top in pairwise(y) for left, right in pairwise(x)
    ]


def check_side(low: Floats, high: Floats, side: float, most: float = np.inf) -> None:
    """Raise `SpecError` for a ``side`` with which `grid` would give too many cells, or more than ``most``."""
    if not side > 0 or ((high - low) / side + 1).prod() > min(most, _MOST):
        raise SpecError(
            f"tiles of {side:g} are too small for points from {_place(low)} to {_place(high)}; make them larger"
        )


def _edges(low: float, high: float, origin: float, side: float) -> list[float]:
    """Edges a side apart, the first at or below ``low``, the last above ``high``."""
    numbers = np.arange(np.floor((low - origin) / side) - 1, np.floor((high - origin) / side) + 3)
    edges = origin + numbers * side  # each computed alike, so that neighbours share it to the last bit
    first = np.searchsorted(edges, low, side="right") - 1
    last = np.searchsorted(edges, high, side="right")
    return [float(edge) for edge in edges[first : last + 1]]


def _place(point: Floats) -> str:
    return f"({point[0]:g}, {point[1]:g})"
