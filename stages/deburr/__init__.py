"""deburr cleans LiDAR and scan point clouds with a score-based neural denoiser.

`deburr.denoise` cleans one cloud, `deburr.pipeline.run` runs a pipeline, `deburr.batch` many files; `python -m deburr`
is the command line.
"""

from __future__ import annotations

from pkgutil import extend_path
from typing import Any

# In a checkout, the package's folders stand in three source roots.
__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> Any:
    if name == "denoise":
        from deburr.core.interrupts import whole_import

        return whole_import("deburr.pipeline.denoise").denoise
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("deburr")
