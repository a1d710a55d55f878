"""Whether files can be taken for one cloud: units, reference systems, dimensions, overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from deburr.core.addresses import Named
from deburr.core.crs import words
from deburr.core.crs.same import agree
from deburr.core.errors import SpecError
from deburr.core.stage import Outline

#: Neighbouring files share less of their bounds than this.
_OVERLAP = 0.05
#: Files that a warning names, at most.
_NAMED = 3
#: Problems that are listed one by one, at most.
_LISTED = 5


def check_alike(
    outlines: Sequence[tuple[str | Named, Outline]],
    dims: frozenset[str] | None = None,
    merged: bool = True,
    remedy: str = "",
) -> list[str]:
    """Warnings about files that are merged, inputs and context alike; ``dims``: what is looked at (None: all).

    ``remedy``: what to do about files in one place, appended. Of files that are not ``merged``, but told of in one
    report, only units must agree. Raises `SpecError` for those that cannot be: other units, another reference system,
    a dimension of another shape.
    """
    problems = [*_units(outlines)] + ([*_systems(outlines), *_shapes(outlines, dims)] if merged else [])
    if problems:
        more = [f"and {len(problems) - _LISTED:,} more of the kind"] if len(problems) > _LISTED else []
        raise SpecError(problems[:_LISTED] + more)
    doubts = (f"{path}: {doubt}" for path, outline in outlines for doubt in outline.doubts)
    if not merged:
        return [*doubts]
    return [*doubts, *_without_system(outlines), *_lacking(outlines, dims), *_overlapping(outlines, remedy)]


def _units(outlines: Sequence[tuple[str | Named, Outline]]) -> Iterator[str]:
    told = [(path, words.short(outline.units)) for path, outline in outlines if outline.units]
    yield from _differ(told, "its unit of length is {}, and that of {} is {}")
    heights = [(path, words.short(outline.height_units)) for path, outline in outlines if outline.height_units]
    yield from _differ(heights, "its heights are in {}, and those of {} in {}")


def _differ(told: Sequence[tuple[str | Named, str]], clause: str) -> Iterator[str]:
    for path, unit in told[1:]:
        if unit != told[0][1]:
            yield f"{path}: {clause.format(unit, *told[0])}; run them apart, or convert one of them first"


def _systems(outlines: Sequence[tuple[str | Named, Outline]]) -> Iterator[str]:
    told = [(path, outline.crs) for path, outline in outlines if outline.crs]
    known: dict[str, bool] = {}
    for path, crs in told[1:]:
        first = told[0][1]
        if crs not in known:
            known[crs] = crs == first or agree(crs, first)
        if not known[crs]:
            yield (
                f"{path}: its coordinate reference system is {words.name(crs)}, and that of {told[0][0]} is "
                f"{words.name(first)}; run them apart, or set the reader's 'override_srs' if they mean the same"
            )


def _shapes(outlines: Sequence[tuple[str | Named, Outline]], dims: frozenset[str] | None) -> Iterator[str]:
    first: dict[str, tuple[str | Named, tuple[int, ...]]] = {}
    for path, outline in outlines:
        for name, kind in _looked_at(outline, dims).items():
            before, shape = first.setdefault(name, (path, kind.shape))
            if shape != kind.shape:
                yield (
                    f"{path}: dimension '{name}' has {_many(kind.shape)} a point, and {_many(shape)} in {before}; "
                    "rename it in one of them, or run them apart"
                )


def _many(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) + " numbers" if shape else "one number"


def _looked_at(outline: Outline, dims: frozenset[str] | None) -> Mapping[str, np.dtype[np.generic]]:
    there = outline.kinds or {}
    return {name: kind for name, kind in there.items() if dims is None or name in dims}


def _without_system(outlines: Sequence[tuple[str | Named, Outline]]) -> Iterator[str]:
    without = [path for path, outline in outlines if not outline.crs]
    told = next((outline.crs for _, outline in outlines if outline.crs), None)
    if without and told:
        yield (
            f"{_listed(without)}: no coordinate reference system is given; the coordinates are taken to be in "
            f"{words.name(told)}, as in the other files"
        )


def _lacking(outlines: Sequence[tuple[str | Named, Outline]], dims: frozenset[str] | None) -> Iterator[str]:
    told = [(path, _looked_at(outline, dims).keys()) for path, outline in outlines if outline.kinds is not None]
    everything = sorted({name for _, names in told for name in names})
    lacking: dict[tuple[str, ...], list[str | Named]] = {}
    for path, names in told:
        missing = tuple(name for name in everything if name not in names)
        if missing:
            lacking.setdefault(missing, []).append(path)
    for missing, paths in lacking.items():
        yield f"{_listed(paths)}: without {', '.join(missing)}, which other files have; taken to be 0 there"


def _overlapping(outlines: Sequence[tuple[str | Named, Outline]], remedy: str) -> Iterator[str]:
    full = [(path, outline.extent) for path, outline in outlines if outline.extent.count]
    if len(full) < 2:
        return
    low = np.array([extent.low[:2] for _, extent in full])
    high = np.array([extent.high[:2] for _, extent in full])
    size = high - low
    pairs: list[tuple[float, int, int]] = []
    for i in range(len(full) - 1):
        shared = np.minimum(high[i], high[i + 1 :]) - np.maximum(low[i], low[i + 1 :])
        # Of a file that is a line or a point, all or nothing.
        shares = [
            np.where(of > 0, shared / np.where(of > 0, of, 1), 1.0).prod(axis=1) for of in (size[i], size[i + 1 :])
        ]
        share = np.where((shared >= 0).all(axis=1), np.maximum(*shares), 0.0)
        pairs += [(float(share[j]), i, i + 1 + int(j)) for j in np.flatnonzero(share > _OVERLAP)]
    for most, i, j in pairs[:_LISTED]:
        yield (
            f"{full[i][0]} and {full[j][0]}: their bounds overlap by {most:.0%} of the smaller; points of both are "
            f"neighbours of each other, and equal ones count as one{remedy}"
        )
    if len(pairs) > _LISTED:
        yield f"{len(pairs) - _LISTED:,} more pairs of files overlap by more than {_OVERLAP:.0%} of the smaller"


def _listed(paths: Sequence[str | Named]) -> str:
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return ", ".join(str(path) for path in paths[:_NAMED]) + more
