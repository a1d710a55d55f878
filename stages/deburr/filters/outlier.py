"""filters.outlier: finds the points that stand alone, as PDAL's filter of that name does."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, isnan, nan, sqrt
from typing import ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field

from deburr.core.cloud import Bools, Floats, PointCloud
from deburr.core.neighbors import Indices, Neighbors
from deburr.core.progress import advance
from deburr.core.stage import Filter

#: Neighbour distances held at a time.
CHUNK_VALUES = 1 << 22


class Outlier(Filter):
    """Flag outliers: exactly the points that PDAL's filters.outlier flags with the same options.

    ``statistical``: a point's d is the mean distance to its ``mean_k`` nearest neighbours, itself not counted; it is an
    outlier unless d < mean(d) + multiplier * s(d), s the sample standard deviation (n - 1) over all points.
    ``radius``: a point is an outlier unless more than ``min_k`` points, itself counted, lie nearer than ``radius``.
    All points take part, those of a noise class too. As in PDAL, neighbours that a cloud of ``mean_k`` points or fewer
    lacks count as distance 0, and if every point were an outlier none is flagged, with a warning.
    """

    model_config = ConfigDict(populate_by_name=True)

    type_name: ClassVar[str] = "filters.outlier"
    gives: ClassVar[frozenset[str]] = frozenset({"Classification"})

    method: Literal["statistical", "radius"] = Field("statistical", description="what makes an outlier")
    mean_k: int = Field(8, ge=1, le=1000, description="neighbours whose mean distance is taken (statistical)")
    multiplier: float = Field(2.0, description="standard deviations above the mean (statistical)")
    radius: float = Field(
        1.0, gt=0, description="how near neighbours must be (radius)", json_schema_extra={"unit": "cloud units"}
    )
    min_k: int = Field(2, ge=0, le=1000, description="points there must be more of, itself counted (radius)")
    class_: int = Field(7, ge=0, le=255, alias="class", description="classification that outliers get (classify)")
    action: Literal["classify", "withhold", "remove"] = Field(
        "classify", description="what becomes of outliers: Classification = class, Withheld = 1, or removal"
    )

    threads: int | None = Field(
        None, ge=1, description="PDAL's option, without effect here: all cores are used (environment: DEBURR_THREADS)"
    )

    def run(self, cloud: PointCloud) -> PointCloud:
        """Flag the outliers and do to them what ``action`` says."""
        find = self._statistical if self.method == "statistical" else self._radius
        flagged, threshold, of = find(cloud.xyz) if len(cloud) else (np.zeros(0, np.bool_), nan, "")
        warnings = []
        if len(cloud) and flagged.all():
            warnings.append(
                f"all {len(cloud)} points would be outliers, so none was flagged; try a larger radius or multiplier, "
                "or fewer neighbours"
            )
            flagged = np.zeros(len(cloud), np.bool_)
        figures = {
            "points": len(cloud),
            "flagged": int(flagged.sum()),
            "action": self.action,
            "threshold": None if isnan(threshold) else threshold,
            "threshold_of": of,
            "units": "cloud units",
        }
        return self._act(cloud, flagged).note(self.type_name, figures, *warnings)

    def _statistical(self, xyz: Floats) -> tuple[Bools, float, str]:
        """The outliers (N,), the threshold in cloud units, and what it is compared with."""
        mean = np.zeros(len(xyz))
        for start, stop, distances, _ in _nearest(xyz, self.mean_k + 1):
            part = mean[start:stop]
            for j in range(1, self.mean_k + 1):
                # The running mean, in PDAL's order, so that even the rounding agrees.
                column = distances[:, j] if j < distances.shape[1] else 0.0
                part += (column - part) / j
        n = len(xyz)
        # Exact sums: the order of the points changes nothing.
        center = fsum(mean) / n
        deviation = sqrt(fsum((mean - center) ** 2) / (n - 1)) if n > 1 else nan
        threshold = center + self.multiplier * deviation
        return ~(mean < threshold), threshold, f"mean distance to {self.mean_k} neighbours"

    def _radius(self, xyz: Floats) -> tuple[Bools, float, str]:
        """The outliers (N,), the radius in cloud units, and what it is compared with."""
        what = f"distance to point {self.min_k + 1}, itself counted"
        flagged = np.ones(len(xyz), np.bool_)
        if len(xyz) <= self.min_k:
            return flagged, self.radius, what
        # More than min_k points lie inside if the (min_k + 1)-th nearest does.
        for start, stop, _, rows in _nearest(xyz, self.min_k + 1):
            apart = xyz[rows[:, -1]] - xyz[start:stop]
            # Squares, as PDAL compares them: a root would round distances on a lattice to the radius itself.
            squared = apart[:, 0] ** 2 + apart[:, 1] ** 2 + apart[:, 2] ** 2
            flagged[start:stop] = ~(squared < self.radius * self.radius)
        return flagged, self.radius, what

    def _act(self, cloud: PointCloud, flagged: Bools) -> PointCloud:
        if self.action == "remove":
            return cloud.select(~flagged) if flagged.any() else cloud
        name, value = ("Classification", self.class_) if self.action == "classify" else ("Withheld", 1)
        column = cloud.dims.get(name)
        if column is None:
            column = np.zeros(len(cloud), np.uint8)
        elif not flagged.any():
            return cloud
        return cloud.with_dims({name: np.where(flagged, np.uint8(value), column)})


def _nearest(xyz: Floats, k: int) -> Iterator[tuple[int, int, Floats, Indices]]:
    """Yield start, stop, distances and rows (stop - start, min(k, N)) for all points; itself counted, nearest first."""
    tree = Neighbors(xyz)
    step = max(CHUNK_VALUES // k, 1)
    for start in range(0, len(xyz), step):
        stop = min(start + step, len(xyz))
        yield start, stop, *tree.nearest(xyz[start:stop], k)
        advance("outliers", stop, len(xyz))
