"""A scene in few bytes: whole numbers, column by column, the high bytes of all points before the low ones, deflated.

Coordinates are steps of a 2^24th of the cloud's width; movements and quantities 2^16ths of their range.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Floats
from deburr.show.page.scene import Scene

#: Bytes of a coordinate, of a movement along an axis, of a quantity.
_PLACE, _MOVE, _VALUE = 3, 2, 2
#: The largest whole number of two bytes means: no number.
_NONE = 0xFFFF


@dataclass
class Packed:
    """``columns``: name, bytes, scale and offset of each, JSON values; ``data``: all of them, base64."""

    columns: list[dict[str, Any]] = field(default_factory=list)
    data: str = ""


def pack(scene: Scene) -> Packed:
    """The scene, its points ordered by where they lie (near ones have like bytes); its middle is the origin."""
    order = _ordered(scene.before)
    made = Packed()
    parts: list[bytes] = []

    def add(name: str, steps: npt.NDArray[Any], size: int, scale: float, offset: float, **more: Any) -> None:
        made.columns.append({"name": name, "bytes": size, "scale": scale, "offset": offset, **more})
        whole = steps.astype(np.uint32)
        parts.extend((whole >> 8 * place & 0xFF).astype(np.uint8).tobytes() for place in reversed(range(size)))

    before, moves = scene.before[order], (scene.after - scene.before)[order]
    low, high = (before.min(axis=0), before.max(axis=0)) if len(before) else (np.zeros(3), np.zeros(3))
    for axis, name in enumerate("xyz"):
        scale = max(float(high[axis] - low[axis]), 1e-9) / (256**_PLACE - 1)
        add(name, np.rint((before[:, axis] - low[axis]) / scale), _PLACE, scale, float(low[axis]))
    reach = float(np.abs(moves).max(initial=0.0))
    for axis, name in enumerate("xyz"):
        scale = reach / (256**_MOVE / 2 - 1)
        steps = np.rint(moves[:, axis] / scale) if reach else np.zeros(len(moves))
        add(f"move {name}", steps + 256**_MOVE / 2, _MOVE, scale, -scale * 256**_MOVE / 2)
    add("state", scene.state[order], 1, 1.0, 0.0)
    if scene.colours is not None:
        for place, name in enumerate(("red", "green", "blue")):
            add(name, scene.colours[order, place], 1, 1.0, 0.0)
    for name, column in scene.dims.items():
        _add_column(add, name, column[order])
    made.data = base64.b64encode(zlib.compress(b"".join(parts), 6)).decode("ascii")
    return made


def _add_column(add: Any, name: str, column: npt.NDArray[Any]) -> None:
    """A quantity, or what is told by few whole numbers, exactly."""
    if column.dtype.kind in "iub" and int(column.min()) >= 0 and int(column.max()) < _NONE:
        add(name, column, 1 if int(column.max()) < 256 else 2, 1.0, 0.0, whole=True, quantity=True)
        return
    numbers = column.astype(np.float64)
    there = np.isfinite(numbers)
    low, high = (float(numbers[there].min()), float(numbers[there].max())) if there.any() else (0.0, 0.0)
    scale = max(high - low, 1e-300) / (_NONE - 1)
    steps = np.where(there, np.rint((np.where(there, numbers, low) - low) / scale), _NONE)
    add(name, steps, _VALUE, scale, low, none=_NONE, whole=column.dtype.kind in "iub", quantity=True)


def _ordered(xyz: Floats) -> npt.NDArray[np.intp]:
    """(M,) rows along a curve that fills space (Morton's), 1,024 cells along the widest side."""
    if not len(xyz):
        return np.zeros(0, np.intp)
    away = xyz - xyz.min(axis=0)
    cells = (away / max(float(away.max()), 1e-300) * 1023).astype(np.uint64)
    key = np.zeros(len(xyz), np.uint64)
    for bit in range(10):
        for axis in range(3):
            key |= (cells[:, axis] >> np.uint64(bit) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return np.argsort(key, kind="stable")
