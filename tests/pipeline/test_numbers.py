"""Numbers as people and C write them, on the command line and in quotes; what is none, or absurd, is refused."""

from __future__ import annotations

import pytest

from deburr.core.errors import RunError, SpecError
from deburr.core.neighbors import threads
from deburr.pipeline import load


@pytest.mark.parametrize(
    ("text", "value"),
    [(".03", 0.03), ("+0.03", 0.03), ("1.", 1.0), ("+.5e-1", 0.05), ("3E-2", 0.03), (" .25 ", 0.25), ("007", 7.0)],
)
def test_numbers_in_words(text: str, value: float) -> None:
    plan = load(["a.las", {"type": "filters.spd", "noise": text}, "b.las"])
    assert plan.stages[1].noise == value  # type: ignore[attr-defined]
    plan = load(["a.las", "filters.spd", "b.las"], overrides={"filters.spd.noise": text})
    assert plan.stages[1].noise == value  # type: ignore[attr-defined]


def test_whole_numbers_in_words() -> None:
    plan = load(["a.las", {"type": "filters.outlier", "mean_k": "8.", "min_k": "+3"}, "b.las"])
    assert (plan.stages[1].mean_k, plan.stages[1].min_k) == (8, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text", ["", ".", "+", "1_0", "0x1", "1,5", "1e", "nan", "inf", "1e999", "٣", "1" * 400, "--1"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="option 'noise' must be 'auto' or a number greater than 0, not"):
        load(["a.las", {"type": "filters.spd", "noise": text}, "b.las"])


@pytest.mark.parametrize("asked", ["9" * 30, "9" * 5000, "1001", "0", "-1", "1.5", "٣", "x" * 200_000, " 2"])
def test_a_number_of_threads_that_no_machine_has(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", asked)
    with pytest.raises(RunError) as error:
        threads()
    assert str(error.value).startswith("DEBURR_THREADS: must be a whole number from 1 to 1000, not '")
    assert len(str(error.value)) < 150


def test_the_number_of_threads_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBURR_THREADS", "3")
    assert threads() == 3
