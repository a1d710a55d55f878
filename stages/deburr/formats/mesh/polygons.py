"""Faces of any number of corners, cut into triangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats
from deburr.formats.ply.header import Lists

Ints = npt.NDArray[np.int64]


def triangulated(vertices: Floats, faces: Lists) -> Ints:
    """Triangles (T, 3), rows of ``vertices`` (V, 3), that cover ``faces``, whose corners are such rows.

    A face of n corners gives n - 2: a fan around its first corner, or where a fan would reach beyond the face, its
    ears, cut off one by one. Faces of fewer than three corners have no surface, and give none.
    """
    starts = np.cumsum(faces.counts) - faces.counts
    parts = [np.zeros((0, 3), np.int64)]
    for count in np.unique(faces.counts[faces.counts >= 3]):
        corners = faces.values[starts[faces.counts == count][:, None] + np.arange(count)]
        fans = np.stack((np.broadcast_to(corners[:, :1], corners[:, 2:].shape), corners[:, 1:-1], corners[:, 2:]), -1)
        if count > 3:
            for row in np.flatnonzero(~_covered(vertices, fans)):
                fans[row] = corners[row][_ears(_flat(vertices[corners[row]]))]
        parts.append(fans.reshape(-1, 3))
    return np.concatenate(parts)


def _covered(vertices: Floats, fans: Ints) -> Bools:
    """(R,) whether no triangle of a fan (R, n, 3) is turned against the others: then together they are the face."""
    a, b, c = np.moveaxis(vertices[fans], 2, 0)
    normals = np.cross(b - a, c - a)
    covered: Bools = (np.einsum("rni,ri->rn", normals, normals.sum(1)) >= 0).all(1)
    return covered


def _flat(corners: Floats) -> Floats:
    """(n, 2): a face (n, 3) seen along that axis along which it is largest, turning left."""
    sides = corners - corners[0]
    normal = np.cross(sides[1:-1], sides[2:]).sum(0)
    axis = int(np.argmax(np.abs(normal)))
    u, v = sides[:, (axis + 1) % 3], sides[:, (axis + 2) % 3]
    return np.column_stack((u, v) if normal[axis] >= 0 else (v, u))


def _ears(flat: Floats) -> Ints:
    """(n - 2, 3) corners of the triangles into which a polygon (n, 2) that turns left is cut.

    A polygon that crosses itself has no ears in the end; what is left of it becomes a fan.
    """
    left = list(range(len(flat)))
    ears = []
    while len(left) > 3:
        for place in range(len(left)):
            ear = [left[place - 1], left[place], left[(place + 1) % len(left)]]
            if _is_ear(flat[ear], flat[[corner for corner in left if corner not in ear]]):
                ears.append(ear)
                del left[place]
                break
        else:
            break
    return np.array(ears + [[left[0], *left[i : i + 2]] for i in range(1, len(left) - 1)])


def _is_ear(ear: Floats, others: Floats) -> bool:
    """Whether the triangle ``ear`` (3, 2) turns left, and none of ``others`` (m, 2) lies in it, its corners apart."""
    a, b, c = ear
    if not _turn(a, b, c) > 0:
        return False
    inside = (_turn(a, b, others) >= 0) & (_turn(b, c, others) >= 0) & (_turn(c, a, others) >= 0)
    return not (inside & (others != a).any(1) & (others != b).any(1) & (others != c).any(1)).any()


def _turn(start: Floats, end: Floats, points: Floats) -> Floats:
    """Twice the signed areas of the triangles over an edge, positive to the left of it."""
    along, away = end - start, points - start
    return np.asarray(along[0] * away[..., 1] - along[1] * away[..., 0])
