"""filters.restore: undoes a denoising."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError, did_you_mean
from deburr.core.figure import Count, Most, Reports, Same
from deburr.core.horizon import Known
from deburr.core.original import ORIGINAL, kept_original
from deburr.core.stage import Filter, Reach


class Restore(Filter):
    """Put every point back to where it was before filters.spd moved it with ``keep_original``, to the last bit.

    Then the dimensions OriginalX, OriginalY and OriginalZ, which told where, are removed. Written as LAS in the scale
    and offset that the denoised file had, the points get their first integers again.
    In tiles, points may come back from anywhere: a later stage that looks at neighbours needs the whole cloud.
    """

    type_name: ClassVar[str] = "filters.restore"
    reports: ClassVar[Reports] = {
        "points": Count(description="points of the cloud"),
        "points_moved_back": Count(description="points that were elsewhere"),
        "displacement_max": Most("", "length", description="how far the farthest went back"),
        "units": Same(description="what lengths are in"),
    }
    moves_afar: ClassVar[bool] = True

    remove: list[str] | None = Field(
        None, min_length=1, description='more dimensions to remove, such as ["Displacement", "Uncertainty"]'
    )

    @property
    def needs(self) -> frozenset[str]:
        """The coordinates that were kept."""
        return frozenset(ORIGINAL)

    @property
    def takes(self) -> frozenset[str]:
        """These, and all that is to be removed."""
        return frozenset({*ORIGINAL, *(self.remove or ())})

    def run(self, cloud: PointCloud) -> PointCloud:
        """Undo the movement. Raises `RunError` where the original coordinates are not there."""
        xyz = kept_original(cloud)
        for name in self.remove or ():
            if name not in cloud.dims:
                hint = did_you_mean(name, cloud.dims) or "; correct the name"
                raise RunError(f"option 'remove': the cloud has no dimension '{name}'{hint}")
        gone = {*ORIGINAL, *(self.remove or ())}
        back = np.linalg.norm(cloud.xyz - xyz, axis=1)
        figures = {
            "points": int(cloud.counted.sum()),
            "points_moved_back": int(((cloud.xyz != xyz).any(axis=1) & cloud.counted).sum()),
            "displacement_max": float(back[cloud.counted].max(initial=0.0)),
            "units": "cloud units",
        }
        dims = {name: column for name, column in cloud.dims.items() if name not in gone}
        # How far the points of other tiles go back, nobody has said.
        cloud = cloud.settle(cloud.settled, np.inf)
        return replace(cloud, xyz=xyz, dims=dims).note(self.type_name, figures)

    def reach(self, known: Known) -> Reach:
        """Nowhere but to the point itself."""
        return Reach()

    @property
    def looks_at(self) -> frozenset[str]:
        """The dimensions that tell where the points were, and all that are removed."""
        return frozenset({*ORIGINAL, *(self.remove or ())})
