"""Sums that parts of a cloud can be counted into and that add up to the same whole, however the cloud was cut."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints

#: Every finite float64 is a whole number of 2^-_UNIT.
_UNIT = 1153
#: Values added at once: their halves' sums stay below 2^53, where float64 counts exactly.
_CHUNK = 1 << 25
#: Cuts a float64 into two halves of 26 bits.
_SPLIT = float(2**27 + 1)
#: Mantissa bits that make a bin: values that share it differ by at most 0.2 %.
BITS = 9


@dataclass(frozen=True)
class Exact:
    """``count`` values and their sum without any rounding, as a whole number of units of 2^-1153."""

    count: int
    total: int

    @classmethod
    def of(cls, values: Floats) -> Exact:
        """The sum of ``values`` (N,) float64, all finite."""
        total = 0
        for start in range(0, len(values), _CHUNK):
            mantissas, exponents = np.frexp(values[start : start + _CHUNK])
            whole = np.ldexp(mantissas, 53).astype(np.int64)
            found, place = np.unique(exponents, return_inverse=True)
            place = place.reshape(-1)  # numpy 2.0 gives a column
            high = np.bincount(place, whole >> 26, len(found))
            low = np.bincount(place, whole & (2**26 - 1), len(found))
            for exponent, upper, lower in zip(found.tolist(), high.tolist(), low.tolist(), strict=True):
                total += ((int(upper) << 26) + int(lower)) << (exponent + _UNIT - 53)
        return cls(len(values), total)

    @classmethod
    def of_squares(cls, values: Floats) -> Exact:
        """The sum of the squares of ``values`` (N,) float64, each square exact too."""
        # Dekker 1971: halves of a number have products without rounding, so square + rest is what is meant.
        large = values * _SPLIT
        high = large - (large - values)
        low = values - high
        squares = values * values
        rest = ((high * high - squares) + 2 * high * low) + low * low
        return cls(len(values), cls.of(squares).total + cls.of(rest).total)

    @property
    def sum(self) -> Fraction:
        return Fraction(self.total, 1 << _UNIT)

    @property
    def mean(self) -> float:
        """The mean, rounded once; NaN of nothing."""
        return float(self.sum / self.count) if self.count else float("nan")

    def __add__(self, other: Exact) -> Exact:
        return Exact(self.count + other.count, self.total + other.total)

    def as_json(self) -> dict[str, Any]:
        return {"count": self.count, "total": hex(self.total)}


@dataclass(frozen=True, eq=False)
class Histogram:
    """How values are distributed, in fixed bins of equal relative width; B bins that hold something.

    keys : (B,) int64, ascending: the upper bits of the values.
    weights : (B,) float64, what the values in the bin weigh; without weights, how many they are.
    lows, highs : (B,) float64, the smallest and the largest value in the bin.
    sums : (B,) float64, the sum of weight x mark; a value's mark is the value itself, or what it was given with.
    """

    keys: Ints
    weights: Floats
    lows: Floats
    highs: Floats
    sums: Floats

    @classmethod
    def of(
        cls, values: Floats, weights: Floats | None = None, marks: Floats | None = None, bits: int = BITS
    ) -> Histogram:
        """Count ``values`` (N,) float64, all finite, into bins of 2^``bits`` to the octave."""
        values = np.ascontiguousarray(values, dtype=np.float64)
        raw = values.view(np.int64)
        # The bits of negative numbers ascend as the numbers descend: turned round, order is that of the numbers.
        ordered = np.where(raw < 0, np.int64(-(2**63)) - raw, raw)
        keys, place = np.unique(ordered >> np.int64(52 - bits), return_inverse=True)
        place = place.reshape(-1)
        weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
        marked = weight * (values if marks is None else marks)
        lows, highs = np.full(len(keys), np.inf), np.full(len(keys), -np.inf)
        np.minimum.at(lows, place, values)
        np.maximum.at(highs, place, values)
        return cls(keys, _binned(place, weight, len(keys)), lows, highs, _binned(place, marked, len(keys)))

    @property
    def total(self) -> float:
        return float(self.weights.sum())

    @property
    def max(self) -> float | None:
        """The largest value; None of nothing."""
        return float(self.highs[-1]) if len(self.highs) else None

    def quantile(self, share: float) -> float | None:
        """The value below which ``share`` of the counted values lie, as numpy.quantile; None of nothing.

        Between the smallest and the largest value of a bin, the others are taken to be even.
        """
        if not len(self.keys):
            return None
        rank = share * (self.total - 1)
        below, part = int(rank), rank - int(rank)
        first = self._ranked(below)
        return first if part == 0 else first + part * (self._ranked(below + 1) - first)

    def _ranked(self, rank: int) -> float:
        ends = np.cumsum(self.weights)
        i = min(int(np.searchsorted(ends, rank, side="right")), len(ends) - 1)
        count = self.weights[i]
        part = (rank - (ends[i] - count)) / (count - 1) if count > 1 else 0.0
        return float(self.lows[i] + part * (self.highs[i] - self.lows[i]))

    def middle(self) -> float:
        """The weighted median of weighted values, at least one."""
        ends = np.cumsum(self.weights)
        i = min(int(np.searchsorted(ends, ends[-1] / 2)), len(ends) - 1)
        part = 1 - (ends[i] - ends[-1] / 2) / self.weights[i] if self.weights[i] > 0 else 0.0
        return float(self.lows[i] + part * (self.highs[i] - self.lows[i]))

    def mean_between(self, low: float, high: float) -> float:
        """The weighted mean of the marks, of the bins whose middle lies from ``low`` to ``high``."""
        middles = (self.lows + self.highs) / 2
        inside: Bools = (middles >= low) & (middles <= high)
        return float(self.sums[inside].sum() / self.weights[inside].sum())

    def __add__(self, other: Histogram) -> Histogram:
        keys, place = np.unique(np.concatenate((self.keys, other.keys)), return_inverse=True)
        place = place.reshape(-1)
        lows, highs = np.full(len(keys), np.inf), np.full(len(keys), -np.inf)
        np.minimum.at(lows, place, np.concatenate((self.lows, other.lows)))
        np.maximum.at(highs, place, np.concatenate((self.highs, other.highs)))
        weights = _binned(place, np.concatenate((self.weights, other.weights)), len(keys))
        sums = _binned(place, np.concatenate((self.sums, other.sums)), len(keys))
        return Histogram(keys, weights, lows, highs, sums)

    def as_json(self) -> dict[str, Any]:
        columns = (self.keys, self.weights, self.lows, self.highs, self.sums)
        packed = zlib.compress(b"".join(column.astype(column.dtype.newbyteorder("<")).tobytes() for column in columns))
        return {"bins": len(self.keys), "columns": b64encode(packed).decode()}


def _binned(place: Ints, values: Floats, bins: int) -> Floats:
    # Of nothing, numpy counts in integers.
    return np.bincount(place, values, bins).astype(np.float64)


Sum = Exact | Histogram
#: What a stage counted, by name.
Sums = Mapping[str, Sum]


def merge(all_sums: Sequence[Sums]) -> dict[str, Sum]:
    """Sums of the same names, added up; who has none at all has counted nothing."""
    counted = [sums for sums in all_sums if sums]
    names = counted[0].keys() if counted else ()
    return {name: reduce(lambda a, b: a + b, [sums[name] for sums in counted]) for name in names}  # type: ignore[operator]


def to_json(sums: Sums) -> dict[str, Any]:
    """``sums`` as JSON values."""
    return {name: one.as_json() for name, one in sums.items()}


def from_json(value: Mapping[str, Any]) -> dict[str, Sum]:
    """What `to_json` gave."""
    return {name: _sum(one) for name, one in value.items()}


def _sum(value: Mapping[str, Any]) -> Sum:
    if "total" in value:
        return Exact(int(value["count"]), int(value["total"], 16))
    data = zlib.decompress(b64decode(value["columns"]))
    size = 8 * int(value["bins"])
    parts = [data[i * size : (i + 1) * size] for i in range(5)]
    keys = np.frombuffer(parts[0], "<i8").astype(np.int64)
    return Histogram(keys, *(np.frombuffer(part, "<f8").astype(np.float64) for part in parts[1:]))
