"""Matplotlib, loaded whatever the environment says of windows that no picture here needs."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from deburr.core.interrupts import whole_import

#: What pictures need of it that is written in C, or imports what is.
_IN_C = ("figure", "collections", "ticker", "backends.backend_agg")


def load() -> None:
    """Import matplotlib before anything of it is imported.

    It refuses to be loaded where ``MPLBACKEND`` names no backend. One that there is stays chosen, for whoever shows
    pictures of their own beside ours.
    """
    if "matplotlib" in sys.modules:
        return
    chosen = os.environ.pop("MPLBACKEND", None)
    try:
        matplotlib = whole_import("matplotlib")
        for part in _IN_C:
            whole_import(f"matplotlib.{part}")
    finally:
        if chosen is not None:
            os.environ["MPLBACKEND"] = chosen
    if chosen:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = chosen
