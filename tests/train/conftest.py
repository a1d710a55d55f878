from __future__ import annotations

import pytest


@pytest.fixture
def few_frozen_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are judged on one solid, one landscape and two scans, which take seconds."""
    monkeypatch.setattr("deburr.train.validate.SCENES", 1)
    monkeypatch.setattr("deburr.train.validate.SCANS", 2)
    monkeypatch.setattr("deburr.train.validate.FIRST_SEED", 2**40 + 1)
