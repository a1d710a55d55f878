"""The noise that a stage found, as sums under fixed names: whoever finds some notes them, the pipeline shows them.

Figures, the table of tiles and the map of the noise are made of these sums, whichever stage noted them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import Extent
from deburr.core.figure import Reports, Same, Summed
from deburr.core.sums import Exact, Histogram, Sum, Sums

_LEVELS, _SQUARES, _EVIDENCE, _BY_PLACE = "noise levels", "noise squares", "noise evidence", "noise by place"
#: The corner and the side of the map's grid; of one value each, which merging leaves as it is.
_GRID = ("noise grid x", "noise grid y", "noise grid side")
#: Cells of the map along the longer side of the cloud, and beside each other in a cell's number.
CELLS, _ROW = 256, 1024
#: Of mantissa bits, so many that each cell's number is a bin of its own.
_WHOLE = 30


@dataclass(frozen=True)
class Grid:
    """Square cells over x and y, of a side of ``side`` cloud units, the first with its corner at ``low`` (2,)."""

    low: Floats
    side: float

    @classmethod
    def over(cls, extent: Extent) -> Grid:
        """The grid over a cloud of ``extent``, at least one point; the same in all its tiles."""
        spans = extent.high[:2] - extent.low[:2]
        return cls(extent.low[:2], float(spans.max()) / CELLS or 1.0)

    def numbers(self, places: Floats) -> Floats:
        """(N,) float64, all whole: the numbers of the cells in which ``places`` (N, 3) lie."""
        cells = np.clip(np.floor((places[:, :2] - self.low) / self.side), 0, CELLS)
        return np.asarray(_ROW * cells[:, 1] + cells[:, 0])


@dataclass(frozen=True, eq=False)
class ByPlace:
    """Of M cells of ``grid`` that hold points: column and row (M, 2), how many points (M,), their mean level (M,)."""

    grid: Grid
    cells: Ints
    counts: Floats
    levels: Floats


def noise_sums(level: Floats, may: Bools, evidence: Bools | None, places: Floats, extent: Extent) -> dict[str, Sum]:
    """What N points tell of the noise.

    level : (N,) float64, its standard deviation at each point, cloud units.
    may : (N,) bool, the points that may move.
    evidence : (N,) bool, the points around which there was a surface to read it from; None: that is not known.
    places : (N, 3) float64, where the points were read.
    extent : of the whole cloud.
    """
    found: dict[str, Sum] = {_LEVELS: Histogram.of(level), _SQUARES: Exact.of_squares(level[may])}
    if evidence is not None:
        found[_EVIDENCE] = Exact.of(evidence.astype(np.float64))
    if extent.count:
        grid = Grid.over(extent)
        found[_BY_PLACE] = Histogram.of(grid.numbers(places), marks=level, bits=_WHOLE)
        found |= {name: Histogram.of(np.array([one])) for name, one in zip(_GRID, (*grid.low, grid.side), strict=True)}
    return found


def is_by_place(sums: Mapping[str, Any]) -> bool:
    """Whether these sums, or their JSON values, tell of places in a grid over one cloud, which no other cloud has."""
    return _BY_PLACE in sums


#: What stages that find noise report: `NOISE`, their figure for the whole cloud, and what `noise_figures` makes.
NOISE, MEDIAN, SPREAD, EVIDENCE = "noise", "noise_median", ("noise_p05", "noise_p95"), "evidence"
NOISE_REPORTS: Reports = {
    NOISE: Same(
        unit="length", spread=SPREAD,
        description="the noise of the whole cloud, found or given: the standard deviation of each coordinate's error",
    ),
    MEDIAN: Summed("", "length", description="the median of the noise at the points"),
    SPREAD[0]: Summed("", "length", description="the noise that 5 % of the points stay below"),
    SPREAD[1]: Summed("", "length", description="the noise that 95 % of the points stay below"),
    EVIDENCE: Summed(unit="points", description="around how many there was a surface to read the noise from"),
}  # fmt: skip


def noise_figures(sums: Sums) -> dict[str, Any]:
    """Median and percentiles of the level, cloud units, and the share of points with evidence, 0 to 1, if that is
    known; nothing of nothing."""
    levels, evidence = sums.get(_LEVELS), sums.get(_EVIDENCE)
    if not isinstance(levels, Histogram) or not levels.total:
        return {}
    shares = {MEDIAN: 0.5, SPREAD[0]: 0.05, SPREAD[1]: 0.95}
    figures: dict[str, Any] = {name: levels.quantile(share) for name, share in shares.items()}
    if isinstance(evidence, Exact):
        figures[EVIDENCE] = evidence.mean
    return figures


def noise_rms(sums: Sums) -> float | None:
    """Root mean square of the level over the points that may move, cloud units; None where no stage told."""
    squares = sums.get(_SQUARES)
    return sqrt(squares.mean) if isinstance(squares, Exact) and squares.count else None


def noise_by_place(sums: Sums) -> ByPlace | None:
    """The level by place; None where no stage told, or where it is the same everywhere."""
    levels, places = sums.get(_LEVELS), sums.get(_BY_PLACE)
    if not isinstance(levels, Histogram) or not isinstance(places, Histogram) or not levels.total:
        return None
    if levels.lows[0] == levels.max:
        return None
    x, y, side = (one.lows[0] for one in (sums[name] for name in _GRID) if isinstance(one, Histogram))
    numbers = places.lows.astype(np.int64)
    cells = np.stack((numbers % _ROW, numbers // _ROW), axis=1)
    return ByPlace(Grid(np.array([x, y]), side), cells, places.weights, places.sums / places.weights)
