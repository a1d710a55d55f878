"""filters.upsample: new points where a surface is thinly covered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from deburr.core.arrays import Dims, Floats, Ints
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.core.figure import Count, Reports, Same
from deburr.core.neighbors import Indices, Neighbors
from deburr.core.original import ORIGINAL
from deburr.core.stage import Filter, Stage
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
    example: ClassVar[dict[str, Any]] = {"factor": 2.0}
    reports: ClassVar[Reports] = {
        "points": Count(description="points that were looked at"),
        "on_surface": Count("points on a surface", description="points around which there is a surface"),
        "added": Count("new points", description="points that were added"),
        "spacing": Same(unit="length", description="side of the square that a point owns on the surface, the median"),
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

    def run(self, cloud: PointCloud) -> PointCloud:
        """Add the new points. Raises `RunError` for a spacing that asks for more than `MOST` times as many points."""
        active = np.flatnonzero(cloud.active)
        if "Synthetic" not in cloud.dims:
            cloud = cloud.with_dims({"Synthetic": np.zeros(len(cloud), np.uint8)})
        figures: dict[str, Any] = {"points": len(active), "on_surface": 0, "added": 0}
        # Normals and other columns are no matter of the denoising.
        seen = cloud.dims.keys() & {"Classification", "Withheld", *ORIGINAL}
        told = self._denoiser.run(replace(cloud, dims={name: cloud.dims[name] for name in seen}, history=()))
        found = told.history[-1].figures
        if "spacing" not in found:
            few = "there are too few different points to tell a surface; none was added"
            return cloud.note(self.type_name, figures, few)
        rows, places = _different(cloud, told.xyz, active)
        level = told.dims["NoiseLevel"][rows]
        sheet = Sheet.of(places)
        sheet = replace(sheet, good=sheet.good & (level <= _UNSURE * sheet.spacing))
        holes = self._holes(sheet)
        figures |= {
            "on_surface": int(sheet.good[canonical(cloud.xyz[active])[1]].sum()),
            "added": len(holes.places),
            "spacing": found["spacing"],
        }
        grown = _grown(cloud, rows, sheet, holes) if len(holes.places) else cloud
        return grown.note(self.type_name, figures, *self._doubts(figures, found))

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

    def _doubts(self, figures: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
        said = []
        if not figures["added"]:
            said.append("no point was added: where there is a surface, points are as near to each other as asked")
        if found["noise"] > _NOISY * found["spacing"]:
            said.append(
                f"the noise, {found['noise']:.3g}, is much beside the spacing, {found['spacing']:.3g}: new points lie "
                "on the surface, and those that were there off it; run filters.spd before"
            )
        return said


def _different(cloud: PointCloud, denoised: Floats, active: Ints) -> tuple[Ints, Floats]:
    """Of each of the M different places of the ``active`` (A,) points: the row in ``cloud`` of one of those that lie
    there (M,), whichever order they are in; and where denoising leads it (M, 3)."""
    _, back = canonical(cloud.xyz[active])
    order = np.lexsort((cloud.rows[active], back))
    first = order[np.flatnonzero(np.append(True, np.diff(back[order]) > 0))]
    rows = active[first]
    places = denoised[rows]
    # Those that came to one place are one, too.
    unique, at = canonical(places)
    if len(unique) < len(places):
        order = np.lexsort((cloud.rows[rows], at))
        kept = np.sort(order[np.flatnonzero(np.append(True, np.diff(at[order]) > 0))])
        rows, places = rows[kept], places[kept]
    return rows, places


def _grown(cloud: PointCloud, rows: Ints, sheet: Sheet, holes: Holes) -> PointCloud:
    """``cloud`` and behind it the new points in ``holes`` of ``sheet``, whose points are ``rows`` (M,) of the cloud."""
    near = rows[sheet.tree.nearest(holes.places, _ASKED)[1]]
    count = len(cloud)
    grown = cloud.select(np.concatenate((np.arange(count), near[:, 0])))
    columns = {}
    for name, column in _attributes(cloud, near, holes).items():
        columns[name] = grown.dims[name].copy()
        columns[name][count:] = column
    return grown.with_xyz(np.concatenate((cloud.xyz, holes.places))).with_dims(columns)


def _attributes(cloud: PointCloud, near: Indices, holes: Holes) -> Dims:
    """What new points have that is not that of the nearest point, by name (M,); ``near`` (M, K): those around."""
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
    there = carried(cloud)[near[:, 0]]
    if there.any():
        old = np.stack([dims[name][near[:, 0]] for name in NORMALS], axis=1)
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
