"""The map of the noise: how much of it was found where, in plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats, Ints
from deburr.core.files import remove_left, replacing
from deburr.core.noise import MEDIAN, SPREAD, ByPlace, noise_by_place, noise_figures
from deburr.core.sums import Sums
from deburr.show import drawing as _drawing
from deburr.show import plan_view
from deburr.show.picture import BEFORE
from deburr.show.words import length, span

NAME = "noise.png"

#: Cells are joined by four until half of them hold as many points: what few tell, chance tells.
_POINTS = 20
#: Colours go by powers where the largest level is more than this many times the least.
_POWERS = 3.0


def leave(folder: Path, noted: Iterable[Sums], unit: str) -> None:
    """Write ``noise.png`` into ``folder``: what the first stage to find the noise found; ``noted``: the sums of each.

    Where no stage told, or the noise is the same everywhere, there is no map, and one of an earlier run is removed.
    Raises `WriteError`.
    """
    sums = next((one for one in noted if noise_figures(one)), {})
    found = noise_by_place(sums)
    if found is None:
        remove_left(folder / NAME)
        return
    with replacing(folder / NAME) as temporary:
        draw(found, temporary, unit, _title(noise_figures(sums), unit))


def draw(found: ByPlace, path: Path, unit: str, title: str) -> None:
    """Write a PNG of the level by place; ``unit`` of lengths."""
    _drawing.load()
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

    cells, levels, side = _joined(found)
    low, high = (found.grid.low + side * edge for edge in (cells.min(axis=0), cells.max(axis=0) + 1))
    figure, axis, away = plan_view.opened(low, high, unit, title)
    factor, word = (100.0, "cm") if unit == "m" and levels.max() < 1 else (1.0, unit)
    image = np.full(np.ptp(cells, axis=0)[::-1] + 1, np.nan)
    row, column = (cells - cells.min(axis=0)).T[::-1]
    image[row, column] = factor * levels
    least, most = plan_view.limits(factor * levels)
    powers = least > 0 and most > _POWERS * least
    colors = LinearSegmentedColormap.from_list("noise", ["#f6e7da", BEFORE, "#3d1009"])
    shown = axis.imshow(
        image,
        extent=(low[0] - away[0], high[0] - away[0], low[1] - away[1], high[1] - away[1]),
        origin="lower",
        interpolation="nearest",
        cmap=colors,
        norm=(LogNorm if powers else Normalize)(least, most),
    )
    beyond = bool((factor * levels < least).any()), bool((factor * levels > most).any())
    bar = plan_view.color_bar(figure, axis, shown, f"noise found, standard deviation ({word})", beyond)
    if powers:
        _plain_ticks(bar)
    plan_view.save(figure, path)


def _title(figures: dict[str, Any], unit: str) -> str:
    middle, low, high = (figures[name] for name in (MEDIAN, *SPREAD))
    return f"Half of the points have noise below {length(middle, unit)}, and 90 % from {span(low, high, unit)}"


def _joined(found: ByPlace) -> tuple[Ints, Floats, float]:
    """Cells (M, 2), their levels (M,) and side, so large that half of them hold points enough to tell a level."""
    cells, counts, levels, side = found.cells, found.counts, found.levels, found.grid.side
    while len(cells) > 1 and np.median(counts) < _POINTS:
        cells, place = np.unique(cells // 2, axis=0, return_inverse=True)
        place = place.reshape(-1)  # numpy 2.0 gives a column
        total = np.bincount(place, counts).astype(np.float64)
        levels = np.bincount(place, counts * levels) / total
        counts, side = total, 2 * side
    return cells, levels, side


def _plain_ticks(bar: Any) -> None:
    """1, 2, 5, 10 at a scale of powers, in plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis = bar.ax.yaxis if bar.orientation == "vertical" else bar.ax.xaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
