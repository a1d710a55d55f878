"""What filters.metrics tells of lengths: figures made of sums, which tiles can be counted into."""

from __future__ import annotations

from math import sqrt
from typing import Any

from deburr.core.arrays import Bools, Floats
from deburr.core.sums import Exact, Histogram, Sum, Sums
from deburr.filters._planes import Shape


def sums_of(lengths: Floats, name: str) -> dict[str, Sum]:
    """``lengths`` (N,) counted under ``name``, their squares under ``name`` squares."""
    return {name: Histogram.of(lengths), f"{name} squares": Exact.of_squares(lengths)}


def shape_sums(shape: Shape, counted: Bools, name: str) -> dict[str, Sum]:
    """The points ``counted`` (M,) of a ``shape``."""
    residuals, spacings = (column[counted[: len(column)]] for column in (shape.residuals, shape.spacings))
    return {**sums_of(residuals, f"{name} residuals"), f"{name} spacings": Histogram.of(spacings)}


def shape_figures(sums: Sums, name: str) -> dict[str, Any]:
    """Residuals, spacing and density as JSON values; None where there are too few points to tell."""
    residuals, spacings = sums[f"{name} residuals"], sums[f"{name} spacings"]
    assert isinstance(residuals, Histogram)
    assert isinstance(spacings, Histogram)
    spacing = spacings.quantile(0.5)
    return {
        "residual_rms": root(sums[f"{name} residuals squares"]),
        "residual_median": residuals.quantile(0.5),
        "spacing_median": spacing,
        "points_per_square_unit": 1.0 / spacing**2 if spacing else None,
    }


def root(squares: Sum) -> float | None:
    """Root of the mean of summed squares; None of nothing."""
    assert isinstance(squares, Exact)
    return sqrt(squares.mean) if squares.count else None


def rms(values: Floats) -> float | None:
    """Root of the mean square; None of nothing."""
    return root(Exact.of_squares(values))
