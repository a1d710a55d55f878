"""What a training run writes beside its weights replaces nothing but what an earlier training run has left there."""

from __future__ import annotations

from pathlib import Path

import torch

from deburr.core.errors import WriteError
from deburr.train.curves import FIXED


def check_owned(checkpoint: Path, table: Path) -> None:
    """Hold the files at ``checkpoint`` and ``table``, and the picture beside the table, against those of a run.

    Raises `WriteError` for one that is of another program.
    """
    picture = table.with_suffix(".png")
    wrong = [
        path for path, own in ((checkpoint, _is_checkpoint), (table, _is_table)) if path.exists() and not own(path)
    ]
    # A run draws what its table says, so there is no picture without one.
    wrong += [picture] if picture.exists() and not table.exists() else []
    if wrong:
        raise WriteError(
            f"{wrong[0]}: is not of a training run, and would be replaced; move it away, or choose another 'output'"
        )


def _is_checkpoint(path: Path) -> bool:
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception:  # of what is no checkpoint, torch's reader says anything
        return False
    return isinstance(state, dict) and {"recipe", "networks", "optimizer", "step"} <= state.keys()


def _is_table(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_HEAD)) == _HEAD
    except OSError:
        return False


_HEAD = ",".join(FIXED).encode()
