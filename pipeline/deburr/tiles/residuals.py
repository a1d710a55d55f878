"""How much of the noise is left, judged where it is known: noise is added to what was cleaned, and cleaned again.

What a stage leaves on a surface cannot be read from its result: neighbours were moved together, and lie on one surface
though it be a wrong one. But the result is a cloud like the true one. So a few places of it get noise of the level that
was found, go through the same stages, and what is then wrong across flat surfaces is the share that they leave.

Where they are told to leave much (``strength``), they find some of it again, and the share is told a sixth too high.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deburr.core.arrays import Bools, Dims, Floats, Ints
from deburr.core.cloud import PointCloud
from deburr.core.horizon import Horizon
from deburr.core.neighbors import SPACING_K, Neighbors
from deburr.core.noise import noise_by_place, noise_rms
from deburr.core.sums import Sums
from deburr.tiles.tile import Piece, View, Work, keys_of

#: A place has about so many points, of which those in the inner part of its width are judged. A tile is tried at one
#: place for so many of its points, so that it costs little; at one at least, and at so many at most.
_POINTS, _INNER, _EVERY, _PLACES = 3600, 2 / 3, 100_000, 4
#: Flat is where the middle eigenvalue of the neighbours' scatter is this many times the smallest.
_FLAT = 50.0
#: Fewer flat points tell nothing.
_LEAST = 100


@dataclass(frozen=True, eq=False)
class _Result:
    """The points of a tile: their keys, where they were read and where they are (N, 3), the columns that are new."""

    keys: Ints
    original: Floats
    xyz: Floats
    dims: Dims

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> _Result:
        some = [piece for piece in pieces if len(piece.rows)] or pieces[:1]
        keys = np.concatenate([keys_of(piece.file, piece.rows) for piece in some])
        original, xyz = (np.concatenate([getattr(piece, name) for piece in some]) for name in ("original", "xyz"))
        # A stage may have changed a column in one piece only.
        names = set(some[0].dims).intersection(*(piece.dims for piece in some))
        return cls(keys, original, xyz, {name: np.concatenate([one.dims[name] for one in some]) for name in names})


def noise_of(
    view: View, work: Work, pieces: Sequence[Piece], noted: Sequence[Sums]
) -> tuple[float | None, float | None]:
    """The noise before and after, cloud units: root mean square of the level that the first stage to find one found in
    the points that may move, and what all who found one leave of it on flat surfaces; None where that is not known.

    ``noted``: the sums that each stage of ``work`` noted in the tile of these ``pieces``.
    """
    told = [noise_rms(sums) for sums in noted]
    before = next((level for level in told if level is not None), None)
    result = _Result.of(pieces)
    if not before or (result.xyz == result.original).all():
        return before, before
    some = [number for number, level in enumerate(told) if level is not None]
    stages = replace(work, stages=[work.stages[n] for n in some], known=[work.known[n] for n in some])
    share = _share(view, stages, result, noted[some[0]])
    return before, None if share is None else share * before


def _share(view: View, work: Work, result: _Result, noted: Sums) -> float | None:
    """The share of the noise that the stages leave, over all places together; None where too little is flat."""
    rng = np.random.default_rng(0)
    added, left = [np.zeros(0)], [np.zeros(0)]
    for rows, inner in _places(result.original):
        cloud = _clean(view, result, rows)
        noise = rng.normal(0, 1, (len(rows), 3)) * _level(noted, cloud.original)[:, None]
        again = cloud.with_xyz(cloud.xyz + noise)
        again = replace(again, original=again.xyz)
        for stage, known in zip(work.stages, work.known, strict=True):
            assert again.horizon is not None
            again = stage.run(replace(again, horizon=replace(again.horizon, known=known)))
        normals, flat = _surface(cloud.xyz)
        judged = flat & inner & again.moved
        added.append((noise[judged] * normals[judged]).sum(axis=1))
        left.append(((again.xyz - cloud.xyz)[judged] * normals[judged]).sum(axis=1))
    put, remains = np.concatenate(added), np.concatenate(left)
    if len(put) < _LEAST or not put.any():
        return None
    return float(np.sqrt((remains**2).mean() / (put**2).mean()))


def _clean(view: View, result: _Result, rows: Ints) -> PointCloud:
    """The points ``rows`` (M,) of a result as a cloud of their own."""
    places = result.original[rows]
    low, high = places[:, :2].min(axis=0), np.nextafter(places[:, :2].max(axis=0), np.inf)
    cloud, file = view.read(low, high)
    keys = keys_of(file, cloud.rows)
    order = np.argsort(keys)
    cloud = cloud.select(order[np.searchsorted(keys[order], result.keys[rows])])
    every, nowhere = np.ones(len(rows), np.bool_), np.full(2, np.inf)
    horizon = Horizon(-nowhere, nowhere, every, every, np.zeros(len(rows), np.int32))
    cloud = cloud.with_dims({name: column[rows] for name, column in result.dims.items()})
    return replace(cloud, xyz=result.xyz[rows], horizon=horizon, extent=view.about)


def _level(noted: Sums, places: Floats) -> Floats:
    """(M,) the noise level at ``places`` (M, 3): that of their cell of the map, or of all if it is the same."""
    found = noise_by_place(noted)
    if found is None:
        return np.full(len(places), noise_rms(noted))
    # Cells that only hold points which were not seen have none; the nearest has.
    middles = found.grid.low + found.grid.side * (found.cells + 0.5)
    _, near = Neighbors(middles).nearest(places[:, :2], 1)
    return np.asarray(found.levels[near[:, 0]])


def _surface(xyz: Floats) -> tuple[Floats, Bools]:
    """Normals (M, 3) of the surface on which points (M, 3) lie, and where it is flat (M,)."""
    _, rows = Neighbors(xyz).nearest(xyz, SPACING_K)
    near = xyz[rows] - xyz[rows].mean(axis=1, keepdims=True)
    spread, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near))
    return axes[:, :, 0], np.asarray(spread[:, 1] > _FLAT * np.maximum(spread[:, 0], 0.0))


def _places(xyz: Floats) -> Iterator[tuple[Ints, Bools]]:
    """Rows (M,) of points (N, 3) at places here and there, and which of them are not at the brink (M,). Of a few
    points, all."""
    if len(xyz) <= 2 * _POINTS:
        yield np.arange(len(xyz)), np.ones(len(xyz), np.bool_)
        return
    # A square of so many points, if they lay evenly; where they lie densely, a smaller one holds enough.
    half = 0.5 * float(np.sqrt(max(np.ptp(xyz[:, :2], axis=0).prod(), 1e-300) * _POINTS / len(xyz)))
    count = min(max(len(xyz) // _EVERY, 1), _PLACES)
    by_x = np.argsort(xyz[:, 0], kind="stable")
    for row in by_x[np.linspace(0, len(xyz), 2 * count + 1).astype(int)[1::2]]:
        away = np.abs(xyz[:, :2] - xyz[row, :2]).max(axis=1)
        side = min(half, float(np.partition(away, 2 * _POINTS)[2 * _POINTS]))
        rows = np.flatnonzero(away <= side)
        if len(rows) >= SPACING_K:
            yield rows, away[rows] <= _INNER * side
