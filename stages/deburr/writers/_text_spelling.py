"""Numbers as words of a text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.errors import WriteError
from deburr.formats.text.numbers import MOST_DECIMALS

Array = npt.NDArray[Any]


def spelt(values: Array, decimals: int | None, mark: int = 0x2E) -> list[bytes]:
    """Each of ``values`` (n,) as a word: with ``decimals`` behind the decimal ``mark``, or, for None and for more than
    are of use, with as many digits as tell it from its neighbours. Whole numbers have no mark."""
    if not len(values):
        return []
    if values.dtype.kind != "f":
        text = "\n".join(map(str, values.astype(np.uint8 if values.dtype.kind == "b" else values.dtype).tolist()))
    elif decimals is None or decimals > MOST_DECIMALS:
        text = "\n".join(word.removesuffix(".0") for word in values.astype("U").tolist())
    else:
        text = "\n".join([f"%.{decimals}f"] * len(values)) % tuple(values.tolist())
    if mark != 0x2E:
        text = text.replace(".", chr(mark))
    return text.encode().split(b"\n")


def rounding(values: Array, decimals: int) -> float:
    """How far the words of ``values`` (n,) float64 lie from them, at most."""
    there = values[np.isfinite(values)]
    if decimals > MOST_DECIMALS or not len(there):
        return 0.0
    return float(np.abs(np.round(there, decimals) - there).max())


def columns_of(name: str, column: Array, path: str) -> list[tuple[str, Array]]:
    """A dimension's columns by their names: itself, or one for each component. Raises `WriteError` for what is no
    number."""
    if column.dtype.kind not in "biuf" or column.ndim > 2:
        raise WriteError(
            f"{path}: dimension '{name}' of type {column.dtype}, shape {column.shape}, does not fit into text; remove "
            "that dimension, or write LAS"
        )
    return [(name, column)] if column.ndim == 1 else [(f"{name}_{i}", part) for i, part in enumerate(column.T)]
