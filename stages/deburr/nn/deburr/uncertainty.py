"""How much noise the denoiser leaves in a point: as much as in scenes whose truth is known, where the same was seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from deburr.core.arrays import Floats
from deburr.nn.deburr.planes import SCALES

Singles = npt.NDArray[np.float32]
#: Nine tenths of a normal distribution lie within so many standard deviations.
NINE_TENTHS = 1.645
#: Logarithms to base 10 that are told apart: of lengths over the spacing or the noise; and of 1 - gate.
_LENGTHS, _CLOSED = (-2.0, 2.0), (-6.0, 0.0)
#: Heights over planes that are below this share of the noise are not told apart: the last bits decide them.
_LOW = 0.1
#: Numbers that the regression is shown of a point: level, gate, the cloud's level, the planes' extents, heights.
INPUTS = 3 + 4 * SCALES
#: Points whose inputs are held at once.
_PART = 100_000


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen at N points, lengths in one unit.

    level, spacing : (N,) float64, the noise and the point spacing there.
    gate : (N,) float64, the share of the way that the network let the point go, 0 to 1.
    extents : (N, `SCALES`, 3) float32, standard deviations of the planes around it before the last movement, narrow to
        wide: across them, large at edges and on rough ground; along the shorter axis, small on wires; and along the
        longer.
    heights : (N, `SCALES`) float32, how far the moved point lies over each of these planes, or under it.
    odds : (N,) float64, the log odds that the level is right; None: it was told.
    cloud : the whole cloud's level.
    """

    level: Floats
    spacing: Floats
    gate: Floats
    extents: Singles
    heights: Singles
    odds: Floats | None
    cloud: float

    def most(self) -> Floats:
        """(N,) float64: all the noise there may be. Where nothing tells the noise, the level is a cautious one, so that
        points stay; the cloud's is likelier then."""
        if self.odds is None:
            return self.level
        believed = 1 / (1 + np.exp(-np.clip(self.odds, -30, 30)))
        return np.asarray(believed * self.level + (1 - believed) * np.maximum(self.level, self.cloud))

    def inputs(self) -> Singles:
        """(N, `INPUTS`) float32, what the regression is shown."""
        level = self.level.astype(np.float32)[:, None]
        columns = (
            _log(level, self.spacing[:, None]),
            np.log10(np.clip(1 - self.gate[:, None], 10 ** _CLOSED[0], 1)),
            _log(np.full_like(level, self.cloud), level),
            _log(self.extents.reshape(len(level), -1), level),
            _log(np.hypot(self.heights, _LOW * level), level),
        )
        return np.concatenate(columns, 1, dtype=np.float32)

    def part(self, rows: slice) -> Evidence:
        """What was seen at some of the points."""
        odds = None if self.odds is None else self.odds[rows]
        level, spacing, gate = self.level[rows], self.spacing[rows], self.gate[rows]
        return Evidence(level, spacing, gate, self.extents[rows], self.heights[rows], odds, self.cloud)


def _log(length: Any, other: Any) -> Any:
    low, high = (10.0**end for end in _LENGTHS)
    with np.errstate(over="ignore"):  # against no noise at all everything is long
        return np.log10(np.clip(length / np.maximum(other, np.finfo(np.float32).tiny), low, high))


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
        layers = [
            [torch.from_numpy(part).float() for part in (np.ascontiguousarray(weight.T), bias)]
            for weight, bias in self.layers
        ]
        told = np.empty(len(seen.level))
        for start in range(0, len(told), _PART):
            rows = slice(start, start + _PART)
            # By torch: numpy's products have threads of their own, which wait for those of others.
            now = torch.from_numpy(seen.part(rows).inputs())
            for number, (weight, bias) in enumerate(layers):
                now = torch.addmm(bias, now.tanh() if number else now, weight)
            told[rows] = now[:, 0].clamp_max(0.0).exp().numpy()
        return np.asarray(seen.most() * told)
