"""The benchmarks are scripts, not a package: their folder is put on the path for these tests."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from deburr.core.errors import ReadError

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def o3d() -> Any:
    """Open3D; tests that need it skip where it is not, with the reason among the warnings of the run."""
    from open3d_door import open3d

    try:
        return open3d()
    except ReadError as error:
        warnings.warn(f"tests were skipped: {error}", stacklevel=1)
        pytest.skip(str(error))
