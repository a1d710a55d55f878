"""What a run achieved, in words: a few lines a stage, made from the run report. The report itself has every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.errors import SpecError
from deburr.core.figure import Figure
from deburr.core.noise import EVIDENCE, NOISE, NOISE_REPORTS
from deburr.core.registry import stage_class
from deburr.core.stage import Stage

#: A line: what it is, and its value.
Line = tuple[str, str]

#: Figures that say what the summary says elsewhere, of every stage.
_LEFT_OUT = ("units", "file", "points")
#: A spread of the noise below this share is none.
_SAME = 0.01


def lines(entry: Mapping[str, Any], unit: str) -> list[Line]:
    """The lines of one stage of a run report; ``unit`` is that of the cloud's lengths."""
    figures, stage = entry["figures"], _stage(entry["type"])
    found = stage.summary(figures, unit)
    if found is not None:
        return found
    found = []
    for name, value in _flat(figures):
        kind = stage.reports.get(name)
        if kind is None or kind.words != "":
            words = name if kind is None or kind.words is None else kind.words
            found.append((words.replace("_", " "), _said(kind, value, figures, unit)))
    if gone := entry.get("moved"):
        found.append(("moved", moved_words(gone["median"], gone["p95"], gone["max"], unit)))
    return found


def _stage(type_name: str) -> type[Stage]:
    """The stage of this type; of one that is not to be found any more, what all stages share."""
    try:
        return stage_class(type_name)
    except SpecError:
        return Stage


def _said(kind: Figure | None, value: Any, figures: Mapping[str, Any], unit: str) -> str:
    """A figure's value in words."""
    if kind is None or isinstance(value, str) or kind.unit == "":
        return _value(value)
    if kind.unit == "points":
        return f"{100 * value:.0f} % of the points"
    if kind.unit == "exact":
        return _value(value, exact=True)
    if isinstance(value, list):
        return ", ".join(length(one, unit) for one in value)
    return _spread(value, kind.spread, figures, unit)


def _spread(value: float, names: tuple[str, str] | None, figures: Mapping[str, Any], unit: str) -> str:
    low, high = (None, None) if names is None else (figures.get(name) for name in names)
    if low is None or high is None or high - low <= _SAME * high:
        return length(value, unit)
    return f"{length(value, unit)} (5-95 %: {span(low, high, unit)})"


def moved_words(median: float, p95: float, longest: float, unit: str) -> str:
    """``median 2.1 cm, 95 % below 6 cm, at most 14 cm``: how far the points that moved did so."""
    return f"median {length(median, unit)}, 95 % below {length(p95, unit)}, at most {length(longest, unit)}"


def noise(figures: Mapping[str, Any], unit: str) -> str:
    """``3.9 cm (5-95 %: 2.1 to 6 cm)``: the noise that a stage found or was given; the one figure where it is the same
    everywhere."""
    level = figures.get(NOISE)
    return "-" if level is None else _spread(level, NOISE_REPORTS[NOISE].spread, figures, unit)


def evidence(figures: Mapping[str, Any]) -> str:
    """``83 % of the points``: around how many there was a surface to read the noise from."""
    share = figures.get(EVIDENCE)
    return "-" if share is None else _said(NOISE_REPORTS[EVIDENCE], share, figures, "")


def change(then: float, now: float, unit: str) -> str:
    """``3.96 cm -> 1.21 cm (-69 %)``; the one figure where nothing changed."""
    if now == then:
        return length(now, unit)
    share = f" ({100 * (now / then - 1):+.0f} %)" if then > 0 else ""
    return f"{length(then, unit)} -> {length(now, unit)}{share}"


def length(value: float, unit: str) -> str:
    """Three digits and a unit; metres below one as centimetres."""
    if unit == "m" and abs(value) < 1:
        return f"{100 * value:.3g} cm" if abs(value) >= 0.001 else f"{100 * value:.2g} cm"
    return f"{value:.3g} {unit}"


def span(low: float, high: float, unit: str) -> str:
    """``2.1 to 6 cm``: the unit once, where both have the same."""
    first, last = length(low, unit), length(high, unit)
    number, word = first.split(" ", 1)
    return f"{number if last.split(' ', 1)[1] == word else first} to {last}"


def headline(cloud: PointCloud, unit: str) -> str:
    """One line for the picture: noise before and after if it was measured, else how far points moved."""
    count = f"{len(cloud):,} points"
    for record in cloud.history:
        if said := _stage(record.stage).headline(record.figures, unit):
            return said
    away = np.linalg.norm(cloud.xyz - cloud.original, axis=1)
    moved = away[away > 0]
    if not len(moved):
        return f"{count}, none moved"
    middle, far = (length(float(q), unit) for q in np.quantile(moved, [0.5, 0.99]))
    return f"{len(moved):,} of {count} moved: median {middle}, 99 % below {far}"


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if name in _LEFT_OUT or value is None:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        elif not isinstance(value, list) or len(value) <= 6:
            yield prefix + name, value


def _value(value: Any, exact: bool = False) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_value(item, exact) for item in value)
    if isinstance(value, float):
        # + 0.0: a zero has no sign.
        return f"{value + 0.0:,.15g}" if exact else f"{value + 0.0:.4g}"
    return str(value)
