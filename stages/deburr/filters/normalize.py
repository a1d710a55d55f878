"""filters.normalize: chooses the frame that the network works in."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from deburr.core.cloud import PointCloud
from deburr.core.frames import spacing_frame, unit_sphere_frame
from deburr.core.stage import Filter


class Normalize(Filter):
    """Choose the frame in which filters.spd shows the points to its network: ``world = local * scale + offset``.

    No coordinate is rewritten, so there is nothing to undo. Withheld points and those of class 7 or 18 do not count.
    """

    type_name: ClassVar[str] = "filters.normalize"

    method: Literal["spacing", "unit_sphere"] = Field(
        "spacing",
        description="spacing: the median point spacing becomes 1; unit_sphere: the bounding box's centre becomes the "
        "origin and the farthest point lies at distance 1 (model spd)",
    )

    def run(self, cloud: PointCloud) -> PointCloud:
        """The same points with ``frame`` set."""
        points = cloud.xyz[cloud.active]
        frame = (spacing_frame if self.method == "spacing" else unit_sphere_frame)(points)
        warnings = []
        if frame.scale == 0:
            what = "most points coincide" if len(points) else "there are no points"
            warnings.append(f"{what}, which gives no length to normalize by; the scale is 1")
            frame = replace(frame, scale=1.0)
        figures = {"method": self.method, "scale": frame.scale, "offset": frame.offset.tolist(), "points": len(points)}
        return replace(cloud, frame=frame).note(self.type_name, figures, *warnings)
