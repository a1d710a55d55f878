"""The triangles of an STL file, binary or text."""

from __future__ import annotations

from array import array

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.errors import ReadError
from deburr.core.reading import whole
from deburr.core.text import short
from deburr.formats.ply.header import Lists

#: A binary file: 80 bytes that say nothing, the number of triangles, and the triangles.
_HEAD = 84
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: str) -> tuple[Floats, Lists]:
    """Vertices (3 T, 3) float64, three for each triangle, and their rows. Raises `ReadError`."""
    data = whole(path)
    announced = int.from_bytes(data[80:_HEAD], "little")
    # Binary files may begin with "solid" as well; their length tells.
    if len(data) == _HEAD + announced * _TRIANGLE.itemsize:
        with np.errstate(invalid="ignore"):  # a NaN may be one that signals
            corners = np.frombuffer(data, _TRIANGLE, announced, _HEAD)["corners"].astype(np.float64).reshape(-1, 3)
    elif data.lstrip()[:5].lower() == b"solid":
        corners = _text(data, path)
    else:
        raise ReadError(f"{path}: is no STL file, or longer or shorter than it says; get it again")
    return corners, Lists(np.full(len(corners) // 3, 3), np.arange(len(corners)))


def _text(data: bytes, path: str) -> Floats:
    corners = array("d")
    facets = 0
    for line in data.splitlines():
        words = line.lower().split()
        if words[:1] == [b"vertex"]:
            try:
                x, y, z = map(float, words[1:])
            except ValueError:
                said = short(line.strip().decode("utf-8", "replace"), 80)
                raise ReadError(f"{path}: '{said}' is no vertex with three numbers; repair the mesh") from None
            corners.extend((x, y, z))
        elif words[:1] == [b"endloop"]:
            facets += 1
            if len(corners) != 9 * facets:
                raise ReadError(f"{path}: has a facet that has not three corners; repair the mesh")
    if len(corners) != 9 * facets:
        raise ReadError(f"{path}: ends in the middle of a facet; get it again")
    return np.array(corners).reshape(-1, 3)
