"""What filters.metrics says in summaries and above pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deburr.show.words import Line, change, length

#: Figures of the stage, in the order of what they are worth, and their names in words.
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
#: What a picture says first, the best that was measured.
_FIRST = ("own_rms", "to_reference_rms", "residual_rms")


def first(figures: Mapping[str, Any], unit: str) -> str | None:
    """One line for a picture; None where nothing that was measured changed."""
    then, now = figures.get("as_read"), figures.get("now")
    for name in _FIRST:
        if then and now and then.get(name) is not None and then[name] != now[name]:
            words = _words(name, now)
            return f"{words[0].upper()}{words[1:]}: {change(then[name], now[name], unit)}"
    return None


def measured(figures: Mapping[str, Any], unit: str) -> Iterator[Line]:
    """The lines of a summary: what was measured before and after; ``unit`` of lengths, in words."""
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
