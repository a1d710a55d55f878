"""filters.noise: adds known noise, so that anyone can test a denoiser honestly."""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.arrays import Floats
from deburr.core.chance import drawn
from deburr.core.cloud import PointCloud
from deburr.core.figure import Count, Reports, Same
from deburr.core.horizon import Known
from deburr.core.stage import Filter, Reach

#: Standard deviations of the anisotropic noise along x, y, z, in units of sigma: z is twice as noisy as x and y, and
#: the sum of the three variances is that of the other kinds.
ANISOTROPIC = (sqrt(0.5), sqrt(0.5), sqrt(2.0))

#: A number of variance 1 is drawn from 53 bits of chance, so it has an end: no further than ln 2^-53 goes.
#: Laplace: 52 ln 2 / sqrt 2. Gaussian, in the ziggurat's tail beyond r = 3.654 (Marsaglia & Tsang 2000): an x is taken
#: only if x^2 < -2 ln U, so r + sqrt(2 * 53 ln 2). The sum of the variances of an anisotropic draw is the same.
FARTHEST = {"gaussian": 12.3, "anisotropic": 12.3, "laplace": 25.5, "uniform": sqrt(3.0)}


class Noise(Filter):
    """Add random displacements to every active point (neither withheld nor of class 7 or 18).

    ``gaussian``, ``laplace`` and ``uniform`` draw x, y and z independently with variance sigma^2 each; ``anisotropic``
    is Gaussian with covariance diag(1/2, 1/2, 2) sigma^2. A point's displacement depends on the seed and on its row in
    the file that was read, on nothing else: the same point gets the same noise in a tile and in the whole cloud.
    """

    type_name: ClassVar[str] = "filters.noise"
    example: ClassVar[dict[str, Any]] = {"sigma": 0.01}
    reports: ClassVar[Reports] = {
        "points": Count(description="points that noise was added to"),
        "points_left_out": Count(description="points of class 7 or 18 and withheld ones"),
        "kind": Same(description="the distribution"),
        "seed": Same(description="what the chance was drawn from"),
        "units": Same(description="what lengths are in"),
        "sigma": Same(unit="length", description="the standard deviation along each axis"),
    }

    kind: Literal["gaussian", "laplace", "uniform", "anisotropic"] = Field(
        "gaussian", description="distribution of the displacements"
    )
    sigma: float = Field(
        ge=0,
        description="standard deviation of x, y and z (anisotropic: root mean square of the three)",
        json_schema_extra={"unit": "cloud units"},
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="the same seed gives the same noise")

    def run(self, cloud: PointCloud) -> PointCloud:
        """Move the active points."""
        active = cloud.active
        figures = {
            "points": int((active & cloud.counted).sum()),
            "points_left_out": int((~active & cloud.counted).sum()),
            "kind": self.kind,
            "sigma": self.sigma,
            "seed": self.seed,
            "units": "cloud units",
        }
        if self.sigma == 0:
            return cloud.note(self.type_name, figures)
        # Points of other tiles are moved too, whatever is here.
        cloud = cloud.settle(cloud.settled, self._farthest(cloud))
        if not active.any():
            return cloud.note(self.type_name, figures)
        xyz = cloud.xyz.copy()
        xyz[active] += self.sigma * drawn(cloud.rows[active], (self.seed,), self._draw, "noise", (3,))
        return cloud.with_xyz(xyz).note(self.type_name, figures)

    def reach(self, known: Known) -> Reach:
        """Nowhere but to the point itself."""
        return Reach()

    @property
    def looks_at(self) -> frozenset[str]:
        """What says which points are active."""
        return frozenset({"Classification", "Withheld"})

    def _farthest(self, cloud: PointCloud) -> float:
        """What no displacement exceeds, in cloud units, where coordinates are rounded to the next float64 too."""
        extent = cloud.extent
        largest = float(np.abs((extent.low, extent.high)).max()) if extent.count else 0.0
        length = sqrt(3.0) * FARTHEST[self.kind] * self.sigma
        return length + 2 * float(np.spacing(largest + length))

    def _draw(self, stream: np.random.Generator, count: int) -> Floats:
        """(count, 3) float64, variance 1 for each coordinate (on average, if anisotropic)."""
        shape = (count, 3)
        if self.kind == "laplace":
            return stream.laplace(0.0, sqrt(0.5), shape)
        if self.kind == "uniform":
            return stream.uniform(-sqrt(3.0), sqrt(3.0), shape)
        normal = stream.standard_normal(shape)
        return normal * ANISOTROPIC if self.kind == "anisotropic" else normal
