"""One layer of the score network, and the sums over neighbours that it lives on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from deburr.nn.deburr.planes import Graph


@dataclass(frozen=True)
class Sizes:
    """What the weights' card records of the architecture."""

    channels: int = 48
    heads: int = 6
    layers: int = 4
    values: int = 24
    vectors: int = 4


def weighted_sums(graph: Graph, values: Tensor, kernels: list[Tensor], rows: slice) -> Tensor:
    """(n, heads C): sums of the neighbours' ``values`` (N, C), weighted by each head's ``kernels`` (n, K)."""
    if torch.is_grad_enabled():
        return (torch.stack(kernels, 1) @ graph.gather(values, rows)).flatten(1)
    # The same without writing the neighbours' values out; its backward pass is slow.
    neighbors = graph.neighbors[rows]
    sums = [functional.embedding_bag(neighbors, values, mode="sum", per_sample_weights=kernel) for kernel in kernels]
    return torch.cat(sums, 1)


class Layer(nn.Module):
    """One round of averaging values and vectors over the graph with the edge kernels, then a point-wise update."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        mixed = 2 * sizes.vectors
        found = sizes.heads * (sizes.vectors + 1) + sizes.vectors
        self.value = nn.Linear(sizes.channels, sizes.values)
        self.mix = nn.Linear(found, mixed, bias=False)
        inputs = sizes.channels + sizes.heads * sizes.values + 3 * mixed + mixed // 2
        self.look = nn.Linear(inputs, sizes.channels)
        self.update = nn.Linear(sizes.channels, sizes.channels + sizes.vectors)
        self.carry = nn.Linear(mixed, sizes.vectors, bias=False)

    def told(self, features: Tensor, arrows: Tensor) -> Tensor:
        """(n, values + 3 V): what neighbours are told of points with ``features`` (n, C) and ``arrows`` (n, 3, V)."""
        return torch.cat((self.value(features), arrows.flatten(1)), 1)

    def forward(
        self, own: Tensor, averaged: Tensor, arrows: Tensor, reach: Tensor, feet: list[Tensor], from_neighbors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New features (n, C) and vectors (n, 3, V).

        own (n, C) features; averaged (n, heads (values + 3 V)) what the neighbours told; arrows (n, 3, V) own vectors;
        reach (n, 3, heads) kernel-weighted offsets; feet, unit normals (n, 3) at two scales; from_neighbors as named.
        """
        channels, heads, kinds = self.sizes.channels, self.sizes.heads, self.sizes.vectors
        parts = [channels, heads * self.sizes.values, 7 * kinds]
        from_own, _, from_invariants = torch.split(self.look.weight, parts, 1)
        _, from_reach, from_arrows = torch.split(self.mix.weight, [heads * kinds, heads, kinds], 1)
        both = averaged @ from_neighbors
        hidden, mixed = both[:, :channels], both[:, channels:].view(-1, 3, 2 * kinds)
        mixed = mixed + functional.linear(reach, from_reach) + functional.linear(arrows, from_arrows)
        # Coordinate by coordinate: sums over an axis of three are slow.
        x, y, z = (along.contiguous() for along in mixed.unbind(1))
        above = [(x * foot[:, :1] + y * foot[:, 1:2] + z * foot[:, 2:]).abs() for foot in feet]
        invariants = torch.cat(
            (
                (x * x + y * y + z * z + 1e-6).sqrt(),
                x[:, :kinds] * x[:, kinds:] + y[:, :kinds] * y[:, kinds:] + z[:, :kinds] * z[:, kinds:],
                torch.stack(above, 2).flatten(1),
            ),
            1,
        )
        hidden = hidden + torch.addmm(self.look.bias, own, from_own.t()) + invariants @ from_invariants.t()
        features, gates = torch.split(self.update(functional.silu(hidden)), [channels, kinds], 1)
        return own + features, arrows + torch.tanh(gates).repeat(1, 3).view(-1, 3, kinds) * self.carry(mixed)

    def from_neighbors(self) -> Tensor:
        """(heads (values + 3 V), C + 6 V): the parts of `look` and `mix` that read what neighbours told, as one.

        One product with the averages as they come is as fast as to sort them into values and vectors first.
        """
        channels, heads, values, kinds = self.sizes.channels, self.sizes.heads, self.sizes.values, self.sizes.vectors
        look = self.look.weight[:, channels : channels + heads * values].reshape(channels, heads, values)
        mix = self.mix.weight[:, : heads * kinds].reshape(2 * kinds, heads, kinds)
        turned = torch.einsum("cd,mhv->cmhdv", torch.eye(3, device=mix.device), mix)
        turned = turned.reshape(6 * kinds, heads, 3 * kinds)
        upper = torch.cat((look, look.new_zeros(channels, heads, 3 * kinds)), 2)
        lower = torch.cat((turned.new_zeros(6 * kinds, heads, values), turned), 2)
        return torch.cat((upper, lower)).flatten(1).t().contiguous()
