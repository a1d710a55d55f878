"""What a tile knows of the cloud that it is cut from, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Figures of a whole cloud that a stage needs to treat any part of it; JSON numbers.
Known = Mapping[str, Any]
#: Among them, and among figures: the point spacing of the whole cloud, cloud units, if a stage has found it.
SPACING = "spacing"


def _nowhere() -> Floats:
    return np.zeros((0, 3))


@dataclass(frozen=True, eq=False)
class Horizon:
    """A tile of N points: its core, and what is known around it.

    Every point of the cloud whose *input* coordinates lie in the box from ``low`` to ``high`` is at hand; nothing is
    known of the points beyond. A point is settled as long as it is, in place and attributes, what it would be in the
    whole cloud; stages unsettle points whose neighbours they cannot be sure of.

    low, high : (2,) float64, x and y, cloud units; -inf and inf where no point lies beyond.
    core : (N,) bool, the points that this tile answers for; the others are context.
    settled : (N,) bool.
    file : (N,) int32, the number of the input that each point comes from.
    moved : how far any point of the cloud may have been moved since it was read, at most.
    hidden : (H, 3) float64, where unsettled points that were left out had been read.
    known : the figures of the whole cloud that the stage about to run asked for.
    near : (N,) bool, the points that later stages may look at, the core among them; None: all. A stage may leave the
        others unsettled, to spare itself the work.
    """

    low: Floats
    high: Floats
    core: Bools
    settled: Bools
    file: npt.NDArray[np.int32]
    moved: float = 0.0
    hidden: Floats = field(default_factory=_nowhere)
    known: Known = field(default_factory=dict)
    near: Bools | None = None

    @property
    def wanted(self) -> Bools:
        """(N,) bool: the points that the stage about to run should settle, if it can."""
        return np.ones(len(self.core), np.bool_) if self.near is None else self.near

    def select(self, keep: Any, places: Floats) -> Horizon:
        """The horizon of the points that ``keep`` names; ``places`` (N, 3): where all points were read."""
        left = np.ones(len(self.settled), np.bool_)
        left[keep] = False
        lost = places[left & ~self.settled]
        hidden = np.concatenate((self.hidden, lost)) if len(lost) else self.hidden
        near = None if self.near is None else self.near[keep]
        core, settled, file = self.core[keep], self.settled[keep], self.file[keep]
        return replace(self, core=core, settled=settled, file=file, hidden=hidden, near=near)

    def sure(self, points: Floats, radii: Floats, unsettled: Floats, moved: float = 0.0) -> Bools:
        """(M,) bool: whether the ball of radius ``radii`` (M,) around each of ``points`` (M, 3) holds no unknown point.

        Unknown are all points beyond the box, ``hidden`` ones and ``unsettled`` (U, 3), given by where they were read:
        each may by now lie anywhere within ``self.moved`` + ``moved`` of that. ``radii`` may be infinite.
        """
        from deburr.core.neighbors import Neighbors

        away = self.moved + moved
        # Whoever looked that far may have rounded.
        radii = radii * (1 + 1e-15)
        # Column by column: numpy takes long for rows of two.
        sides = [(points[:, i] - self.low[i], self.high[i] - points[:, i]) for i in (0, 1)]
        gaps = np.minimum(np.minimum(*sides[0]), np.minimum(*sides[1]))
        # Where the box is open nothing lies beyond, however far points have been moved.
        gaps[np.isfinite(gaps)] -= away
        sure = np.asarray(gaps >= radii)
        unknown = np.concatenate((self.hidden, unsettled)) if len(self.hidden) else unsettled
        rows = np.flatnonzero(sure)
        if len(unknown) and len(rows):
            # On the ball itself a point beyond the box changes nothing, but one that is here and may be gone does.
            # The search squares its limit, which must not vanish.
            farthest = (float(radii[rows].max()) + away) * (1 + 1e-15) + 1e-100
            sure[rows] = Neighbors(unknown).nearest_within(points[rows], farthest) > radii[rows] + away
        return sure

    @cached_property
    def bounded(self) -> bool:
        """Whether there is anything beyond the box."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())
