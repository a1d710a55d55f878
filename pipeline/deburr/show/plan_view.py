"""What the maps have in common: a figure with a title, and axes over x and y that fit any shape of a cloud."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.show import drawing as _drawing
from deburr.show.picture import INK, PALE

_DPI = 110
#: Inches: the long side of the map, that of a corridor's, and the least of the short one.
_LONG, _LONGEST, _SHORT = 8.5, 13.0, 1.1
#: Inches beside the map, for the scale of colours and the ticks.
ROOM = 2.2


def opened(low: Floats, high: Floats, unit: str, title: str) -> tuple[Any, Any, Floats]:
    """A figure with axes for a map from ``low`` to ``high`` (2,), in the lengths ``unit``; and (2,) what is to be taken
    from x and y of all that is drawn, so that short numbers stand at the ticks."""
    _drawing.load()
    from matplotlib.figure import Figure

    away = _offset(low, high)
    wide, tall = _sides(high - low)
    figure = Figure(
        figsize=(max(wide + ROOM, 4.5), tall + (2.0 if wide > 2 * tall else 1.5)),
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
    return figure, axis, away


def save(figure: Any, path: Path) -> None:
    """Write ``figure`` as a PNG."""
    figure.savefig(path, format="png", dpi=_DPI)


def color_bar(figure: Any, axis: Any, shown: Any, label: str, beyond: tuple[bool, bool]) -> Any:
    """A scale of the colours of ``shown`` beside the map; ``beyond``: whether values lie below and above it."""
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}
    lies = figure.get_figwidth() > 2 * figure.get_figheight()
    place = (
        {"orientation": "horizontal", "aspect": 50} if lies else {"aspect": 4 * figure.get_figheight(), "shrink": 0.8}
    )
    bar = figure.colorbar(shown, ax=axis, extend=extend.get(beyond, "neither"), pad=0.02, **place)
    bar.set_label(label, color=INK)
    bar.ax.tick_params(colors=PALE, labelsize=9)
    bar.outline.set_visible(False)
    return bar


def limits(values: Floats) -> tuple[float, float]:
    """Of the colours: a few odd values must not fade all others."""
    least, most = (float(q) for q in np.quantile(values, [0.01, 0.99] if len(values) > 50 else [0, 1]))
    return least, most


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
