"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("DEBURR_DATA", Path(__file__).parent.parent.parent / "shared"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real clouds and reference outputs; tests that need it skip, with the reason, where it is absent."""
    if not (DATA / "data").is_dir():
        pytest.skip(f"needs the real data: set DEBURR_DATA to its folder (looked in {DATA})")
    return DATA
