"""What the page shows of one cloud or two: points with their places before and after, and columns to colour them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats, Ints
from deburr.core.cloud import PointCloud
from deburr.show.sight import drawable

#: Points that a page shows, at most.
MOST = 300_000
#: Of so many points at random, at most, those that are shown are chosen.
_LOOKED_AT = 2_000_000
#: The share of what is shown that is spread evenly over space, so that what is small or thin survives; the others
#: are chosen at random, so that density is seen.
_EVEN = 0.7
#: Columns that can be coloured by, in the order in which they are offered; others follow.
_FIRST = (
    "Classification", "Intensity", "Uncertainty", "NoiseLevel", "PointSourceId", "ReturnNumber", "GpsTime",
)  # fmt: skip
#: Columns that are offered, at most.
_OFFERED = 12
#: Columns that are no quantity of their own: one colour in three, and where points had been.
_COLOURS = ("Red", "Green", "Blue")
_NOT_OFFERED = (*_COLOURS, "OriginalX", "OriginalY", "OriginalZ")

#: A camera sees no further aside than so many times ahead.
_SIGHT = 1.5
#: What is up -> the axes of the frame in which one looks around, as rows: to the right, ahead, up.
FRAMES: Mapping[str, Floats] = {
    "z": np.eye(3),
    "-y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}

#: What became of a point: it is in both, was removed, or is new.
BOTH, GONE, NEW = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Scene:
    """M points of N.

    before, after : (M, 3) float64, world, in the cloud's units; where a point is in one only, the same in both.
    state : (M,) uint8, `BOTH`, `GONE` or `NEW`.
    dims : columns (M,) of numbers by name.
    colours : (M, 3) uint8, or None.
    total : N.
    paired : whether points before and after are the same ones, so that movements can be told.
    """

    before: Floats
    after: Floats
    state: npt.NDArray[np.uint8]
    dims: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    colours: npt.NDArray[np.uint8] | None = None
    total: int = 0
    paired: bool = True

    @property
    def up(self) -> str:
        """Which way is up, a name of `FRAMES`."""
        return upwards(self.before)


def upwards(points: Floats) -> str:
    """z, or -y if ``points`` (N, 3) are of a camera at the origin that looks along z, in whose frame y leads down."""
    away = np.abs(points[:, :2]).max(axis=1, initial=0.0)
    ahead = float(np.mean(away < _SIGHT * points[:, 2])) if len(points) else 0.0
    both = (points.min(axis=0, initial=0.0) < 0) & (points.max(axis=0, initial=0.0) > 0)
    return "-y" if ahead > 0.99 and both[:2].all() else "z"


def of_run(cloud: PointCloud, read: PointCloud | None = None, most: int = MOST) -> Scene:
    """Of a cloud as it was read and as it is now; ``read``: the cloud as it was read, for what was removed since."""
    there = drawable(cloud)
    cloud = cloud if there.all() else cloud.select(there)
    gone = np.zeros(0, np.intp)
    if read is not None and len(read) > len(cloud) and np.isin(cloud.rows, read.rows).all():
        gone = np.flatnonzero(~np.isin(read.rows, cloud.rows) & read.located)
    before = np.concatenate([cloud.original, read.xyz[gone]]) if read is not None else cloud.original
    rows = chosen(before, most)
    kept, lost = rows[rows < len(cloud)], gone[rows[rows >= len(cloud)] - len(cloud)]
    dims, colours = _columns(cloud, kept, read, lost)
    after = np.concatenate([cloud.xyz[kept], before[rows[len(kept) :]]])
    state = np.repeat(np.array([BOTH, GONE], np.uint8), [len(kept), len(lost)])
    return Scene(before[rows], after, state, dims, colours, len(before))


def of_two(before: PointCloud, after: PointCloud | None = None, most: int = MOST) -> Scene:
    """Of two clouds, or of one alone. They are the same points if they are as many, and no further apart on average
    than chance would have it."""
    if after is None:
        return of_run(before, most=most)
    if len(before) == len(after) and _same_points(before.xyz, after.xyz):
        dims = {**before.dims, **after.dims}
        return of_run(PointCloud(after.xyz, dims, original=before.xyz, crs=after.crs), most=most)
    clouds = [cloud.select(drawable(cloud)) for cloud in (before, after)]
    places = [cloud.xyz for cloud in clouds]
    rows = [chosen(one, most // 2) for one in places]
    both = np.concatenate([one[some] for one, some in zip(places, rows, strict=True)])
    dims, colours = _columns(clouds[0], rows[0], clouds[1], rows[1])
    state = np.repeat(np.array([GONE, NEW], np.uint8), [len(rows[0]), len(rows[1])])
    return Scene(both, both, state, dims, colours, len(places[0]) + len(places[1]), paired=False)


def chosen(xyz: Floats, most: int) -> Ints:
    """Rows of ``xyz`` (N, 3), ascending, ``most`` at most: a part spread evenly over space, the rest at random."""
    if len(xyz) <= most:
        return np.arange(len(xyz))
    chance = np.random.default_rng(0)
    mixed = chance.permutation(len(xyz))[: max(_LOOKED_AT, most)]
    even = _even(xyz[mixed], int(_EVEN * most))
    left = np.ones(len(mixed), np.bool_)
    left[even] = False
    return np.sort(mixed[np.concatenate([even, np.flatnonzero(left)[: most - len(even)]])])


def _even(xyz: Floats, most: int) -> Ints:
    """Rows of the first point in each cell of a lattice that has as many cells with points as there may be."""
    away = xyz - xyz.min(axis=0)
    rows = np.zeros(1, np.intp)
    # Powers of two: how many cells there are along the widest side. Ten halvings tell it to a hundredth.
    coarse, fine = 2.0, 21.0
    for _ in range(11):
        middle = (coarse + fine) / 2
        cells = (away / max(float(away.max()), 1e-300) * (2**middle - 1)).astype(np.int64)
        found = np.unique((cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], return_index=True)[1]
        if len(found) <= most:
            coarse, rows = middle, found
        else:
            fine = middle
    return np.asarray(rows)


def _same_points(before: Floats, after: Floats) -> bool:
    """Whether rows belong together: they lie far nearer to each other than to the rows beside them."""
    with np.errstate(invalid="ignore"):
        apart = np.linalg.norm(after - before, axis=1)
        beside = np.linalg.norm(np.roll(after, len(after) // 2, axis=0) - before, axis=1)
    apart, beside = apart[np.isfinite(apart)], beside[np.isfinite(beside)]
    return not len(apart) or float(np.median(apart)) <= 0.5 * float(np.median(beside))


def _columns(
    first: PointCloud, rows: Ints, second: PointCloud | None, more: Ints
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.uint8] | None]:
    """The columns of ``rows`` of one cloud and of ``more`` of another; NaN where that lacks one."""

    def joined(name: str) -> npt.NDArray[Any]:
        own = np.asarray(first.dims[name])[rows]
        if second is None or not len(more):
            return own
        other = second.dims[name][more] if name in second.dims else np.full((len(more), *own.shape[1:]), np.nan)
        return np.concatenate([own, other])

    names = list(first.dims)
    offered = [n for n in _ordered(names) if n not in _NOT_OFFERED and first.dims[n].ndim == 1]
    dims = {name: joined(name) for name in offered if first.dims[name].dtype.kind in "iufb"}
    telling = {name: column for name, column in dims.items() if len(column) and np.ptp(_finite(column)) > 0}
    dims = dict(list(telling.items())[:_OFFERED])
    if not {*_COLOURS} <= {*names}:
        return dims, None
    return dims, _bytes(np.column_stack([joined(name) for name in _COLOURS]))


def _ordered(names: Sequence[str]) -> list[str]:
    return [*(name for name in _FIRST if name in names), *(name for name in names if name not in _FIRST)]


def _finite(column: npt.NDArray[Any]) -> Floats:
    numbers = np.asarray(column, np.float64)
    there = numbers[np.isfinite(numbers)]
    return there if len(there) else np.zeros(1)


def _bytes(colours: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """(M, 3) uint8 of colours of 8 or 16 bits, or of floats from 0 to 1."""
    largest = float(_finite(colours).max())
    scale = 255.0 if largest <= 1 and colours.dtype.kind == "f" else 1.0 if largest <= 255 else 1 / 257
    return np.asarray(np.clip(np.nan_to_num(scale * colours.astype(np.float64)), 0, 255).astype(np.uint8))
