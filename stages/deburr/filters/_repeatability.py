"""What filters.metrics tells of surfaces that were seen twice: by two flight strips, or by two halves of the points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Any, Literal

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.chance import drawn
from deburr.core.cloud import PointCloud
from deburr.core.errors import RunError
from deburr.filters._repeat import Apart, Planes, apart, cells_of, common, flat_at, planes_at

By = Literal["strips", "halves"]

#: The offset of two strips is taken to be even in squares that are this many spacings wide.
CELL = 10.0
#: With fewer places a figure is chance; it is told with a warning.
FEW = 100
#: Keeps the halves' chance apart from that of filters.noise with the same seed.
_SALT = 1


@dataclass(frozen=True, eq=False)
class _Part:
    """``count`` places of points that others judge, and what was found there.

    strips : the two that see the places, the lesser first; None of halves. Offsets are those of the lesser.
    """

    strips: tuple[int, int] | None
    count: int
    as_read: Apart
    now: Apart


def repeatability(
    cloud: PointCloud, rows: Ints, by: By, seed: int, spacing: float | None
) -> tuple[dict[str, Any], list[str]]:
    """Figures for the run report, and warnings, of the points ``rows`` (M,) of ``cloud``; equal ones count once.

    ``spacing``: the median point spacing as read, cloud units. Points as they were read are judged by points as they
    were read, those of now by those of now, at the same places. Raises `RunError` where there are no two strips.
    """
    rows = rows[np.unique(cloud.original[rows], axis=0, return_index=True)[1]]
    chance = drawn(cloud.rows[rows], (seed, _SALT), lambda random, count: random.random(count), "halves")
    if by == "halves":
        parts = [_halves(cloud, rows, chance)]
    else:
        parts = list(_strips(cloud, rows, chance, CELL * spacing if spacing else np.inf))
    figures = {"by": by, "seed": seed, **_told(parts)}
    if by == "strips":
        pairs = sorted({part.strips for part in parts if part.strips and part.count})
        each = [[part for part in parts if part.strips == pair] for pair in pairs]
        figures["pairs"] = [
            {"strips": [*pair], **_told(mine, signed=True)} for pair, mine in zip(pairs, each, strict=True)
        ]
    return figures, _doubts(figures["points"], by)


def _halves(cloud: PointCloud, rows: Ints, chance: Floats) -> _Part:
    """A random half of the points, judged by the two other quarters."""
    part = np.digitize(chance, (0.5, 0.75))
    planes, heights = _heights(cloud, rows[part == 0], rows[part == 1], rows[part == 2])
    return _Part(None, int(planes.seen.sum()), *(Apart(np.zeros(0), common(each)) for each in heights))


def _heights(cloud: PointCloud, one: Ints, first: Ints, second: Ints) -> tuple[Planes, tuple[Floats, Floats]]:
    """The planes of ``first`` and ``second`` at the places of ``one``, all rows of the cloud, as they were read; and
    (S, 2) distances of the places seen to them, as read and now."""
    places, now = cloud.original, cloud.xyz
    planes = planes_at(places[one], places[first], places[second])
    before = planes.heights(places[one])
    if now is places:
        return planes, (before, before)
    return planes, (before, planes.moved(now[one], now[first], now[second]).heights(now[one]))


def _strips(cloud: PointCloud, rows: Ints, chance: Floats, cell: float) -> Iterator[_Part]:
    """Every strip where it is flat, judged by two random halves of every other that is where it is."""
    ids = _strip_of_each(cloud)[rows]
    numbers = np.unique(ids).tolist()
    if len(numbers) < 2:
        which = f"only that of {numbers[0]}" if numbers else "none"
        raise RunError(
            f"option 'repeatability': \"strips\" needs two flight strips (PointSourceId), and there is {which}; "
            'use "halves", or remove it'
        )
    strips = {number: np.flatnonzero(ids == number) for number in numbers}
    places = cloud.original[rows]
    flat = {number: mine[flat_at(places[mine], places[mine])] for number, mine in strips.items()}
    for lesser, greater in combinations(numbers, 2):
        for one, other, sign in ((lesser, greater, 1.0), (greater, lesser, -1.0)):
            judging = strips[other]
            mine = flat[one][_above(places[flat[one]], places[judging])]
            first = chance[judging] < 0.5
            planes, heights = _heights(cloud, rows[mine], rows[judging[first]], rows[judging[~first]])
            cells = cells_of(planes, cell)
            yield _Part((lesser, greater), len(cells), *(apart(sign * each, cells) for each in heights))


def _above(places: Floats, points: Floats) -> Bools:
    """(M,) bool: which places (M, 3) lie within the bounds of ``points`` (N, 3) in plan, N >= 1."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return np.asarray(((places[:, :2] >= low) & (places[:, :2] <= high)).all(1))


def _strip_of_each(cloud: PointCloud) -> Ints:
    if "PointSourceId" not in cloud.dims:
        raise RunError(
            "option 'repeatability': \"strips\" needs the dimension 'PointSourceId', which the cloud has not; "
            'use "halves", or remove it'
        )
    return np.asarray(cloud.dims["PointSourceId"], dtype=np.int64)


def _told(parts: Sequence[_Part], signed: bool = False) -> dict[str, Any]:
    """Of all ``parts`` together as JSON values; None where nothing is known."""
    figures: dict[str, Any] = {"points": sum(part.count for part in parts)}
    for when, found in (("as_read", [part.as_read for part in parts]), ("now", [part.now for part in parts])):
        figures[when] = {"random": _random([part.count for part in parts], found)}
        if any(part.strips for part in parts):
            offsets = np.concatenate([each.offsets for each in found])
            sizes = offsets if signed else np.abs(offsets)
            figures[when]["offset"] = float(np.median(sizes)) if len(sizes) else None
    return figures


def _random(counts: Sequence[int], found: Sequence[Apart]) -> float | None:
    """One random part of those of so many places; those that are not known do not count."""
    known = [(count, each.random) for count, each in zip(counts, found, strict=True) if np.isfinite(each.random)]
    total = sum(count for count, _ in known)
    return sqrt(sum(count * random**2 for count, random in known) / total) if total else None


def _doubts(points: int, by: By) -> list[str]:
    if points >= FEW:
        return []
    return [f"repeatability: only {points} points lie on planes that two {by} see, too few to tell (at least {FEW})"]
