"""What the noise network learns from: scenes whose level is known at every point, looked at once and kept.

Nothing that it is shown depends on its weights: a scene is looked at once, and learnt from as often as is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from deburr.core.arrays import Floats
from deburr.nn.deburr.inputs import NOISE_FLOOR
from deburr.nn.deburr.noise_network import POOLING_HOPS, NoiseNetwork, noise_inputs
from deburr.nn.deburr.planes import Graph, Planes, average, averaging_matrix, build_graph, fit_planes
from deburr.nn.deburr.thinned import Thinned, look
from deburr.nn.level import APART
from deburr.train.outcome import Outcome, applied
from deburr.train.scene import CleanScene

#: Where the clean surface itself is rougher than this share of the noise, nothing there tells the noise.
_ROUGH = 0.7
#: The quantile of what it may be that is wanted on surfaces, where too much does less harm than too little; and where
#: nothing tells the noise, and points had better stay.
_ON_SURFACE, _ELSEWHERE = 0.55, 0.15
#: Weight of places where nothing tells the noise: points that should stay are harmed there.
_HARM = 3.0
#: The power of the share of the noise that a level leaves which counts.
_BETWEEN = 0.5
#: Share of places on readable surfaces from which on the cloud's level is theirs.
_SURFACES = 0.3
#: A level is right within this factor.
_RIGHT = 1.5
#: Levels below this share of the spacing need not be told apart: points hardly move.
_SMALL = 0.015


@dataclass(frozen=True)
class Judged:
    """A noisy scene of N points as the noise network sees it, at M judges.

    inputs : (N, I) float32.
    spacing : (M,) float32; thinned : the judges.
    target : (M,) float32, log levels; readable : (M,) bool, on a surface that is smoother than the noise.
    outcome : what each level, told, would leave there; None where it was not tried.
    """

    inputs: Tensor
    spacing: Tensor
    thinned: Thinned
    target: Tensor
    readable: Tensor
    outcome: Outcome | None = None


def judged(points: Floats, graph: Graph, planes: Planes, truth: CleanScene, level: Floats) -> Judged:
    """Look at ``points`` (N, 3), whose graph and narrowest planes are given, as are their truth and levels (N,)."""
    thinned = look(graph, points, len(points))
    rows = thinned.rows
    floor = NOISE_FLOOR * graph.spacing.double()
    target = torch.maximum(torch.from_numpy(level) / graph.unit, floor)[rows]
    smooth = _roughness(truth, graph)[rows] < _ROUGH * target
    readable = ~torch.from_numpy(truth.solitary)[rows] & smooth
    inputs = noise_inputs(graph, planes, slice(0, len(points)))
    return Judged(inputs, graph.spacing[rows], thinned, target.log().float(), readable)


def _roughness(truth: CleanScene, graph: Graph) -> Tensor:
    """(N,) float64: how thick the smallest neighbourhoods are in the clean scene, in the unit of ``graph``."""
    places, row = np.unique(truth.points, axis=0, return_inverse=True)
    own = build_graph(places)
    thick = fit_planes(own).variances[:, 0, 0].double().sqrt() * own.unit
    return thick[torch.from_numpy(row.reshape(-1))] / graph.unit


def to_arrays(scene: Judged) -> dict[str, npt.NDArray[Any]]:
    """All that training reads of it."""
    seen = scene.thinned
    parts = {**{name: getattr(scene, name) for name in _OWN}, **{name: getattr(seen, name) for name in _SEEN}}
    if scene.outcome is not None:
        parts |= {"levels": scene.outcome.levels, "left": scene.outcome.left}
    return {f"judged_{name}": part.numpy() for name, part in parts.items()}


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> Judged | None:
    """What `to_arrays` gave; None where it is not there."""
    if "judged_inputs" not in arrays:
        return None
    own, seen = ({name: torch.from_numpy(arrays[f"judged_{name}"]) for name in names} for names in (_OWN, _SEEN))
    nowhere = torch.zeros((0, 0), dtype=torch.bool)
    tried = [torch.from_numpy(arrays[f"judged_{name}"]) for name in ("levels", "left") if f"judged_{name}" in arrays]
    outcome = Outcome(*tried) if tried else None
    return Judged(**own, thinned=Thinned(**seen, copies=nowhere, radii=np.zeros(0)), outcome=outcome)


_OWN, _SEEN = ("inputs", "spacing", "target", "readable"), ("rows", "shapes", "pool", "window", "wide", "reach")


def losses(network: NoiseNetwork, graph: Graph, scene: Judged) -> dict[str, Tensor]:
    """Quantile losses of local levels (Koenker & Bassett 1978) and of the whole scene's; how true the odds are; and
    what the levels leave of the noise, where that was tried. Of a scene in which nobody judges, as on a lattice without
    noise, none."""
    rows = scene.thinned.rows
    if not len(rows):
        return {}
    seen = network.look(scene.inputs)
    matrix = averaging_matrix(graph, slice(0, len(seen)), torch.float32)
    near = average(seen, matrix, matrix.t().to_sparse_csr(), POOLING_HOPS)
    level, odds = network.judged(seen[rows], near[rows], scene.spacing, scene.thinned)
    small = _SMALL * scene.spacing
    missing = (scene.target.exp() + small).log() - (level.exp() + small).log()
    local = torch.where(scene.readable, _quantile(missing, _ON_SURFACE), _HARM * _quantile(missing, _ELSEWHERE))
    right = (missing.abs() < log(_RIGHT)) & scene.readable
    sure = functional.binary_cross_entropy_with_logits(odds, right.float())
    surfaces = bool(scene.readable.float().mean() > _SURFACES)
    middle = (scene.target[scene.readable] if surfaces else scene.target).median()
    whole = pooled(level, odds)
    cloud = _quantile(middle - whole, 0.5 if surfaces else _ELSEWHERE)
    found = {"level": local.mean(), "odds": 0.3 * sure, "cloud": 0.6 * cloud}
    if scene.outcome is not None:
        told = applied(level, odds, whole.item(), odds.sigmoid().mean().item(), rows, graph)
        # Between the logarithm of the share, to which harm by a factor of ten is no more than a tenth left, and the
        # share itself, to which what is left of a tenth is nothing.
        share = torch.exp(_BETWEEN / 2 * scene.outcome.at(told))
        found["outcome"] = (torch.where(scene.readable, 1.0, _HARM) * share).mean() / _BETWEEN
    return found


def _quantile(missing: Tensor, share: float) -> Tensor:
    """The loss that the ``share``-quantile of what may be ``missing`` makes least."""
    return torch.maximum(share * missing, (share - 1) * missing)


def pooled(level: Tensor, odds: Tensor) -> Tensor:
    """The logarithm of one level for a cloud: the weighted mean of the judges' (M,); with a gradient.

    `deburr.nn.level.pooled` is the same from sums that parts of a cloud add to.
    """
    weight = odds.exp()
    order = torch.argsort(level)
    below = weight[order].cumsum(0)
    middle = order[torch.searchsorted(below, below[-1:] / 2).clamp_max(len(order) - 1)]
    weight = weight * ((level - level[middle]).abs() < log(APART))
    return (level * weight).sum() / weight.sum()
