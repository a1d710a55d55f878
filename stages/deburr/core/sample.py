"""Which parts of a large cloud are looked at where a sample will do: the same ones however the cloud is cut."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import Extent

#: Clouds of fewer points are looked at as a whole.
ENOUGH = 1 << 21
#: Points in a cell, about.
_CELL = 1 << 17


@dataclass(frozen=True)
class Sample:
    """A ``share`` of the cells of a grid over x and y, of ``side`` cloud units, chosen by a hash of their place."""

    side: float
    share: float

    @classmethod
    def of(cls, extent: Extent) -> Sample | None:
        """The sample of a cloud; None: the whole. About `ENOUGH` points, in cells of a power of two."""
        width, depth = (extent.high - extent.low)[:2] if extent.count else (0.0, 0.0)
        if extent.count <= ENOUGH or not width * depth > 0:
            return None
        side = float(2.0 ** round(log2(width * depth * _CELL / extent.count) / 2))
        return cls(side, ENOUGH / extent.count)

    def holds(self, places: Floats) -> Bools:
        """(N,) bool: which of ``places`` (N, 2 or more) float64, input coordinates, lie in chosen cells."""
        return self._chosen(np.floor(places[:, 0] / self.side), np.floor(places[:, 1] / self.side))

    def cells(self, extent: Extent) -> list[tuple[float, float, float, float]]:
        """The chosen cells over ``extent``, each as low x, low y, high x, high y."""
        (left, bottom), (right, top) = extent.low[:2], extent.high[:2]
        x, y = (np.arange(floor(a / self.side), ceil(b / self.side) + 1.0) for a, b in ((left, right), (bottom, top)))
        columns, rows = (grid.ravel() for grid in np.meshgrid(x, y))
        keep = self._chosen(columns, rows)
        low = np.stack((columns[keep], rows[keep]), axis=1) * self.side
        return [(a, b, a + self.side, b + self.side) for a, b in low.tolist()]

    def _chosen(self, x: Floats, y: Floats) -> Bools:
        # Steele, Lea & Flood 2014 (SplitMix64): a finalizer that mixes every bit of the input into every bit out.
        mixed = x.astype(np.int64).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ y.astype(np.int64).view(np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed = mixed ^ (mixed >> np.uint64(31))
        chosen: npt.NDArray[np.float64] = mixed.astype(np.float64) * 2.0**-64
        return np.asarray(chosen < self.share)
