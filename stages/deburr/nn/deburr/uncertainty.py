"""How much noise the denoiser leaves in a point: as much as in scenes whose truth is known, where the same was seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deburr.core.arrays import Floats

#: Nine tenths of a normal distribution lie within so many standard deviations.
NINE_TENTHS = 1.645
#: Logarithms to base 10 that are told apart: of lengths over the spacing or the noise; and of 1 - gate.
_LENGTHS, _CLOSED = (-2.0, 2.0), (-6.0, 0.0)
#: Planes of these scales are looked at: all of `HOPS` but the narrowest.
WIDTHS = slice(1, 5)
#: Extents of them: across each and, behind these, along the shorter of its two axes.
EXTENTS = 2 * (WIDTHS.stop - WIDTHS.start)
#: Numbers that the regression is shown of a point: level, gate, the planes' extents, the cloud's level.
INPUTS = 3 + EXTENTS


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen at N points, lengths in one unit.

    level, spacing : (N,) float64, the noise and the point spacing there.
    gate : (N,) float64, the share of the way that the network let the point go, 0 to 1.
    extents : (N, `EXTENTS`) float64, standard deviations of the planes around it, after the movement: across them, from
        narrow to wide, large at edges and on rough ground; and along the shorter axis, small on wires.
    odds : (N,) float64, the log odds that the level is right; None: it was told.
    cloud : the whole cloud's level.
    """

    level: Floats
    spacing: Floats
    gate: Floats
    extents: Floats
    odds: Floats | None
    cloud: float

    def most(self) -> Floats:
        """(N,) float64: all the noise there may be. Where nothing tells the noise, the level is a cautious one, so that
        points stay; the cloud's is likelier then."""
        if self.odds is None:
            return self.level
        believed = 1 / (1 + np.exp(-np.clip(self.odds, -30, 30)))
        return np.asarray(believed * self.level + (1 - believed) * np.maximum(self.level, self.cloud))

    def inputs(self) -> Floats:
        """(N, `INPUTS`) float64, what the regression is shown."""
        columns = (
            _log(self.level, self.spacing),
            np.log10(np.clip(1 - self.gate, 10 ** _CLOSED[0], 1)),
            *(_log(extent, self.level) for extent in self.extents.T),
            _log(np.full_like(self.level, self.cloud), self.level),
        )
        return np.column_stack(columns)


def _log(length: Floats, other: Floats) -> Floats:
    low, high = (10.0**end for end in _LENGTHS)
    return np.asarray(np.log10(np.clip(length / np.maximum(other, np.finfo(np.float64).tiny), low, high)))


class Left(Protocol):
    """Whoever can tell what is left."""

    def left(self, seen: Evidence) -> Floats:
        """(N,) float64, the standard deviation of what is left across the surface, in the units of ``seen``."""
        ...


@dataclass(frozen=True, eq=False)
class Regression:
    """The nine-tenths quantile of the errors of points at which the same was seen, as a share of all noise: nine of ten
    lie within 1.645 of what it tells, as if they were normal, and outliers do not decide.

    layers : weights (out, in) float64 and biases (out,) float64, with a hyperbolic tangent between them; the last gives
        the natural logarithm of the share.
    """

    layers: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Regression | None:
        """The regression in a weights' card; None where it has none."""
        told = card.get("uncertainty")
        try:
            layers = tuple(
                (np.array(weight, np.float64), np.array(bias, np.float64))
                for weight, bias in told["layers"]  # type: ignore[index]
            )
        except (TypeError, ValueError, KeyError):
            return None
        widths = [INPUTS, *(len(b) for _, b in layers if b.ndim)]
        shapes = [(after, before) for before, after in itertools.pairwise(widths)]
        sound = bool(layers) and widths[-1] == 1 and [w.shape for w, _ in layers] == shapes
        finite = all(np.isfinite(w).all() and np.isfinite(b).all() for w, b in layers)
        return cls(layers) if sound and finite else None

    def figures(self) -> dict[str, Any]:
        """For the card."""
        return {"layers": [[w.round(4).tolist(), b.round(4).tolist()] for w, b in self.layers]}

    def left(self, seen: Evidence) -> Floats:
        """See `Left.left`; at most all of the noise."""
        now = seen.inputs()
        for number, (weight, bias) in enumerate(self.layers):
            now = (np.tanh(now) if number else now) @ weight.T + bias
        return np.asarray(seen.most() * np.exp(np.minimum(now[:, 0], 0.0)))
