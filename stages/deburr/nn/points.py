"""What is done to points before and after either network. Imports no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats
from deburr.core.neighbors import Indices


def canonical(points: Floats) -> tuple[Floats, Indices]:
    """The different points of ``points`` (N, 3) along a Z-order curve, and (N,) each point's row among them.

    Everything after this depends on geometry alone, not on the order of the file; and neighbours in space, which are
    read together, lie near each other in memory.
    """
    codes = _z_order(points)
    order = np.argsort(codes)
    same = np.flatnonzero(np.diff(codes[order]) == 0)
    if len(same):
        # Few cells hold several points; within each, coordinates decide.
        some = np.unique(np.concatenate((same, same + 1)))
        rows = order[some]
        order[some] = rows[np.lexsort((*points[rows].T[::-1], codes[rows]))]
    ordered = points[order]
    new = np.ones(len(points), dtype=np.bool_)
    for axis in (0, 1, 2):
        equal = ordered[1:, axis] == ordered[:-1, axis]
        new[1:] = ~equal if axis == 0 else new[1:] | ~equal
    back = np.empty(len(points), dtype=np.intp)
    back[order] = np.cumsum(new) - 1
    return ordered[new], back


def _z_order(points: Floats) -> npt.NDArray[np.uint64]:
    """(N,) the bits of each point's cell in a grid of 2^21 cells a side, x, y and z in turn."""
    # Column by column: along the other axis numpy takes several times as long.
    low = np.array([axis.min() for axis in points.T])
    scale = (2**21 - 1) / max(max(float(np.ptp(axis)) for axis in points.T), 1e-300)
    codes = np.empty(len(points), np.uint64)
    for start in range(0, len(points), _CODED):
        cells = ((points[start : start + _CODED] - low) * scale).astype(np.uint64)
        for shift, mask in _SPREAD:
            cells = (cells | (cells << np.uint64(shift))) & np.uint64(mask)
        codes[start : start + _CODED] = cells[:, 0] << np.uint64(2) | cells[:, 1] << np.uint64(1) | cells[:, 2]
    return codes


#: Points whose cells are found at once: what is made of them on the way stays in the cache.
_CODED = 1 << 14
#: Shifts and masks that leave two empty bits between any two of the 21 lowest (Morton 1966).
_SPREAD = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def count_distinct(points: Floats, enough: int) -> int:
    """How many different ``points`` (N, 3) there are; where they are ``enough``, at least that many."""
    # Among many points the first tell; only where these are alike must all be compared.
    some = len(np.unique(points[: 16 * enough], axis=0))
    return some if some >= enough or len(points) <= 16 * enough else len(np.unique(points, axis=0))


def limited(step: Floats, longest: Floats | float | None) -> Floats:
    """``step`` (N, 3) with no vector longer than ``longest``, one for all or (N, 1)."""
    if longest is None:
        return step
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return np.asarray(step * (longest / np.maximum(length, np.maximum(longest, np.finfo(np.float64).tiny))))
