"""The picture of a run: a cross-section of the cloud as it was read and as it is now, with a detail below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.core.stored import stored
from deburr.show import drawing as _drawing
from deburr.show.section import DETAIL, choose, detail
from deburr.show.sight import drawable
from deburr.show.words import headline

#: The colours of all pictures.
BEFORE, AFTER, INK, PALE = "#c8553d", "#1f6f8b", "#22303c", "#8a97a3"
#: Inches: the width of one panel.
_WIDE = 6.2
_DPI = 110

#: Left, right, bottom, top.
Window = tuple[float, float, float, float]


def as_written(cloud: PointCloud, figures: Mapping[str, Any] | None = None) -> PointCloud:
    """``cloud`` as it is in the file that was written last: points that moved are rounded to what the file can hold.

    ``figures`` : of the writer; None: those in the cloud's history, if it was written at all.
    """
    if figures is None:
        records = [record.figures for record in cloud.history if record.stage.startswith("writers.")]
        figures = records[-1] if records else {}
    rounded = stored(cloud.xyz, figures)
    return cloud if rounded is cloud.xyz else cloud.with_xyz(np.where(cloud.moved[:, None], rounded, cloud.xyz))


def draw(cloud: PointCloud, path: Path, title: str = "") -> None:
    """Write a PNG of ``cloud.original`` beside ``cloud.xyz`` in one section, and of a detail of it."""
    _drawing.load()
    from matplotlib.figure import Figure

    there = drawable(cloud)
    active = cloud.active & there if (cloud.active & there).any() else there
    before, after = cloud.original[active], cloud.xyz[active]
    if not len(before):
        figure = Figure(figsize=(6, 2))
        figure.text(0.5, 0.5, "no points", ha="center", va="center", color=INK)
        figure.savefig(path, format="png", dpi=_DPI)
        return
    section = choose(before, after)
    inside = section.holds(before) | section.holds(after)
    flat = [section.flat(points[inside]) for points in (before, after)]
    whole = _content(flat, section.width, section.height, float(section.center[2]))
    close = _closer(flat, whole)
    heights = [_WIDE * (window[3] - window[2]) / (window[1] - window[0]) for window in (whole, close)]
    figure = Figure(figsize=(2 * _WIDE + 1.3, sum(heights) + 1.9), layout="constrained", facecolor="white")
    axes: Any = figure.subplots(2, 2, height_ratios=heights, sharex="row", sharey="row")
    unit = crs.length_unit(cloud)
    title = title or headline(cloud, unit)
    figure.suptitle(title, fontsize=14, color=INK, fontweight="bold")
    columns = zip(axes.T, flat, ("before", "after"), (BEFORE, AFTER), strict=True)
    for (top, bottom), view, name, color in columns:
        top.set_title(name, loc="left", color=color, fontsize=13, fontweight="bold")
        _scatter(top, view, whole, color)
        _scatter(bottom, view, close, color)
        left, right, low, high = close
        top.plot([left, right, right, left, left], [low, low, high, high, low], color=INK, linewidth=0.9)
    axes[0, 0].set_ylabel(f"height ({unit})", color=INK)
    axes[1, 0].set_ylabel(f"detail: height ({unit})", color=INK)
    axes[1, 0].set_xlabel(f"distance along the section ({unit})", color=INK)
    slab = f"{int(inside.sum()):,} points in a slab {section.thickness:.2g} {unit} thick"
    axes[1, 1].set_xlabel(slab, color=PALE)
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Title": title})


def _content(flat: list[Floats], width: float, height: float, middle: float) -> Window:
    """What there is to see, with a margin."""
    z = np.concatenate([view[:, 1] for view in flat])
    # Points that moved out of the section must not squeeze the others into a line.
    z = z[np.abs(z - middle) <= height / 2]
    low, high = (float(z.min()), float(z.max())) if len(z) else (middle, middle)
    margin = 0.02 * (high - low) + 0.03 * width
    return -width / 2, width / 2, low - margin, high + margin


def _closer(flat: list[Floats], whole: Window) -> Window:
    """The detail's window, inside the whole one."""
    left, right, low, high = whole
    sides = (DETAIL[0] * (right - left), min(DETAIL[1] * (right - left), high - low))
    spot = detail(flat[0], flat[1], sides)
    x = min(max(spot[0] - sides[0] / 2, left), right - sides[0])
    z = min(max(spot[1] - sides[1] / 2, low), high - sides[1])
    return x, x + sides[0], z, z + sides[1]


def _scatter(axis: Any, view: Floats, window: Window, color: str) -> None:
    left, right, low, high = window
    shown = ((view >= (left, low)) & (view <= (right, high))).all(axis=1)
    # Square points (1/72 inch): few points may be large, many would hide each other.
    size = float(np.clip(6000 / max(1, int(shown.sum())), 4.0, 14.0))
    axis.scatter(view[shown, 0], view[shown, 1], s=size, color=color, linewidths=0, alpha=0.8)
    axis.set_aspect("equal", adjustable="box")
    axis.set_xlim(left, right)
    axis.set_ylim(low, high)
    axis.grid(True, color="#e6eaed", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=PALE, labelsize=9)
    axis.ticklabel_format(useOffset=False)
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)
    for edge in ("left", "bottom"):
        axis.spines[edge].set_color(PALE)
