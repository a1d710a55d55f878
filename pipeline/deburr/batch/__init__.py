"""One pipeline over many files, or over one that is larger than memory.

>>> from deburr.batch import batch
>>> batch(["filters.spd"], "tiles/", "clean").written    # all of a folder, cleaned as one cloud
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deburr.batch.api import BatchResult, batch

__all__ = ["BatchResult", "batch"]


def __getattr__(name: str) -> Any:
    # Whoever names one module of this package must not wait for all that the others import.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deburr.core.interrupts import whole_import

    return getattr(whole_import(f"{__name__}.api"), name)
