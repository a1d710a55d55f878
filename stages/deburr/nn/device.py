"""Where a network runs."""

from __future__ import annotations

import torch

from deburr.core.errors import RunError


def torch_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or ``auto`` (a GPU where there is one).

    Raises `deburr.core.errors.RunError` where a GPU is asked for and there is none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise RunError("device 'cuda': torch finds no GPU here; use device 'cpu', or install torch for CUDA")
    return torch.device("cuda" if found and name != "cpu" else "cpu")
