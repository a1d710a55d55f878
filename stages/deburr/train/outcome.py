"""What each level, told, would leave of a scene's noise: by it the noise network learns which level serves best.

Where the true level is not the best one to be told (a ring of a sparse scan, leaves, grazing beams), how near a guess
is to it says little of what the guess does to the points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from deburr.nn.contract import Settings
from deburr.nn.deburr.blocks import Blocks
from deburr.nn.deburr.default import Default
from deburr.nn.deburr.inputs import NOISE_FLOOR
from deburr.nn.deburr.noise_network import FIELD_HOPS, careful
from deburr.nn.deburr.planes import Graph, average, averaging_matrix, spread
from deburr.train.examples import Example
from deburr.train.scene import errors

#: Levels that are tried, in spacings: the first below this, each so many times the one before, up to the last.
_FIRST, _TIMES, _LAST = 0.012, 2.5, 3.0
#: Errors below this share of the spacing need not be told apart, nor those below this share of the noise.
_SMALL, _NONE = 0.015, 0.05


@dataclass(frozen=True)
class Outcome:
    """Of M judges of a scene whose spacing is 1.

    levels : (L,) float32, rising logarithms of the levels that were told.
    left : (M, L) float32, the logarithm of the mean squared error around each judge then, as a share of the noise's.
    """

    levels: Tensor
    left: Tensor

    def at(self, level: Tensor) -> Tensor:
        """(M,): what the log levels (M,) leave, linear between those that were told, and beyond them."""
        below = (torch.searchsorted(self.levels, level.detach().contiguous()) - 1).clamp(0, len(self.levels) - 2)
        low, high = self.levels[below], self.levels[below + 1]
        first, last = (self.left.gather(1, (below + more)[:, None])[:, 0] for more in (0, 1))
        share = (level - low) / (high - low)
        return first + share * (last - first)


def outcome(example: Example, graph: Graph, rows: Tensor, number: int) -> Outcome:
    """Denoise the points of ``example``, number ``number`` of the run, with one level after another, by the bundled
    weights; the judges are ``rows`` (M,) of their ``graph``."""
    points, truth, level, model = example.points, example.truth, example.level, replace(Default.load(), remains=None)
    # Of each scene others, so that nothing is learnt of those alone that were tried.
    first = _FIRST * _TIMES ** -np.random.default_rng([number, 11]).random()
    told = first * _TIMES ** np.arange(1 + int(np.log(_LAST / first) / np.log(_TIMES)))
    found = [points, *(model.denoise(points, Settings(noise=float(one))).xyz for one in told)]
    squares = [errors(truth, each) ** 2 for each in found]
    columns = np.stack((*squares, level**2, np.maximum(_SMALL, NOISE_FLOOR) ** 2 * np.ones(len(level))), 1)
    around = spread(graph, torch.from_numpy(columns), FIELD_HOPS, Blocks(len(points)))[rows]
    share = around[:, :-2] / around[:, -2:].sum(1, keepdim=True)
    # Told half of the first, points hardly move.
    levels = np.log(np.concatenate(([first / 2], told)))
    return Outcome(torch.from_numpy(levels).float(), (share + _NONE**2).log().float())


def applied(level: Tensor, odds: Tensor, cloud: float, evidence: float, rows: Tensor, graph: Graph) -> Tensor:
    """(M,): the log levels that the points are told at the judges ``rows`` (M,), whose log levels and log odds these
    are: see `deburr.nn.deburr.noise_network.field`; with a gradient."""
    own, weight = careful(level, odds, cloud, evidence)
    known = torch.zeros(len(graph.spacing), 2).index_put((rows,), torch.stack((weight * own, weight), 1))
    matrix = averaging_matrix(graph, slice(0, len(known)), torch.float32)
    told, whole = average(known, matrix, matrix.t().to_sparse_csr(), FIELD_HOPS)[rows].unbind(1)
    return told / whole
