"""What is done to points before and after either network. Imports no torch."""

from __future__ import annotations

import numpy as np

from deburr.core.cloud import Floats
from deburr.core.neighbors import Indices


def canonical(points: Floats) -> tuple[Floats, Indices]:
    """The different points of ``points`` (N, 3) in lexicographic order, and (N,) each point's row among them.

    Everything after this depends on geometry alone, not on the order of the file.
    """
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    new = np.ones(len(points), dtype=np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    back = np.empty(len(points), dtype=np.intp)
    back[order] = np.cumsum(new) - 1
    return ordered[new], back


def count_distinct(points: Floats, enough: int) -> int:
    """How many different ``points`` (N, 3) there are; where they are ``enough``, at least that many."""
    # Among many points the first tell; only where these are alike must all be compared.
    some = len(np.unique(points[: 16 * enough], axis=0))
    return some if some >= enough or len(points) <= 16 * enough else len(np.unique(points, axis=0))


def limited(step: Floats, longest: float | None) -> Floats:
    """``step`` (N, 3) with no vector longer than ``longest``."""
    if longest is None:
        return step
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return np.asarray(step * np.minimum(1.0, longest / np.maximum(length, np.finfo(np.float64).tiny)))
