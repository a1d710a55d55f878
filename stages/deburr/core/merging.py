"""Several clouds become one: the points of one after those of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from deburr.core.cloud import Extent, PointCloud, kinds
from deburr.core.errors import RunError


@runtime_checkable
class Joinable(Protocol):
    """A reader's ``source`` that can be joined with others of its kind."""

    def joined(self, others: Sequence[Any]) -> tuple[Any, list[int], list[str]] | None:
        """The source of all, how far on the rows of each now lie, and warnings; None where they do not go together."""


def merge(clouds: Sequence[PointCloud]) -> tuple[PointCloud, list[str]]:
    """One cloud of all ``clouds``, at least one, in their order, and warnings; what one lacks of the others' columns
    is 0.

    Header and records come along as far as they are the same. Raises `RunError` for columns of different shapes.
    """
    source, steps, warnings = _sources(clouds)
    rows = np.concatenate([cloud.rows + step for cloud, step in zip(clouds, steps, strict=True)])
    history = tuple(record for cloud in clouds for record in cloud.history)
    moved = any(cloud.xyz is not cloud.original for cloud in clouds)
    xyz = np.concatenate([cloud.xyz for cloud in clouds])
    merged = PointCloud(
        xyz=xyz,
        dims=_columns(clouds),
        original=np.concatenate([cloud.original for cloud in clouds]) if moved else xyz,
        rows=rows,
        crs=next((cloud.crs for cloud in clouds if cloud.crs), None),
        units=next((cloud.units for cloud in clouds if cloud.units), None),
        height_units=next((cloud.height_units for cloud in clouds if cloud.height_units), None),
        source=source,
        history=history,
        extent=Extent(
            sum(cloud.extent.count for cloud in clouds),
            np.min([cloud.extent.low for cloud in clouds], axis=0),
            np.max([cloud.extent.high for cloud in clouds], axis=0),
        ),
        reprojected=any(cloud.reprojected for cloud in clouds),
    )
    return merged, warnings


def _sources(clouds: Sequence[PointCloud]) -> tuple[Any, list[int], list[str]]:
    first, *others = [cloud.source for cloud in clouds]
    alike = isinstance(first, Joinable) and all(type(other) is type(first) for other in others)
    found = first.joined(others) if alike and isinstance(first, Joinable) else None
    if found is not None:
        return found
    # Rows of no source: each point has a number of its own.
    ends = np.cumsum([0, *(int(cloud.rows.max(initial=-1)) + 1 for cloud in clouds)])
    told = [] if all(source is None for source in (first, *others)) else [_FORGOTTEN]
    return None, [int(end) for end in ends[:-1]], told


_FORGOTTEN = (
    "the files are of different formats or layouts, so that header and records of none are forwarded; "
    "convert them to one format first to keep these"
)


def _columns(clouds: Sequence[PointCloud]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for cloud in clouds for name in cloud.dims):
        types = [kinds(cloud.dims)[name] for cloud in clouds if name in cloud.dims]
        if len({kind.shape for kind in types}) > 1:
            raise RunError(f"dimension '{name}' has another shape in other files; rename it, or run the files apart")
        common = np.result_type(*(kind.base for kind in types))
        found[name] = np.concatenate(
            [
                cloud.dims[name].astype(common, copy=False)
                if name in cloud.dims
                else np.zeros((len(cloud), *types[0].shape), common)
                for cloud in clouds
            ]
        )
    return found
