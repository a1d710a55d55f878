"""How the kernels are compiled, and the functions of numbers that they share."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

#: A count of nothing: of a plain 0 numba would make a type, and compile for it apart.
NONE: Any = np.int64(0)
#: Sums may be taken in another order and products be fused; what is infinite or no number is computed with as ever.
_FAST = {"reassoc", "contract", "arcp", "nsz"}


def kernel(function: Any) -> Any:
    """Compiled when first called, and kept beside the code or, where nobody may write there, for the user.

    Other threads go on while it runs.
    """
    return _kept(function, _FAST)


def exact(function: Any) -> Any:
    """The same as `kernel`, but every operation is done as it is written, and rounded."""
    return _kept(function, False)


def _kept(function: Any, fast: Any) -> Any:
    compiled = numba.njit(nogil=True, fastmath=fast, error_model="numpy", boundscheck=False)(function)
    # Where there is no place to keep it, it is compiled in every run.
    with suppress(RuntimeError):
        compiled.enable_caching()
    return compiled


def inlined(function: Any) -> Any:
    """A part of kernels."""
    return numba.njit(forceinline=True, fastmath=_FAST, error_model="numpy")(function)


def _rounded(function: Any) -> Any:
    """The same, where sums are taken in the order in which they are written."""
    return numba.njit(forceinline=True, fastmath={"contract"}, error_model="numpy")(function)


@intrinsic
def bits(_: Any, number: Any) -> Any:
    """The bits of a float32 as an int32."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), build


@intrinsic
def of_bits(_: Any, number: Any) -> Any:
    """The float32 of an int32's bits."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), build


_LOG2E = np.float32(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_E2, _E3, _E4, _E5, _E6 = (np.float32(1 / math.factorial(n)) for n in range(2, 7))
_ONE, _HALF, _SHIFT, _BIAS = np.float32(1), np.float32(0.5), np.float32(128), np.float32(128.5)


_ROOT = np.int32(np.float32(math.sqrt(0.5)).view(np.int32))
_LN2 = np.float32(math.log(2))
#: What is left of log(1 + x) - x + x^2 / 2, over x^3, by least squares between sqrt(1/2) - 1 and sqrt(2) - 1.
_LOGS = (
    0.3333335404523376, -0.25000852105584737, 0.19999827060111391, -0.1662136421730599,
    0.1422709603438474, -0.13202143010503878, 0.12620491027833683, -0.07362981245378594,
)  # fmt: skip
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = (np.float32(c) for c in _LOGS)


@_rounded
def exp(x: Any) -> Any:
    """e to the power of a float32 between -87 and 88, to about two units of its last place.

    2^n times a polynomial: several at once, where the C library's takes them one by one.
    """
    power = np.int32(x * _LOG2E + _BIAS)  # rounds, since it is above 0
    whole = np.float32(power) - _SHIFT
    rest = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    part = _E2 + rest * (_E3 + rest * (_E4 + rest * (_E5 + rest * _E6)))
    part = _ONE + rest + rest * rest * part
    return part * of_bits(np.int32((power - np.int32(1)) << np.int32(23)))


@_rounded
def log1p(x: Any) -> Any:
    """The logarithm of 1 + ``x``, a float32 of at least 0, to about 1e-7 of what it is or 6e-8, whichever is more."""
    seen = bits(_ONE + x)
    # The number as 2^power times one between sqrt(1/2) and sqrt(2).
    power = (seen - _ROOT) >> np.int32(23)
    rest = of_bits(np.int32(seen - (power << np.int32(23)))) - _ONE
    square = rest * rest
    part = _L0 + rest * (_L1 + rest * (_L2 + rest * (_L3 + rest * (_L4 + rest * (_L5 + rest * (_L6 + rest * _L7))))))
    return np.float32(power) * _LN2 + (rest - _HALF * square + rest * square * part)


#: The cosine of 2 pi t, and the sine over t, as polynomials in t^2, by least squares to 1e-8 for t up to a half.
_COSINE = (
    0.999999989173827, -19.73920453220677, 64.9391189857587, -85.45016555428093,
    60.16783162364059, -25.968312551479066, 6.529609013801949,
)  # fmt: skip
_SINE = (
    6.283185302554701, -41.34170041762323, 81.60513195886308, -76.70302512538389,
    42.0260023257777, -14.900114438983902, 3.2384944242585485,
)  # fmt: skip
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(c) for c in _COSINE)
_S0, _S1, _S2, _S3, _S4, _S5, _S6 = (np.float32(c) for c in _SINE)


@_rounded
def turns(x: Any) -> Any:
    """The cosine and the sine of ``x`` turns, a float32, each to about 1e-6, if these are no more than a few."""
    t = x - np.float32(math.floor(x + _HALF))
    u = t * t
    cosine = _C0 + u * (_C1 + u * (_C2 + u * (_C3 + u * (_C4 + u * (_C5 + u * _C6)))))
    sine = _S0 + u * (_S1 + u * (_S2 + u * (_S3 + u * (_S4 + u * (_S5 + u * _S6)))))
    return cosine, t * sine
