"""The lattice that LAS stores coordinates on: ``world = raw * scale + offset``, raw a 32-bit integer, axis by axis."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import Literal

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats

Asked = float | Literal["auto"] | None
_LOW, _HIGH = -(2**31), 2**31 - 1


class Overflow(ValueError):
    """Coordinates that do not fit the scale and offset asked for; the message is a clause without path."""


@dataclass(frozen=True)
class Axis:
    """The lattice along one axis."""

    scale: float
    offset: float

    def fits(self, low: float, high: float) -> bool:
        """Whether all coordinates from ``low`` to ``high`` have a 32-bit integer."""
        ends = np.rint((np.array([low, high]) - self.offset) / self.scale)
        return bool((ends >= _LOW).all() and (ends <= _HIGH).all())

    def raw(self, world: Floats) -> npt.NDArray[np.int32]:
        """The nearest integers of ``world`` (N,) float64."""
        return np.rint((world - self.offset) / self.scale).astype(np.int32)


def fine_scale(extent: float, reach: float) -> float:
    """The power of ten that resolves ``extent`` in 1e8 to 1e9 steps, no finer than float64 resolves ``reach``.

    At a million points over a square, half a step is then below 1e-5 of the spacing. 0.001 for no extent at all.
    """
    steps = floor(log10(extent)) - 8 if extent > 0 else -3
    return float(f"1e{max(steps, floor(log10(reach)) - 15 if reach > 0 else -12, -300)}")


def fit_axis(
    name: str, low: float, high: float, scale: Asked, offset: Asked, source: Axis | None, extent: float
) -> tuple[Axis, str]:
    """The axis to write coordinates from ``low`` to ``high`` on, and a warning ('' if none).

    A number in ``scale`` or ``offset`` binds, 'auto' is computed, and None takes the source's as long as it fits,
    or else is computed. ``extent`` is the largest of the three axes'. Raises `Overflow` where numbers do not fit.
    """
    if source is not None and scale is None and offset is None and source.fits(low, high):
        return source, ""
    if scale is None and source is not None:
        scale_is = source.scale
    else:
        scale_is = scale if isinstance(scale, float) else fine_scale(extent, max(abs(low), abs(high)))
    if offset is None and source is not None:
        origin = source.offset
    elif isinstance(offset, float):
        origin = offset
    else:
        origin = floor(low) if high - low >= 1 or scale_is >= 0.001 else floor(low / scale_is) * scale_is
    axis = Axis(scale_is, float(origin))
    if axis.fits(low, high):
        return axis, ""
    if isinstance(offset, float) and isinstance(scale, float):
        raise Overflow(
            f"{name} from {low} to {high} does not fit scale {scale} and offset {offset}; "
            f"set 'scale_{name.lower()}' and 'offset_{name.lower()}' to 'auto'"
        )
    return _moved(name, low, high, axis, isinstance(offset, float), isinstance(scale, float))


def _moved(name: str, low: float, high: float, axis: Axis, keep_offset: bool, keep_scale: bool) -> tuple[Axis, str]:
    """``axis`` with its offset moved by whole steps, so that unmoved points stay on their lattice, and its scale
    made coarser only if that is not enough."""
    step = axis.scale
    while True:
        origin = (
            axis.offset if keep_offset else axis.offset + step * float(np.rint(((low + high) / 2 - axis.offset) / step))
        )
        moved = Axis(step, origin)
        if moved.fits(low, high):
            break
        if keep_scale:
            raise Overflow(
                f"{name} from {low} to {high} does not fit scale {step}; set 'scale_{name.lower()}' to 'auto'"
            )
        step *= 10.0
    return moved, (
        f"{name} from {low} to {high} does not fit scale {axis.scale} and offset {axis.offset}; "
        f"written with scale {moved.scale} and offset {moved.offset}"
    )
