"""filters.outlier: finds the points that stand alone, as PDAL's filter of that name does, or by their energy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isnan, nan, sqrt
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field

from deburr.core.arrays import Bools, Floats
from deburr.core.cloud import Extent, PointCloud
from deburr.core.figure import Count, Reports, Same
from deburr.core.horizon import Known
from deburr.core.neighbors import SPACING_K, Indices, Neighbors
from deburr.core.progress import advance
from deburr.core.sample import Sample
from deburr.core.stage import Filter, Reach, Stage
from deburr.core.sums import Exact, Histogram, Sums
from deburr.filters._outliers import CLASS, Action, ByEnergy, acted
from deburr.filters._sure import sure_of
from deburr.filters._surprise import CHANCES
from deburr.nn.level import LEAST
from deburr.nn.models import DEFAULT, kind_of, load

#: Neighbour distances held at a time.
CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class Found:
    """``values`` (N,): what is compared with the threshold; ``radii`` (N,), cloud units: how far one looked for it."""

    values: Floats
    radii: Floats


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Outlier(Filter):
    """Flag outliers; by ``statistical`` and ``radius`` exactly the points that PDAL's filters.outlier flags.

    ``statistical``: a point's d is the mean distance to its ``mean_k`` nearest neighbours, itself not counted; it is an
    outlier unless d < mean(d) + multiplier * s(d), s the sample standard deviation (n - 1) over all points.
    ``radius``: a point is an outlier unless more than ``min_k`` points, itself counted, lie nearer than ``radius``.
    All points that have coordinates take part, those of a noise class too. As in PDAL, neighbours that a cloud of
    ``mean_k`` points or fewer lacks count as distance 0, and if every point were an outlier none is flagged, with a
    warning.
    ``energy``: an outlier is a point whose place surprises the default network: far from all others, alone or in a
    group of fewer than 50, against the spacing of the cloud, or off what its neighbours take for the surface (its
    Energy). How much is too much, the surprises of this cloud tell, where good points and outliers part; or, given a
    ``chance``, what such a share of the good points of simulated scans exceed. Points of class 7 or 18 and withheld
    ones take no part.
    Experimental: docs/explanation/energy.md says where it is better, and where not.
    """

    model_config = ConfigDict(populate_by_name=True)

    type_name: ClassVar[str] = "filters.outlier"
    example: ClassVar[dict[str, Any]] = {"class": 18}
    reports: ClassVar[Reports] = {
        "points": Count(description="points that were looked at"),
        "method": Same(description="what makes an outlier, where that is energy"),
        "chance": Same(description="share of the good points that may be taken for outliers"),
        "flagged": Count(description="points that are outliers"),
        "action": Same(description="what was done to them"),
        "threshold_of": Same(description="the distance that the threshold is of"),
        "units": Same(description="what lengths are in"),
        "threshold": Same(unit="length", description="outliers are further than this"),
    }

    method: Annotated[Literal["statistical", "radius", "energy"], BeforeValidator(_lower)] = Field(
        "statistical", description="what makes an outlier"
    )
    mean_k: int = Field(8, ge=1, le=1000, description="neighbours whose mean distance is taken (statistical)")
    multiplier: float = Field(2.0, description="standard deviations above the mean (statistical)")
    radius: float = Field(
        1.0, gt=0, description="how near neighbours must be (radius)", json_schema_extra={"unit": "cloud units"}
    )
    min_k: int = Field(2, ge=0, le=1000, description="points there must be more of, itself counted (radius)")
    chance: float | None = Field(
        None,
        ge=CHANCES[-1],
        le=CHANCES[0],
        description="share of the good points that may be taken for outliers by chance (energy); default: outliers "
        "begin where the cloud itself tells them apart",
    )
    class_: int = Field(CLASS, ge=0, le=255, alias="class", description="classification that outliers get (classify)")
    action: Action = Field(
        "classify", description="what becomes of outliers: Classification = class, Withheld = 1, or removal"
    )

    threads: int | None = Field(
        None, ge=1, description="PDAL's option, without effect here: all cores are used (environment: DEBURR_THREADS)"
    )

    @property
    def gives(self) -> frozenset[str]:
        """What tells outliers from others, if they stay."""
        return frozenset({"classify": {"Classification"}, "withhold": {"Withheld"}, "remove": ()}[self.action])

    @property
    def reads(self) -> dict[str, str]:
        """By energy, the weights of the network."""
        return {"weights": str(kind_of(DEFAULT).bundled)} if self.method == "energy" else super().reads

    @property
    def _energy(self) -> ByEnergy:
        return ByEnergy(self.chance, lambda: load(DEFAULT, None))

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse a chance where none is asked for."""
        if self.method != "energy" and "chance" in self.model_fields_set:
            return [f"option 'chance' has no effect with method '{self.method}'; remove it, or use method 'energy'"]
        return []

    def run(self, cloud: PointCloud) -> PointCloud:
        """Flag the outliers and do to them what ``action`` says."""
        if self.method == "energy":
            return self._by_energy(cloud)
        there = cloud.located
        found = self._look(cloud.xyz) if there.all() else _spread(self._look(cloud.xyz[there]), there)
        known = self._told(self._sums(found.values[there])) if cloud.horizon is None else cloud.horizon.known
        sure = cloud.settled & (sure_of(cloud, cloud.xyz, found.radii) | ~there)
        flagged = sure & ~self._inside(found.values, known["threshold"])
        warnings = []
        if known["spared"]:
            flagged = np.zeros(len(cloud), np.bool_)
            warnings.append(
                f"all {known['points']} points would be outliers, so none was flagged; try a larger radius or "
                "multiplier, or fewer neighbours"
            )
        cloud = cloud.settle(sure)
        statistical = self.method == "statistical"
        figures = {
            "points": int(cloud.counted.sum()),
            "flagged": int((flagged & cloud.counted).sum()),
            "action": self.action,
            "threshold": known["threshold"],
            "threshold_of": f"mean distance to {self.mean_k} neighbours"
            if statistical
            else f"distance to point {self.min_k + 1}, itself counted",
            "units": "cloud units",
        }
        return self._act(cloud, flagged).note(self.type_name, figures, *warnings)

    def surprises(self, cloud: PointCloud) -> Floats:
        """(N,) how surprising the place of each point is (see `deburr.filters._surprise`); NaN of those that take no
        part, or have no surroundings."""
        return self._energy.find(cloud, {}).surprises

    def _by_energy(self, cloud: PointCloud) -> PointCloud:
        """Flag what surprises more than good points do."""
        found = self._energy.find(cloud, {} if cloud.horizon is None else cloud.horizon.known)
        cloud = cloud.settle(found.sure)
        figures = {
            "points": int((cloud.counted & cloud.active).sum()),
            "method": self.method,
            **({} if self.chance is None else {"chance": self.chance}),
            "flagged": int((found.flagged & cloud.counted).sum()),
            "action": self.action,
        }
        warnings = []
        if found.few:
            warnings.append(f"fewer than {LEAST} different points tell no outliers by their energy; none was flagged")
        return self._act(cloud, found.flagged).note(self.type_name, figures, *warnings)

    @property
    def looks_at(self) -> frozenset[str]:
        """The dimension that ``action`` changes: all points take part, whatever they are, but by energy."""
        changed = {"classify": ["Classification"], "withhold": ["Withheld"], "remove": []}
        asked = ("Classification", "Withheld") if self.method == "energy" else ()
        return frozenset((*changed[self.action], *asked))

    def reach(self, known: Known) -> Reach | None:
        """``radius``, or as far as to neighbour ``mean_k``: on a surface, four times the points lie twice as far; by
        energy, what the network sees."""
        if self.method == "energy":
            return self._energy.reach(known)
        if self.method == "radius":
            return Reach(length=self.radius)
        return Reach(hops=max(1.0, sqrt(self.mean_k / SPACING_K)))

    def asks(self, known: Known) -> bool:
        """For the threshold, and whether all points would be outliers; by energy, the spacing and the noise."""
        if self.method == "energy":
            return self._energy.asks(known)
        return "spared" not in known

    def sample(self, extent: Extent, known: Known) -> Sample | None:
        """A part at first, if a radius is given: as a rule it holds a point that is no outlier, and one is enough."""
        if self.method == "energy":
            return self._energy.sample(extent, known)
        return Sample.of(extent) if self.method == "radius" and not known else None

    def survey(self, cloud: PointCloud, known: Known) -> tuple[Sums, Bools]:
        """Count the distances of the core's points that are sure."""
        if self.method == "energy":
            return self._energy.survey(cloud, known)
        core = np.flatnonzero(cloud.core)
        found = self._look(cloud.xyz, core)
        sure = cloud.settled.copy()
        sure[core] &= sure_of(cloud, cloud.xyz[core], found.radii)
        return self._sums(found.values[sure[core]]), sure

    def learn(self, known: Known, sums: Sums) -> Known:
        """The threshold, and whether all points are beyond it."""
        if self.method == "energy":
            return self._energy.learn(known, sums)
        told = self._told(sums)
        return {"points": 0} if self.method == "radius" and not known and not _exact(sums, "inside").total else told

    def _sums(self, values: Floats) -> Sums:
        if self.method == "radius":
            return {"inside": Exact.of(self._inside(values, self.radius).astype(np.float64))}
        return {
            "distances": Exact.of(values),
            "squares": Exact.of_squares(values),
            "least": Histogram.of(values[[values.argmin()]] if len(values) else values),
        }

    def _told(self, sums: Sums) -> Known:
        """What `run` must know, from the sums over all points."""
        if self.method == "radius":
            inside = _exact(sums, "inside")
            found = int(inside.sum)
            return _told(self.radius, inside.count, inside.count > 0 and not found)
        distances, squares, least = _exact(sums, "distances"), _exact(sums, "squares"), sums.get("least")
        n = distances.count
        # Without rounding up to here: the order of the points, and how they were cut into tiles, changes nothing.
        variance = max((squares.sum - distances.sum**2 / n) / (n - 1), Fraction(0)) if n > 1 else nan
        threshold = distances.mean + self.multiplier * sqrt(variance)
        told = None if isnan(threshold) else threshold
        near = isinstance(least, Histogram) and self._inside(least.lows, told).any()
        return _told(told, n, n > 0 and not near)

    def _inside(self, values: Floats, threshold: float | None) -> Bools:
        """(N,) bool: which are no outliers; without a threshold, none."""
        if threshold is None:
            return np.zeros(len(values), np.bool_)
        return np.asarray(values < (threshold if self.method == "statistical" else threshold * threshold))

    def _look(self, xyz: Floats, of: Indices | None = None) -> Found:
        """What is found around the points ``of`` (M,), or around all."""
        queries = xyz if of is None else xyz[of]
        return (
            _mean_distances(xyz, queries, self.mean_k) if self.method == "statistical" else self._radius(xyz, queries)
        )

    def _radius(self, xyz: Floats, queries: Floats) -> Found:
        """Squared distances to point ``min_k`` + 1, infinite where there is none."""
        squared = np.full(len(queries), inf)
        # More than min_k points lie inside if the (min_k + 1)-th nearest does.
        for start, stop, _, rows in _nearest(xyz, queries, self.min_k + 1) if len(xyz) > self.min_k else ():
            apart = xyz[rows[:, -1]] - queries[start:stop]
            # Squares, as PDAL compares them: a root would round distances on a lattice to the radius itself.
            squared[start:stop] = apart[:, 0] ** 2 + apart[:, 1] ** 2 + apart[:, 2] ** 2
        return Found(squared, np.full(len(queries), self.radius))

    def _act(self, cloud: PointCloud, flagged: Bools) -> PointCloud:
        return acted(cloud, flagged, self.action, self.class_)


def _spread(found: Found, there: Bools) -> Found:
    """What was found of the points ``there`` (N,), of all N: those without coordinates are never outliers."""
    values, radii = np.full(len(there), -inf), np.zeros(len(there))
    values[there], radii[there] = found.values, found.radii
    return Found(values, radii)


def _mean_distances(xyz: Floats, queries: Floats, mean_k: int) -> Found:
    """Mean distances to the ``mean_k`` nearest others, cloud units."""
    mean, radii = np.zeros(len(queries)), np.full(len(queries), inf)
    for start, stop, distances, _ in _nearest(xyz, queries, mean_k + 1):
        part = mean[start:stop]
        for j in range(1, mean_k + 1):
            # The running mean, in PDAL's order, so that even the rounding agrees.
            column = distances[:, j] if j < distances.shape[1] else 0.0
            part += (column - part) / j
        if distances.shape[1] > mean_k:
            radii[start:stop] = distances[:, mean_k]
    return Found(mean, radii)


def _told(threshold: float | None, points: int, spared: bool) -> Known:
    """Only what `run` depends on: how many points there are is said where none is flagged, and nowhere else."""
    return {"threshold": threshold, "spared": spared, **({"points": points} if spared else {})}


def _exact(sums: Sums, name: str) -> Exact:
    # Of no tiles, nothing was counted.
    found = sums.get(name, Exact(0, 0))
    assert isinstance(found, Exact)
    return found


def _nearest(xyz: Floats, queries: Floats, k: int) -> Iterator[tuple[int, int, Floats, Indices]]:
    """Yield start, stop, distances and rows (stop - start, min(k, N)) of the points nearest to ``queries``, themselves
    among them, nearest first."""
    if not len(queries):
        return
    tree = Neighbors(xyz)
    step = max(CHUNK_VALUES // k, 1)
    for start in range(0, len(queries), step):
        stop = min(start + step, len(queries))
        yield start, stop, *tree.nearest(queries[start:stop], k)
        advance("outliers", stop, len(queries))
