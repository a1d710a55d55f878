"""The networks, the samplers and the weights; the only room that knows torch (with deburr.train).

>>> from deburr.nn import estimate_noise, scores
>>> scores(xyz)                                          # (N, 3): the score at each point
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deburr.nn.deburr.default import estimate_noise, scores

__all__ = ["estimate_noise", "scores"]


def __getattr__(name: str) -> Any:
    # Whoever names one module of this package must not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deburr.core.interrupts import whole_import

    return getattr(whole_import(f"{__name__}.deburr.default"), name)
