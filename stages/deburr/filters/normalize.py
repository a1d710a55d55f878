"""filters.normalize: chooses the frame that the network works in."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.arrays import Bools
from deburr.core.cloud import Frame, PointCloud
from deburr.core.figure import Count, Reports, Same
from deburr.core.frames import unit_sphere_frame
from deburr.core.horizon import Known
from deburr.core.neighbors import spacing_of_each
from deburr.core.stage import Filter, Reach
from deburr.core.sums import Histogram, Sum, Sums
from deburr.filters._sure import sure_of

#: Coordinates are far larger than their differences matter: bins of about a millionth of them.
_PLACE_BITS = 20


class Normalize(Filter):
    """Choose the frame in which filters.spd shows the points to its network: ``world = local * scale + offset``.

    No coordinate is rewritten, so there is nothing to undo. Withheld points and those of class 7 or 18 do not count.
    """

    type_name: ClassVar[str] = "filters.normalize"
    reports: ClassVar[Reports] = {
        "points": Count(description="points that were looked at"),
        "method": Same(description="how the frame was chosen"),
        "scale": Same(unit="exact", description="of the frame: world = local * scale + offset"),
        "offset": Same(unit="exact", description="of the frame, x, y, z"),
    }

    method: Literal["spacing", "unit_sphere"] = Field(
        "spacing",
        description="spacing: the median point spacing becomes 1; unit_sphere: the bounding box's centre becomes the "
        "origin and the farthest point lies at distance 1 (model spd)",
    )

    def run(self, cloud: PointCloud) -> PointCloud:
        """The same points with ``frame`` set."""
        frame, points = self._frame(cloud)
        warnings = []
        if frame.scale == 0:
            what = "most points coincide" if points else "there are no points"
            warnings.append(f"{what}, which gives no length to normalize by; the scale is 1")
            frame = replace(frame, scale=1.0)
        counted = int((cloud.active & cloud.counted).sum())
        figures = {"method": self.method, "scale": frame.scale, "offset": frame.offset.tolist(), "points": counted}
        return replace(cloud, frame=frame).note(self.type_name, figures, *warnings)

    @property
    def looks_at(self) -> frozenset[str]:
        """What says which points count."""
        return frozenset({"Classification", "Withheld"})

    def reach(self, known: Known) -> Reach | None:
        """To the neighbour that makes the spacing, once; the farthest point must be sought among all."""
        if self.method == "unit_sphere":
            return None
        return Reach(hops=1) if self.asks(known) else Reach()

    def asks(self, known: Known) -> bool:
        """For the median spacing and the median place."""
        return self.method == "spacing" and "scale" not in known

    def survey(self, cloud: PointCloud, known: Known) -> tuple[Sums, Bools]:
        """Count the active points' spacings and coordinates."""
        active, sure = cloud.active, cloud.settled.copy()
        mine = active & cloud.core
        points = cloud.xyz[mine]
        spacings, radii = spacing_of_each(cloud.xyz[active], cloud.core[active])
        sure[mine] &= sure_of(cloud, points, radii)
        counted = sure[mine]
        sums: dict[str, Sum] = {"spacing": Histogram.of(spacings[counted[: len(spacings)]])}
        for name, column in zip("xyz", points[counted].T, strict=True):
            sums[name] = Histogram.of(column, bits=_PLACE_BITS)
        return sums, sure

    def learn(self, known: Known, sums: Sums) -> Known:
        """The medians; of no points, zeros."""
        scale, *offset = ((_histogram(sums, name).quantile(0.5) or 0.0) for name in ("spacing", *"xyz"))
        return {"scale": scale, "offset": offset, "points": int(_histogram(sums, "x").total)}

    def _frame(self, cloud: PointCloud) -> tuple[Frame, int]:
        """The frame, whose scale is 0 if there is none, and how many points make it."""
        if self.method == "unit_sphere":
            points = cloud.xyz[cloud.active]
            return unit_sphere_frame(points), len(points)
        known = self.whole(cloud)
        # The median is a centre that a few far outliers do not move.
        return Frame("spacing", known["scale"], np.array(known["offset"], dtype=np.float64)), known["points"]


def _histogram(sums: Sums, name: str) -> Histogram:
    # Of no tiles, nothing was counted.
    found = sums.get(name, Histogram.of(np.zeros(0)))
    assert isinstance(found, Histogram)
    return found
