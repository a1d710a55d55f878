"""Ground: a height field that beams meet, and how its heights are made, smooth or self-affine. Lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deburr.core.arrays import Bools, Floats

#: Steps between which a ray looks for the ground, and halvings of the one in which it meets it.
_STEPS, _HALVINGS = 40, 24


@dataclass(frozen=True)
class Ground:
    """Heights (X, Y) at the nodes of a grid of cells of width ``cell`` around the origin, bilinear between them.

    ``rough``: whether it has so much detail below the scan's spacing that no scan shows a surface.
    """

    heights: npt.NDArray[np.float64]
    cell: float
    dark: bool = False
    rough: bool = False

    @property
    def center(self) -> Floats:
        return np.array([0.0, 0.0, float(self.heights.mean())])

    @property
    def reach(self) -> float:
        return np.inf

    @property
    def girth(self) -> float:
        return 0.0 if self.rough else np.inf

    @property
    def half(self) -> Floats:
        """(2,): half its extent in plan."""
        return (np.array(self.heights.shape) - 1) * self.cell / 2

    def at(self, xy: Floats) -> tuple[Floats, Floats]:
        """Heights (N,) and gradients (N, 2) at places in plan (N, 2); beyond its borders, those of the borders."""
        size = self.heights.shape
        grid = (xy + self.half) / self.cell
        x, y = np.clip(grid[:, 0], 0, size[0] - 1.000001), np.clip(grid[:, 1], 0, size[1] - 1.000001)
        i, j = x.astype(np.int64), y.astype(np.int64)
        x, y, flat, node = x - i, y - j, self.heights.reshape(-1), i * size[1] + j
        a, b, c, d = flat[node], flat[node + size[1]], flat[node + 1], flat[node + size[1] + 1]
        low, high = a + (b - a) * x, c + (d - c) * x
        slope = np.stack(((b - a) * (1 - y) + (d - c) * y, high - low), 1) / self.cell
        return low + (high - low) * y, slope

    def meet(self, origins: Floats, along: Floats) -> Floats:
        first, last = self._between(origins, along)
        found, rows = np.full(len(along), np.inf), np.flatnonzero(last > first)
        o, d, first, last = origins[rows], along[rows], first[rows], last[rows]
        if not len(rows):
            return found
        longest = float(((last - first) * np.hypot(d[:, 0], d[:, 1])).max())
        steps = int(np.clip(longest / self.cell, 4, _STEPS))
        t = first[:, None] + (last - first)[:, None] * np.linspace(0, 1, steps + 1)
        places = o[:, None] + t[..., None] * d[:, None]
        above = places[..., 2] > self.at(places[..., :2].reshape(-1, 2))[0].reshape(t.shape)
        under = ~above[:, 1:]
        hit = above[:, 0] & under.any(1)
        step = under.argmax(1)[hit]
        rows, o, d, t = rows[hit], o[hit], d[hit], t[hit]
        low, high = t[np.arange(len(t)), step], t[np.arange(len(t)), step + 1]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            place = o + middle[:, None] * d
            over = place[:, 2] > self.at(place[:, :2])[0]
            low, high = np.where(over, middle, low), np.where(over, high, middle)
        found[rows] = high
        return found

    def _between(self, origins: Floats, along: Floats) -> tuple[Floats, Floats]:
        """(R,) each: between which distances a ray is above the grid and between its lowest and highest node."""
        pad = 0.01 * self.cell
        half = np.array([*self.half, np.ptp(self.heights) / 2 + pad])
        middle = np.array([0, 0, (self.heights.max() + self.heights.min()) / 2])
        slope = 1 / np.where(np.abs(along) < 1e-12, 1e-12, along)
        center, width = (middle - origins) * slope, half * np.abs(slope)
        return np.maximum((center - width).max(1), 0), (center + width).min(1)

    def project(self, places: Floats) -> tuple[Floats, Floats]:
        height, slope = self.at(places[:, :2])
        normal = np.concatenate((-slope, np.ones((len(slope), 1))), 1)
        on = np.concatenate((places[:, :2], height[:, None]), 1)
        return on, normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def holds(self, places: Floats) -> Bools:
        return np.asarray(places[:, 2] < self.at(places[:, :2])[0])


def self_affine(nodes: int, hurst: float, longest: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(nodes, nodes) random heights of standard deviation 1 whose differences grow with the distance to the ``hurst``.

    Waves longer than ``longest`` cells are no higher than those of that length.
    """
    k = np.hypot(np.fft.fftfreq(nodes)[:, None], np.fft.rfftfreq(nodes)[None])
    power = np.maximum(k, 1 / longest) ** -(hurst + 1)
    power[0, 0] = 0
    heights = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(nodes, nodes))) * power, s=(nodes, nodes))
    return np.asarray(heights / heights.std())


def rolling(nodes: int, shortest: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(nodes, nodes) smooth random heights of standard deviation 1 without waves shorter than ``shortest`` cells."""
    k = np.hypot(np.fft.fftfreq(nodes)[:, None], np.fft.rfftfreq(nodes)[None])
    wild = np.fft.rfft2(rng.normal(size=(nodes, nodes))) * np.exp(-((k * shortest) ** 2))
    wild[0, 0] = 0
    heights = np.fft.irfft2(wild, s=(nodes, nodes))
    return np.asarray(heights / heights.std())


def differences(heights: npt.NDArray[np.float64], cells: int) -> float:
    """The root mean square of the height differences at a distance of ``cells`` cells."""
    return float(np.sqrt(np.mean((heights[cells:] - heights[:-cells]) ** 2)))
