"""The script for PDAL's filters.python: deburr's filters in a PDAL pipeline. `pipeline pdal-script` prints its path.

    {"type": "filters.python", "script": "...", "module": "deburr_pdal", "function": "denoise",
     "pdalargs": {"noise": 0.03, "where": "Classification == 2"}}

Functions: ``denoise`` (filters.spd; sets X, Y, Z), ``outlier`` (filters.outlier; sets Classification, or the flag
Withheld) and ``outlier_mask`` (filters.outlier; removes the points). ``pdalargs`` holds the options of the filter, by
the names that they have in deburr's own pipelines. Options ``dimensions`` and ``keep_original`` need room in PDAL's
table: ``"add_dimension": ["Uncertainty=float", "Displacement=float"]``.

``where`` beside ``pdalargs`` is PDAL's: the function then sees nothing but the points that meet it, as if the others
were not there, and estimates noise and surface from those alone. ``where`` in ``pdalargs`` moves the same points and
lets the others be seen: it is nearly always what is meant.

PDAL runs this text in a module of its own, which ``module`` names, and calls the function once for each point view.
A splitter or chipper in front cuts the surface, and every piece estimates a noise of its own: put the filter before it.
"""

from __future__ import annotations

import sys
from typing import Any

if "__path__" in globals() or __name__ == "deburr":
    # Two texts in one module: whoever else uses that package would find its names replaced.
    raise ImportError(
        f"filters.python: option 'module' is '{__name__}', the name of a package; choose another, such as 'deburr_pdal'"
    )

try:
    from deburr.plugins.pdal.inside import filters as _inside
except ImportError as problem:
    raise ImportError(
        f"filters.python: deburr cannot be imported ({problem}) by the Python that PDAL runs, "
        f"{sys.version.split()[0]} in {sys.prefix}; install it there with "
        "'pip install deburr', and ask 'pipeline pdal-doctor' if it is there already"
    ) from None

# PDAL executes this text anew for each of its stages, so that each begins with views of its own.
_views = _inside.Views()


def denoise(ins: dict[str, Any], outs: dict[str, Any]) -> bool:
    """Run filters.spd on the points of one view."""
    return _inside.denoise(ins, outs, globals(), _views)


def outlier(ins: dict[str, Any], outs: dict[str, Any]) -> bool:
    """Run filters.outlier on the points of one view and mark what it finds."""
    return _inside.outlier(ins, outs, globals(), _views)


def outlier_mask(ins: dict[str, Any], outs: dict[str, Any]) -> bool:
    """Run filters.outlier on the points of one view and let PDAL keep the others."""
    return _inside.outlier_mask(ins, outs, globals(), _views)
