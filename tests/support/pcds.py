"""PCD files as programs might write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from deburr.formats.pcd import lzf

Columns = dict[str, npt.NDArray[np.generic]]
_TYPES = ("<f4", "<f8", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8")


def pcd(
    columns: Sequence[tuple[str, npt.NDArray[np.generic]]],
    kind: str,
    grid: tuple[int, int] | None = None,
    ends: str = "\n",
) -> bytes:
    """A file of ``columns``, (N,) or (N, m) each."""
    arrays = [np.atleast_1d(column) for _, column in columns]
    n = len(arrays[0])
    width, height = grid or (n, 1)
    letters = {"f": "F", "i": "I", "u": "U"}
    lines = [
        "# made by hand",
        "VERSION .7",
        "FIELDS " + " ".join(name for name, _ in columns),
        "SIZE " + " ".join(str(a.dtype.itemsize) for a in arrays),
        "TYPE " + " ".join(letters[a.dtype.kind] for a in arrays),
        "COUNT " + " ".join(str(a.shape[1] if a.ndim == 2 else 1) for a in arrays),
        f"WIDTH {width}",
        f"HEIGHT {height}",
        "VIEWPOINT 1 2 3 1 0 0 0", f"POINTS {n}", f"DATA {kind}",
    ]  # fmt: skip
    head = (ends.join(lines) + ends).encode()
    if kind == "ascii":
        words = [a.reshape(n, a.shape[1] if a.ndim == 2 else 1).astype("U") for a in arrays]
        rows = [" ".join(word for column in words for word in column[i]) for i in range(n)]
        return head + (ends.join(rows) + ends * bool(rows)).encode()
    if kind == "binary":
        made = np.zeros(n, [(f"f{i}", a.dtype, a.shape[1:]) for i, a in enumerate(arrays)])
        for i, a in enumerate(arrays):
            made[f"f{i}"] = a
        return head + made.tobytes()
    body = b"".join(a.tobytes() for a in arrays)
    packed = lzf.pack(body)
    return head + struct.pack("<II", len(packed), len(body)) + packed


@st.composite
def pcds(draw: st.DrawFn) -> tuple[bytes, Columns]:
    """A file of any encoding, with fields of all types in any order, and its columns."""
    n = draw(st.integers(0, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["ascii", "binary", "binary_compressed"]))
    place = draw(st.sampled_from(["<f4", "<f8"]))
    columns: list[tuple[str, npt.NDArray[np.generic]]] = [
        (name, random.normal(0, 100, n).astype(place)) for name in "xyz"
    ]
    for number, dtype in enumerate(draw(st.lists(st.sampled_from(_TYPES), max_size=4))):
        shape = (n, draw(st.integers(2, 3))) if draw(st.booleans()) else (n,)
        values = random.normal(0, 1, shape) if dtype[1] == "f" else random.integers(0, 100, shape)
        columns.append((draw(st.sampled_from(["_", f"own{number}"])), values.astype(dtype)))
    if draw(st.booleans()):
        rgb = random.integers(0, 1 << 24, n).astype("<u4")
        columns.append(("rgb", rgb if kind == "ascii" or draw(st.booleans()) else rgb.view("<f4")))
    columns = draw(st.permutations(columns))
    if n and draw(st.booleans()):
        dict(columns)["x"][0] = np.nan
    return pcd(columns, kind, (1, n) if draw(st.booleans()) else None), dict(columns)
