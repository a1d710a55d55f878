"""Doors of other programs. `denoise_array` is for the points that PDAL's Python bindings hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deburr.plugins.pdal.arrays import denoise_array as denoise_array

__all__ = ["denoise_array"]


def __getattr__(name: str) -> Any:
    """Load what is asked for, and nothing before: PDAL's script imports this package too."""
    if name == "denoise_array":
        from deburr.plugins.pdal.arrays import denoise_array

        return denoise_array
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
