"""Outliers by their energy, and what becomes of outliers: what filters.outlier and filters.spd have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Literal

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import Extent, PointCloud
from deburr.core.errors import RunError
from deburr.core.horizon import Known
from deburr.core.sample import ENOUGH, Sample
from deburr.core.stage import Reach
from deburr.core.sums import Histogram, Sums
from deburr.filters._sight import nothing, seen_of, too_few
from deburr.filters._surprise import FEWEST, LONGEST, SHORTEST, counted, parting, surprise, surprising
from deburr.nn import level
from deburr.nn.contract import Model, Searched, Settings, Surveyor

Action = Literal["classify", "withhold", "remove"]
#: The classification of outliers, if no other is asked for: low points and noise.
CLASS = 7
#: Under these names, what is counted, and what is known of where outliers begin.
_SURPRISES, _BEYOND = "surprises", "beyond"


@dataclass(frozen=True, eq=False)
class Found:
    """Of N points: which are outliers, ``flagged`` (N,) bool, and whether that is ``sure`` (N,) bool, as in the whole
    cloud; how much each surprises (N,), NaN where nothing tells; whether the whole cloud has too ``few`` points to
    tell. ``searched``: the neighbours of the active ones."""

    flagged: Bools
    sure: Bools
    surprises: Floats
    few: bool
    searched: Searched | None = None


@dataclass(frozen=True)
class ByEnergy:
    """Finds outliers, by the ``model``, which is loaded when it is needed: points whose place surprises the network so
    much that most that do in this cloud are none of the good ones; or, given a ``chance``, more than such a share of
    the good points of simulated scans do."""

    chance: float | None
    model: Callable[[], Model]
    device: str = "cpu"

    def reach(self, known: Known) -> Reach:
        """See `deburr.core.stage.Filter.reach`: one look at the points."""
        return Reach(hops=level.survey_hops() if level.asks(known) else level.hops(known, [1.0]))

    def asks(self, known: Known) -> bool:
        """For the spacing and the noise of the whole cloud, and then for where its outliers begin."""
        return level.asks(known) or self._asks_where(known)

    def _asks_where(self, known: Known) -> bool:
        return self.chance is None and not known.get("few") and _BEYOND not in known

    def sample(self, extent: Extent, known: Known) -> Sample | None:
        """A part of a large cloud tells that."""
        return level.sample(extent, known)

    def survey(self, cloud: PointCloud, known: Known) -> tuple[Sums, Bools]:
        """Count what the points of the core tell of that."""
        active = cloud.active
        if not level.asks(known):
            found = self._seen(cloud, known)
            return {_SURPRISES: counted(found.surprises[self._counts(cloud, known) & found.sure])}, found.sure
        if too_few(cloud.xyz[active]):
            return nothing(cloud, guesses=True)
        model, sure = self.model(), cloud.settled.copy()
        assert isinstance(model, Surveyor)
        sums, sure[active] = model.survey(cloud.xyz[active], self._settings(cloud, active, known))
        return sums, sure

    def learn(self, known: Known, sums: Sums) -> Known:
        """That, as far as it is found by now."""
        if level.asks(known):
            return level.learn(known, sums, None)
        told = sums.get(_SURPRISES, counted(np.zeros(0)))
        assert isinstance(told, Histogram)
        return {**known, _BEYOND: parting(told)}

    def _counts(self, cloud: PointCloud, known: Known) -> Bools:
        """(N,) bool: the points that tell where outliers begin."""
        rows, chosen = cloud.core & cloud.active, self.sample(cloud.extent, known)
        if chosen is None:
            return rows
        some = rows & chosen.holds(cloud.original)
        # As `level.learn` has it, a sample that misses the whole cloud tells nothing of it.
        return some if cloud.horizon is not None or some.sum() >= ENOUGH // 8 else rows

    def find(self, cloud: PointCloud, known: Known) -> Found:
        """Look at the active points of ``cloud``, of which `learn` has told what is ``known``, if it is a tile."""
        found = self._seen(cloud, known)
        if self.chance is not None:
            beyond = surprising(self.chance)
        elif cloud.horizon is not None:
            beyond = known.get(_BEYOND, inf)
        else:
            beyond = parting(counted(found.surprises[self._counts(cloud, known)]))
        return replace(found, flagged=found.sure & (found.surprises > beyond))  # NaN is not

    def _seen(self, cloud: PointCloud, known: Known) -> Found:
        """How much each point surprises; none is flagged yet."""
        active, nobody = cloud.active, np.zeros(len(cloud), np.bool_)
        surprises = np.full(len(cloud), nan)
        if too_few(cloud.xyz[active]) or known.get("few"):
            few = cloud.horizon is None or bool(known.get("few"))
            # In a tile, what is seen so far may be nothing to work on.
            return Found(nobody, cloud.settled & (few | ~active), surprises, few)
        found = self.model().denoise(cloud.xyz[active], self._settings(cloud, active, known))
        if found.energy is None or found.searched is None:
            raise RunError("outliers are found by their energy, and this model has none; remove 'outliers'")
        spacing = found.figures["spacing"]
        lengths, placed = found.searched.isolation(FEWEST, SHORTEST * spacing, LONGEST * spacing)
        surprises[active] = surprise(lengths, spacing, found.energy)
        sure = cloud.settled.copy()
        sure[active] &= placed if found.settled is None else placed & found.settled
        return Found(nobody, sure, surprises, False, found.searched)

    def without(
        self, cloud: PointCloud, known: Known, action: Action
    ) -> tuple[int, PointCloud, tuple[Searched, Ints] | None]:
        """For who looks at the rest: how many outliers of ``cloud`` count, the cloud after ``action``, and of what is
        still active the neighbours, if they were searched (`deburr.nn.contract.Settings.earlier`)."""
        active = cloud.active
        # All of a tile is looked at, since whoever asks looks around, too.
        found = self.find(
            cloud if cloud.horizon is None else replace(cloud, horizon=replace(cloud.horizon, near=None)), known
        )
        cloud = cloud.settle(found.sure)
        earlier = None if found.searched is None else (found.searched, np.flatnonzero(~found.flagged[active]))
        return int((found.flagged & cloud.counted).sum()), acted(cloud, found.flagged, action), earlier

    def _settings(self, cloud: PointCloud, active: Bools, known: Known) -> Settings:
        return Settings(
            seen=seen_of(cloud, active, known, self.sample(cloud.extent, known)),
            strength=0.0,
            device=self.device,
            frame=cloud.frame,
            patches=cloud.patches,
            energy=True,
        )


def acted(cloud: PointCloud, flagged: Bools, action: Action, class_: int = CLASS) -> PointCloud:
    """``cloud`` after its ``flagged`` (N,) points got this Classification, or the flag Withheld, or were removed."""
    if action == "remove":
        return cloud.select(~flagged) if flagged.any() else cloud
    name, value = ("Classification", class_) if action == "classify" else ("Withheld", 1)
    column = cloud.dims.get(name)
    if column is None:
        column = np.zeros(len(cloud), np.uint8)
    elif not flagged.any() and cloud.horizon is None:
        return cloud
    return cloud.with_dims({name: np.where(flagged, np.uint8(value), column)})
