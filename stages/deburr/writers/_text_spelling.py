"""Numbers as words of a text, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.errors import WriteError
from deburr.formats.text.numbers import MOST_DECIMALS

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

#: Whole numbers below it are spelt by arithmetic.
_EXACT = 10**15


@dataclass(frozen=True, eq=False)
class Words:
    """A word of each of n rows: of its row of ``chars`` (n, width) those that are ``there`` (n, width), in their
    order."""

    chars: Bytes
    there: Bools

    @classmethod
    def of(cls, words: Sequence[bytes]) -> Words:
        """Words one by one, at least one; none ends with a zero byte."""
        packed = np.array(words, dtype=np.bytes_)
        chars = packed.view(np.uint8).reshape(len(packed), -1)
        return cls(chars, np.arange(chars.shape[1]) < np.char.str_len(packed)[:, None])

    @classmethod
    def cut(cls, text: Bytes, begins: Ints, ends: Ints) -> Words:
        """What stands in ``text`` from ``begins`` to ``ends`` (n,)."""
        lengths = ends - begins
        places = np.arange(int(lengths.max(initial=0)))
        return cls(text.take(begins[:, None] + places, mode="clip"), places < lengths[:, None])

    def with_others(self, rows: Ints, others: Words) -> Words:
        """The same with the words of ``others`` in ``rows``."""
        width = max(self.chars.shape[1], others.chars.shape[1])
        chars, there = np.zeros((len(self.chars), width), np.uint8), np.zeros((len(self.chars), width), np.bool_)
        chars[:, : self.chars.shape[1]], there[:, : self.chars.shape[1]] = self.chars, self.there
        there[rows] = False
        chars[rows, : others.chars.shape[1]], there[rows, : others.chars.shape[1]] = others.chars, others.there
        return Words(chars, there)


def woven(columns: Sequence[Words | bytes], count: int) -> bytes:
    """The text of ``count`` rows: of each, what its ``columns`` say; those that are bytes say the same in all."""
    width = sum(len(one) if isinstance(one, bytes) else one.chars.shape[1] for one in columns)
    chars, there = np.empty((count, width), np.uint8), np.ones((count, width), np.bool_)
    at = 0
    for one in columns:
        if isinstance(one, bytes):
            chars[:, at : at + len(one)] = np.frombuffer(one, np.uint8)
            at += len(one)
        else:
            part = slice(at, at + one.chars.shape[1])
            chars[:, part], there[:, part] = one.chars, one.there
            at = part.stop
    return chars[there].tobytes()


def spelt(values: Array, decimals: int | None, mark: int = 0x2E) -> Words:
    """Each of ``values`` (n,), n at least 1, as a word: with ``decimals`` behind the decimal ``mark``, or, for None and
    for more than are of use, with as many digits as tell it from its neighbours. Whole numbers have no mark."""
    if values.dtype.kind != "f":
        values = values.astype(np.uint8) if values.dtype.kind == "b" else values
        sure = (values < _EXACT) & (values > -_EXACT)
        found = _digits(np.where(sure, values, 0).astype(np.int64), values < 0, 0, mark)
        slow = list(map(str, values[~sure].tolist()))
    elif decimals is None or decimals > MOST_DECIMALS:
        return _one_by_one([word.removesuffix(".0") for word in values.astype("U").tolist()], mark)
    else:
        whole, sure = _rounded(values.astype(np.float64), decimals)
        found = _digits(whole, np.signbit(values), decimals, mark)
        slow = [f"{value:.{decimals}f}" for value in values[~sure].tolist()]
    return found.with_others(np.flatnonzero(~sure), _one_by_one(slow, mark)) if slow else found


def _one_by_one(words: list[str], mark: int) -> Words:
    text = "\n".join(words)
    return Words.of((text if mark == 0x2E else text.replace(".", chr(mark))).encode().split(b"\n"))


def _rounded(values: Floats, decimals: int) -> tuple[Ints, Bools]:
    """``values`` in units of the last decimal, rounded as a number of all its binary digits is; and of which that is
    certain: not where the product, which is rounded itself, lies next to the middle of two."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = values * 10.0**decimals
        whole = np.rint(scaled)
        sure = np.abs(np.abs(scaled - whole) - 0.5) > np.abs(scaled) * 2.0**-52
        sure &= np.abs(whole) < _EXACT
    return np.where(sure, whole, 0).astype(np.int64), sure


def _digits(whole: Ints, minus: Bools, decimals: int, mark: int) -> Words:
    """The decimal digits of ``whole``, the mark before the last ``decimals`` of them, a sign where it is ``minus``."""
    left = np.abs(whole)
    most = int(left.max(initial=0))
    left = left.astype(np.uint32) if most < 1 << 32 else left
    digits = max(len(str(most)), decimals + 1)
    width = 1 + digits + (decimals > 0)
    chars, there = np.empty((len(whole), width), np.uint8), np.ones((len(whole), width), np.bool_)
    chars[:, 0], there[:, 0] = ord("-"), minus
    at = width - 1
    for place in range(digits):
        if place == decimals and decimals:
            chars[:, at] = mark
            at -= 1
        if place > decimals:
            there[:, at] = left > 0
        rest = left // 10
        chars[:, at] = left - rest * 10 + ord("0")
        left = rest
        at -= 1
    return Words(chars, there)


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
