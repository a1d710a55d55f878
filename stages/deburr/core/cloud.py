"""The point cloud that travels from stage to stage, the frame a network works in, and the record of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deburr.core.arrays import Bools, Dims, Floats, Ints
from deburr.core.horizon import Horizon

if TYPE_CHECKING:
    from deburr.core.sums import Sums

#: ASPRS classes that mean noise: 7 low, 18 high (the latter in point formats 6-10 only).
NOISE_CLASSES = (7, 18)


@dataclass(frozen=True)
class Frame:
    """The coordinates a network works in: ``world = local * scale + offset``. No coordinate is rewritten for it.

    ``scale`` is a length in the cloud's units, ``offset`` (3,) float64 a world position.
    """

    kind: Literal["spacing", "unit_sphere"]
    scale: float
    offset: Floats


@dataclass(frozen=True)
class Patches:
    """Which points the network sees together: overlapping kNN patches of ``size`` points (each point lies in
    ``overlap`` of them on average), or compute blocks of ``size`` points with their full context."""

    method: Literal["knn", "blocks"]
    size: int
    overlap: float = 1.0


@dataclass(frozen=True)
class Extent:
    """How many points were read, and their bounding box, (3,) float64 each; of no points, infinities."""

    count: int
    low: Floats
    high: Floats


def located(xyz: Floats) -> Bools:
    """(N,) bool: the rows of ``xyz`` (N, 3) whose three coordinates are numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(xyz.sum()):  # much faster, and nearly always true
            return np.ones(len(xyz), dtype=np.bool_)
    x, y, z = (np.isfinite(axis) for axis in xyz.T)
    return np.asarray(x & y & z)


def extent_of(xyz: Floats) -> Extent:
    """The extent of ``xyz`` (N, 3): its number of points, and the bounds of those that have coordinates."""
    there = located(xyz)
    places = xyz if there.all() else xyz.compress(there, axis=0)
    # Axis by axis: twenty times as fast as along the first axis of an array with three columns.
    low = np.array([axis.min(initial=np.inf) for axis in places.T])
    return Extent(len(xyz), low, np.array([axis.max(initial=-np.inf) for axis in places.T]))


@dataclass(frozen=True)
class Record:
    """What one stage did: its type, its figures (JSON values, units in their names) and its warnings.

    ``sums`` are what figures that do not simply add up are made of; see `deburr.core.stage.Filter.figures`.
    """

    stage: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sums: Sums = field(default_factory=dict)


def kinds(dims: Dims) -> dict[str, np.dtype[Any]]:
    """The type of one point's value in each of ``dims``; with a shape, (m,), where a point has m numbers."""
    return {name: np.dtype((column.dtype, column.shape[1:])) for name, column in dims.items()}


def _no_dims() -> Dims:
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class PointCloud:
    """N points; frozen. A stage returns a new cloud and never writes into its input's arrays.

    Attributes
    ----------
    xyz : (N, 3) float64
        World coordinates, in the cloud's own units.
    dims : mapping of name to (N,) or (N, m) array
        Every other column, by PDAL's dimension names (``Intensity``, ``Classification``, ...).
    original : (N, 3) float64
        The coordinates as they were read, row by row; the same array as ``xyz`` until something moves.
    rows : (N,) int64
        Each point's row in the source file; a point keeps it through every stage. One that a stage has made has that of
        a point beside it, and so, where nothing says otherwise, what stands in the file there.
    crs : str or None
        WKT, or ``EPSG:n`` where the file gives a code only.
    units, height_units : str or None
        What the reader found of the units of x and y, and of z, as a CRS spells them (``metre``); None where it found
        nothing, or no other for heights. `deburr.core.crs.words.length_unit` asks the CRS, too.
    frame, patches : set by filters.normalize and filters.patch, read by filters.spd.
    source : object
        The reader's own header and records, opaque to all but the writers of the same format.
    history : tuple of Record
        What each stage did, in order; the run report is made of it.
    horizon : Horizon or None
        What is known of the cloud around this one, where this is a tile; None: this is the whole cloud.
    extent : Extent
        Of all that was read, whatever has become of it since; of a tile, that of the whole cloud.
    reprojected : bool
        Whether the coordinates are in another system than those of the source, whose lattice and bounds say nothing.
    """

    xyz: Floats
    dims: Dims = field(default_factory=_no_dims)
    original: Floats = None  # type: ignore[assignment]  # filled in __post_init__
    rows: Ints = None  # type: ignore[assignment]  # filled in __post_init__
    crs: str | None = None
    units: str | None = None
    height_units: str | None = None
    frame: Frame | None = None
    patches: Patches | None = None
    source: object = None
    history: tuple[Record, ...] = ()
    horizon: Horizon | None = None
    extent: Extent = None  # type: ignore[assignment]  # filled in __post_init__
    reprojected: bool = False

    def __post_init__(self) -> None:
        xyz = np.asarray(self.xyz, dtype=np.float64)
        if xyz.ndim != 2 or xyz.shape[1] != 3:
            raise ValueError(f"xyz must have shape (N, 3), not {xyz.shape}")
        set_field = object.__setattr__
        set_field(self, "xyz", xyz)
        set_field(self, "original", xyz if self.original is None else self.original)
        set_field(self, "rows", np.arange(len(xyz), dtype=np.int64) if self.rows is None else self.rows)
        set_field(self, "dims", MappingProxyType(dict(self.dims)))
        if self.extent is None:
            set_field(self, "extent", extent_of(xyz))
        for name, column in [("original", self.original), ("rows", self.rows), *self.dims.items()]:
            if len(column) != len(xyz):
                raise ValueError(f"dimension '{name}' has {len(column)} values for {len(xyz)} points")

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def moved(self) -> Bools:
        """(N,) bool: the points whose coordinates differ, in any bit, from those that were read."""
        if self.xyz is self.original:
            return np.zeros(len(self), dtype=np.bool_)
        differs = self.xyz != self.original
        if not self.located.all():  # NaN is not equal to itself
            differs &= ~(np.isnan(self.xyz) & np.isnan(self.original))
        return np.asarray(differs.any(axis=1))

    @property
    def located(self) -> Bools:
        """(N,) bool: the points that have coordinates; others, as of a camera's pixels without depth, have NaN or
        infinity there."""
        return located(self.xyz)

    @property
    def active(self) -> Bools:
        """(N,) bool: the points that count: neither withheld (= deleted, ASPRS), nor of a noise class (7, 18), nor
        without coordinates."""
        keep = self.located
        if "Withheld" in self.dims:
            keep &= np.asarray(self.dims["Withheld"]) == 0
        if "Classification" in self.dims:
            keep &= ~np.isin(self.dims["Classification"], NOISE_CLASSES)
        return keep

    @property
    def core(self) -> Bools:
        """(N,) bool: the points that are to be counted; in a tile those of its core, else all."""
        return np.ones(len(self), dtype=np.bool_) if self.horizon is None else self.horizon.core

    @property
    def settled(self) -> Bools:
        """(N,) bool: the points that are as they would be in the whole cloud; see `Horizon`."""
        return np.ones(len(self), dtype=np.bool_) if self.horizon is None else self.horizon.settled

    @property
    def counted(self) -> Bools:
        """(N,) bool: the points that a stage's figures are to count: settled ones of the core."""
        return self.core & self.settled

    def settle(self, settled: Bools, moved: float = 0.0) -> PointCloud:
        """The same cloud after a stage that is sure of the points ``settled`` (N,) only, among those that were settled
        before, and has moved no point of the cloud, seen or unseen, by more than ``moved``."""
        if self.horizon is None:
            return self
        horizon = replace(self.horizon, settled=self.horizon.settled & settled, moved=self.horizon.moved + moved)
        return replace(self, horizon=horizon)

    def with_xyz(self, xyz: Floats) -> PointCloud:
        """The same points elsewhere; ``xyz`` (N, 3) float64, world coordinates."""
        return replace(self, xyz=xyz)

    def in_crs(self, crs: str | None, xyz: Floats) -> PointCloud:
        """The same points in another coordinate reference system; they count as read at ``xyz`` (N, 3)."""
        fresh = replace(self, units=None, height_units=None, extent=extent_of(xyz), frame=None, reprojected=True)
        return replace(fresh, xyz=xyz, original=xyz, crs=crs)

    def with_dims(self, columns: Dims) -> PointCloud:
        """The same points with ``columns`` added or replaced."""
        return replace(self, dims={**self.dims, **columns})

    def select(self, keep: Bools | Ints) -> PointCloud:
        """The points that ``keep`` (a mask or row numbers) names, in that order, with all their columns."""
        original = self.original[keep]
        xyz = original if self.xyz is self.original else self.xyz[keep]
        dims = {name: column[keep] for name, column in self.dims.items()}
        horizon = None if self.horizon is None else self.horizon.select(keep, self.original)
        return replace(self, xyz=xyz, dims=dims, original=original, rows=self.rows[keep], horizon=horizon)

    def note(
        self, stage: str, figures: Mapping[str, Any] | None = None, *warnings: str, sums: Sums | None = None
    ) -> PointCloud:
        """The same cloud with one more `Record` in its history."""
        return replace(self, history=(*self.history, Record(stage, dict(figures or {}), warnings, dict(sums or {}))))
