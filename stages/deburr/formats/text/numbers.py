"""Decimal numbers in bytes, many at a time: most by arithmetic on eight digits at once, the rest one by one.

A number of at most 15 digits is a whole number below 2^53 over a power of ten below 10^22: both are exact, and their
quotient is the nearest float64, the one that Python's own reading gives."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats, Ints

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

#: Bytes that must lie in front of the first number.
PAD = 16
#: Digits of a number that are read by arithmetic.
_DIGITS = 15
#: Characters of a number, at most; longer ones are damage.
LONGEST = 400
#: Decimals that are counted; numbers with more are written as Python spells them.
MOST_DECIMALS = 17

#: The last k of eight bytes.
_LAST = np.array([0, *((2**64 - 1) ^ (2 ** (8 * (8 - k)) - 1) for k in range(1, 9))], np.uint64)
_TENS = 10.0 ** np.arange(_DIGITS + 1)
_WHOLE_TENS = 10 ** np.arange(_DIGITS + 1, dtype=np.int64)
_ZEROS, _HIGH, _ABOVE, _ONES = (np.uint64(int(byte * 8, 16)) for byte in ("30", "80", "76", "01"))
#: How C libraries of other systems write what is no number: ``-nan(ind)``, ``1.#QNAN0``.
_NO_NUMBER = re.compile(rb"([+-]?)(?:(nan)(?:\([a-z0-9_]*\))?|1[.,]?#(qnan|snan|ind|inf)0*)", re.IGNORECASE)
_NUMBER = re.compile(rb"[+-]?(?:\d+(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d{1,5}))?")


@dataclass(frozen=True)
class Parsed:
    """``values`` (n,) float64; ``places`` (n,): digits behind the decimal mark of each; ``wrong``: the place of the
    first that is no number, None if all are."""

    values: Floats
    places: Ints
    wrong: int | None = None

    @property
    def decimals(self) -> int:
        """Of the number that has most."""
        return int(self.places.max(initial=0))


def parse(text: bytes, view: Bytes, begins: Ints, ends: Ints, mark: int, blank: bool = False) -> Parsed:
    """The numbers in ``text``, of which ``view`` is the array, from ``begins`` to ``ends`` (n,); ``mark`` is the
    decimal mark.

    `PAD` bytes lie before each. ``blank``: that nothing stands there is no mistake, but NaN.
    """
    values, good, places = _quick(text, view, begins, ends, mark)
    if good.all():
        return Parsed(values, places)
    left = np.flatnonzero(~good)
    for place, begin, end in zip(left.tolist(), begins[left].tolist(), ends[left].tolist(), strict=True):
        word = text[begin:end].strip(b'"')
        try:
            values[place], places[place] = (math.nan, 0) if blank and not word else number(word, mark)
        except ValueError:
            return Parsed(values, places, place)
    return Parsed(values, places)


def number(word: bytes, mark: int = 0x2E) -> tuple[float, int]:
    """The number that ``word`` is, how many decimals it has; of whole tens and more, negative. Raises ValueError."""
    if len(word) > LONGEST:
        raise ValueError("too long")
    if mark != 0x2E:
        if b"." in word:
            raise ValueError(word)
        word = word.replace(bytes([mark]), b".")
    if found := _NUMBER.fullmatch(word):
        return float(word), len(found[1] or found[2] or b"") - int(found[3] or 0)
    if found := _NO_NUMBER.fullmatch(word):
        value = math.inf if (found[3] or b"").lower() == b"inf" else math.nan
        return math.copysign(value, -1 if found[1] == b"-" else 1), 0
    if word.lower().lstrip(b"+-") in (b"inf", b"infinity"):
        return float(word), 0
    raise ValueError(word)


def _quick(text: bytes, view: Bytes, begins: Ints, ends: Ints, mark: int) -> tuple[Floats, Bools, Ints]:
    """Values, which of them are right, and their decimals. Numbers with a mark elsewhere than in the first take a
    second look."""
    n = len(begins)
    if not n:
        return np.empty(0), np.ones(0, np.bool_), np.zeros(0, np.int64)
    words = np.ndarray((len(text) - 7,), "<u8", buffer=text, strides=(1,))
    found = text.rfind(bytes([mark]), int(begins[0]), int(ends[0]))
    behind = np.full(n, 0 if found < 0 else int(ends[0]) - found)  # the mark and what follows it
    sign = view[begins]
    minus = sign == 0x2D
    firsts = begins + (minus | (sign == 0x2B))
    if found >= 0:
        behind[(view[ends - np.maximum(behind, 1)] != mark) | (ends - behind < firsts)] = 0
    values, good, decimals = _valued(words, firsts, ends, behind)
    again = np.flatnonzero(~good & (ends - firsts <= _DIGITS + 1))
    if len(again):
        b, e = firsts[again], ends[again]
        behind = _mark(words[e - 8], np.minimum(e - b, 8), mark)
        if (far := (behind == 0) & (e - b > 8)).any():
            second = _mark(words[e[far] - 16], e[far] - b[far] - 8, mark)
            behind[far] = np.where(second > 0, second + 8, 0)
        values[again], good[again], decimals[again] = _valued(words, b, e, behind)
    return np.where(minus, -values, values), good, decimals


def _mark(word: Words, counts: Ints, mark: int) -> Ints:
    """How far before the end of each word the first ``mark`` among its last ``counts`` bytes stands; 0: nowhere."""
    # A byte is zero where the mark is. Taking 1 from each sets the high bit of the first that is zero; of later ones
    # that bit may be set by the borrow alone, but only the lowest is looked at.
    word = (word ^ np.uint64(mark * 0x0101010101010101)) | ~_LAST[counts]
    found = (word - _ONES) & ~word & _HIGH
    lowest = (found & (~found + np.uint64(1))).astype(np.float64)
    return np.where(found > 0, 8 - (np.frexp(lowest)[1] - 1) // 8, 0).astype(np.int64)


def _valued(words: Words, firsts: Ints, ends: Ints, behind: Ints) -> tuple[Floats, Bools, Ints]:
    decimals = np.maximum(behind - 1, 0)
    whole = ends - firsts - behind
    good = (whole + decimals <= _DIGITS) & (whole + decimals > 0) & (whole >= 0)
    if not good.all():
        decimals, whole = np.where(good, decimals, 0), np.where(good, whole, 0)
    mantissa, fine = _digits(words, ends - behind, whole)
    good &= fine
    if decimals.any():
        rest, fine = _digits(words, ends, decimals)
        good &= fine
        return (mantissa * _WHOLE_TENS[decimals] + rest) / _TENS[decimals], good, decimals
    return mantissa.astype(np.float64), good, decimals


def _digits(words: Words, ends: Ints, counts: Ints) -> tuple[Ints, Bools]:
    """The whole numbers of ``counts`` digits that end before ``ends``, and whether they are digits all; of none, 0."""
    value, good = _eight(words[ends - 8], np.minimum(counts, 8))
    if counts.max() > 8:
        above, fine = _eight(words[ends - 16], np.maximum(counts - 8, 0))
        return value + above * 100_000_000, good & fine
    return value, good


def _eight(word: Words, counts: Ints) -> tuple[Ints, Bools]:
    word = (word ^ _ZEROS) & _LAST[counts]
    good = ((word | (word + _ABOVE)) & _HIGH) == 0
    word = (word * np.uint64(10) + (word >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    word = (word * np.uint64(100) + (word >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    word = (word * np.uint64(10_000) + (word >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return word.astype(np.int64), good
