from __future__ import annotations

import pytest


@pytest.fixture
def few_frozen_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are judged on a solid, two landscapes and three scans, at one level each, which take seconds."""
    monkeypatch.setattr("deburr.train.validate.LEVELS", {"solid": (0.3,), "landscape": (0.15,)})
    monkeypatch.setattr("deburr.train.validate.SCENES", 1)
    monkeypatch.setattr("deburr.train.validate.SCANS", 2)
    monkeypatch.setattr("deburr.train.validate.MORE", {"solid": 0, "landscape": 1, "scan": 1})
    monkeypatch.setattr("deburr.train.leftover._STEPS", 100)
    monkeypatch.setattr("deburr.train.leftover._BATCH", 128)
    monkeypatch.setattr("deburr.train.validate.FIRST_SEED", 2**40 + 1)
