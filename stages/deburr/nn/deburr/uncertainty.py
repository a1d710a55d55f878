"""How much noise the denoiser leaves in a point: a table of what it left in scenes whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.interrupts import whole_import
from deburr.core.neighbors import Indices

#: The table's rows: noise level over spacing; its columns: 1 - gate, the share of the way that is not gone. Both as
#: logarithms to base 10; between them it is interpolated, beyond them constant.
LEVELS = (-2.0, -1.5, -1.0, -0.5, 0.0)
CLOSED = (-4.0, -3.0, -2.0, -1.0, 0.0)
#: Fewer points than these tell nothing of a cell, which then takes the whole layer's figure.
_ENOUGH = 100
#: Nine tenths of a normal distribution lie within so many standard deviations.
_NINE_TENTHS = 1.645


class Left(Protocol):
    """Whoever can tell what is left."""

    def left(self, level: Floats, spacing: Floats, gate: Floats, odds: Floats | None, cloud: float) -> Floats:
        """See `Table.left`."""
        ...


@dataclass(frozen=True, eq=False)
class Table:
    """What is left as a share of the noise level, at most 1.

    Where nothing tells the noise, the level is a cautious one, so that points stay; the cloud's is likelier then.

    shares : (2, len(LEVELS), len(CLOSED)) float64, without evidence of the level, of the higher of it and the cloud's;
        and with evidence.
    """

    shares: Floats

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Table | None:
        """The table in a weights' card; None where it has none."""
        told = card.get("uncertainty")
        try:
            shares = np.asarray(told, dtype=np.float64)
        except (TypeError, ValueError):
            return None
        wanted = (2, len(LEVELS), len(CLOSED))
        return cls(shares) if shares.shape == wanted and bool(((shares >= 0) & (shares <= 1)).all()) else None

    @classmethod
    def fitted(cls, level: Floats, spacing: Floats, gate: Floats, odds: Floats, cloud: Floats, error: Floats) -> Table:
        """From (N,) points, whose ``error`` is the distance to the truth after denoising, along one axis.

        So that nine of ten errors lie within 1.645 of what it tells, as if they were normal: outliers do not decide.
        """
        ratio = error / np.where(odds > 0, level, np.maximum(level, cloud))
        row, column = (_nearest(*one) for one in _axes(level, spacing, gate))
        shares = np.ones((2, len(LEVELS), len(CLOSED)))
        for layer, chosen in enumerate((odds <= 0, odds > 0)):
            if chosen.sum() >= _ENOUGH:
                shares[layer] = _within(ratio[chosen])
            for i in range(len(LEVELS)):
                for j in range(len(CLOSED)):
                    here = chosen & (row == i) & (column == j)
                    if here.sum() >= _ENOUGH:
                        shares[layer, i, j] = _within(ratio[here])
        return cls(np.minimum(shares, 1.0))

    def left(self, level: Floats, spacing: Floats, gate: Floats, odds: Floats | None, cloud: float) -> Floats:
        """(N,) float64, the standard deviation of what is left across the surface, in the units of ``level``.

        Each (N,): level and spacing in the same units, gate 0..1, log odds that the level is right; None: it was told.
        ``cloud``: the whole cloud's level.
        """
        table: Any = whole_import("scipy.interpolate").RegularGridInterpolator
        at = np.column_stack([np.clip(value, marks[0], marks[-1]) for value, marks in _axes(level, spacing, gate)])
        doubted, sure = (table((LEVELS, CLOSED), layer)(at) for layer in self.shares)
        believed = 1.0 if odds is None else 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        return np.asarray(believed * sure * level + (1 - believed) * doubted * np.maximum(level, cloud))


def _within(ratio: Floats) -> float:
    return float(np.quantile(ratio, 0.9)) / _NINE_TENTHS


def _axes(level: Floats, spacing: Floats, gate: Floats) -> tuple[tuple[Floats, tuple[float, ...]], ...]:
    smallest = 1e-30
    noisy = np.log10(np.maximum(level, smallest) / np.maximum(spacing, smallest))
    return (noisy, LEVELS), (np.log10(np.maximum(1 - gate, smallest)), CLOSED)


def _nearest(value: Floats, marks: tuple[float, ...]) -> Indices:
    """Which of the evenly spaced ``marks`` is nearest to each ``value`` (N,)."""
    step = marks[1] - marks[0]
    return np.rint(np.clip((value - marks[0]) / step, 0.0, len(marks) - 1.0)).astype(np.intp)
