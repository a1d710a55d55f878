"""The points that the default model computes on, each place once, and what of them is certain in a tile."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.horizon import Horizon
from deburr.core.neighbors import Indices
from deburr.nn.contract import Seen
from deburr.nn.points import canonical


@dataclass(frozen=True, eq=False)
class Scope:
    """M different points along a Z-order curve.

    points : (M, 3) float64, cloud coordinates.
    back : (N,) the row among them of each point that was handed over.
    counted : (M,) bool, those that figures count: where points are equal, the first of them decides.
    sampled : (M,) bool, those in the sample; None: there is none.
    places, settled, horizon : (M, 3) float64 where the points were read, (M,) bool, and what is around, in a tile.
    wanted : (M,) bool, in a tile: the points whose result is asked for.
    rows : (M,) int64, each in the file that was read; where points are equal, that of the first.
    total : how many points were read of the whole cloud; those that are left out or equal count too, since a tile could
        not tell them apart. Where nothing was read, how many different ones there are.
    """

    points: Floats
    back: Indices
    counted: Bools
    sampled: Bools | None = None
    places: Floats | None = None
    settled: Bools | None = None
    horizon: Horizon | None = None
    wanted: Bools | bool = True
    total: int = 0
    rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, xyz: Floats, seen: Seen | None) -> Scope:
        """The scope of ``xyz`` (N, 3); without ``seen`` they are a whole cloud, all of which counts."""
        points, back = canonical(xyz)
        # Of several values for one place, the last is kept: from the back, that is the first.
        first = np.empty(len(points), np.intp)
        first[back[::-1]] = np.arange(len(xyz))[::-1]
        if seen is None:
            return cls(points, back, np.ones(len(points), np.bool_), total=len(points), rows=first)
        rows = first if seen.rows is None else seen.rows[first]
        sampled = None if seen.sampled is None else seen.sampled[first]
        if seen.horizon is None:
            return cls(points, back, seen.counted[first], sampled, total=seen.total or len(points), rows=rows)
        settled = np.ones(len(points), np.bool_)
        settled[back[~seen.horizon.settled]] = False
        wanted = np.zeros(len(points), np.bool_)
        wanted[back[seen.horizon.wanted]] = True
        return cls(
            points,
            back,
            seen.counted[first],
            sampled,
            seen.places[first],
            settled,
            seen.horizon,
            wanted,
            seen.total,
            rows,
        )

    def sure(self, radii: Floats) -> Tensor | None:
        """(M,) bool: whether all points within ``radii`` (M,) of each are known; None where all are anyway."""
        if self.horizon is None:
            return None
        assert self.places is not None
        assert self.settled is not None
        known = self.horizon.sure(self.points, radii, self.places[~self.settled])
        return torch.from_numpy(known & self.settled)

    def sure_of(self, points: Floats, radii: Floats, members: Tensor, moved: float = 0.0) -> Tensor:
        """(R,) bool: whether all that is within ``radii`` (R,) of ``points`` (R, 3) is at hand and of ``members`` (M,),
        after all points were ``moved`` by up to that."""
        assert self.horizon is not None
        assert self.places is not None
        unknown = self.places[~members.numpy()]
        return torch.from_numpy(self.horizon.sure(points, radii, unknown, moved))

    def sure_again(self, points: Floats, radii: Floats, sure: Tensor, moved: float) -> Tensor:
        """The same for the points where they are now, after all points were moved by up to ``moved`` and only those
        that were ``sure`` (M,) came to the right place."""
        return self.sure_of(points, radii, sure, moved) & sure
