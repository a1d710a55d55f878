"""One function that denoises what one has at hand: an array, a cloud of laspy or Open3D, a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import DeburrWarning, SpecError
from deburr.core.stage import Filter
from deburr.pipeline.execute import execute
from deburr.pipeline.notebook import bar
from deburr.pipeline.plan import load

#: Columns of LAS that say which points may move, and by which strips are told apart.
_LAS_DIMS = {
    "Classification": "classification", "Withheld": "withheld", "PointSourceId": "point_source_id",
}  # fmt: skip
#: Whatever is denoised here is so by this.
_FILTER = "filters.spd"
#: What 32 bits hold.
_INT32 = np.iinfo(np.int32)

#: A cloud, and what makes the caller's kind of it again.
_Taken = tuple[PointCloud, Callable[[PointCloud], Any]]


def denoise(points: Any, output: str | os.PathLike[str] | None = None, **options: Any) -> Any:
    """Denoise a cloud, ``clean = deburr.denoise(noisy)``: the same points in the same order, nothing else changed.

    Parameters
    ----------
    points
        (N, 3) array, or (N, C) of which the first three columns are x, y, z; a laspy ``LasData``; an Open3D
        ``PointCloud``, legacy or tensor; a `deburr.core.cloud.PointCloud`; the path of a file. It is not changed.
        Points whose coordinates are NaN or infinite stay as they are.
    output : path, optional
        Of a file only: the file to be written, of any format.
    **options
        Those of filters.spd, such as ``noise`` (standard deviation in the cloud's units; estimated where it is not
        given), ``strength``, ``max_displacement``, ``classes``, ``where``; ``outliers`` where ``points`` are of a
        file or a PointCloud.

    Returns
    -------
    array, LasData, PointCloud or path
        The same kind as ``points``: arrays of floats keep their type, others become float64; of a file, the path of
        ``output``. In a LasData, points that moved are rounded to its scale, and others keep every bit.

    Raises
    ------
    SpecError
        For options that are wrong, and for what is no point cloud.
    RunError
        The data or the machine stopped the run.

    Warns
    -----
    DeburrWarning
        When all is done: what filters.spd warns of.
    """
    if isinstance(points, str | os.PathLike):
        return _file(os.fspath(points), output, options)
    if output is not None:
        raise SpecError("output: is for files, and the points are given; write what is returned")
    cloud, back = _taken(points)
    if cloud is not points and options.get("outliers", "none") != "none":
        raise SpecError(
            "outliers: what is returned has the same points and nothing that tells which of them are outliers; give a "
            "file or a deburr PointCloud, or remove 'outliers'"
        )
    plan = load([{"type": _FILTER, **options}], reads=False)
    with bar():
        result = execute(plan, cloud)
    _warn(result.report)
    return back(result.cloud)


def denoiser(options: Mapping[str, Any]) -> Filter:
    """The filter that `denoise` runs, with ``options``. Raises `SpecError`."""
    stage = load([{"type": _FILTER, **options}], reads=False).stages[0]
    assert isinstance(stage, Filter)
    return stage


def _file(path: str, output: str | os.PathLike[str] | None, options: dict[str, Any]) -> Path:
    if output is None:
        raise SpecError(f"{path}: where to? give the name of the file to be written as 'output'")
    plan = load([{"type": _FILTER, **options}], input=path, output=output)
    with bar():
        result = execute(plan)
    _warn(result.report)
    return Path(output)


def _warn(report: dict[str, Any]) -> None:
    for stage in report["stages"]:
        for warning in stage["warnings"]:
            warnings.warn(f"{stage['type']}: {warning}", DeburrWarning, stacklevel=4)


def _taken(points: Any) -> _Taken:
    """By the module that its type comes from: none is imported for it."""
    if isinstance(points, PointCloud):
        return points, lambda cloud: cloud
    home = type(points).__module__.partition(".")[0]
    if home == "laspy":
        return _las(points)
    if home == "open3d":
        return _open3d(points)
    return _array(points)


def _array(points: Any) -> _Taken:
    try:
        given = np.asarray(points)
        if np.iscomplexobj(given):
            raise TypeError("numpy would drop the imaginary parts")
        places = np.array(given[:, :3], dtype=np.float64)
    except (TypeError, ValueError, IndexError) as error:
        raise SpecError(
            f"points: a {type(points).__name__} is no point cloud; give an (N, 3) array of numbers, a LasData, an "
            "Open3D PointCloud or the path of a file"
        ) from error
    if given.ndim != 2 or places.shape[1] != 3:
        raise SpecError(f"points: must have shape (N, 3) or (N, C), C above 3, not {given.shape}")

    def back(cloud: PointCloud) -> Any:
        kind = given.dtype if given.dtype.kind == "f" else np.dtype(np.float64)
        made = np.array(given, dtype=kind)
        # Row by row, so that what did not move keeps every bit.
        moved = cloud.moved
        made[moved, :3] = cloud.xyz[moved]
        return made

    return PointCloud(places), back


def _las(las: Any) -> _Taken:
    header = las.header
    dims = {name: np.array(las[theirs]) for name, theirs in _LAS_DIMS.items()}
    crs = next((vlr.string for vlr in [*header.vlrs, *(header.evlrs or ())] if hasattr(vlr, "parse_crs")
                and hasattr(vlr, "string")), None)  # fmt: skip

    def back(cloud: PointCloud) -> Any:
        from copy import deepcopy

        made = type(las)(deepcopy(header), las.points.copy())
        moved = cloud.moved
        for axis, name in enumerate("XYZ"):
            steps = np.rint((cloud.xyz[moved, axis] - header.offsets[axis]) / header.scales[axis])
            if len(steps) and not (steps.min() >= _INT32.min and steps.max() <= _INT32.max):
                raise SpecError(
                    f"points: a point moved beyond what the header's scale and offset hold in {name.lower()}"
                )
            column = np.array(made[name])
            column[moved] = steps.astype(np.int32)
            made[name] = column
        return made

    return PointCloud(np.array(las.xyz, dtype=np.float64), dims, crs=crs), back


def _open3d(cloud: Any) -> _Taken:
    if hasattr(cloud, "point"):  # a tensor cloud
        positions = cloud.point.positions

        def tensor(found: PointCloud) -> Any:
            made = cloud.clone()
            before = positions.cpu().numpy()
            values = np.array(before)
            values[found.moved] = found.xyz[found.moved]
            made.point.positions = type(positions)(values, device=positions.device)
            return made

        return PointCloud(np.array(positions.cpu().numpy(), dtype=np.float64)), tensor
    if not hasattr(cloud, "points"):
        raise SpecError(f"points: an Open3D {type(cloud).__name__} is no point cloud; give its points")

    def legacy(found: PointCloud) -> Any:
        made = type(cloud)(cloud)
        made.points = type(cloud.points)(found.xyz)
        return made

    return PointCloud(_legacy(cloud)), legacy


def _legacy(cloud: Any) -> Floats:
    return np.array(cloud.points, dtype=np.float64).reshape(-1, 3)
