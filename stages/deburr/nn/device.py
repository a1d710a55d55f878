"""Where a network runs."""

from __future__ import annotations

import torch

from deburr.core.errors import RunError
from deburr.core.neighbors import threads


def torch_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or ``auto`` (a GPU where there is one), with as many threads as deburr may use.

    Raises `deburr.core.errors.RunError` where a GPU is asked for and there is none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise RunError("device 'cuda': torch finds no GPU here; use device 'cpu', or install torch for CUDA")
    torch.set_num_threads(threads())
    return torch.device("cuda" if found and name != "cpu" else "cpu")
