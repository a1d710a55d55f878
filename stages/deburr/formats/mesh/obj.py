"""The faces of a Wavefront OBJ file; groups, materials, normals and textures are passed over."""

from __future__ import annotations

from array import array

import numpy as np

from deburr.core.arrays import Floats
from deburr.core.errors import ReadError
from deburr.core.reading import whole
from deburr.core.text import short
from deburr.formats.ply.header import Lists


def read_obj(path: str) -> tuple[Floats, Lists]:
    """Vertices (V, 3) float64 and each face's corners, int64 rows of them. Raises `ReadError`."""
    vertices, corners, counts = array("d"), array("q"), array("q")
    text = whole(path).replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    for line in text.splitlines():
        words = line.split(b"#", 1)[0].split()
        if not words or words[0] not in (b"v", b"f"):
            continue
        try:
            if b"_" in line:  # Python reads 1_0 as ten
                raise ValueError
            if words[0] == b"v":
                x, y, z = map(float, words[1:4])
                vertices.extend((x, y, z))
            else:
                corners.extend(_row(word, len(vertices) // 3) for word in words[1:])
                counts.append(len(words) - 1)
        except (ValueError, OverflowError):
            what = "vertex with three numbers" if words[0] == b"v" else "face with numbers of vertices"
            said = short(line.decode("utf-8", "replace"), 80)
            raise ReadError(f"{path}: '{said}' is no {what}; repair the mesh") from None
    return np.array(vertices).reshape(-1, 3), Lists(np.array(counts, np.int64), np.array(corners, np.int64))


def _row(word: bytes, known: int) -> int:
    """The vertex that ``3``, ``3/1``, ``3//2`` or ``3/1/2`` names, counted from 1; or back from the last one, by -1."""
    number = int(word.split(b"/", 1)[0])
    if number == 0:
        raise ValueError
    return number - 1 if number > 0 else known + number
