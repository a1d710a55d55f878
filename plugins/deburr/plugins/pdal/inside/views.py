"""Several point views of one PDAL stage: each is filtered by itself, and what that costs at the cuts is said.

Measured on an airborne tile (640,510 points, 15 a square metre, noise 0.7 cm, moved by 0.7 cm RMS) behind
filters.chipper, against the result without it (benchmarks/chips.py):

    capacity   noise       points that differ by more than 1 mm   difference, RMS
    5,000      estimated   48.5 %                                 5.9 mm
    50,000     estimated   45 %                                   4.8 mm
    5,000      given       11 %                                   1.3 mm
    50,000     given       2.7 %                                  0.6 mm
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi, sqrt

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import PointCloud
from deburr.core.horizon import Horizon, Known
from deburr.core.neighbors import SPACING_K
from deburr.core.stage import Filter
from deburr.filters.outlier import Outlier
from deburr.filters.spd import Spd
from deburr.nn.contract import PATCHES

#: Distance to the neighbour that defines the spacing, in spacings: the length of a hop.
_HOP = sqrt(SPACING_K / pi)
#: Figures are told of so many views; a chipper may make thousands.
MOST_TOLD = 10

_ADVICE = (
    "put filters.python before the splitter or chipper (or behind filters.merge, if the views are files), "
    "or run 'pipeline batch'"
)


@dataclass
class Views:
    """What one stage remembers from view to view: boxes, and what was said. ``boxes``: x and y, (2, 2) float64 each."""

    boxes: list[Floats] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    count: int = 0

    def news(self, sentences: list[str]) -> list[str]:
        """Those of ``sentences`` that were not said before."""
        found = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.told]
        self.told.update(found)
        return found

    def cut(self, stage: Filter, cloud: PointCloud) -> str | None:
        """What it costs that ``cloud`` is filtered apart from the views before; None where they are far away, or that
        was said. ``cloud``: as the filter saw it, and with the filter's record in its history."""
        self.count += 1
        if not len(cloud):
            return None
        box = np.stack((cloud.original[:, :2].min(axis=0), cloud.original[:, :2].max(axis=0)))
        earlier, width = np.array(self.boxes).reshape(-1, 2, 2), _width(stage, cloud)
        self.boxes.append(box)
        near = earlier[((earlier[:, 0] <= box[1] + width) & (earlier[:, 1] >= box[0] - width)).all(axis=1)]
        if "cut" in self.told or not len(near):
            return None
        self.told.add("cut")
        if isinstance(stage, Outlier):
            return f"each of several views has a threshold and neighbours of its own, as PDAL's filter has; {_ADVICE}"
        share = float(_unsettled(cloud, box, near, width).mean())
        near_cut = f"{100 * share:.0f} % of this view's points, those within {width:.3g} of the cut"
        if getattr(stage, "noise", None) == "auto":
            cost = (
                "each estimates its own noise, so that any point may come out otherwise; with 'noise' given it would "
                f"still be up to {near_cut}"
            )
        else:
            cost = f"up to {near_cut}, may come out otherwise"
        return f"views are filtered one by one, without their neighbours' points: {cost}; {_ADVICE}"


def _width(stage: Filter, cloud: PointCloud) -> float:
    """How far ``stage`` looked around a point, cloud units, as far as its figures tell."""
    figures = cloud.history[-1].figures
    noise, spacing = figures.get("noise"), figures.get("spacing")
    even = sqrt(float(np.ptp(cloud.original[:, :2], axis=0).prod()) / len(cloud))
    known: Known = {}
    if isinstance(noise, float) and isinstance(spacing, float):
        known = {"noise": noise, "spacing": spacing, "given": figures.get("noise_source") == "given"}
    reach = stage.reach(known)
    if reach is None:
        # The published network, whose patches a border changes.
        return sqrt(PATCHES["knn"].size / pi) * even
    if isinstance(stage, Spd) and not known:
        # There was nothing to do.
        return 0.0
    return float(reach.length + reach.hops * _HOP * known.get("spacing", even))


def _unsettled(cloud: PointCloud, box: Floats, near: Floats, width: float) -> Bools:
    """(N,) bool: the points of a view whose surroundings reach beyond its ``box``, or into other views' boxes ``near``
    (M, 2, 2)."""
    places = cloud.original
    every = np.ones(len(cloud), np.bool_)
    horizon = Horizon(box[0], box[1], every, every, np.zeros(len(cloud), np.int32))
    unsure = ~horizon.sure(places, np.full(len(cloud), width), places[:0])
    for low, high in near:
        inside = np.ones(len(cloud), np.bool_)
        for axis in (0, 1):
            inside &= (places[:, axis] >= low[axis] - width) & (places[:, axis] <= high[axis] + width)
        unsure |= inside
    return unsure
