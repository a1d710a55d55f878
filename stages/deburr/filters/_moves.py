"""Which points filters.spd may move, and the dimensions that tell how it moved them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.where import WhereError, parse


def movable(cloud: PointCloud, classes: Sequence[int] | None, where: str | None) -> Bools:
    """(N,) bool: the active points of ``classes`` that meet ``where``; None asks for nothing.

    Raises `RunError` for a dimension that ``cloud`` has not.
    """
    may = cloud.active
    if classes is not None:
        if "Classification" not in cloud.dims:
            raise RunError("option 'classes' needs the dimension 'Classification', which the cloud has not; remove it")
        may &= np.isin(cloud.dims["Classification"], classes)
    if where is not None:
        try:
            may &= parse(where).of(cloud)
        except WhereError as problem:
            raise RunError(f"option 'where': {problem}") from problem
    return may


def displacement(before: Floats, after: Floats) -> npt.NDArray[np.float32]:
    """(N,) float32: how far each point moved, in the units of ``before`` and ``after`` (N, 3); NaN if it is nowhere."""
    with np.errstate(invalid="ignore"):  # infinity less itself
        return np.asarray(np.linalg.norm(after - before, axis=1), dtype=np.float32)


def uncertainty_left(whole: Floats, noise: float | Floats, share: Floats) -> Floats:
    """(M,) float64: what is left where only a ``share`` (M,) of each displacement, 0 to 1, was applied.

    ``whole`` (M,) is left where all of it was. Across the surface a displacement d estimates the noise n so that n - d,
    of variance u^2, is independent of d, whose variance is then s^2 - u^2. So what stays, n - share d, has the variance
    u^2 + (1 - share)^2 (s^2 - u^2), which is s^2 at a share of 0. ``noise`` is s, of all points or of each (M,).
    """
    taken = np.maximum(noise**2 - whole**2, 0.0)
    return np.asarray(np.sqrt(whole**2 + (1.0 - share) ** 2 * taken))
