"""What a run achieved, in words: a few lines a stage, made from the run report. The report itself has every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs

#: A line: what it is, and its value.
Line = tuple[str, str]

#: Figures of `filters.metrics`, in the order of what they are worth, and their names in words.
_MEASURED = {
    "to_reference_rms": "distance to the {reference}, RMS",
    "own_rms": "distance to own true place, RMS",
    "chamfer": "Chamfer distance, not squared",
    "residual_rms": "distance to local planes, RMS",
}
#: The same of its ``repeatability``, by what judged.
_REPEATED = {
    "strips": {"offset": "strip offset, median", "random": "strip noise, random part"},
    "halves": {"random": "noise, by random halves"},
}
#: Figures that only explain others, or repeat what the summary says elsewhere.
_LEFT_OUT = (
    "units",
    "file",
    "points",
    "noise_median",
    "noise_p05",
    "noise_p95",
    "displacement_median",
    "displacement_max",
)
#: A spread of the noise below this share is none.
_SAME = 0.01
#: Figures that coordinates are made of.
_EXACT = ("scale", "offset")
#: Figures whose names would be taken for something else.
_LABELS = {"max_displacement": "limit of movement"}
#: Figures that are lengths.
_LENGTHS = ("spacing", "max_displacement", "sigma")


def lines(entry: Mapping[str, Any], unit: str) -> list[Line]:
    """The lines of one stage of a run report; ``unit`` is that of the cloud's lengths."""
    figures = entry["figures"]
    if "as_read" in figures and "now" in figures:
        return list(_measured(figures, unit))
    said = {"noise": noise(figures, unit), "evidence": evidence(figures)}
    found = [
        (
            _LABELS.get(name, name.replace("_", " ")),
            said[name] if name in said else length(value, unit) if name in _LENGTHS and value else _value(value, name),
        )
        for name, value in _flat(figures)
    ]
    if gone := entry.get("moved"):
        found.append(("moved", moved_words(gone["median"], gone["p95"], gone["max"], unit)))
    return found


def moved_words(median: float, p95: float, longest: float, unit: str) -> str:
    """``median 2.1 cm, 95 % below 6 cm, at most 14 cm``: how far the points that moved did so."""
    return f"median {length(median, unit)}, 95 % below {length(p95, unit)}, at most {length(longest, unit)}"


def noise(figures: Mapping[str, Any], unit: str) -> str:
    """``3.9 cm (5-95 %: 2.1 to 6 cm)``: the noise that a stage found or was given; the one figure where it is the same
    everywhere."""
    level, low, high = (figures.get(name) for name in ("noise", "noise_p05", "noise_p95"))
    if level is None:
        return "-"
    if low is None or high is None or high - low <= _SAME * high:
        return length(level, unit)
    return f"{length(level, unit)} (5-95 %: {span(low, high, unit)})"


def evidence(figures: Mapping[str, Any]) -> str:
    """``83 % of the points``: around how many there was a surface to read the noise from."""
    share = figures.get("evidence")
    return "-" if share is None else f"{100 * share:.0f} % of the points"


def _measured(figures: Mapping[str, Any], unit: str) -> Iterator[Line]:
    then, now = figures["as_read"], figures["now"]
    of = f" of class {', '.join(map(str, figures['classes']))}" if "classes" in figures else ""
    yield "measured", f"{figures['points']:,} points{of}"
    for name in _MEASURED:
        # Even samples of a mesh lie also where nothing could be measured: only its one direction tells of noise.
        if now.get(name) is None or (name == "chamfer" and now["reference"] == "mesh"):
            continue
        yield _words(name, now), change(then[name], now[name], unit)
    if "repeatability" in figures:
        yield from _repeated(figures["repeatability"], unit)
    moved = figures["displacement"]
    if moved["max"]:
        texts = [length(moved[name], unit) for name in ("median", "p99", "max")]
        yield "moved", f"median {texts[0]}, 99 % below {texts[1]}, at most {texts[2]}"


def _repeated(figures: Mapping[str, Any], unit: str) -> Iterator[Line]:
    for name, words in _REPEATED[figures["by"]].items():
        then, now = figures["as_read"][name], figures["now"][name]
        if then is not None and now is not None:
            yield words, change(then, now, unit)


def _words(name: str, now: Mapping[str, Any]) -> str:
    return _MEASURED[name].format(reference="true surface" if now.get("reference") == "mesh" else "reference cloud")


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


def unit_of(report: Mapping[str, Any]) -> str:
    """The unit of lengths that the reader found, or ``units``."""
    told = report["stages"][0]["figures"].get("units") if report["stages"] else None
    return crs.short(told) if isinstance(told, str) and told != "cloud units" else "units"


def headline(cloud: PointCloud, unit: str) -> str:
    """One line for the picture: noise before and after if it was measured, else how far points moved."""
    count = f"{len(cloud):,} points"
    for record in cloud.history:
        then, now = record.figures.get("as_read"), record.figures.get("now")
        for name in ("own_rms", "to_reference_rms", "residual_rms"):
            if then and now and then.get(name) is not None and then[name] != now[name]:
                words = _words(name, now)
                return f"{words[0].upper()}{words[1:]}: {change(then[name], now[name], unit)}"
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


def _value(value: Any, name: str = "") -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(_value(item, name) for item in value)
    if isinstance(value, float):
        # + 0.0: a zero has no sign. What coordinates are made of is told to the last digit.
        return f"{value + 0.0:,.15g}" if name in _EXACT else f"{value + 0.0:.4g}"
    return str(value)
