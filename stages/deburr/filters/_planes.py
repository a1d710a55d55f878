"""How far points lie from the plane through their neighbours: what noise looks like without a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.core.neighbors import SPACING_K, Indices, Neighbors, point_spacing
from deburr.core.progress import advance

#: Points treated at a time; bounds memory (k x 3 doubles each).
CHUNK = 1 << 16
#: Neighbours held at a time where many are equally far.
_CHUNK_VALUES = 1 << 21


@dataclass(frozen=True)
class Shape:
    """Of M points, in cloud units.

    residuals : (M,), distances to the local planes; of none if there are too few points to tell.
    spacings : (M,), each point's spacing; of none if there is one point only.
    radii : (M,), within which all points must be known for that; infinite if there are fewer than it takes.
    """

    residuals: Floats
    spacings: Floats
    radii: Floats


def local_shape(xyz: Floats, k: int, of: Bools | None = None) -> Shape:
    """Residuals and spacings of the points ``of`` (N,) bool, or of all, among points (N, 3) float64.

    The plane is the one of least squares through the ``k`` nearest neighbours, the point itself not counted, so that
    a single point at height h above a plane has residual h. Neighbours equally far as the last one share its place,
    and nothing depends on the order of the points, to the last bit. Fewer than four points have no residuals.
    """
    n, mine = len(xyz), xyz if of is None else xyz[of]
    m = len(mine)
    radii = np.full(m, np.inf)
    if n < 2:
        return Shape(np.zeros(0), np.zeros(0), radii)
    tree = Neighbors(xyz)
    near, count = min(k, n - 1), min(SPACING_K, n - 1)
    residuals, spacings = np.empty(m), np.empty(m)
    for start in range(0, m, CHUNK):
        part = slice(start, min(start + CHUNK, m))
        # One more than is needed tells whether the last has equals.
        distances, rows = tree.nearest(mine[part], max(near + 1, count) + 1)
        spacings[part] = point_spacing(distances[:, count], count)
        if n > max(k, SPACING_K):
            # A point beyond would not be nearer than the last, but might be its equal.
            radii[part] = np.nextafter(distances[:, max(k, SPACING_K)], np.inf)
        residuals[part] = _residuals(tree, mine[part], distances, rows, near)
        advance("local planes", part.stop, m)
    return Shape(residuals if n >= 4 else np.zeros(0), spacings, radii)


def _residuals(tree: Neighbors, points: Floats, distances: Floats, rows: Indices, near: int) -> Floats:
    """Distances (M,) of ``points`` (M, 3) to planes through ``near`` of ``rows`` (M, K), of which the first counts as
    the point itself, at ``distances`` (M, K)."""
    out = np.zeros(len(points))
    # Of equals inside, the order is the tree's; of those at the end, the choice is too.
    head = distances[:, 1 : near + 2]
    equal = (head[:, 1:] == head[:, :-1]).any(axis=1)
    plain = np.flatnonzero(~equal)
    out[plain] = _to_planes(points[plain], tree.points[rows[plain, 1 : near + 1]], np.ones((1, near)))
    # Twins alone span no plane, however many more of them there are: they have no residual.
    waiting = np.flatnonzero(equal & (distances[:, near] > 0))
    # By place: any number of points may lie at one, and all of them share it.
    width = near + 2
    while len(waiting):
        left = []
        step = max(_CHUNK_VALUES // width, 1)
        for some in np.split(waiting, range(step, len(waiting), step)):
            further, places, counts = tree.nearest_places(points[some], width)
            last = distances[some, near]
            done = (further[:, -1] > last) if width < tree.different else np.ones(len(some), np.bool_)
            some_done = some[done]
            out[some_done] = _shared(points[some_done], places[done], counts[done], further[done], last[done], near)
            left.append(some[~done])
        waiting, width = np.concatenate(left), min(2 * width, tree.different)
    return out


def _shared(points: Floats, places: Floats, counts: Indices, distances: Floats, last: Floats, near: int) -> Floats:
    """`_to_planes` where neighbours are equally far: in an order that only their places decide.

    ``places`` (M, K, 3), at ``distances`` (M, K), of ``counts`` (M, K) points each; the first is the point's own.
    ``last`` (M,): how far neighbour ``near`` lies.
    """
    inside, border = counts * (distances < last[:, None]), counts * (distances == last[:, None])
    # The point itself is none of its neighbours; its twins are.
    inside[:, 0] -= 1
    share = (near - inside.sum(axis=1)) / np.maximum(border.sum(axis=1), 1)
    weights = inside + border * share[:, None]
    order = np.lexsort((*places.transpose(2, 0, 1), distances), axis=-1)
    places = np.take_along_axis(places, order[:, :, None], axis=1)
    return _to_planes(points, places, np.take_along_axis(weights, order, axis=1))


def _to_planes(points: Floats, neighbours: Floats, weights: Floats) -> Floats:
    """Distances (M,) of ``points`` (M, 3) to the planes of ``neighbours`` (M, K, 3) of ``weights`` (M or 1, K)."""
    # Relative to the point first: far from the origin, products of coordinates would swallow the residual.
    # Coordinate by coordinate and neighbour by neighbour: sums over axes round differently in batches of other sizes.
    offsets = [np.ascontiguousarray((neighbours[:, :, axis] - points[:, None, axis]).T) for axis in range(3)]
    weights = np.ascontiguousarray(weights.T)
    total = _sum(weights, np.ones((1, 1)))
    center = [_sum(offset, weights) / total for offset in offsets]
    spread = [offset - middle for offset, middle in zip(offsets, center, strict=True)]
    scatter = np.empty((len(points), 3, 3))
    for i in range(3):
        for j in range(i + 1):
            scatter[:, i, j] = scatter[:, j, i] = _sum(spread[i] * spread[j], weights)
    _, axes = np.linalg.eigh(scatter)
    return np.asarray(np.abs(center[0] * axes[:, 0, 0] + center[1] * axes[:, 1, 0] + center[2] * axes[:, 2, 0]))


def _sum(values: Floats, weights: Floats) -> Floats:
    """(M,) sums of ``values`` (K, M) with ``weights`` (K or 1, M or 1), one row after the other."""
    total = values[0] * weights[0]
    for i in range(1, len(values)):
        total = total + values[i] * weights[min(i, len(weights) - 1)]
    return np.asarray(total)
