"""What weights are worth on scenes that no recipe trains on; the table goes into their card, and so does what they
leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from threading import Lock
from typing import Any

import numpy as np

from deburr.core.arrays import Floats, Ints
from deburr.core.neighbors import cloud_spacing
from deburr.core.progress import advance, listening
from deburr.nn.contract import Settings
from deburr.nn.deburr.default import Default
from deburr.nn.deburr.uncertainty import Evidence, Regression, Singles
from deburr.train.landscapes import landscape_scene
from deburr.train.leftover import fit
from deburr.train.scans import scan_scene
from deburr.train.scene import CleanScene, NoisyScene, errors, scaled
from deburr.train.solids import solid_scene
from deburr.train.strata import THIN, strata

#: Recipes' seeds stay far below; see `deburr.train.examples.draw`.
FIRST_SEED = 2**40
SCENES = 4
LEVELS = {"solid": (0.3, 0.6, 1.2), "landscape": (0.05, 0.15, 0.4)}
#: Scans have noise of their own.
SCANS = 8
#: Scenes more of each kind that tell what is left of the noise, and the levels that they have in turn. Wires are few in
#: each, so that many small ones tell more than some large ones.
MORE = {"solid": 8, "landscape": 140, "scan": 96}
MORE_LEVELS = {"solid": (0.2, 0.45, 0.9, 1.8), "landscape": (0.03, 0.08, 0.2, 0.6)}


def validate(model: Default) -> list[dict[str, Any]]:
    """Rows of: kind of scene, noise (in spacings; of scans their own), and two shares of the input's RMS distances:
    ``to_surface`` for points on surfaces, ``to_own_place`` for leaves and wires. The noise level is not told:
    ``noise_found`` is the median, over the scenes, of the middle point's level over the true one."""
    return _rows(replace(model, remains=_Listener()))[0]


def judge(model: Default) -> tuple[list[dict[str, Any]], Regression]:
    """The rows of `validate`, and what tells how much is left, to be told as `Uncertainty`: from these scenes and many
    more."""
    heard = _Listener()
    model = replace(model, remains=heard)
    rows, left = _rows(model)
    for number, scene in enumerate(_more(), 1):
        left.append(_compare(model, scene).left)
        advance("looking at what is left (scenes)", number, sum(MORE.values()))
    inputs, most = (np.concatenate(parts) for parts in zip(*heard.told, strict=True))
    wrong, kinds = (np.concatenate([getattr(one, name) for one in left]) for name in ("errors", "kinds"))
    firsts = np.cumsum([0, *(len(one.heard) for one in left)])
    # Threads are heard in any order; the fit is the same for the same order only.
    order = np.concatenate([first + one.heard for first, one in zip(firsts, left, strict=False)])
    return rows, fit(inputs[order], most[order], wrong, kinds)


def _rows(model: Default) -> tuple[list[dict[str, Any]], list[_Left]]:
    """The rows of `validate`, and what is left in every scene; ``model`` answers with the numbers of its points."""
    rows, left = [], []
    for kind, noise, scenes in _looks():
        found = [_compare(model, scene) for scene in scenes]
        row: dict[str, Any] = {"scene": kind, "noise": noise}
        row["noise_found"] = float(np.median([one.level for one in found]))
        row["to_surface"] = _share([one.surface for one in found])
        if kind != "solid":
            row["to_own_place"] = _share([one.own for one in found])
        rows.append(row)
        left += [one.left for one in found]
    return rows, left


@dataclass(frozen=True)
class _Left:
    """Of the N different points of a scene, in their order: the ``errors`` (N,) along one axis, in the spacing that was
    found, the strata (N,) as ``kinds``, and as which of this scene's, from 0, each was ``heard`` (N,)."""

    errors: Floats
    kinds: Ints
    heard: Ints


@dataclass(frozen=True)
class _Found:
    """Mean squares before and after of points on surfaces and of others, NaN where there are none; the level found over
    the true one; and what is left in points."""

    surface: tuple[float, float]
    own: tuple[float, float]
    level: float
    left: _Left


@dataclass
class _Listener:
    """Instead of a regression: hears what one would be asked, of some points at a time and by several threads, and
    answers with their numbers in the order in which they were asked of."""

    told: list[tuple[Singles, Floats]] = field(default_factory=list)
    _count: int = 0
    _lock: Lock = field(default_factory=Lock)

    def left(self, seen: Evidence) -> Floats:
        inputs, most = seen.inputs(), seen.most()
        with self._lock:
            self.told.append((inputs, most))
            first, self._count = self._count, self._count + len(most)
        return np.arange(first, self._count, dtype=np.float64)


def _looks() -> Iterator[tuple[str, float | str, list[NoisyScene]]]:
    for kind, make in (("solid", solid_scene), ("landscape", landscape_scene)):
        scenes = [_scene(make, FIRST_SEED + number) for number in range(SCENES)]
        for level in LEVELS[kind]:
            yield kind, level, [_noisy(scene, level, seed) for seed, scene in enumerate(scenes)]
    yield "scan", "own", [_scan(FIRST_SEED + number) for number in range(SCANS)]


def _more() -> Iterator[NoisyScene]:
    for kind, make in (("solid", solid_scene), ("landscape", partial(landscape_scene, largest=5000))):
        for number in range(MORE[kind]):
            scene = _scene.__wrapped__(make, FIRST_SEED + SCENES + number)
            yield _noisy(scene, MORE_LEVELS[kind][number % len(MORE_LEVELS[kind])], SCENES + number)
    for number in range(MORE["scan"]):
        yield _scan.__wrapped__(FIRST_SEED + SCANS + number)


def _noisy(scene: CleanScene, level: float, seed: int) -> NoisyScene:
    points = scene.points + np.random.default_rng(seed).normal(0, level, scene.points.shape)
    return NoisyScene(scene, points, np.full(len(points), level))


@cache
def _scene(make: Callable[[int], CleanScene], seed: int) -> CleanScene:
    """Kept: a run validates often, and solids take seconds each."""
    scene = make(seed)
    return scaled(scene, 1 / cloud_spacing(scene.points))


@cache
def _scan(seed: int) -> NoisyScene:
    return scan_scene(seed, most=6000)


def _compare(model: Default, scene: NoisyScene) -> _Found:
    with listening(lambda *_: None):  # scenes are told of, not the points of each
        denoised = model.denoise(scene.points, Settings())
    assert denoised.level is not None
    assert denoised.uncertainty is not None
    truth, on = scene.truth, ~scene.truth.solitary
    before, after = (errors(truth, points) for points in (scene.points, denoised.xyz))
    some = scene.level > 0
    level = float(np.median(denoised.level[some] / scene.level[some])) if some.any() else np.nan
    first = np.unique(denoised.uncertainty, return_index=True)[1]  # of each number, the first point that has it
    heard = np.argsort(first)
    rows = first[heard]
    left, kinds = left_over(scene, denoised.xyz)
    left /= denoised.figures["spacing"]  # in which the listener heard of the noise
    return _Found(_mean(before, after, on), _mean(before, after, ~on), level, _Left(left[rows], kinds[rows], heard))


def left_over(scene: NoisyScene, points: Floats) -> tuple[Floats, Ints]:
    """What is wrong along one axis with the ``points`` (N, 3) that those of ``scene`` have become (N,), and the strata
    (N,) of their clean places. Across a surface there is one axis; on thin parts and alone the way from the own place
    counts, shared among as many as there was noise along: 3 if it was the same in all directions, 1 along beams."""
    truth = scene.truth
    found, kinds = errors(truth, points), strata(truth)
    noise, levels = ((scene.points - truth.points) ** 2).sum(), (scene.level**2).sum()
    axes = np.clip(noise / max(levels, np.finfo(np.float64).tiny), 1, 3)
    own = np.linalg.norm(points - truth.points, axis=1) / np.sqrt(axes)
    return np.where(kinds < THIN, found, np.where(truth.solitary, own, np.maximum(found, own))), kinds


def _mean(before: Floats, after: Floats, rows: Any) -> tuple[float, float]:
    if not rows.any():
        return np.nan, np.nan
    return float((before[rows] ** 2).mean()), float((after[rows] ** 2).mean())


def _share(squares: list[tuple[float, float]]) -> float:
    """The mean over scenes of the root of after over before; scenes without such points, or noise, do not count."""
    return float(np.mean([np.sqrt(after / before) for before, after in squares if before > 0]))
