"""Bodies that a beam can meet: oriented boxes, plates, ellipsoids, cylinders, implicit solids. Lengths in metres.

Each says where a ray first meets it, and leads places nearby to its surface, exactly, with the normal there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from deburr.core.arrays import Bools, Floats
from deburr.train.solids import Distance

#: Rays start this far from what they stand on.
_START = 1e-6


class Body(Protocol):
    """``center`` (3,) and ``reach`` bound it by a sphere; ``girth`` is its second smallest width: what is thinner than
    the scan's spacing in two directions is a wire, not a surface. ``dark``: it gives weak echoes."""

    @property
    def center(self) -> Floats: ...
    @property
    def reach(self) -> float: ...
    @property
    def girth(self) -> float: ...
    @property
    def dark(self) -> bool: ...

    def meet(self, origins: Floats, along: Floats) -> Floats:
        """(R,): how far rays from ``origins`` go ``along`` unit vectors (R, 3) until they meet it, or infinity."""
        ...

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        """Places on the surface (N, 3) near to ``places``, and unit normals (N, 3) there."""
        ...

    def holds(self, places: Floats) -> Bools:
        """(N,): which places are inside."""
        ...


def dot(a: Floats, b: Floats) -> Floats:
    """(N,): the scalar products of the rows of ``a`` and ``b`` (N, 3)."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


def first_of(near: Floats, far: Floats) -> Floats:
    """(R,): the nearer of two crossings that lies ahead, or infinity; NaN stands for none."""
    ahead = np.where(near > _START, near, far)
    return np.asarray(np.where(ahead > _START, ahead, np.inf))


def _roots(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """The two solutions of a t^2 + 2 b t + c = 0; NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(b * b - a * c)
        return (-b - root) / a, (-b + root) / a


@dataclass(frozen=True)
class Box:
    """A box with half widths ``half`` (3,); its axes are the columns of ``turn`` (3, 3). If ``hollow`` it is a room."""

    center: Floats
    half: Floats
    turn: Floats
    dark: bool = False
    hollow: bool = False

    @property
    def reach(self) -> float:
        return float(np.linalg.norm(self.half))

    @property
    def girth(self) -> float:
        return float(np.sort(2 * self.half)[1])

    def meet(self, origins: Floats, along: Floats) -> Floats:
        o, d = (origins - self.center) @ self.turn, along @ self.turn
        slope = 1 / np.where(np.abs(d) < 1e-12, 1e-12, d)
        middle, width = -o * slope, self.half * np.abs(slope)
        near, far = middle - width, middle + width
        near = np.maximum(np.maximum(near[:, 0], near[:, 1]), near[:, 2])
        far = np.minimum(np.minimum(far[:, 0], far[:, 1]), far[:, 2])
        return np.where(near <= far, first_of(near, far), np.inf)

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        p = (places - self.center) @ self.turn
        rows, axis = np.arange(len(p)), (self.half - np.abs(p)).argmin(1)
        side = np.where(p[rows, axis] < 0, -1.0, 1.0)
        on = np.clip(p, -self.half, self.half)
        on[rows, axis] = side * self.half[axis]
        return on @ self.turn.T + self.center, self.turn.T[axis] * side[:, None]

    def holds(self, places: Floats) -> Bools:
        inside = (np.abs((places - self.center) @ self.turn) < self.half).all(1)
        return np.asarray(inside & (not self.hollow))


@dataclass(frozen=True)
class Plate:
    """A parallelogram ``center`` + a ``u`` + b ``v``, a and b in -1..1, or the ellipse in it. It has no thickness."""

    center: Floats
    u: Floats
    v: Floats
    round: bool = False
    dark: bool = False

    @property
    def reach(self) -> float:
        return float(np.linalg.norm(self.u) + np.linalg.norm(self.v))

    @property
    def girth(self) -> float:
        return float(2 * min(np.linalg.norm(self.u), np.linalg.norm(self.v)))

    @property
    def normal(self) -> Floats:
        """(3,), unit length."""
        normal = np.cross(self.u, self.v)
        return np.asarray(normal / np.linalg.norm(normal))

    def _inner(self, places: Floats) -> Floats:
        """(N, 2): a and b of places."""
        return np.asarray((places - self.center) @ np.linalg.pinv(np.stack((self.u, self.v))))

    def meet(self, origins: Floats, along: Floats) -> Floats:
        normal = self.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            t = ((self.center - origins) @ normal) / (along @ normal)
        t = np.where(np.isfinite(t) & (t > _START), t, -1.0)
        inner = self._inner(origins + t[:, None] * along)
        within = (inner**2).sum(1) <= 1 if self.round else (np.abs(inner) <= 1).all(1)
        return np.where(within & (t > 0), t, np.inf)

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        inner = self._inner(places)
        if self.round:
            inner = inner / np.maximum(1, np.linalg.norm(inner, axis=1, keepdims=True))
        inner = np.clip(inner, -1, 1)
        on = self.center + inner @ np.stack((self.u, self.v))
        return on, np.broadcast_to(self.normal, on.shape).copy()

    def holds(self, places: Floats) -> Bools:
        return np.zeros(len(places), dtype=np.bool_)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with half axes ``radii`` (3,) along x, y and z."""

    center: Floats
    radii: Floats
    dark: bool = False

    @property
    def reach(self) -> float:
        return float(self.radii.max())

    @property
    def girth(self) -> float:
        return float(np.sort(2 * self.radii)[1])

    def chord(self, origins: Floats, along: Floats) -> tuple[Floats, Floats]:
        """Where rays enter and leave it, (R,) each; NaN where they pass."""
        o, d = (origins - self.center) / self.radii, along / self.radii
        return _roots(dot(d, d), dot(o, d), dot(o, o) - 1)

    def meet(self, origins: Floats, along: Floats) -> Floats:
        return first_of(*self.chord(origins, along))

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        p = (places - self.center) / self.radii
        p = p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-12)
        normal = p / self.radii
        return p * self.radii + self.center, normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def holds(self, places: Floats) -> Bools:
        p = (places - self.center) / self.radii
        return np.asarray(dot(p, p) < 1)


@dataclass(frozen=True)
class Cylinder:
    """The mantle of a round bar around the line from ``start`` to ``end``, open at its ends: poles, trunks, wires."""

    start: Floats
    end: Floats
    radius: float
    dark: bool = False

    @property
    def center(self) -> Floats:
        return np.asarray((self.start + self.end) / 2)

    @property
    def reach(self) -> float:
        return float(np.linalg.norm(self.end - self.start) / 2 + self.radius)

    @property
    def girth(self) -> float:
        return 2 * self.radius

    @property
    def _axis(self) -> tuple[Floats, float]:
        length = float(np.linalg.norm(self.end - self.start))
        return (self.end - self.start) / length, length

    def meet(self, origins: Floats, along: Floats) -> Floats:
        axis, length = self._axis
        o, rise = origins - self.start, along @ axis
        foot = o @ axis
        across, aside = along - rise[:, None] * axis, o - foot[:, None] * axis
        crossings = []
        for t in _roots(dot(across, across), dot(aside, across), dot(aside, aside) - self.radius**2):
            with np.errstate(invalid="ignore"):
                height = foot + t * rise
                crossings.append(np.where((height >= 0) & (height <= length), t, np.nan))
        return first_of(*crossings)

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        axis, length = self._axis
        p = places - self.start
        height = p @ axis
        aside = p - height[:, None] * axis
        normal = aside / np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-12)
        return self.start + np.clip(height, 0, length)[:, None] * axis + self.radius * normal, normal

    def holds(self, places: Floats) -> Bools:
        axis, length = self._axis
        p = places - self.start
        height = p @ axis
        aside = dot(p, p) - height**2
        return np.asarray((aside < self.radius**2) & (height > 0) & (height < length))


@dataclass(frozen=True)
class Implicit:
    """A solid that a signed distance ``inner`` describes in the unit sphere, ``size`` times as large."""

    center: Floats
    size: float
    inner: Distance
    dark: bool = False

    @property
    def reach(self) -> float:
        return 1.5 * self.size

    @property
    def girth(self) -> float:
        return np.inf

    def _slope(self, p: Floats, at: Floats, step: float = 1e-5) -> Floats:
        """(N, 3): the gradient of the distance at places whose distance is ``at``."""
        return np.stack([(self.inner(p + step * axis) - at) / step for axis in np.eye(3)], 1)

    def meet(self, origins: Floats, along: Floats) -> Floats:
        """By sphere tracing: as far as the distance says is free, again and again; what does not arrive passes."""
        o = (origins - self.center) / self.size
        t, _ = _roots(np.ones(len(o)), dot(o, along), dot(o, o) - 1.5**2)
        found, rows = np.full(len(o), np.inf), np.flatnonzero(t > 0)
        t = t[rows]
        for _ in range(60):
            gap = self.inner(o[rows] + t[:, None] * along[rows])
            there = np.abs(gap) < 2e-5
            found[rows[there]] = t[there]
            # Rippled and blended solids are not quite distances: short steps do not jump over them.
            open_ = ~there & (t < np.linalg.norm(o[rows], axis=1) + 1.5)
            rows, t = rows[open_], (t + 0.8 * gap)[open_]
            if not len(rows):
                break
        return found * self.size

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        p = (places - self.center) / self.size
        for _ in range(2):
            at = self.inner(p)
            slope = self._slope(p, at)
            p = p - (at / np.maximum(dot(slope, slope), 0.1))[:, None] * slope
        slope = self._slope(p, self.inner(p))
        return p * self.size + self.center, slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)

    def holds(self, places: Floats) -> Bools:
        return np.asarray(self.inner((places - self.center) / self.size) < 0)
