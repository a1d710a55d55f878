"""filters.upsample: new points where a surface is thinly covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.arrays import Bools, Dims, Floats, Ints
from deburr.core.cloud import PointCloud, extent_of
from deburr.core.errors import RunError
from deburr.core.figure import Count, Reports, Summed
from deburr.core.horizon import Known
from deburr.core.neighbors import SPACING_K, Indices, Neighbors
from deburr.core.original import ORIGINAL
from deburr.core.stage import Filter, Reach, Stage
from deburr.core.sums import Histogram, Sums
from deburr.filters import _blocks as blocks
from deburr.filters._blocks import Block
from deburr.filters._gaps import closed
from deburr.filters._holes import Holes, fill, joined
from deburr.filters._normals import NORMALS, carried
from deburr.filters._sheet import Sheet
from deburr.filters.spd import Spd
from deburr.nn.points import canonical

#: No more points than this many times those that are there.
MOST = 64
#: Between points this many spacings apart, two and a half, there may be a surface that chance has left empty.
GAP = 2.5
#: Points this many spacings from one that closes a hole are on its rim.
_BESIDE = 1.75
#: The nearest points of which a new one has its class and colours.
_ASKED = 5
#: Points no more than so many times as far as the nearest are as good to make a new one beside; the first is taken.
_ABOUT = 1.01
#: How far beyond a hole its surroundings matter, in the largest width of one: see `deburr.filters._gaps`.
_BEYOND = 2.5
_AVERAGED = frozenset({"Red", "Green", "Blue", "Infrared", "Intensity"})
_NOT_TRUE_OF_NEW = ("KeyPoint", "Displacement")
#: From this share of the spacing on noise shows beside new points.
_NOISY = 0.25
#: Where the noise exceeds so much of the spacing, as it seems to in leaves, nobody knows where a surface is.
_UNSURE = 0.75

Positive = Annotated[float, Field(gt=0)]


class Upsample(Filter):
    """Add points where a surface is thinly covered, and change nothing of those that are there.

    The points that are there come first, in their order; the new ones behind them, those that fill the largest holes
    first. Where the surface is, the default network says: the score leads points there, and the new ones lie on the
    bent surface through these places, evenly spread. Where there is no surface, as in leaves, beyond its border, and
    across gaps wider than two and a half spacings, there are none. A new point has the class that most of the 5 nearest
    points have, the mean of their colours and intensities, all else of the nearest, and is flagged Synthetic. Points
    that are withheld or of class 7 or 18 are left out of all this.
    """

    type_name: ClassVar[str] = "filters.upsample"
    effort: ClassVar[float] = 30.0
    keeps_count: ClassVar[bool] = False
    moves_afar: ClassVar[bool] = True
    example: ClassVar[dict[str, Any]] = {"factor": 2.0}
    reports: ClassVar[Reports] = {
        "points": Count(description="points that were looked at"),
        "on_surface": Count("points on a surface", description="points around which there is a surface"),
        "added": Count("new points", description="points that were added"),
        "much_noise": Count(description="points where the noise is more than a quarter of the spacing"),
        "spacing": Summed("", "length", description="side of the square that a point owns on the surface, the median"),
    }

    factor: float | None = Field(
        None, ge=1, le=MOST, description="about how many times as many points lie on the surface then, place by place"
    )
    spacing: Positive | None = Field(
        None,
        description="or: how far apart they lie then; where they are nearer to each other already, nothing is added",
        json_schema_extra={"unit": "cloud units"},
    )
    max_gap: Positive | None = Field(
        None,
        description="(experimental) holes up to that width are closed, none wider by a spacing or more; default: "
        "chance gaps of up to two and a half spacings",
        json_schema_extra={"unit": "cloud units"},
    )
    noise: Literal["auto"] | Positive = Field(
        "auto",
        description="standard deviation of the noise, as filters.spd has it",
        json_schema_extra={"unit": "cloud units"},
    )

    @property
    def _denoiser(self) -> Spd:
        return Spd(noise=self.noise, dimensions=("NoiseLevel",))

    @property
    def gives(self) -> frozenset[str]:
        """What tells new points from others."""
        return frozenset({"Synthetic"})

    @property
    def reads(self) -> dict[str, str]:
        """The weights of the network."""
        return self._denoiser.reads

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse both ways to say how dense, and none where no hole is to be closed either."""
        if self.factor is not None and self.spacing is not None:
            return ["give either 'factor', how many times as many points, or 'spacing', how far apart they are to lie"]
        if self.factor is None and self.spacing is None and self.max_gap is None:
            return [
                "give 'factor', how many times as many points, 'spacing', how far apart they are to lie, or 'max_gap'"
            ]
        return []

    @property
    def grows(self) -> float:
        """``factor``; how many a spacing asks for is not known before."""
        return self.factor or (1.0 if self.spacing is None else 4.0)

    @property
    def looks_at(self) -> frozenset[str]:
        """What new points have from several, and what tells which points count."""
        return frozenset(
            {"Classification", "Withheld", *_AVERAGED, *_NOT_TRUE_OF_NEW, *NORMALS, *ORIGINAL, *self.gives}
        )

    @property
    def _wide(self) -> float:
        """How far around a point wide holes are looked at."""
        return _BEYOND * (self.max_gap or 0.0)

    def reach(self, known: Known) -> Reach:
        """Whole blocks, and what they see."""
        return blocks.reach(known, self._wide)

    def asks(self, known: Known) -> bool:
        """How many points lie where, by which the cloud is cut into blocks."""
        return blocks.asks(known)

    def survey(self, cloud: PointCloud, known: Known) -> tuple[Sums, Bools]:
        """Count the points of the core."""
        return blocks.count(cloud), cloud.settled

    def learn(self, known: Known, sums: Sums) -> Known:
        """How many there are in all."""
        return blocks.learn(known, sums)

    def run(self, cloud: PointCloud) -> PointCloud:
        """Add the new points. Raises `RunError` for a spacing that asks for more than `MOST` times as many points."""
        known = self.whole(cloud)
        if "Synthetic" not in cloud.dims:
            cloud = cloud.with_dims({"Synthetic": np.zeros(len(cloud), np.uint8)})
        settled, good = blocks.without(cloud), np.zeros(len(cloud), np.bool_)
        spacing, noisy = np.zeros(len(cloud)), np.zeros(len(cloud), np.bool_)
        made = [_New.none(cloud)]
        for block in blocks.blocks(cloud, known, self._wide):
            own = block.seen[block.own]
            settled[own] = True
            seen = replace(cloud, horizon=None).select(block.seen)
            surface = self._surface(replace(seen, extent=extent_of(seen.xyz), history=()))
            if surface is None:
                continue
            at = surface.at[block.own]
            good[own], spacing[own] = surface.sheet.good[at], surface.sheet.spacing[at]
            noisy[own] = surface.level[at] > _NOISY * surface.sheet.spacing[at]
            made.append(_New.of(seen, surface, self._holes(surface.sheet), block))
        cloud = cloud.settle(settled)
        grown = _grown(cloud, made)
        looked = cloud.counted & cloud.active
        sums: Sums = {"spacing": Histogram.of(spacing[looked & (spacing > 0)])}
        figures = {
            "points": int(looked.sum()),
            "on_surface": int((good & looked).sum()),
            "much_noise": int((noisy & looked).sum()),
            "added": int(grown.counted[len(cloud) :].sum()),
            **self.figures(sums),
        }
        said = self.doubts(figures) if cloud.horizon is None else []
        return grown.note(self.type_name, figures, *said, sums=sums)

    def figures(self, sums: Sums) -> dict[str, Any]:
        """The spacing, where there is any."""
        found = sums.get("spacing")
        middle = found.quantile(0.5) if isinstance(found, Histogram) else None
        return {} if middle is None else {"spacing": middle}

    def doubts(self, figures: Mapping[str, Any]) -> list[str]:
        """That nothing was added, and that the noise is much."""
        if "spacing" not in figures:
            return ["there are too few different points to tell a surface; none was added"]
        said = []
        if not figures["added"]:
            said.append("no point was added: where there is a surface, points are as near to each other as asked")
        if 2 * figures["much_noise"] > figures["points"]:
            said.append(
                f"the noise is more than a quarter of the spacing at {figures['much_noise']} of {figures['points']} "
                "points: new points lie on the surface, and those that were there off it; run filters.spd before"
            )
        return said

    def _surface(self, seen: PointCloud) -> _Surface | None:
        """The surface on which the points that a block has ``seen`` lie; None where they are too few to tell."""
        # Normals and other columns are no matter of the denoising.
        names = seen.dims.keys() & {"Classification", "Withheld", *ORIGINAL}
        told = self._denoiser.run(replace(seen, dims={name: seen.dims[name] for name in names}))
        # Those that came to one place are one.
        at = canonical(told.xyz)[1]
        rows = np.unique(at, return_index=True)[1]
        if "spacing" not in told.history[-1].figures or len(rows) <= SPACING_K:
            return None
        sheet, level = Sheet.of(told.xyz[rows]), told.dims["NoiseLevel"][rows]
        return _Surface(replace(sheet, good=sheet.good & (level <= _UNSURE * sheet.spacing)), level, rows, at)

    def _holes(self, sheet: Sheet) -> Holes:
        """The wide holes of ``sheet`` that are to be closed, and then the small ones between all points."""
        asked, gap = self._asked(sheet), GAP * sheet.spacing
        if self.max_gap is None:
            return fill(sheet, asked, gap / 2)
        whole, wide = closed(sheet, asked, gap, self.max_gap)
        near = sheet.tree.nearest(wide.places, 1)[1][:, 0]
        asked, gap = (
            np.concatenate((one, one[near])) for one in (asked, np.minimum(gap, self.max_gap + sheet.spacing))
        )
        if self.factor is None and self.spacing is None:
            # What chance has left empty stays so: none but the holes that were wide are filled to their rims.
            inside = Neighbors(wide.places).nearest(whole.points, 1)[0][:, 0] if len(near) else np.inf
            gap = np.where(inside <= _BESIDE * whole.spacing, gap, 0.0)
        return joined((wide, fill(whole, asked, gap / 2)))

    def _asked(self, sheet: Sheet) -> Floats:
        """(N,) the spacing that is asked for around each point of ``sheet``."""
        if self.spacing is None:
            return sheet.spacing / sqrt(self.factor or 1.0)
        wanted = float((sheet.spacing[sheet.good] ** 2).sum()) / self.spacing**2
        if wanted > MOST * len(sheet.points):
            raise RunError(
                f"spacing {self.spacing:.3g} asks for about {wanted:.1e} points, more than {MOST} times as many as "
                f"there are; points lie {np.median(sheet.spacing):.3g} apart, so give more"
            )
        return np.full(len(sheet.points), self.spacing)


@dataclass(frozen=True, eq=False)
class _Surface:
    """The surface of N points: a ``sheet`` of the M different places where denoising leads them, the ``level`` of the
    noise there (M,), the first of the points that came to each (M,), ``rows``; and the place of each point (N,),
    ``at``."""

    sheet: Sheet
    level: Floats
    rows: Ints
    at: Indices


@dataclass(frozen=True, eq=False)
class _New:
    """New points: the row of the point that each is made ``beside`` (M,), ``places`` (M, 3), and columns."""

    beside: Ints
    places: Floats
    dims: Dims

    @classmethod
    def none(cls, cloud: PointCloud) -> _New:
        """No new points of ``cloud``."""
        return cls(np.zeros(0, np.intp), np.zeros((0, 3)), {})

    @classmethod
    def of(cls, seen: PointCloud, surface: _Surface, holes: Holes, block: Block) -> _New:
        """Those in ``holes`` of the ``surface`` that a block has ``seen`` which are made beside a point of its own."""
        if not len(holes.places):
            return cls.none(seen)
        away, near = surface.sheet.tree.nearest(holes.places, _ASKED)
        near = surface.rows[near]
        # A hole is about as far from three points: whose it is must not hang on the last bits.
        beside = np.where(away <= _ABOUT * away[:, :1], near, len(seen)).min(1)
        mine = np.isin(beside, block.own)
        holes, near, beside = holes.part(mine), near[mine], beside[mine]
        return cls(block.seen[beside], holes.places, _attributes(seen, near, beside, holes))


def _grown(cloud: PointCloud, made: Sequence[_New]) -> PointCloud:
    """``cloud`` and behind it the new points, in the order of those that they are made beside."""
    some = [one for one in made if len(one.beside)]
    beside = np.concatenate([made[0].beside, *(one.beside for one in some)])
    order = np.argsort(beside, kind="stable")
    grown = cloud.select(np.concatenate((np.arange(len(cloud)), beside[order])))
    columns = {}
    for name in some[0].dims if some else ():
        columns[name] = grown.dims[name].copy()
        columns[name][len(cloud) :] = np.concatenate([one.dims[name] for one in some])[order]
    places = np.concatenate([made[0].places, *(one.places for one in some)])[order]
    return grown.with_xyz(np.concatenate((cloud.xyz, places))).with_dims(columns)


def _attributes(cloud: PointCloud, near: Indices, beside: Ints, holes: Holes) -> Dims:
    """What new points have that is not that of the point ``beside`` (M,) them, by name (M,); ``near`` (M, K): those
    around."""
    dims, made = cloud.dims, {"Synthetic": np.ones(len(near), cloud.dims["Synthetic"].dtype)}
    if "Classification" in dims:
        made["Classification"] = _most(dims["Classification"][near])
    for name in sorted(_AVERAGED & dims.keys()):
        made[name] = _mean(dims[name][near])
    for name in _NOT_TRUE_OF_NEW:
        if name in dims:
            made[name] = np.zeros(len(near), dims[name].dtype)
    # What was never moved is where it was.
    made |= {name: holes.places[:, axis] for axis, name in enumerate(ORIGINAL) if name in dims}
    there = carried(cloud)[beside]
    if there.any():
        old = np.stack([dims[name][beside] for name in NORMALS], axis=1)
        signed = np.where((old * holes.normals).sum(1, keepdims=True) < 0, -holes.normals, holes.normals)
        made |= {name: np.where(there, signed[:, axis], old[:, axis]) for axis, name in enumerate(NORMALS)}
    return made


def _most(values: Any) -> Any:
    """(M,) the most frequent of each row of (M, K); of equally frequent ones, the first."""
    often = (values[:, :, None] == values[:, None, :]).sum(2)
    return values[np.arange(len(values)), often.argmax(1)]


def _mean(values: Any) -> Any:
    """(M,) the mean of each row of (M, K), in their type."""
    mean = values.astype(np.float64).mean(1)
    return (np.rint(mean) if values.dtype.kind in "iu" else mean).astype(values.dtype)
