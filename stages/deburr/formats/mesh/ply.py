"""The faces of a PLY file, text or binary, of any and of differing numbers of corners."""

from __future__ import annotations

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.errors import ReadError
from deburr.core.reading import opened
from deburr.formats.ply.file import load
from deburr.formats.ply.header import Lists

#: What programs call a face's corners.
_CORNERS = ("vertex_indices", "vertex_index")


def read_ply(path: str) -> tuple[Floats, Lists]:
    """Vertices (V, 3) float64 and each face's corners, int64 rows of them. Raises `ReadError`."""
    with opened(path) as stream:
        _, columns, _ = load(stream, path)
    vertex = {name.lower(): column for name, column in columns["vertex"].items()}
    vertices = np.column_stack([np.asarray(vertex[axis], dtype=np.float64) for axis in "xyz"])
    for name, column in columns.get("face", {}).items():
        if name.lower() in _CORNERS and isinstance(column, Lists):
            return vertices, Lists(column.counts, _whole(column.values, path))
    return vertices, Lists(np.zeros(0, np.int64), np.zeros(0, np.int64))


def _whole(corners: np.ndarray, path: str) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        rows = corners.astype(np.int64)
    if (rows != corners).any():
        raise ReadError(f"{path}: a face has a corner that is no whole number; repair the mesh")
    return rows
