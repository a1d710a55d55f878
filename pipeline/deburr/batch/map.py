"""The map of a batch: its tiles in plan, coloured by the noise that each lost; failed ones stand out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deburr.batch.report import TileRecord, headline, removed, totals
from deburr.core.arrays import Floats
from deburr.show import drawing as _drawing
from deburr.show import plan_view
from deburr.show.picture import AFTER, BEFORE, INK

NAME = "tiles.png"

#: Tiles without figures; tiles with more noise than before.
_UNKNOWN, _WORSE = "#cfd5da", "#e2a33d"
#: Names of failed tiles in the legend.
_NAMED = 4


def draw(records: Sequence[TileRecord], path: Path, unit: str) -> None:
    """Write a PNG of the tiles' boxes; ``unit`` as of `deburr.core.crs.words.unit`."""
    _drawing.load()
    from matplotlib.figure import Figure

    placed = [record for record in records if record.get("box")]
    boxes = np.array([record["box"] for record in placed], dtype=np.float64).reshape(-1, 4)
    title = headline(totals(records), unit)
    if not len(boxes):
        figure = Figure(figsize=(6, 2))
        figure.text(0.5, 0.5, "no tiles", ha="center", va="center", color=INK)
        plan_view.save(figure, path)
        return
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    figure, axis, away = plan_view.opened(low, high, unit, title)
    shapes = np.tile(away, 2)[None, :]
    _tiles(figure, axis, placed, boxes - shapes, unit)
    _legend(figure, records)
    plan_view.save(figure, path)


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
        beyond = bool((factor * lost[better] < least).any()), bool((factor * lost[better] > most).any())
        plan_view.color_bar(figure, axis, shown, f"noise removed ({word})", beyond)
    # Last, so that the hatching lies on top of the neighbours' edges.
    add(failed, facecolors="white", edgecolors=BEFORE, hatch="////", linewidth=max(line, 0.5))


def _line(axis: Any, boxes: Floats) -> float:
    """Points (1/72 inch): edges take a small part of the tiles, however many there are."""
    (left, right), inches = axis.get_xlim(), axis.figure.get_figwidth() - plan_view.ROOM
    sides = np.median(boxes[:, 2:] - boxes[:, :2], axis=0)
    return float(np.clip(0.04 * 72 * sides.min() / (right - left) * inches, 0.1, 1.0))


def _limits(values: Floats) -> tuple[float, float]:
    """Of the colours: chance must not look like a pattern."""
    least, most = plan_view.limits(values)
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
