"""filters.patch: decides which points the network sees together."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from deburr.core.cloud import Patches, PointCloud
from deburr.core.figure import Count, Reports, Same
from deburr.core.horizon import Known
from deburr.core.stage import Filter, Reach, Stage
from deburr.nn.contract import PATCHES


class Patch(Filter):
    """Decide which points filters.spd shows to its network together; moves nothing.

    ``knn``: overlapping patches of a seed's nearest neighbours, the seeds spread by farthest point sampling.
    ``blocks``: the cloud in compute blocks, each with its full context, so that their borders do not show.
    """

    type_name: ClassVar[str] = "filters.patch"
    reports: ClassVar[Reports] = {
        "points": Count(description="points in patches"),
        "method": Same(description="how patches are chosen"),
        "size": Same(description="points of a patch"),
        "overlap": Same(description="in how many patches a point is on average"),
    }

    method: Literal["blocks", "knn"] = Field("blocks", description="blocks: model deburr; knn: model spd")
    size: int | None = Field(
        None,
        ge=32,
        le=1_000_000,
        description="points in a patch; default: 4096 (blocks), 1000 (knn)",
        json_schema_extra={"unit": "points"},
    )
    overlap: float | None = Field(
        None, ge=1, le=100, description="patches in which a point lies on average; default: 3 (knn only)"
    )

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse options that the method would ignore."""
        if self.method == "blocks" and self.overlap is not None:
            return ["option 'overlap' has no effect with method 'blocks'; remove it, or use method 'knn'"]
        return []

    def run(self, cloud: PointCloud) -> PointCloud:
        """The same points with ``patches`` set."""
        default = PATCHES[self.method]
        size, overlap = self.size or default.size, self.overlap or default.overlap
        points = int((cloud.active & cloud.counted).sum())
        # Of a tile, the others may have some.
        warnings = [] if points or cloud.horizon is not None else ["there are no points to make patches of"]
        figures = {"method": self.method, "size": size, "overlap": overlap, "points": points}
        return replace(cloud, patches=Patches(self.method, size, overlap)).note(self.type_name, figures, *warnings)

    @property
    def looks_at(self) -> frozenset[str]:
        """What says which points count."""
        return frozenset({"Classification", "Withheld"})

    def reach(self, known: Known) -> Reach | None:
        """Nothing, with blocks; the seeds of kNN patches are spread over all points, one after the other."""
        return Reach() if self.method == "blocks" else None
