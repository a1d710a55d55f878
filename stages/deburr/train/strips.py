"""Flight lines over one place as training examples: Noise2Noise.

Two scans of one surface have noise that knows nothing of each other. Of a point of the first, at z, let y be where the
second has the surface: y = x + m with m of mean 0 given z. Then E[y | z] = E[x | z], and who leads z to y by squared
error learns what the clean place would have taught (Lehtinen et al., "Noise2Noise", ICML 2018).

No point of the second line answers for one of the first. So y is where the square surface through the second line's
points around z is met along its normal: linear in their heights, so that its noise has no mean either, and by weights
that fall with the distance along the surface and not across it: nearest points would be those whose noise points to z.
Along the surface neither line tells anything; there the target is to stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deburr.core.arrays import Bools, Floats, Ints
from deburr.core.neighbors import Neighbors, cloud_spacing
from deburr.nn.deburr.inputs import NOISE_FLOOR
from deburr.train.examples import Example
from deburr.train.scene import CleanScene, Surface

#: The points of the other line that are looked at around a point, and the share of their reach that counts.
_SEEN, _NEAR = 32, 0.8
#: Fewest points of a line in a crop, most points of a crop, and how often one is looked for.
LEAST, _MOST, _TRIES = 200, 4000, 30
#: How far, in standard deviations of the noise, heights of one line may differ from a bent plane, and both lines from
#: each other, where both see one surface.
_ROUGH, _APART = 2.0, 6.0
#: How far from a point, as a share of their reach, the middle of the other line's points may be.
_BESIDE = 0.4


def met(points: Floats, other: Floats, noise: float) -> Floats:
    """(N, 3): where the surface that ``other`` (M, 3) shows is met along its normal from each of ``points`` (N, 3);
    ``noise`` in their units; NaN where it shows none, or another one."""
    count = min(_SEEN, len(other))
    away, near = Neighbors(other).nearest(points, count)
    offsets = other[near] - points[:, None]
    reach = _NEAR * np.maximum(away[:, -1:], 1e-300)
    about = offsets - offsets.mean(1, keepdims=True)
    axes = np.linalg.eigh(np.einsum("nki,nkj->nij", about, about))[1]
    # Along the surface in units of the reach: across it, then, lies what is looked for.
    height, v, u = np.moveaxis(offsets @ axes, 2, 0)
    u, v = u / reach, v / reach
    weight = np.clip(1 - u**2 - v**2, 0, 1)
    shown = np.stack((np.ones_like(u), u, v, u * u, u * v, v * v), -1)
    left = np.einsum("nk,nki,nkj->nij", weight, shown, shown) + 1e-9 * np.eye(6)
    found = np.linalg.solve(left, np.einsum("nk,nki,nk->ni", weight, shown, height)[..., None])[..., 0]
    total = weight.sum(1)
    off = np.sqrt((weight * (height - np.einsum("nki,ni->nk", shown, found)) ** 2).sum(1) / np.maximum(total, 1e-9))
    beside = np.hypot((weight * u).sum(1), (weight * v).sum(1)) / np.maximum(total, 1e-9)
    one = (off <= _ROUGH * noise) & (np.abs(found[:, 0]) <= _APART * noise) & (beside <= _BESIDE) & (total >= 6)
    return np.where(one[:, None], points + found[:, :1] * axes[:, :, 0], np.nan)


@dataclass(frozen=True)
class Lines:
    """Noisy points (N, 3) float64, no two equal, their noise as in `deburr.train.tiles.Tile`, the flight ``line`` (N,)
    of each, and which lie where there is ``another`` (N,) bool."""

    points: Floats
    noise: float
    line: Ints
    another: Bools

    @classmethod
    def of(cls, points: Floats, noise: float, line: Ints) -> Lines:
        """Look which points have one of another line as near as those of their own."""
        another = np.zeros(len(points), np.bool_)
        numbers = np.unique(line)
        limit = 2 * cloud_spacing(points) * np.sqrt(max(len(numbers), 1))
        for number in numbers:
            mine = line == number
            if not mine.all():
                another[mine] = Neighbors(points[~mine]).nearest(points[mine], 1)[0][:, 0] <= limit
        return cls(points, noise, line, another)


class Strips:
    """Draws crops of ``lines``, of ``most`` points, in which one line is to find out what another saw."""

    def __init__(self, lines: Sequence[Lines], most: int = _MOST) -> None:
        self._lines, self._most = tuple(lines), most
        sizes = np.array([one.another.sum() for one in self._lines], np.float64)
        self._chance = sizes / sizes.sum()

    def figures(self) -> dict[str, int]:
        """What weights record of them."""
        return {"clouds": len(self._lines), "points": sum(len(one.points) for one in self._lines)}

    def draw(self, rng: np.random.Generator) -> Example:
        """The points of one line around a random one, in spacings, and what another saw there, where that is known."""
        best: tuple[int, Example] | None = None
        for _ in range(_TRIES):
            found, known = self._drawn(rng)
            if best is None or known > best[0]:
                best = known, found
            if known >= len(found.points) // 4:
                break
        assert best is not None
        return best[1]

    def _drawn(self, rng: np.random.Generator) -> tuple[Example, int]:
        lines = self._lines[int(rng.choice(len(self._lines), p=self._chance))]
        middle = int(rng.choice(np.flatnonzero(lines.another)))
        away = ((lines.points - lines.points[middle]) ** 2).sum(1)
        most = min(self._most, len(away))
        rows = np.sort(np.argpartition(away, most - 1)[:most])
        # The line of the middle looks, all others tell.
        mine = lines.line[rows] == lines.line[middle]
        points, others = (lines.points[some] - lines.points[middle] for some in (rows[mine], rows[~mine]))
        if len(points) < LEAST or len(others) < LEAST:
            return _example(points, np.full(points.shape, np.nan), 1.0), 0
        unit = cloud_spacing(points)
        points, others = points / unit, others / unit
        level = max(lines.noise / unit, NOISE_FLOOR)
        target = met(points, others, level)
        return _example(points, target, level), int(np.isfinite(target[:, 0]).sum())


def _example(points: Floats, target: Floats, level: float) -> Example:
    nowhere = Surface(np.empty((0, 3)), np.empty((0, 3)))
    truth = CleanScene(target, np.ones(len(points), np.bool_), nowhere)
    return Example(truth, points, np.full(len(points), level), guessed=True)
