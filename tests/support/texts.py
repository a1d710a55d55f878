"""Texts of points as programs might write them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st


def _scan(columns: int, rows: int, pose: str, points: list[str]) -> str:
    return "\r\n".join([str(columns), str(rows), "10 20 30", "0 1 0", "-1 0 0", "0 0 1", *pose.split(","), *points, ""])


#: Two scans, the first turned by a quarter about z and moved, each with a pixel that has no return.
PTX = (
    _scan(2, 2, "0 1 0 0,-1 0 0 0,0 0 1 0,10 20 30 1",
          ["1 2 3 0.500000", "0 0 0 0.500000", "4.000 5.000 6 0.25", "0.0 -0 0.000 1"])
    + _scan(1, 1, "1 0 0 0,0 1 0 0,0 0 1 0,0 0 0 1", ["1 1 1 0.75"])
).encode()  # fmt: skip

_NAMES = (("x", "y", "z", "Intensity", "red", "mine"), ("Z", "Y", "X", "class", "foo_bar", "t"))


@dataclass(frozen=True, eq=False)
class Made:
    data: bytes
    values: npt.NDArray[np.float64]
    names: tuple[str, ...]
    named: bool


@st.composite
def texts(draw: st.DrawFn) -> Made:
    """A table of three to six columns, with or without names, in any of the usual layouts."""
    width, count = draw(st.integers(3, 6)), draw(st.integers(1, 30))
    separator = draw(st.sampled_from([" ", "\t", ",", ";", ", ", "  ", "; "]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    mark = "," if separator.strip() == ";" and draw(st.booleans()) else "."
    decimals = draw(st.lists(st.integers(0, 8), min_size=width, max_size=width))
    numbers = st.floats(-1e7, 1e7, allow_nan=False)
    rows = [[f"{draw(numbers):.{places}f}" for places in decimals] for _ in range(count)]
    named = draw(st.booleans())
    names = draw(st.sampled_from(_NAMES))[:width]
    lines = [separator.join(word.replace(".", mark) for word in row) for row in rows]
    for place in draw(st.lists(st.integers(0, count), max_size=3)):
        lines.insert(place, draw(st.sampled_from(["", "# 1 2 3", "  ", "// note", "%"])))
    if named:
        lines.insert(0, separator.join(names))
    data = end.join(lines) + (end if draw(st.booleans()) else "")
    head = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return Made(head + data.encode(), np.array(rows, float), names, named)
