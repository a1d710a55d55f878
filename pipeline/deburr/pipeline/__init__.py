"""How stages are chosen, checked and run on one cloud in memory: spec, plan, execution, report.

>>> from deburr.pipeline import load, run
>>> run("denoise.json")                                  # a file; or the JSON text; or a list, as here:
>>> run(["in.laz", "filters.spd", "out.laz"])
>>> run(["filters.spd"], points=xyz).xyz                 # numpy in, numpy out
>>> load("denoise.json").stages                          # parsed and checked; reads no points
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deburr.pipeline.execute import Result, run
    from deburr.pipeline.plan import Plan, load

__all__ = ["Plan", "Result", "load", "run"]

_HOMES = {"Plan": "plan", "load": "plan", "Result": "execute", "run": "execute"}


def __getattr__(name: str) -> Any:
    # Whoever names one module of this package must not wait for all that the others import.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deburr.core.interrupts import whole_import

    return getattr(whole_import(f"{__name__}.{_HOMES[name]}"), name)
