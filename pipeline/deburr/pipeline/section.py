"""The picture of a run: one thin cross-section of the cloud, as it was read and as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.cloud import Bools, Floats, PointCloud
from deburr.core.neighbors import SPACING_K, Neighbors, point_spacing
from deburr.pipeline import crs

_BEFORE, _AFTER, _INK, _PALE = "#c8553d", "#1f6f8b", "#22303c", "#8a97a3"
#: A window is wide enough for the surface to be seen and narrow enough for the noise to be.
_WIDTHS_OF_MOVEMENT, _MIN_SPACINGS, _MAX_SPACINGS = 60.0, 30.0, 150.0
_THICKNESS_SPACINGS = 5.0
_HEIGHT_SHARE = 0.4


@dataclass(frozen=True)
class Section:
    """A vertical slab: ``center`` (3,) world, ``along`` (3,) horizontal unit vector; lengths in the cloud's units."""

    center: Floats
    along: Floats
    width: float
    thickness: float

    def holds(self, points: Floats) -> Bools:
        """(M,) bool for ``points`` (M, 3) world."""
        offset = points - self.center
        across = np.array([-self.along[1], self.along[0], 0.0])
        inside = np.abs(offset @ across) <= self.thickness / 2
        inside &= np.abs(offset @ self.along) <= self.width / 2
        return np.asarray(inside & (np.abs(offset[:, 2]) <= self.width * _HEIGHT_SHARE / 2))


def choose(before: Floats, after: Floats) -> Section:
    """The section that shows the most movement, of surfaces that it meets edge-on.

    ``before`` and ``after`` are (N, 3) float64, row by row the same point, N >= 1.
    """
    spacing = _sampled_spacing(before)
    shift = after - before
    length = np.linalg.norm(shift, axis=1)
    moved = length[length > 0]
    reach = float(np.quantile(moved, 0.95)) if len(moved) else 0.0
    extent = float(np.ptp(before[:, :2], axis=0).max()) or spacing or 1.0
    width = (
        min(max(_WIDTHS_OF_MOVEMENT * reach, _MIN_SPACINGS * spacing), _MAX_SPACINGS * spacing or extent, extent)
        or extent
    )
    thickness = min(_THICKNESS_SPACINGS * spacing, width / 3) or width
    # A few wild points must not draw the picture to where there is nothing to see.
    weight = np.minimum(length, np.quantile(length, 0.99)) + 1e-3 * (spacing or 1.0)
    best, most = None, -1.0
    for center in _busy(before, weight, width):
        near = np.linalg.norm(before - center, axis=1) < width
        points, arrows = before[near], shift[near] * (weight[near] / np.maximum(length[near], weight[near]))[:, None]
        for turn in range(6):
            section = Section(center, np.array([cos(turn * pi / 6), sin(turn * pi / 6), 0.0]), width, thickness)
            inside = section.holds(points)
            seen = np.hypot(arrows[inside] @ section.along, arrows[inside, 2]).sum() + 1e-9 * inside.sum()
            seen *= _thin(_flat(after[near][inside], section)) + 1e-3
            if seen > most:
                best, most = section, float(seen)
    assert best is not None, "there is always one busy place"
    return best


def _thin(flat: Floats) -> float:
    """How much of a section (M, 2) lies on lines, 0 to 1: a wall seen from the front does not, and shows nothing."""
    if len(flat) < 9:
        return 0.0
    _, rows = Neighbors(flat).nearest(flat, 9)
    near = flat[rows] - flat[rows].mean(axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(np.einsum("mki,mkj->mij", near, near))
    return float((eigenvalues[:, 0] < 0.1 * eigenvalues.sum(axis=1)).mean()) ** 2


def _sampled_spacing(points: Floats) -> float:
    """The spacing, from at most 2,000 points: a picture needs no more."""
    if len(points) < 2:
        return 0.0
    k = min(SPACING_K, len(points) - 1)
    sample = points[:: max(1, len(points) // 2000)]
    distances, _ = Neighbors(points).nearest(sample, k + 1)
    return float(np.median(point_spacing(distances[:, -1], k)))


def _busy(points: Floats, weight: Floats, width: float) -> list[Floats]:
    """The middles of the (at most 12) boxes of the window's size in which the most happens."""
    size = np.array([width, width, width * _HEIGHT_SHARE])
    cells, which = np.unique(np.floor((points - points.min(axis=0)) / size), axis=0, return_inverse=True)
    which = which.reshape(-1)
    total = np.bincount(which, weight, len(cells))
    middle = np.stack([np.bincount(which, weight * points[:, i], len(cells)) for i in range(3)], axis=1)
    order = np.argsort(-total)[:12]
    return [middle[cell] / total[cell] for cell in order]


def draw(cloud: PointCloud, path: Path, title: str = "") -> None:
    """Write a PNG of ``cloud.original`` above ``cloud.xyz`` in one section."""
    from matplotlib.figure import Figure

    if not len(cloud):
        figure = Figure(figsize=(6, 2))
        figure.text(0.5, 0.5, "no points", ha="center", va="center", color=_INK)
        figure.savefig(path, format="png", dpi=100)
        return
    section = choose(cloud.original, cloud.xyz)
    inside = section.holds(cloud.original)
    unit = crs.length_unit(cloud)
    views = [_flat(points[inside], section) for points in (cloud.original, cloud.xyz)]
    low, high = (float(f([f(view[:, 1]) for view in views])) for f in (np.min, np.max))
    margin = 0.06 * (high - low) + 0.01 * section.width
    # A point that was thrown far away must not squeeze the others into a line.
    middle, half = (low + high) / 2, min((high - low) / 2 + margin, _HEIGHT_SHARE * section.width)
    tall = 2 * half / section.width
    wide = 10.0
    figure = Figure(figsize=(wide, 2 * max(1.2, tall * wide * 0.9) + 1.9), layout="constrained", facecolor="white")
    axes: Any = figure.subplots(2, 1, sharex=True, sharey=True)
    figure.suptitle(f"{title or _headline(cloud, unit)}", fontsize=13, color=_INK, fontweight="bold", ha="center")
    size = float(np.clip(6000 / max(1, int(inside.sum())), 3.0, 14.0))
    for axis, view, name, color in zip(axes, views, ("before, as read", "after"), (_BEFORE, _AFTER), strict=True):
        axis.scatter(view[:, 0], view[:, 1], s=size, color=color, linewidths=0, alpha=0.85)
        axis.set_title(name, loc="left", color=color, fontsize=12, fontweight="bold")
        axis.set_ylabel(f"height ({unit})", color=_INK)
        _plain_axes(axis)
    axes[0].set_xlim(-section.width / 2, section.width / 2)
    axes[0].set_ylim(middle - half, middle + half)
    slab = f"{int(inside.sum()):,} points in a slab {section.thickness:.3g} {unit} thick"
    axes[1].set_xlabel(f"distance along the section ({unit}); {slab}", color=_INK)
    figure.savefig(path, format="png", dpi=130)


def _flat(points: Floats, section: Section) -> Floats:
    """(M, 2): along the section from its middle, and height."""
    return np.stack([(points - section.center) @ section.along, points[:, 2]], axis=1)


def _plain_axes(axis: Any) -> None:
    axis.set_aspect("equal", adjustable="box")
    axis.grid(True, color="#e6eaed", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=_PALE, labelsize=9)
    axis.ticklabel_format(useOffset=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_PALE)


def _headline(cloud: PointCloud, unit: str) -> str:
    length = np.linalg.norm(cloud.xyz - cloud.original, axis=1)
    moved = length[length > 0]
    if not len(moved):
        return f"{len(cloud):,} points, none moved"
    middle, far = np.quantile(moved, [0.5, 0.99])
    return f"{len(moved):,} of {len(cloud):,} points moved: median {middle:.2g} {unit}, 99 % below {far:.2g} {unit}"
