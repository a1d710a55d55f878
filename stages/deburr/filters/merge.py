"""filters.merge: several files become one cloud."""

from __future__ import annotations

from typing import ClassVar

from deburr.core.cloud import PointCloud
from deburr.core.figure import Count, Reports
from deburr.core.stage import Filter, Scope


class Merge(Filter):
    """Make one cloud of all files that were read: points in the order of the readers, then in that of their files.

    Without it, each file of a pipeline of several readers goes through the filters alone, as in PDAL, and points near
    the border of another file lack their neighbours. A single cloud stays as it is.
    """

    type_name: ClassVar[str] = "filters.merge"
    reports: ClassVar[Reports] = {"points": Count()}
    joins: ClassVar[bool] = True
    scope: ClassVar[Scope] = "point"

    def run(self, cloud: PointCloud) -> PointCloud:
        """The cloud that the pipeline has made of the files."""
        return cloud.note(self.type_name, {"points": int(cloud.counted.sum())})

    @property
    def looks_at(self) -> frozenset[str]:
        """Nothing."""
        return frozenset()
