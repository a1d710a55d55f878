"""What filters.spd and a denoising model have to do with each other. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Protocol, runtime_checkable

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.cloud import Frame, Patches
from deburr.core.horizon import Horizon, Known
from deburr.core.sums import Sums
from deburr.nn.schedule import Sampler


@dataclass(frozen=True)
class Settings:
    """How to denoise. Lengths are in the units of the coordinates handed over; None means the model's own default.

    noise : standard deviation of the noise; None to estimate it, no higher than ``most_noise``.
    steps, step_size, step_decay, neighbors : the ascent (see filters.spd).
    strength : share of the displacement that is applied, 0 to 1.
    max_displacement : no point moves further.
    device : a torch device, ``cpu`` or ``cuda``; ``auto`` takes a GPU where there is one.
    normals : whether the surface's normals are asked for.
    even : whether points are to be spread evenly along the surface behind that.
    may : (N,) bool, the points that may move, which the even spacing heeds; None: all.
    energy : whether the points' energies are asked for.
    groups : (N,) ints; points of different groups do not see each other. None: all see all.
    sampler, seed : the kind of steps (see `deburr.nn.schedule`), and what their chance is drawn from.
    samples : how many draws the result is the mean of, 1 or an even number.
    earlier : what was searched when these points were looked at before, maybe among others, and which of those they are
        (N,) int64, ascending. None: nothing.
    """

    noise: float | None = None
    most_noise: float = inf
    steps: int | None = None
    step_size: float | None = None
    step_decay: float | None = None
    neighbors: int | None = None
    strength: float = 1.0
    max_displacement: float | None = None
    device: str = "cpu"
    frame: Frame | None = None
    patches: Patches | None = None
    seen: Seen | None = None
    normals: bool = False
    even: bool = False
    may: Bools | None = None
    energy: bool = False
    groups: Ints | None = None
    sampler: Sampler = "ascent"
    seed: int = 0
    samples: int = 1
    earlier: tuple[Searched, Ints] | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """Which of N points count, and what is known around them.

    counted : (N,) bool, the points that figures of the cloud are made of.
    sampled : (N,) bool, those of them that a sample holds; None: there is no need to sample.
    places : (N, 3) float64, where the points were read.
    horizon : of these points, in a tile; None: they are the whole cloud.
    known : what surveys have found; empty where that is still to be done.
    total : how many points the whole cloud has.
    rows : (N,) int64, in the file that was read: what a point's chance depends on. None: as they are handed over.
    """

    counted: Bools
    places: Floats
    sampled: Bools | None = None
    horizon: Horizon | None = None
    known: Known = field(default_factory=dict)
    total: int = 0
    rows: Ints | None = None

    def part(self, rows: Ints) -> Seen:
        """The same of some of the points."""
        return replace(
            self,
            counted=self.counted[rows],
            places=self.places[rows],
            sampled=None if self.sampled is None else self.sampled[rows],
            horizon=None if self.horizon is None else self.horizon.select(rows, self.places),
            rows=None if self.rows is None else self.rows[rows],
        )


@dataclass(frozen=True)
class Denoised:
    """What a model returns.

    xyz : (N, 3) float64, row i being input row i.
    figures : for the run report, units in their names.
    uncertainty : (N,) float64, the standard deviation, across the surface, of the noise that the whole displacement
        (strength 1) leaves in each point, in the units of ``xyz``; all of it where the model knows no surface. None
        from a model that cannot tell; one that can has its ``noise`` among the figures.
    settled : (N,) bool, in a tile: the points whose result is that in the whole cloud; None: all.
    level : (N,) float64, the standard deviation of the noise at each point that the model was told or found, in the
        units of ``xyz``; None from a model that has none.
    level_settled : (N,) bool, in a tile: the points whose level, and energy if it was asked for, is that in the whole
        cloud; None: all.
    evidence : (N,) bool, the points around which there was a surface to read the noise from; None: it was not asked.
    normals : (N, 3) float64, unit vectors across the surface, whose sign means nothing; NaN where no surface was looked
        at. None: they were not asked for, or nothing was.
    along : (N,) float64, how far each point was moved along the surface for an even spacing, in the units of ``xyz``;
        None: that was not asked for.
    energy : (N,) float64, nats: what the place of each point, as it was handed over, costs beyond what the noise
        explains. None: it was not asked for, or the model has none.
    searched : the neighbours that were searched; None: they are not for others.
    """

    xyz: Floats
    figures: Mapping[str, Any] = field(default_factory=dict)
    uncertainty: Floats | None = None
    settled: Bools | None = None
    level: Floats | None = None
    level_settled: Bools | None = None
    evidence: Bools | None = None
    normals: Floats | None = None
    along: Floats | None = None
    energy: Floats | None = None
    searched: Searched | None = None


class Searched(Protocol):
    """The neighbours of N points, as a model has searched them: for `Settings.earlier`, and for who wants to know
    what floats alone."""

    def isolation(self, fewest: int, shortest: float, longest: float) -> tuple[Floats, Bools]:
        """(N,) float64: how long links must be until each point is one of at least ``fewest`` different places that are
        linked; from ``shortest`` to ``longest``, in steps of 3 %, in the units of the points. And (N,) bool: in a tile,
        whether it is that long in the whole cloud."""
        ...


#: What is seen together where filters.patch does not say: blocks whose neighbours' features about fill a core's cache;
#: patches of 1000 points, as the published network was trained on.
PATCHES = {"blocks": Patches("blocks", 4096), "knn": Patches("knn", 1000, overlap=3.0)}


class Model(Protocol):
    """A loaded network and the sampler that climbs its score."""

    def denoise(self, xyz: Floats, settings: Settings) -> Denoised:
        """Denoise ``xyz`` (N, 3) float64 world coordinates; points keep their rows. They, or one group of them, are at
        least ``Kind.min_points`` different ones."""
        ...


@runtime_checkable
class Surveyor(Protocol):
    """A model that can be run in tiles: what it must know of the whole cloud, its parts can be counted into."""

    def survey(self, xyz: Floats, settings: Settings) -> tuple[Sums, Bools]:
        """What is counted next (see `deburr.nn.level`) of the tile ``settings.seen``, and (N,) bool, which points are
        sure. ``xyz`` as in `Model.denoise`."""
        ...
