"""The checkpoint of a training run as a file: sealed when it is written, and looked through before anything is used."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deburr.core.errors import RunError
from deburr.nn.weights import check_torch

State = dict[str, Any]

#: What a checkpoint holds, and the type of each. ``digest`` and ``first`` are missing from older ones.
_TYPES = {
    "recipe": str, "chain": str, "networks": Mapping, "first": Mapping, "average": Mapping, "optimizer": Mapping,
    "step": int, "seconds": float, "points": int, "running": Mapping, "digest": str,
}  # fmt: skip
_OLDER = frozenset({"digest", "first"})

log = logging.getLogger(__name__)


class _Unfit(ValueError):
    """What is wrong with a checkpoint, in a clause."""


def seal(state: State) -> State:
    """``state`` with the digest of all that it holds: a zip file's own checksums are not looked at by torch."""
    return {**state, "digest": _digest(state)}


def read_state(path: Path, networks: Mapping[str, Tensor], device: torch.device) -> State:
    """The state in a checkpoint, whose networks have the names, shapes and types of ``networks``.

    Raises `RunError`, and `ReadError` where this torch might run what is in it.

    Nothing in the file is executed. ``chain`` is a list of objects, all numbers are finite, tensors of weights too.
    """
    check_torch(path)
    try:
        # A damaged pickle can raise nearly any error from inside torch; none of them is ours to let through.
        state = torch.load(path, weights_only=True, map_location=device)
        _check(state, networks)
        state["chain"] = _chain(state["chain"])
    except Exception as error:
        log.debug("%s: %s", path, error)
        why = f" ({error})" if isinstance(error, _Unfit) else ""
        raise RunError(f"{path}: no checkpoint of a training run, or a damaged one{why}; start without --resume") from (
            error
        )
    return dict(state)


def _check(state: Any, networks: Mapping[str, Tensor]) -> None:
    if not isinstance(state, dict) or not _TYPES.keys() - _OLDER <= state.keys() <= _TYPES.keys():
        raise _Unfit("it holds something else")
    for name, value in state.items():
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise _Unfit(f"'{name}' is of type {type(value).__name__}")
    if "digest" in state and state["digest"] != _digest({k: v for k, v in state.items() if k != "digest"}):
        raise _Unfit("its digest is not that of what it holds")
    for name in ("networks", "first", "average"):
        if name in state:
            _check_weights(name, state[name], networks)
    figures = {**state["running"], "step": state["step"], "seconds": state["seconds"], "points": state["points"]}
    for name, value in figures.items():
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, int | float):
            raise _Unfit(f"figure '{name}' is no number")
        if not math.isfinite(value) or value < 0 or value > 1e18:
            raise _Unfit(f"figure '{name}' is {value:.3g}")


def _check_weights(name: str, found: Mapping[Any, Any], wanted: Mapping[str, Tensor]) -> None:
    if found.keys() != wanted.keys():
        raise _Unfit(f"'{name}' holds other tensors than the network has")
    for key, tensor in wanted.items():
        other = found[key]
        if not isinstance(other, Tensor) or other.shape != tensor.shape or other.dtype != tensor.dtype:
            raise _Unfit(f"'{key}' in '{name}' does not fit the network")
        if other.is_floating_point() and not bool(torch.isfinite(other).all()):
            raise _Unfit(f"'{key}' in '{name}' holds NaN or infinite values")


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Let ``optimizer`` go on from ``state``, which must fit its parameters and settings. Raises `RunError`."""
    damaged = RunError(f"{path}: a damaged checkpoint (its optimiser does not fit the network); start without --resume")
    own = optimizer.state_dict()["param_groups"]
    try:
        for group, found in zip(own, state["param_groups"], strict=True):
            if not all(_goes_on(name, value, found[name]) for name, value in group.items() if name in found):
                raise damaged
        optimizer.load_state_dict(dict(state))
        for group, before in zip(optimizer.param_groups, own, strict=True):
            if not before.keys() <= group.keys():
                raise damaged
            for parameter in group["params"]:
                if not _fits(optimizer.state.get(parameter, {}), parameter):
                    raise damaged
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise damaged from error


def _goes_on(name: str, own: Any, found: Any) -> bool:
    """Whether a setting of the optimiser may become ``found``: the learning rate any number, others what they are."""
    if name == "lr":
        return type(found) is type(own) and math.isfinite(found) and found >= 0
    # A tensor compares equal to numbers, and to some of nothing; it is never written as they are.
    return name == "params" or repr(found) == repr(own)


def _fits(moments: Mapping[str, Any], parameter: Tensor) -> bool:
    """Whether ``moments`` are what Adam keeps of ``parameter``: none, or a number of steps and two of its shape."""
    if not moments:
        return True
    shapes = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
    return moments.keys() == shapes.keys() and all(
        isinstance(value, Tensor) and value.shape == shapes[name] and bool(torch.isfinite(value).all())
        for name, value in moments.items()
    )


def _chain(text: str) -> list[dict[str, Any]]:
    chain = json.loads(text)
    if not isinstance(chain, list) or not all(isinstance(link, dict) for link in chain):
        raise _Unfit("'chain' is no list of runs")
    return chain


def _digest(value: Any) -> str:
    found = hashlib.sha256()
    _add(found, value)
    return found.hexdigest()


def _add(found: Any, value: Any) -> None:
    """Take ``value`` in: containers by their items in order, tensors by type, shape and bytes, the rest as text."""
    if isinstance(value, Mapping):
        found.update(b"{")
        for key, item in value.items():
            found.update(repr(key).encode() + b":")
            _add(found, item)
        found.update(b"}")
    elif isinstance(value, list | tuple):
        found.update(b"[")
        for item in value:
            _add(found, item)
        found.update(b"]")
    elif isinstance(value, Tensor):
        array = value.detach().cpu().contiguous()
        found.update(f"{array.dtype} {tuple(array.shape)};".encode())
        found.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        found.update(repr(value).encode("utf-8", "backslashreplace") + b";")
