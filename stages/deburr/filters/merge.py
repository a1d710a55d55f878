"""filters.merge: several files become one cloud."""

from __future__ import annotations

from typing import ClassVar

from deburr.core.cloud import PointCloud
from deburr.core.figure import Count, Reports
from deburr.core.horizon import Known
from deburr.core.stage import Filter, Reach


class Merge(Filter):
    """Make one cloud of all files that were read: points in the order of the readers, then in that of their files.

    Without it, each file of a pipeline of several readers goes through the filters alone, as in PDAL, and points near
    the border of another file lack their neighbours. A single cloud stays as it is.
    """

    type_name: ClassVar[str] = "filters.merge"
    reports: ClassVar[Reports] = {"points": Count(description="points of all files")}
    joins: ClassVar[bool] = True

    def run(self, cloud: PointCloud) -> PointCloud:
        """The cloud that the pipeline has made of the files."""
        return cloud.note(self.type_name, {"points": int(cloud.counted.sum())})

    def reach(self, known: Known) -> Reach:
        """Nowhere but to the point itself."""
        return Reach()

    @property
    def looks_at(self) -> frozenset[str]:
        """Nothing."""
        return frozenset()
