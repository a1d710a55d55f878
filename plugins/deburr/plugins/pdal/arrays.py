"""A structured array in, a structured array out: what sits between two `pdal.Pipeline`s."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.errors import RunError, SpecError
from deburr.filters.spd import Spd
from deburr.pipeline.blame import blamed
from deburr.pipeline.options import build
from deburr.plugins.pdal.columns import back, from_array, to_array, to_cloud


def denoise_array(
    array: npt.NDArray[np.void], *, crs: str | None = None, flags_within: bool = False, **options: Any
) -> npt.NDArray[np.void]:
    """Denoise the points of a structured array, as filters.spd does.

    Parameters
    ----------
    array : (N,) structured
        Fields ``X``, ``Y``, ``Z`` (world coordinates) and any others, as `pdal.Pipeline.arrays` gives them. It is not
        changed.
    crs : str, optional
        The coordinate reference system, WKT; it tells the units in warnings.
    flags_within : bool
        ``Classification`` holds flags in its upper three bits, as PDAL up to 2.5 gives it for point formats 0-5.
    **options
        Those of filters.spd, as in JSON: ``noise=0.03, where="Classification == 2", dimensions=["Uncertainty"]``.

    Returns
    -------
    (N,) structured
        The same points in the same order, with the same fields and types; then the dimensions that were asked for.

    Raises
    ------
    SpecError
        All that is wrong with the options.
    RunError
        What keeps the points from being denoised.

    Warnings of the filter are given as `UserWarning`.
    """
    if not isinstance(array, np.ndarray) or array.dtype.names is None or array.ndim != 1:
        kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        raise RunError(f"denoise_array: was given {kind}; give a structured array with fields X, Y and Z")
    where = f"denoise_array ({Spd.type_name})"
    stage, problems = build(Spd, options)
    if stage is not None:
        problems = stage.check(())
    if problems:
        raise SpecError([f"{where}: {problem}" for problem in problems])
    assert isinstance(stage, Spd)
    columns = from_array(array)
    with blamed(where, len(array)):
        cloud = to_cloud(columns, crs, flags_within=flags_within, stage="denoise_array")
        after = stage.run(cloud)
        changed = back(cloud, after, columns, flags_within=flags_within)
    for sentence in after.history[-1].warnings:
        warnings.warn(f"{where}: {sentence}", stacklevel=2)
    return to_array({**columns, **changed})
