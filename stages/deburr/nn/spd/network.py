"""The published SPD network (Luo & Hu, "Score-Based Point Cloud Denoising", ICCV 2021), arranged for inference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

WIDTH, GROWTH, FEATURES, HIDDEN = 24, 12, 60, 128
GRAPH_NEIGHBORS = 16
#: Rows that pass through the score network at once: their activations (0.5 MB each) stay in the processor's cache.
CHUNK_ROWS = 1024


class EdgeConv(nn.Module):
    """Densely connected edge convolution: three layers over the edges to the neighbours, then their maximum.

    The edge (i, j) is described by ``x_j - x_i`` alone in the first convolution (``relative``), by
    ``[x_i, x_j, x_j - x_i]`` in the others. Every layer sees all that came before it.
    """

    def __init__(self, relative: bool) -> None:
        super().__init__()
        self.relative = relative
        self.first = nn.Linear(WIDTH if relative else 3 * WIDTH, GROWTH)
        self.middle = nn.Linear(GROWTH + WIDTH, GROWTH)
        self.last = nn.Linear(2 * GROWTH + WIDTH, GROWTH)

    def forward(self, x: Tensor, neighbors: Tensor) -> Tensor:
        """``x`` (P, n, 24), ``neighbors`` (P, n, 16) int64 -> (P, n, 60), newest channels first."""
        # Every layer is linear in parts that belong to one point: multiply per point, then gather and add.
        if self.relative:
            mine, theirs = nn.functional.linear(-x, self.first.weight), nn.functional.linear(x, self.first.weight)
        else:
            own, other, difference = torch.split(self.first.weight, WIDTH, dim=1)
            mine, theirs = nn.functional.linear(x, own - difference), nn.functional.linear(x, other + difference)
        # (P, n, 1, 12) + (P, n, 16, 12)
        one = torch.relu((mine + self.first.bias).unsqueeze(2) + gather(theirs, neighbors))
        edge, own = torch.split(self.middle.weight, [GROWTH, WIDTH], dim=1)
        two = torch.relu(nn.functional.linear(one, edge) + nn.functional.linear(x, own, self.middle.bias).unsqueeze(2))
        newer, edge, own = torch.split(self.last.weight, [GROWTH, GROWTH, WIDTH], dim=1)
        three = nn.functional.linear(two, newer) + nn.functional.linear(one, edge)
        # What depends on the point alone is the same on all of its edges: the maximum passes it by.
        newest = three.amax(dim=2) + nn.functional.linear(x, own, self.last.bias)
        return torch.cat([newest, two.amax(dim=2), one.amax(dim=2), x], dim=-1)


def gather(values: Tensor, rows: Tensor) -> Tensor:
    """``values`` (P, n, c) at ``rows`` (P, n, k) of the same patch -> (P, n, k, c)."""
    patches, points, channels = values.shape
    start = torch.arange(patches, device=rows.device).view(-1, 1, 1) * points
    return values.reshape(-1, channels)[(rows + start).reshape(-1)].reshape(*rows.shape, channels)


def feature_neighbors(x: Tensor, k: int, exact: bool = True) -> Tensor:
    """Rows (P, n, k) of the nearest other points by distance of ``x`` (P, n, c); k < n.

    The first hit is dropped as the point itself; a twin in its place has the same values. Float64, because in a
    difference of squares float32 confuses neighbours at a relative 1e-4; not ``exact`` makes those mistakes on purpose.
    """
    if exact:
        x = x.double()
        x = x - x.mean(dim=1, keepdim=True)
        squares = (x * x).sum(dim=-1)
        near = torch.baddbmm(squares.unsqueeze(1), x, x.transpose(1, 2), alpha=-2)
    else:
        near = torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist")
    return near.topk(k + 1, dim=-1, largest=False, sorted=True).indices[..., 1:]


class FeatureNet(nn.Module):
    """60 features per point from four dynamic edge convolutions; each finds its neighbours in its own input space."""

    def __init__(self) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(nn.Linear(FEATURES if i else 3, WIDTH) for i in range(4))
        self.convs = nn.ModuleList(EdgeConv(relative=i == 0) for i in range(4))

    def forward(self, patches: Tensor) -> Tensor:
        """``patches`` (P, n, 3), n > 16, in the unit sphere's frame -> features (P, n, 60)."""
        x = patches
        for i, (transform, conv) in enumerate(zip(self.transforms, self.convs, strict=True)):
            x = torch.relu(transform(x)) if i else transform(x)
            # The published network searches in float32 everywhere; only in the first convolution do its near ties show.
            x = conv(x, feature_neighbors(x, GRAPH_NEIGHBORS, exact=i > 0))
        return x


class ResidualBlock(nn.Module):
    """``x + second(relu(norm(first(relu(norm(x)))))) + condition(input)``."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_first = nn.BatchNorm1d(HIDDEN)
        self.norm_second = nn.BatchNorm1d(HIDDEN)
        self.first = nn.Linear(HIDDEN, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.condition = nn.Linear(3 + FEATURES, HIDDEN)


class ScoreNet(nn.Module):
    """The score at an offset from a point, given that point's features. `Head` evaluates it."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Linear(3 + FEATURES, HIDDEN)
        self.blocks = nn.ModuleList(ResidualBlock() for _ in range(4))
        self.norm = nn.BatchNorm1d(HIDDEN)
        self.exit = nn.Linear(HIDDEN, 3)


class SpdNet(nn.Module):
    """Both networks; the names of its parameters are those of the imported weights."""

    def __init__(self) -> None:
        super().__init__()
        self.features = FeatureNet()
        self.score = ScoreNet()


def affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """A batch normalisation at inference as (factor, shift), each (128,)."""
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor


@dataclass(frozen=True)
class Layer:
    """One residual block, folded: ``x + relu(relu(x * factor + shift) @ first + bias) @ second + condition``."""

    factor: Tensor
    shift: Tensor
    first: Tensor
    bias: Tensor
    second: Tensor


class Head:
    """The score network folded for inference: the parts that depend on features alone are computed once per point.

    Normalisations become factors and shifts, the one between a block's two layers part of the first; the products
    of the 60 features (23 % of all multiplications at every step) move to `prepare`.
    """

    def __init__(self, net: ScoreNet) -> None:
        self.layers: list[Layer] = []
        inputs: list[tuple[Tensor, Tensor]] = [(net.entry.weight, net.entry.bias)]
        for block in net.blocks:
            assert isinstance(block, ResidualBlock)
            inner, inner_shift = affine(block.norm_second)
            first, bias = block.first.weight * inner[:, None], block.first.bias * inner + inner_shift
            factor, shift = affine(block.norm_first)
            second = block.second.weight.t().contiguous()
            self.layers.append(Layer(factor, shift, first.t().contiguous(), bias, second))
            inputs.append((block.condition.weight, block.condition.bias + block.second.bias))
        self.of_offset = torch.cat([weight[:, :3] for weight, _ in inputs]).t().contiguous()
        self.of_features = torch.cat([weight[:, 3:] for weight, _ in inputs])
        self.of_nothing = torch.cat([bias for _, bias in inputs])
        self.factor, self.shift = affine(net.norm)
        self.exit, self.exit_bias = net.exit.weight.t().contiguous(), net.exit.bias

    def prepare(self, features: Tensor) -> Tensor:
        """What ``features`` (n, 60) contribute to the entry and to each block: (n, 5 * 128)."""
        return nn.functional.linear(features, self.of_features, self.of_nothing)

    def scores(self, offsets: Tensor, prepared: Tensor) -> Tensor:
        """Scores (n, k, 3) at ``offsets`` (n, k, 3) from points whose `prepare`d features are (n, 640)."""
        points = len(offsets) if offsets.is_cuda else max(1, CHUNK_ROWS // offsets.shape[1])
        pairs = zip(torch.split(offsets, points), torch.split(prepared, points), strict=True)
        return torch.cat([self._chunk(offset, given) for offset, given in pairs])

    def _chunk(self, offsets: Tensor, prepared: Tensor) -> Tensor:
        n, k, _ = offsets.shape
        parts = torch.split(prepared, HIDDEN, dim=-1)
        flat = offsets.reshape(n * k, 3)
        inputs = torch.split(self.of_offset, HIDDEN, dim=1)
        x = torch.mm(flat, inputs[0]).view(n, k, HIDDEN).add_(parts[0].unsqueeze(1)).view(n * k, HIDDEN)
        for layer, own, given in zip(self.layers, inputs[1:], parts[1:], strict=True):
            inner = torch.addcmul(layer.shift, x, layer.factor).relu_()
            inner = torch.addmm(layer.bias, inner, layer.first).relu_()
            x.addmm_(inner, layer.second).addmm_(flat, own)
            x.view(n, k, HIDDEN).add_(given.unsqueeze(1))
        x = torch.addcmul(self.shift, x, self.factor).relu_()
        return torch.addmm(self.exit_bias, x, self.exit).view(n, k, 3)
