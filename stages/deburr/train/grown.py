"""A score network made larger that begins with what a smaller one has learnt: the same function, with room to learn.

New features and heads are computed from the first, by weights of chance, and read by nobody: what reads them begins at
zero. New layers begin as layers that change nothing. (Chen, Goodfellow and Shlens 2016, "Net2Net", widen by copies of
units instead; of copies, chance has to tell one from the other first.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from deburr.nn.deburr.layer import Sizes
from deburr.nn.deburr.network import ScoreNetwork

#: Lengths of the parts that an axis of a weight is put together from.
_Parts = Callable[[Sizes], tuple[int, ...]]


def _channels(sizes: Sizes) -> tuple[int, ...]:
    return (sizes.channels,)


def _kernels(sizes: Sizes) -> tuple[int, ...]:
    return sizes.heads, 1


def _seen(sizes: Sizes) -> tuple[int, ...]:
    return sizes.channels, sizes.heads * sizes.values, 7 * sizes.vectors


def _mixed(sizes: Sizes) -> tuple[int, ...]:
    return sizes.heads * sizes.vectors, sizes.heads, sizes.vectors


def _update(sizes: Sizes) -> tuple[int, ...]:
    return sizes.channels, sizes.vectors


#: By the name of a product, the axes (out, in) that depend on the sizes; None: one that does not.
_AXES: dict[str, tuple[_Parts | None, _Parts | None]] = {
    "enter.0": (_channels, None),
    "enter.2": (_channels, _channels),
    "kernel": (_kernels, None),
    "value": (None, _channels),
    "mix": (None, _mixed),
    "look": (_channels, _seen),
    "update": (_update, _channels),
    "leave.0": (_channels, _channels),
    "leave.2": (None, _channels),
}


def as_large(tensors: Mapping[str, Tensor], before: Sizes, after: Sizes) -> Mapping[str, Tensor]:
    """Weights of a score network of sizes ``before`` (names "score.…" to tensors, among others, which stay as they are)
    as those of one of sizes ``after``, which computes the same. New ones are drawn from torch's generator.

    Where nothing can grow to ``after`` (a smaller size, other lengths of what neighbours tell) they stay as they are.
    """
    grows = all(getattr(before, name) <= getattr(after, name) for name in ("channels", "heads", "layers"))
    if before == after or not grows or before != replace(before, values=after.values, vectors=after.vectors):
        return tensors
    fresh = {f"score.{name}": tensor for name, tensor in ScoreNetwork(after).state_dict().items()}
    for name, tensor in fresh.items():
        if name in tensors:
            _place(tensor, tensors[name], name, before, after)
        elif ".update." in name:
            tensor.zero_()
    return {**tensors, **fresh}


def _place(new: Tensor, old: Tensor, name: str, before: Sizes, after: Sizes) -> None:
    """Write ``old`` into ``new``: what was computed before is computed from what was read before."""
    product = re.sub(r"^score\.(layers\.\d+\.)?|\.(weight|bias)$", "", name)
    rows, columns = (
        torch.arange(length) if parts is None else _places(parts(before), parts(after))
        for parts, length in zip(_AXES.get(product, (None, None)), (*old.shape, 0)[:2], strict=True)
    )
    new[rows] = 0
    if old.ndim == 1:
        new[rows] = old
    else:
        new[rows[:, None], columns] = old


def _places(before: tuple[int, ...], after: tuple[int, ...]) -> Tensor:
    """Where in an axis of parts as long as ``after`` those of one as long as ``before`` come to lie: first in each."""
    starts = [sum(after[:number]) for number in range(len(after))]
    return torch.cat([start + torch.arange(length) for start, length in zip(starts, before, strict=True)])
