"""What other packages bring is loaded when it is asked for; what is wrong with one is said, and does no harm."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from deburr.core import entries
from deburr.core.entries import Entries
from deburr.core.errors import SpecError

POINTS = [
    EntryPoint("tau", "math:tau", "g"),
    EntryPoint("e", "math:e", "g"),
    EntryPoint("pi", "math:pi", "g"),
    EntryPoint("twice", "math:pi", "g"),
    EntryPoint("twice", "math:tau", "g"),
    EntryPoint("gone", "math:gone", "g"),
    EntryPoint("small", "math:e", "g"),
]


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Entries[float]:
    monkeypatch.setattr(entries, "entry_points", lambda group: [p for p in POINTS if p.group == group])
    return Entries("g", "number", lambda: ("pi",), lambda p, found: "is too small" if p.name == "small" else None)


def test_names_come_in_order_and_own_ones_are_nobody_s(numbers: Entries[float]) -> None:
    assert numbers.names == ("e", "gone", "small", "tau", "twice")
    assert numbers.sound() == {"e": pytest.approx(2.71828, abs=1e-5), "tau": pytest.approx(6.28319, abs=1e-5)}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "gone",
            r"number 'gone' of 'math:gone' cannot be loaded \(AttributeError: .*gone.*\); repair the package",
        ),
        ("small", "number 'small' of 'math:e' is too small"),
        ("twice", "number 'twice' is brought by 'math:pi' and 'math:tau': which is meant"),
    ],
)
def test_what_cannot_be_used_is_said_each_time(numbers: Entries[float], name: str, sentence: str) -> None:
    for _ in range(2):
        with pytest.raises(SpecError, match=sentence):
            numbers.get(name)


def test_all_that_is_broken_is_told_at_once(numbers: Entries[float]) -> None:
    said = numbers.broken()
    assert [sentence.split("'")[1] for sentence in said] == ["gone", "pi", "small", "twice"]
    assert said[1] == "number 'pi' of 'math:pi' is not used: deburr has one of that name itself"
