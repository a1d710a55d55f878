"""How noisy a cloud is, place by place: read off the planes that the score network sees, and off thinned copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.planes import HOPS, Graph, Planes, spread
from deburr.nn.deburr.thinned import SHAPES, Thinned

_INPUTS = len(HOPS) * 5 + (len(HOPS) - 1) * 2
#: What points find is averaged over this many hops, about 80 points.
POOLING_HOPS = 8
#: The level between judges is averaged over this many hops.
FIELD_HOPS = 4
#: Odds are kept within this factor, as a logarithm: no guess silences all others.
_MOST_ODDS = 6.0
#: Features of a point's planes; and how many numbers the judges of an earlier version were shown.
_WIDTH, _LESS = 16, 61
#: What judges tell each other besides their guess and its odds.
_REMARKS = 8
#: A judge's guess weighs as its level to the power of minus this where the quieter ones are asked.
_QUIET = 1.5
#: Where odds are low the cloud's level counts too, by so much weight beside the odds: more where it is the lower one,
#: since levels that are too high move leaves; less where it is the higher one, which edges of noisy solids need.
_CAUTION, _AID = 0.2, 0.05
#: Where the guesses of a cloud are right less often than this, as in a forest, its own level is not to be trusted
#: either: it is taken for that much lower, and leads that much more from above, up to `_MOST_CAUTION`.
_TRUSTED, _MOST_CAUTION = 0.15, 2.0


class NoiseNetwork(nn.Module):
    """Per judge (see `thinned`) the logarithm of the noise level around it, and the odds that it is right.

    One point's planes tell little where noise exceeds the spacing, and nothing where all its neighbours lie on one scan
    line. So what planes show is averaged over the graph, and judged together with what thinned copies show there. What
    judges near each other guess is pooled and weighed: on a noisy surface they agree, in a hedge they do not.
    """

    #: Block-wise walks over the points in `forward`.
    WALKS = POOLING_HOPS + 1

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Linear(_INPUTS, 32), nn.SiLU(), nn.Linear(32, _WIDTH))
        self.judge = nn.Sequential(
            nn.Linear(2 * (_WIDTH + SHAPES), 128), nn.SiLU(), nn.Linear(128, 64), nn.SiLU(), nn.Linear(64, 2 + _REMARKS)
        )
        self.weigh = nn.Sequential(nn.Linear(11 + 3 * _REMARKS, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, graph: Graph, planes: Planes, thinned: Thinned, blocks: Blocks) -> tuple[Tensor, Tensor]:
        """Log levels (M,) in the graph's unit and log odds (M,) of the judges."""
        (seen,) = blocks.map(lambda rows: (self.look(noise_inputs(graph, planes, rows)),))
        near = spread(graph, seen, POOLING_HOPS, blocks)
        rows = thinned.rows
        return self.judged(seen[rows], near[rows], graph.spacing[rows], thinned, blocks.silent(len(rows)))

    def judged(
        self, seen: Tensor, near: Tensor, spacing: Tensor, thinned: Thinned, blocks: Blocks | None = None
    ) -> tuple[Tensor, Tensor]:
        """The same from what the judges see (M, _WIDTH), their surroundings see (M, _WIDTH) and their spacings (M,).

        Without ``blocks`` all are computed at once.
        """
        blocks = blocks or Blocks(len(seen))

        def say(rows: slice) -> tuple[Tensor, ...]:
            around = _mean(thinned.shapes, thinned.pool[rows], thinned.window[rows])
            said = self.judge(torch.cat((seen[rows], near[rows], thinned.shapes[rows], around), 1))
            return said[:, 0] + spacing[rows].log(), said[:, 1].clamp(-_MOST_ODDS, _MOST_ODDS), said[:, 2:]

        guess, odds, remarks = blocks.map(say)

        def hear(rows: slice) -> tuple[Tensor, ...]:
            near_by = _Opinion.of(guess, odds, remarks, thinned.pool[rows], thinned.window[rows])
            around = _Opinion.of(guess, odds, remarks, thinned.wide[rows], thinned.reach[rows])
            level, mine = near_by.level, (guess[rows], odds[rows])
            told = (level - spacing[rows].log(), mine[0] - level, mine[1], *near_by.about(level), *around.about(level))
            more, sure = self.weigh(
                torch.cat((torch.stack(told, 1), remarks[rows], near_by.remarks, around.remarks), 1)
            ).unbind(1)
            return level + more, sure.clamp(-_MOST_ODDS, _MOST_ODDS)

        levels, certain = blocks.map(hear)
        return levels, certain


def shown_more(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights (names "noise.…" to tensors, among others) of judges that an earlier version showed less, as those of
    judges that heed nothing else: what was added stands behind all that was there."""
    name = "noise.judge.0.weight"
    known = tensors.get(name)
    if known is None or known.shape[1:] != (_LESS,):
        return dict(tensors)
    return {**tensors, name: functional.pad(known, (0, 2 * (_WIDTH + SHAPES) - _LESS))}


@dataclass(frozen=True)
class _Opinion:
    """What some judges hold in common, for each of M judges.

    level, quiet, apart : (M,), mean log level, weighted by the odds; the same with more weight to the quieter; spread.
    odds : (M,) mean log odds; remarks : (M, R) mean remarks.
    """

    level: Tensor
    quiet: Tensor
    apart: Tensor
    odds: Tensor
    remarks: Tensor

    @classmethod
    def of(cls, guess: Tensor, odds: Tensor, remarks: Tensor, pool: Tensor, window: Tensor) -> _Opinion:
        """``pool`` (M, P) of the judges, weighted by ``window`` (M, P)."""
        guesses = guess[pool]
        share = _normed(window * odds.exp()[pool])
        level = (share * guesses).sum(1)
        away = guesses - level[:, None]
        quiet = level - (share * (-_QUIET * away).clamp_max(20.0).exp()).sum(1).log() / _QUIET
        even = _normed(window)
        told = functional.embedding_bag(pool, remarks, mode="sum", per_sample_weights=even)
        return cls(level, quiet, ((share * away**2).sum(1) + 1e-6).sqrt(), (even * odds[pool]).sum(1), told)

    def about(self, level: Tensor) -> tuple[Tensor, ...]:
        """What is said of it where ``level`` (M,) is the one in question."""
        return self.level - level, self.quiet - level, self.apart, self.odds


def _mean(values: Tensor, pool: Tensor, window: Tensor) -> Tensor:
    """The means of ``values`` (M, C) over some ``pool`` (m, P) of the judges, weighted by ``window`` (m, P)."""
    return functional.embedding_bag(pool, values, mode="sum", per_sample_weights=_normed(window))


def _normed(weight: Tensor) -> Tensor:
    return weight / weight.sum(1, keepdim=True)


def noise_inputs(graph: Graph, planes: Planes, rows: slice) -> Tensor:
    """(n, _INPUTS) float32: thickness and flatness of the planes against the spacing alone."""
    hops = len(HOPS)  # what thinned copies show is looked at more closely, by `deburr.nn.deburr.thinned`
    spacing, normals = graph.spacing[rows, None], planes.normals[rows, :hops]
    low, middle, high = planes.variances[rows, :hops].unbind(-1)
    height = (planes.means[rows, :hops] * normals).sum(-1).abs()
    logs = torch.log(low.sqrt() / spacing + 1e-3)
    parts = [logs, low / (middle + 1e-12), middle / (high + 1e-12), torch.log(height / spacing + 1e-3)]
    parts += [high.sqrt() / spacing, logs[:, 1:] - logs[:, :-1]]
    parts += [(normals[:, 1:] * normals[:, :-1]).sum(-1).abs()]
    return torch.cat(parts, 1)


def field(
    graph: Graph, thinned: Thinned, level: Tensor, odds: Tensor, cloud: float, evidence: float, blocks: Blocks
) -> tuple[Tensor, Tensor]:
    """The judges' log levels and log odds (M,), weighted by the odds, at all N points; NaN where no judge is near.

    ``cloud``: the logarithm of the whole cloud's level, by which those are led whose odds are low; ``evidence``: how
    likely its judges are right, on average.
    """
    told, weight = careful(level, odds.double(), cloud, evidence)
    known = torch.zeros(len(graph.spacing), 3, dtype=torch.float64)
    known[thinned.rows] = torch.stack((weight * told, weight, weight * odds), 1)
    told, whole, sure = spread(graph, known, FIELD_HOPS, blocks).unbind(1)
    return told / whole, sure / whole


def careful(level: Tensor, odds: Tensor, cloud: float, evidence: float) -> tuple[Tensor, Tensor]:
    """What the judges' log levels (M,) count as, led by the ``cloud`` where their log odds (M,) are low, as in `field`;
    and their weights (M,)."""
    trust = min(1.0, max(evidence, 1e-6) / _TRUSTED)
    lead, caution = cloud + log(trust), min(_CAUTION / trust, _MOST_CAUTION)
    weight = odds.exp()
    led = torch.where(level > lead, caution, _AID * trust)
    return (weight * level + led * lead) / (weight + led), weight
