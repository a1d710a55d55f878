"""The map of a batch: its tiles in plan, coloured by the noise that each lost; failed ones stand out."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import Floats
from deburr.pipeline.batch_report import TileRecord, headline, removed, totals
from deburr.pipeline.picture import AFTER, BEFORE, INK, PALE

NAME = "tiles.png"

#: Tiles without figures; tiles with more noise than before.
_UNKNOWN, _WORSE = "#cfd5da", "#e2a33d"
_DPI = 110
#: Inches: the long side of the map, that of a corridor's, and the least of the short one.
_LONG, _LONGEST, _SHORT = 8.5, 13.0, 1.1
#: Inches beside the map, for the scale of colours and the ticks.
_ROOM = 2.2
#: Names of failed tiles in the legend.
_NAMED = 4


def draw(records: Sequence[TileRecord], path: Path, unit: str) -> None:
    """Write a PNG of the tiles' boxes; ``unit`` as of `crs.unit`."""
    from matplotlib.figure import Figure

    placed = [record for record in records if record.get("box")]
    boxes = np.array([record["box"] for record in placed], dtype=np.float64).reshape(-1, 4)
    title = headline(totals(records), unit)
    if not len(boxes):
        figure = Figure(figsize=(6, 2))
        figure.text(0.5, 0.5, "no tiles", ha="center", va="center", color=INK)
        figure.savefig(path, format="png", dpi=_DPI)
        return
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    away = _offset(low, high)
    wide, tall = _sides(high - low)
    figure = Figure(
        figsize=(max(wide + _ROOM, 4.5), tall + (2.0 if wide > 2 * tall else 1.5)),
        layout="constrained",
        facecolor="white",
    )
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.12, h_pad=0.12)
    axis: Any = figure.subplots()
    lines = textwrap.fill(title.replace(" %", "\u00a0%"), int(9 * figure.get_figwidth()))
    figure.suptitle(lines, fontsize=13, color=INK, fontweight="bold")
    _frame(axis, low - away, high - away, wide / tall)
    for name, at, side in (("x", away[0], axis.set_xlabel), ("y", away[1], axis.set_ylabel)):
        less = f" {'-' if at > 0 else '+'} {abs(at):,.0f}" if at else ""
        side(f"{name}{less} ({unit})", color=INK)
    shapes = np.tile(away, 2)[None, :]
    _tiles(figure, axis, placed, boxes - shapes, unit)
    _legend(figure, records)
    figure.savefig(path, format="png", dpi=_DPI)


def _offset(low: Floats, high: Floats) -> Floats:
    """(2,) round numbers to take from coordinates whose first digits are all the same; 0 where they are not."""
    step = 10.0 ** math.ceil(math.log10(max(float((high - low).max()), 1e-9)))
    near = np.abs(low + high) / 2 < 10 * step
    return np.where(near, 0.0, np.floor(low / step) * step)


def _sides(spans: Floats) -> tuple[float, float]:
    """Inches that a map of such spans takes: a corridor gets a margin on its long sides."""
    least, most = np.sort(spans)
    ratio = float(most / least) if least > 0 else np.inf
    long = float(np.clip(_SHORT * ratio, _LONG, _LONGEST))
    short = max(_SHORT, long / ratio)
    return (long, short) if spans[0] >= spans[1] else (short, long)


def _frame(axis: Any, low: Floats, high: Floats, ratio: float) -> None:
    spans, middle = high - low, (low + high) / 2
    tall = 1.04 * max(spans[1], spans[0] / ratio, 1e-9)
    axis.set_aspect("equal", adjustable="box")
    axis.set_xlim(middle[0] - tall * ratio / 2, middle[0] + tall * ratio / 2)
    axis.set_ylim(middle[1] - tall / 2, middle[1] + tall / 2)
    axis.tick_params(colors=PALE, labelsize=9)
    axis.ticklabel_format(useOffset=False, style="plain")
    axis.locator_params(axis="x", nbins=6 if ratio > 0.7 else 3 if ratio > 0.25 else 1)
    axis.locator_params(axis="y", nbins=6 if ratio < 1.4 else 2 if ratio > 5 else 4)
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)
    for edge in ("left", "bottom"):
        axis.spines[edge].set_color(PALE)


def _tiles(figure: Any, axis: Any, records: Sequence[TileRecord], boxes: Floats, unit: str) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap

    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    failed = np.array([bool(record.get("error")) for record in records])
    lost = np.array([np.nan if (value := removed(record)) is None else value for record in records])
    better, worse = lost >= 0, lost < 0
    line = _line(axis, boxes)

    def add(some: Any, **style: Any) -> Any:
        # Without an edge of their own, neighbours would show the paper between them.
        edge = {"edgecolors": "white"} if line > 0.25 else {"edgecolors": "face"}
        return axis.add_collection(PolyCollection(corners[some], linewidths=line, **(edge | style)))

    add(np.isnan(lost) & ~failed, facecolors=_UNKNOWN)
    add(worse, facecolors=_WORSE)
    if better.any():
        factor, word = (100.0, "cm") if unit == "m" and np.nanmax(lost) < 1 else (1.0, unit)
        colors = LinearSegmentedColormap.from_list("removed", ["#dcebf0", AFTER, "#0b3442"])
        least, most = _limits(factor * lost[better])
        shown = add(better, array=factor * lost[better], cmap=colors, clim=(least, most))
        beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
        cut = (bool((factor * lost[better] < least).any()), bool((factor * lost[better] > most).any()))
        lies = figure.get_figwidth() > 2 * figure.get_figheight()
        place = (
            {"orientation": "horizontal", "aspect": 50}
            if lies
            else {"aspect": 4 * figure.get_figheight(), "shrink": 0.8}
        )
        bar = figure.colorbar(shown, ax=axis, extend=beyond.get(cut, "neither"), pad=0.02, **place)
        bar.set_label(f"noise removed ({word})", color=INK)
        bar.ax.tick_params(colors=PALE, labelsize=9)
        bar.outline.set_visible(False)
    # Last, so that the hatching lies on top of the neighbours' edges.
    add(failed, facecolors="white", edgecolors=BEFORE, hatch="////", linewidth=max(line, 0.5))


def _line(axis: Any, boxes: Floats) -> float:
    """Points (1/72 inch): edges take a small part of the tiles, however many there are."""
    (left, right), inches = axis.get_xlim(), axis.figure.get_figwidth() - _ROOM
    sides = np.median(boxes[:, 2:] - boxes[:, :2], axis=0)
    return float(np.clip(0.04 * 72 * sides.min() / (right - left) * inches, 0.1, 1.0))


def _limits(values: Floats) -> tuple[float, float]:
    """Of the colours: a few odd tiles must not fade all others, nor must chance look like a pattern."""
    least, most = (float(q) for q in np.quantile(values, [0.01, 0.99] if len(values) > 50 else [0, 1]))
    middle, half = (least + most) / 2, (most - least) / 2
    half = max(half, 0.1 * middle) or 1.0
    return middle - half, middle + half


def _legend(figure: Any, records: Sequence[TileRecord]) -> None:
    from matplotlib.patches import Patch

    failed = [str(record["id"]) for record in records if record.get("error")]
    worse = sum(1 for record in records if (removed(record) or 0) < 0)
    unknown = sum(1 for record in records if removed(record) is None) - len(failed)
    entries = []
    if failed:
        names = ", ".join(failed[:_NAMED]) + (f" and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else "")
        words = textwrap.fill(f"failed: {names}", int(10 * figure.get_figwidth()))
        entries.append(Patch(facecolor="white", edgecolor=BEFORE, hatch="////", label=words))
    if worse:
        entries.append(Patch(facecolor=_WORSE, label=f"more noise than before: {worse:,}"))
    if unknown:
        entries.append(Patch(facecolor=_UNKNOWN, label=f"noise not measured: {unknown:,}"))
    if entries:
        figure.legend(handles=entries, loc="outside lower left", frameon=False, fontsize=9, labelcolor=INK, ncols=1)
